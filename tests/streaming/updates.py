"""Builders for stream updates and quotes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from domain.quotes import Quote
from domain.streams import Notice, NoticeKind, StreamUpdate

STREAM = "orders/owner-1"


def update(seq: int, stream: str = STREAM) -> StreamUpdate:
    """Number `seq` of a stream; two of the same number are equal."""
    notice = Notice(kind=NoticeKind.BREAK, scope="all", message=f"n-{seq}")
    return StreamUpdate(stream=stream, seq=seq, at_ns=seq, body=notice)


def updates(first: int, last: int) -> tuple[StreamUpdate, ...]:
    """Numbers `first` to `last`, both included."""
    return tuple(update(seq) for seq in range(first, last + 1))


def seqs(told: tuple[StreamUpdate, ...] | list[StreamUpdate]) -> list[int]:
    """Their numbers."""
    return [each.seq for each in told]


def a_quote(number: int = 1, bid: str = "1.10", ask: str = "1.11", **words: Any) -> Quote:
    """Update `number` of EUR/USD at oanda-1, but for what is said."""
    plain: dict[str, Any] = {
        "instrument": "EUR/USD",
        "connection": "oanda-1",
        "bid": Decimal(bid),
        "ask": Decimal(ask),
        "broker_ns": number,
        "received_ns": number,
        "update": number,
    }
    return Quote(**(plain | words))
