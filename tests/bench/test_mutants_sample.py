"""A sample of mutants: the same for everyone, and what it says of all of them."""

from __future__ import annotations

import pytest

from bench.mutants_sample import draw, interval

NAMES = [f"compliance.a.x_f__mutmut_{number}" for number in range(1, 200)]


def test_a_larger_sample_begins_with_the_smaller_one_whatever_else_there_is() -> None:
    large = draw(NAMES, 100, seed=6)
    assert draw(NAMES[::-1], 40, seed=6) == large[:40]
    assert len(set(large)) == 100
    fewer = draw(NAMES[1:], 100, seed=6)
    assert [name for name in large if name != NAMES[0]] == fewer[: 100 - (NAMES[0] in large)]
    assert draw(NAMES, 100, seed=7) != large


@pytest.mark.parametrize(
    ("noticed", "tried", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (20, 20, 0.8389, 1.0)],
)
def test_the_interval_is_wilsons(noticed: int, tried: int, low: float, high: float) -> None:
    # Newcombe (1998), table I: the score method.
    assert interval(noticed, tried) == pytest.approx((low, high), abs=0.00006)
