"""The signal's bench: what it makes of the times it took."""

from __future__ import annotations

import pytest

from bench.signal_to_order import Times, figures

MS = 1_000_000


def test_the_difference_is_that_of_each_run_s_own_medians() -> None:
    runs = [
        {
            "ws": Times(at_broker=[ws * MS] * 9, outcome=[2 * ws * MS] * 9),
            "rest": Times(at_broker=[rest * MS] * 9, outcome=[2 * rest * MS] * 9),
        }
        for ws, rest in ((1, 2), (10, 12), (3, 9))
    ]
    found = figures(runs)
    assert found["at_broker"]["more_p50_ms"] == pytest.approx(2, rel=1e-2)
    assert found["at_broker"]["ws_p50_ms"] == pytest.approx(3, rel=1e-2)
    assert found["outcome"]["rest_p50_ms"] == pytest.approx(18, rel=1e-2)
