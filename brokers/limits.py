"""What an answer's headers say of the broker's rate limit, in the words that brokers share."""

from __future__ import annotations

from msgspec import Struct

from brokers.adapter import Response

TOO_MANY_REQUESTS = 429
PAUSE_MS = 1_000
PAUSE_MS_MAX = 120_000
_DIGITS_MAX = 12


class Limits(Struct, frozen=True):
    """How many requests are left by the broker's count, and for how long it wants none."""

    remaining: int | None = None
    pause_ms: int = 0


NOTHING_SAID = Limits()


def read_limits(response: Response, now_ns: int) -> Limits:
    """What the headers say; a 429 without a word of when is a second's pause."""
    headers = response.headers
    is_refused = response.status == TOO_MANY_REQUESTS
    if not is_refused and "x-ratelimit-remaining" not in headers:
        return NOTHING_SAID
    remaining = _number(headers.get("x-ratelimit-remaining"))
    return Limits(remaining, _pause_ms(response, now_ns) if is_refused else 0)


def _pause_ms(response: Response, now_ns: int) -> int:
    after_s = _number(response.headers.get("retry-after"))
    if after_s is not None:
        return min(max(after_s * 1_000, PAUSE_MS), PAUSE_MS_MAX)
    reset_s = _number(response.headers.get("x-ratelimit-reset"))
    if reset_s is None:
        return PAUSE_MS
    return min(max(reset_s * 1_000 - now_ns // 1_000_000, PAUSE_MS), PAUSE_MS_MAX)


def _number(text: str | None) -> int | None:
    """A count in digits, or None: a date, or anything else, says nothing here."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        return None
    return int(text)
