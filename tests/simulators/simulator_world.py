"""Builders for the simulator's tests: a still clock, an engine, one-line quotes and orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from brokers.simulators import facts as f
from brokers.simulators.book import Account, AccountSettings, Listing, Quote
from brokers.simulators.bookkeeping import Clocks
from brokers.simulators.engine import Engine, EngineSettings
from brokers.simulators.listings import LISTINGS
from brokers.simulators.oanda_codes import code_of
from brokers.simulators.terms import Guard, Label, Terms
from brokers.simulators.words import Kind, Life

NS = 1_000_000_000
# A Wednesday, 12:00 UTC.
NOON_NS = 1_577_880_000 * NS
ACCOUNT = "101-001-1000001-001"
EURUSD = next(x for x in LISTINGS if x.symbol == "EUR_USD")


class Clock:
    """A clock that stands until told."""

    def __init__(self, now_ns: int = NOON_NS) -> None:
        self.now = now_ns

    def __call__(self) -> int:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += int(seconds * NS)


class World:
    """An engine with one account and everything it told."""

    def __init__(self, **settings: Any) -> None:
        account = settings.pop("account", {})
        self.clock = Clock()
        self.acts: list[list[f.AnyFact]] = []
        self.engine = Engine(
            EngineSettings(accounts=(AccountSettings(id=ACCOUNT, **account),), **settings),
            Clocks(self.clock),
            lambda _account, act: self.acts.append(act),
        )
        self.account: Account = self.engine.accounts[ACCOUNT]

    def quote(self, bid: str, ask: str, instrument: str = "EUR_USD", **sizes: str) -> None:
        self.engine.quote(
            Quote(
                instrument=instrument,
                bid=Decimal(bid),
                ask=Decimal(ask),
                at_ns=self.clock.now,
                **{name: Decimal(size) for name, size in sizes.items()},
            )
        )

    def submit(self, terms: Terms) -> list[f.AnyFact]:
        return self.engine.submit(self.account, terms)

    def market(self, units: str, **more: Any) -> list[f.AnyFact]:
        return self.submit(order(Kind.MARKET, units, **more))

    def net(self, instrument: str = "EUR_USD") -> Decimal:
        return self.account.position(instrument).net


def order(kind: Kind, units: str, price: str | None = None, **more: Any) -> Terms:
    life = more.pop("life", Life.FOK if kind is Kind.MARKET else Life.GTC)
    name = more.pop("client_id", None)
    for field in ("bound", "distance"):
        if field in more:
            more[field] = Decimal(more[field])
    return Terms(
        kind=kind,
        instrument=more.pop("instrument", "EUR_USD"),
        units=Decimal(units),
        price=None if price is None else Decimal(price),
        life=life,
        label=None if name is None else Label(name),
        **more,
    )


def guard(price: str | None = None, distance: str | None = None, **more: Any) -> Guard:
    return Guard(
        price=None if price is None else Decimal(price),
        distance=None if distance is None else Decimal(distance),
        **more,
    )


def told(act: list[f.AnyFact]) -> list[str]:
    """An act in a few words: booked, filled, ended:CODE, refused:CODE ..."""
    words = []
    kind = Kind.MARKET
    for fact in act:
        if isinstance(fact, f.Booked):
            kind = fact.terms.kind
            words.append("booked")
        elif isinstance(fact, f.Filled):
            words.append(f"filled {fact.units}@{fact.price}")
        elif isinstance(fact, f.Ended):
            words.append(code_of(fact.why, fact.part, kind))
        elif isinstance(fact, f.Refused):
            words.append("refused " + code_of(fact.why, fact.part, fact.terms.kind))
        elif isinstance(fact, f.EndRefused):
            words.append("refused " + code_of(fact.why, f.Part.ORDER, kind))
        else:
            words.append(type(fact).__name__)
    return words


def thin(**changes: Any) -> tuple[Listing, ...]:
    """EUR_USD alone, changed."""
    return (msgspec.structs.replace(EURUSD, **changes),)
