"""A price, its age, and what it cannot tell."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace


class Quote(Struct, frozen=True, kw_only=True, omit_defaults=True, array_like=False):
    """The best bid and ask of one instrument from one connection.

    `broker_ns` is the broker's clock, `received_ns` ours (UTC). `update` counts every update
    of this instrument at this connection, `conflated` how many this one stands for;
    `high` / `low` are the highest bid and lowest ask among those. `unchanged` marks a
    repeated quote of a still market (it stands for 0 updates), `tradeable` False a closed or
    halted one. `received_ns` tells the tick's age; `stream_ns`, set on a repeat, when the
    stream was last heard at all: an old tick on a live stream is a still market.
    """

    instrument: str
    connection: str
    bid: Decimal
    ask: Decimal
    broker_ns: int
    received_ns: int
    update: int
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
    tradeable: bool = True
    conflated: int = 1
    high: Decimal | None = None
    low: Decimal | None = None
    unchanged: bool = False
    stream_ns: int | None = None

    @property
    def mid(self) -> Decimal:
        """The middle of bid and ask, exact."""
        return (self.bid + self.ask) / 2

    def touch(self, is_buy: bool) -> Decimal:
        """The price a marketable order of that direction meets first."""
        return self.ask if is_buy else self.bid


def conflate(older: Quote, newer: Quote) -> Quote:
    """One quote for both: the newer, with the count and the extremes of the two.

    A repeat stands for nothing: it hides no real quote, and its prices are not of the span.
    """
    count = older.conflated + newer.conflated
    if newer.unchanged and not older.unchanged:
        return replace(older, conflated=count)
    if older.unchanged:
        return replace(newer, conflated=count)
    return replace(
        newer,
        conflated=count,
        high=max(older.high or older.bid, newer.high or newer.bid),
        low=min(older.low or older.ask, newer.low or newer.ask),
    )


def repeat(quote: Quote, stream_ns: int | None = None) -> Quote:
    """The quote told again: its price still stands, its stream was heard at `stream_ns`."""
    heard_ns = stream_ns or quote.stream_ns
    return replace(quote, unchanged=True, conflated=0, high=None, low=None, stream_ns=heard_ns)


def spread_pips(quote: Quote, pip: Decimal) -> Decimal:
    """The spread in pips of the instrument."""
    return (quote.ask - quote.bid) / pip


def tick_age_ns(quote: Quote, now_ns: int) -> int:
    """How long ago (UTC) the price came."""
    return now_ns - quote.received_ns


def stream_age_ns(quote: Quote, now_ns: int) -> int:
    """How long ago its stream was heard: an old tick on a young stream is a still market."""
    return now_ns - max(quote.received_ns, quote.stream_ns or 0)
