"""Rate limits as brokers tell them in headers."""

from __future__ import annotations

import pytest

from brokers.adapter import Response
from brokers.limits import PAUSE_MS, PAUSE_MS_MAX, Limits, read_limits

NOW_NS = 1_000 * 1_000_000_000

CASES = [
    (200, {}, Limits(None, 0)),
    (200, {"x-ratelimit-remaining": "17"}, Limits(17, 0)),
    (200, {"x-ratelimit-remaining": "many"}, Limits(None, 0)),
    (429, {}, Limits(None, PAUSE_MS)),
    (429, {"retry-after": "3"}, Limits(None, 3_000)),
    (429, {"retry-after": "0"}, Limits(None, PAUSE_MS)),
    (429, {"retry-after": "99999"}, Limits(None, PAUSE_MS_MAX)),
    (429, {"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, Limits(None, PAUSE_MS)),
    (429, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1030"}, Limits(0, 30_000)),
    (429, {"x-ratelimit-reset": "900"}, Limits(None, PAUSE_MS)),
    (429, {"x-ratelimit-reset": "9" * 13}, Limits(None, PAUSE_MS)),
]


@pytest.mark.parametrize(("status", "headers", "said"), CASES)
def test_an_answer_tells_what_is_left_and_how_long_to_pause(
    status: int, headers: dict[str, str], said: Limits
) -> None:
    assert read_limits(Response(status=status, body=b"", headers=headers), NOW_NS) == said
