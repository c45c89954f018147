"""What every dialect needs to read: words by table, exact times and numbers, and the error object.

Nothing here knows a broker. What a broker says outside its published words is an `UnknownWord`.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar

from msgspec import MsgspecError

from brokers.adapter import Answered, BrokerError, OutcomeUnknown, Report, Response, VenueOrder
from domain.errors import Category, ErrorInfo, Outcome, Retry, UnifiedError, VenueError
from domain.events import AmendRefused, CancelRefused

RETRY_AFTER_MS = 1_000
MESSAGE_CHARS_MAX = 300
WORD_CHARS_MAX = 120
REMEMBERED_MAX = 20_000
"""What a reader remembers of each kind; the oldest is forgotten."""

TIMES_KEPT = 256
"""What comes together has one time, and is told more than once."""

NOT_JSON = (MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises of bytes that are no message."""

INT64_MAX = 2**63 - 1
EPOCH_DAY = date(1970, 1, 1).toordinal()
NS = 1_000_000_000
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)

U = UnifiedError
ERROR_CODE: dict[UnifiedError, tuple[str, Category, Retry]] = {
    U.AUTH: ("venue_auth", Category.AUTH, Retry.NEVER),
    U.RATE_LIMIT: ("venue_rate_limited", Category.RATE, Retry.NEW_ID),
    U.INSUFFICIENT_FUNDS: ("insufficient_funds", Category.VENUE, Retry.NEW_ID),
    U.INVALID_ORDER: ("invalid_order", Category.VENUE, Retry.NEVER),
    U.MARKET_CLOSED: ("market_closed", Category.VENUE, Retry.NEW_ID),
    U.SYMBOL_NOT_FOUND: ("symbol_not_found", Category.VENUE, Retry.NEVER),
    U.CONNECTION: ("venue_trouble", Category.VENUE, Retry.NEW_ID),
}
assert ERROR_CODE.keys() == set(UnifiedError)

_V = TypeVar("_V")


class UnknownWord(BrokerError, ValueError):
    """The broker said something outside its published words, or left out what it must say."""


def need(value: _V | None, name: str) -> _V:
    """The value, which its message must have. Raises UnknownWord."""
    if value is None:
        raise UnknownWord(f"a message without {name}")
    return value


def look(table: Mapping[str, _V], word: str, what: str) -> _V:
    """What a word means to us. Raises UnknownWord."""
    if word not in table:
        raise UnknownWord(f"{what} {word[:60]!r}")
    return table[word]


def remember(memory: OrderedDict[str, _V], key: str, value: _V) -> None:
    """Keeps the value; the oldest goes where there are too many."""
    memory[key] = value
    if len(memory) > REMEMBERED_MAX:
        memory.popitem(last=False)


def error_info(
    unified: UnifiedError,
    word: str,
    message: str | None = None,
    retry_after_ms: int = RETRY_AFTER_MS,
) -> ErrorInfo:
    """The broker's word as the error object; nothing was applied."""
    code, category, retry = ERROR_CODE[unified]
    text = (message or word.replace("_", " ").lower())[:MESSAGE_CHARS_MAX]
    return ErrorInfo(
        code=code,
        category=category,
        outcome=Outcome.NONE,
        retry=retry,
        message=text,
        retry_after_ms=retry_after_ms if unified is UnifiedError.RATE_LIMIT else None,
        venue=VenueError(code=word[:WORD_CHARS_MAX], message=text, unified=unified),
    )


def refuse_change(
    kind: type[CancelRefused] | type[AmendRefused], order: VenueOrder, error: ErrorInfo, now_ns: int
) -> Report:
    """A cancel or an amend that the broker refused: the order stays as it was."""
    refused = kind(
        at_ns=now_ns,
        error=error,
        broker_order_id=order.broker_order_id,
        venue_client_id=order.venue_client_id,
    )
    return Report(events=(refused,))


@lru_cache(maxsize=TIMES_KEPT)
def parse_time(text: str) -> int:
    """RFC 3339 as int64 ns UTC, exact. Raises ValueError."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 time: {text[:40]!r}")
    year, month, day, hour, minute, second, fraction, sign, ahead_h, ahead_m = match.groups()
    days = date(int(year), int(month), int(day)).toordinal() - EPOCH_DAY
    seconds = days * 86_400 + int(hour) * 3_600 + int(minute) * 60 + int(second)
    if sign is not None:
        ahead = int(ahead_h) * 3_600 + int(ahead_m) * 60
        seconds -= ahead if sign == "+" else -ahead
    at_ns = seconds * NS + int((fraction or "0").ljust(9, "0"))
    if abs(at_ns) > INT64_MAX:
        raise ValueError(f"a time out of bounds: {text[:40]!r}")
    return at_ns


def format_time(ns: int) -> str:
    """int64 ns UTC as RFC 3339, exact."""
    seconds, fraction = divmod(ns, NS)
    days, second = divmod(seconds, 86_400)
    day = date.fromordinal(days + EPOCH_DAY).isoformat()
    hour, minute = divmod(second // 60, 60)
    return f"{day}T{hour:02}:{minute:02}:{second % 60:02}.{fraction:09}Z"


def format_decimal(number: Decimal) -> str:
    """Plain digits without an exponent or idle zeros, for brokers count them as precision."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def digits(number: Decimal | None) -> str | None:
    """The number as brokers take it; absent stays absent."""
    return None if number is None else format_decimal(number)


def message_of(response: Response) -> str:
    """An answer's own text, cut."""
    return response.body[:200].decode("utf-8", "replace") or f"HTTP {response.status}"


def expect_ok(response: Response) -> None:
    """Raises Answered for a read that was refused."""
    if response.status != 200:
        raise Answered(response.status, response.body)


@contextmanager
def deciding() -> Iterator[None]:
    """An answer to an order that cannot be read decides nothing."""
    try:
        yield
    except (MsgspecError, ValueError, ArithmeticError, RecursionError) as error:
        raise OutcomeUnknown(f"the answer cannot be read: {error}") from error


@contextmanager
def reading(what: str) -> Iterator[None]:
    """UnknownWord passes; anything else that cannot be read is a BrokerError."""
    try:
        yield
    except UnknownWord:
        raise
    except (MsgspecError, ValueError, ArithmeticError, RecursionError) as error:
        raise BrokerError(f"{what} cannot be read: {error}") from error
