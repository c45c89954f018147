"""The quote bench in short: a real edge, real clients, every count right; nothing timed."""

from __future__ import annotations

import asyncio

import pytest

from bench.quote_fanout import (
    FULL_SPEED_TIMES,
    PAYLOAD_BYTES_MIN,
    RUNS,
    Plan,
    find_faults,
    markdown,
    measure,
)

PLAN = Plan(clients=4, quotes=600, rate=600, runs=1, seed=3)
RIGHT = {"quotes": 5, "stands_for": 5, "holes": 0, "payload_min": PAYLOAD_BYTES_MIN, "last_ns": 1}


def test_every_client_gets_every_quote_in_order_beside_a_slow_one_too() -> None:
    result = asyncio.run(measure(PLAN))
    assert result["faults"] == []
    assert result["passed"]
    for part in RUNS:
        (run,) = result["runs"][part]
        times = FULL_SPEED_TIMES if part == "full_speed" else 1
        assert run["messages"] == PLAN.clients * PLAN.quotes * times
    assert result["slow_closed"] == 0
    assert "every count and update number right" in markdown(result)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"quotes": 4}, "4 of 5 quotes"),
        ({"stands_for": 6}, "5 of 5 quotes"),
        ({"holes": 2}, "2 updates out of order"),
        ({"payload_min": 119}, "119 bytes"),
    ],
)
def test_a_client_with_a_wrong_count_is_found(wrong: dict[str, int], words: str) -> None:
    assert find_faults([RIGHT], 5) == []
    (fault,) = find_faults([RIGHT, RIGHT | wrong], 5)
    assert fault.startswith("client 1:")
    assert words in fault
