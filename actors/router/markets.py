"""What markets say of listed securities: written down as it changes, and told to compliance.

Compliance hears it at once and in order with the screens, so the `MarketTold` of a fact is in the
journal before any order that was screened by it. A new router hears it all again from the broker
connections, before their prices: until then nothing is known, and nothing priced.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from actors import messages as m
from actors.router.desk import Desk
from compliance.limits import Security
from compliance.market import SECURITIES_MAX
from domain.audit import Retention
from domain.market_facts import MarketFact, fold_fact, says_more
from domain.records import MarketTold


class Markets:
    """The facts of every security told of, whichever connection told."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._facts: dict[str, MarketFact] = {}
        self._unwritten: dict[str, MarketFact] = {}

    def take(self, facts: tuple[MarketFact, ...]) -> m.SeeMarket | None:
        """What of it is news, for compliance."""
        news = [folded for fact in facts if (folded := self._fold(fact)) is not None]
        self._unwritten.update({fact.instrument: fact for fact in news})
        self.write()
        return _told(news)

    def write(self) -> None:
        """Writes down what is not yet; while no new risk can be written it waits: none is taken."""
        if self._unwritten and self._desk.closed is None:
            told = MarketTold(facts=tuple(self._unwritten.values()))
            self._unwritten = {}
            self._desk.draft(told, retention=Retention.SYSTEM).close()

    def all(self) -> m.SeeMarket | None:
        """Everything known, for a new book."""
        return _told(self._facts.values())

    def _fold(self, fact: MarketFact) -> MarketFact | None:
        known = self._facts.get(fact.instrument)
        if known is None and len(self._facts) >= SECURITIES_MAX:
            return None
        self._facts[fact.instrument] = folded = fold_fact(known, fact)
        return folded if says_more(known, folded) else None


def _told(facts: Iterable[MarketFact]) -> m.SeeMarket | None:
    told = tuple(security_of(fact) for fact in facts)
    return m.SeeMarket(securities=told) if told else None


def security_of(fact: MarketFact) -> Security:
    """The fact as the screen takes it."""
    day = fact.restricted_from
    return Security(
        symbol=fact.instrument,
        at_ns=fact.at_ns,
        is_paused=fact.is_paused,
        band_low=fact.band_low,
        band_high=fact.band_high,
        band_ns=fact.band_ns,
        restricted_from=date.fromisoformat(day) if day is not None else None,
    )
