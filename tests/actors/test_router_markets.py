"""What markets say of securities: written down as it changes, and known to compliance in order."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace
from router_world import PAPER, REFUSED, World

from actors import messages as m
from actors.router import markets
from domain.market_facts import MarketFact
from domain.records import MarketTold

HALT = MarketFact(instrument="EUR/USD", at_ns=5, is_paused=True)
BAND = MarketFact(
    instrument="USD/JPY", at_ns=6, band_low=Decimal(140), band_high=Decimal(160), band_ns=6
)


def told(world: World) -> list[MarketFact]:
    causes = [record.cause for record in world.journal.replay()]
    return [fact for cause in causes if isinstance(cause, MarketTold) for fact in cause.facts]


def known(world: World, symbol: str) -> bool | None:
    assert world.compliance is not None
    assert world.compliance.screener is not None
    state = world.compliance.screener.market.find(symbol)
    return None if state is None else state.facts.is_paused


def test_a_change_is_written_down_and_told_once() -> None:
    world = World().open()
    for fact in (HALT, HALT, MarketFact(instrument="EUR/USD", at_ns=9, is_paused=True)):
        world.hear(PAPER, m.MarketFacts(facts=(fact,)))
    assert told(world) == [HALT]
    assert len(world.sent("compliance", m.SeeMarket)) == 1
    assert known(world, "EUR/USD") is True
    over = replace(HALT, is_paused=False, at_ns=8)
    world.hear(PAPER, m.MarketFacts(facts=(over,)))
    assert known(world, "EUR/USD") is True, "older than what is known"
    world.hear(PAPER, m.MarketFacts(facts=(replace(over, at_ns=9),)))
    assert known(world, "EUR/USD") is False


def test_a_compliance_that_comes_anew_hears_all_of_it_before_the_prices() -> None:
    world = World().open()
    world.hear(PAPER, m.MarketFacts(facts=(HALT, BAND)))
    world.lose_compliance()
    world.hear(PAPER, m.MarketFacts(facts=(replace(HALT, instrument="GBP/USD"),)))
    world.bring_compliance()
    found = {symbol: known(world, symbol) for symbol in ("EUR/USD", "USD/JPY", "GBP/USD")}
    assert found == {"EUR/USD": True, "USD/JPY": None, "GBP/USD": True}
    said = [type(message) for message in world.sent("compliance")]
    last = len(said) - 1 - said[::-1].index(m.LoadBook)
    assert said[last + 1 : last + 3] == [m.SeeMarket, m.SeeRates]


def test_a_new_router_knows_nothing_and_neither_does_its_compliance_until_it_is_told() -> None:
    world = World().open()
    world.hear(PAPER, m.MarketFacts(facts=(HALT,)))
    world.restart()
    world.open()
    assert known(world, "EUR/USD") is None
    world.hear(PAPER, m.MarketFacts(facts=(HALT,)))
    assert known(world, "EUR/USD") is True
    assert told(world) == [HALT, HALT], "each router's journal says what its screens went by"


def test_while_no_new_risk_can_be_written_a_fact_is_told_and_written_later() -> None:
    world = World().open()
    world.router.desk.closed = REFUSED
    world.hear(PAPER, m.MarketFacts(facts=(HALT,)))
    assert known(world, "EUR/USD") is True
    assert told(world) == []
    world.router.desk.closed = None
    world.router._markets.write()
    world.settle()
    assert told(world) == [HALT]


def test_only_so_many_securities_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markets, "SECURITIES_MAX", 1)
    world = World().open()
    world.hear(PAPER, m.MarketFacts(facts=(HALT, BAND)))
    assert told(world) == [HALT]
