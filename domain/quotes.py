"""A price, its age, and what it cannot tell."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct


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


def spread_pips(quote: Quote, pip: Decimal) -> Decimal:
    """The spread in pips of the instrument."""
    return (quote.ask - quote.bid) / pip
