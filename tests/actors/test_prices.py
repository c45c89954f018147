"""Prices: every update to those who watch, a few to the router, and a still market says so."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from unittest.mock import AsyncMock, patch

from msgspec.structs import replace
from price_world import TICK_S, Market
from router_world import UTC_NS, instrument
from virtual_time import UTC_START_NS, in_virtual_time

from actors import messages as m
from actors.calendars import read_spans
from domain.market_facts import MarketFact
from streaming.sessions import NS, Sessions, Span
from streaming.watching import LINGER_NS


@in_virtual_time
async def test_an_edge_gets_every_update_of_what_it_watches_and_nothing_else(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path)
    await market.up()
    market.watch("edge-0", "EUR/USD")
    for number in range(5):
        market.say("EUR/USD", bid=Decimal("1.1") - Decimal(number) / 10_000)
        market.say("USD/JPY")
    await asyncio.sleep(TICK_S)
    heard = market.heard("edge-0")
    assert [q.instrument for q in heard] == ["EUR/USD"] * 5
    assert [q.update for q in heard] == [1, 2, 3, 4, 5]
    await market.stop()


@in_virtual_time
async def test_the_router_gets_at_most_twenty_a_second_and_the_latest_at_last(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path)
    await market.up()
    for number in range(100):
        market.say(bid=Decimal("1.1") - Decimal(number) / 100_000)
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)
    heard = [q for q in market.heard("router") if not q.unchanged]
    assert 5 <= len(heard) <= 12
    assert heard[-1].bid == Decimal("1.1") - Decimal(99) / 100_000
    assert sum(q.conflated for q in heard) == 100
    await market.stop()


@in_virtual_time
async def test_who_comes_later_gets_the_latest_first(tmp_path: Path) -> None:
    market = Market(tmp_path)
    await market.up()
    market.say("EUR/USD")
    market.say("USD/JPY")
    await asyncio.sleep(TICK_S)
    edge = market.watch("edge-0", "EUR/USD")
    assert [q.instrument for q in market.heard("edge-0")] == ["EUR/USD"]
    market.watch("edge-0", "EUR/USD", "USD/JPY", link=edge)
    assert [q.instrument for q in market.heard("edge-0")] == ["EUR/USD", "USD/JPY"]
    market.watch("edge-1", "GBP/USD")
    assert market.heard("edge-1") == []
    market.attach("second", epoch=2)
    assert {q.instrument for q in market.heard("second")} == {"EUR/USD", "USD/JPY"}
    await market.stop()


@in_virtual_time
async def test_what_the_market_says_of_a_security_goes_to_the_router_when_it_changes(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path)
    await market.up()
    market.edge()
    halt = MarketFact(instrument="EUR/USD", at_ns=5, is_paused=True)
    for fact in (halt, replace(halt, at_ns=6), replace(halt, instrument="XYZ")):
        market.wired.venue.fact(fact)
    market.say("EUR/USD")
    await asyncio.sleep(0.1)
    told = market.wired.told(m.MarketFacts)
    assert [fact for message in told for fact in message.facts] == [halt]
    assert market.wired.told(m.MarketFacts, "edge-0") == []

    second = market.attach("second", epoch=2)
    said = [type(message) for name, message in market.wired.effects if name == second.name]
    assert said.index(m.MarketFacts) < said.index(m.Quotes), "before the prices"
    (again,) = market.wired.told(m.MarketFacts, "second")
    assert again.facts == (replace(halt, at_ns=6),)
    await market.stop()


@in_virtual_time
async def test_what_is_not_followed_any_more_is_forgotten_with_its_facts(tmp_path: Path) -> None:
    market = Market(tmp_path, instruments=("USD/JPY",))
    link = await market.up()
    market.watch("router", "EUR/USD", link=link)
    await asyncio.sleep(0.3)
    market.wired.venue.fact(MarketFact(instrument="EUR/USD", at_ns=5, is_paused=True))
    await asyncio.sleep(0.1)
    assert set(market.prices._facts) == {"EUR/USD"}
    market.watch("router", link=link)
    await asyncio.sleep(LINGER_NS / 1e9 + 1)
    assert market.prices._facts == {}
    await market.stop()


@in_virtual_time
async def test_an_edge_that_left_is_told_nothing_and_the_router_may_leave_too(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path)
    router = await market.up()
    edge = market.watch("edge-0", "EUR/USD")
    market.prices.link_down(edge)  # type: ignore[arg-type]
    market.prices.link_down(router)  # type: ignore[arg-type]
    market.say()
    await asyncio.sleep(0.2)
    assert market.heard("edge-0") == []
    assert market.heard("router") == []
    assert market.wired.connection.router is None
    await market.stop()


@in_virtual_time
async def test_a_still_market_is_told_once_a_second_as_unchanged(tmp_path: Path) -> None:
    market = Market(tmp_path)
    await market.up()
    market.watch("edge-0", "EUR/USD")
    market.say()
    await asyncio.sleep(5)
    repeats = [q for q in market.heard("edge-0") if q.unchanged]
    assert 4 <= len(repeats) <= 6
    assert all(q.conflated == 0 and q.stream_ns is not None for q in repeats)
    assert [q for q in market.heard("router") if q.unchanged]
    await market.stop()


@in_virtual_time
async def test_a_dead_price_stream_vouches_for_nothing_and_is_opened_again(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path)
    await market.up()
    market.watch("edge-0", "EUR/USD")
    market.say()
    await asyncio.sleep(TICK_S)
    market.wired.venue.is_down = True
    market.wired.venue.cut()
    await asyncio.sleep(5)
    assert [q for q in market.heard("edge-0") if q.unchanged] == []
    market.wired.venue.is_down = False
    await asyncio.sleep(2.5)
    # What a new stream tells first is its state: known already, it is a sign of life.
    market.say()
    await asyncio.sleep(TICK_S)
    assert market.heard("edge-0")[-1].update == 1
    market.say(at_ns=UTC_NS + 1)
    await asyncio.sleep(TICK_S)
    assert market.heard("edge-0")[-1].update == 2
    await market.stop()


@in_virtual_time
async def test_before_the_connection_is_up_no_prices_are_asked_for(tmp_path: Path) -> None:
    market = Market(tmp_path)
    await asyncio.sleep(1)
    assert not market.prices.is_ready()
    assert market.wired.venue._prices == []
    await market.up()
    assert market.prices.is_ready()
    assert len(market.wired.venue._prices) == 1
    await market.stop()


@in_virtual_time
async def test_who_comes_while_the_stream_is_dead_hears_how_long_it_has_been(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path)
    await market.up()
    market.say()
    await asyncio.sleep(TICK_S)
    market.wired.venue.is_down = True
    market.wired.venue.cut()
    await asyncio.sleep(60)
    market.watch("edge-0", "EUR/USD")
    (told,) = market.heard("edge-0")
    now_ns = market.wired.clocks.utc_ns()
    assert told.unchanged
    assert told.stream_ns is not None
    assert now_ns - told.stream_ns > 59 * NS
    await market.stop()


@in_virtual_time
async def test_the_instruments_set_are_followed_always_and_unknown_ones_never(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path, instruments=("USD/JPY", "NOT/HERE"))
    await market.up()
    assert market.asked == [("USD/JPY",)]
    await market.stop()


@in_virtual_time
async def test_the_first_subscription_opens_an_instrument_and_the_last_closes_it_later(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path, instruments=("USD/JPY",))
    await market.up()
    one = market.watch("edge-0", "EUR/USD")
    two = market.watch("edge-1", "EUR/USD")
    await asyncio.sleep(0.2)
    market.say()
    await asyncio.sleep(TICK_S)
    assert market.asked[1:] == [("EUR/USD", "USD/JPY")]
    assert [len(market.heard(name)) for name in ("edge-0", "edge-1", "router")] == [1, 1, 1]
    market.watch("edge-0", link=one)
    market.prices.link_down(two)  # type: ignore[arg-type]
    await asyncio.sleep(LINGER_NS / NS - 1)
    assert len(market.asked) == 2
    await asyncio.sleep(2)
    assert market.asked[2:] == [("USD/JPY",)]
    market.watch("edge-2", "EUR/USD")
    assert market.heard("edge-2") == []
    await market.stop()


@in_virtual_time
async def test_subscribers_who_come_and_go_do_not_churn_the_stream(tmp_path: Path) -> None:
    market = Market(tmp_path, instruments=("USD/JPY",))
    await market.up()
    edge = market.watch("edge-0")
    for _ in range(20):
        market.watch("edge-0", "EUR/USD", link=edge)
        await asyncio.sleep(1)
        market.watch("edge-0", link=edge)
        await asyncio.sleep(1)
    assert market.asked == [("USD/JPY",), ("EUR/USD", "USD/JPY")]
    await market.stop()


@in_virtual_time
async def test_what_the_router_needs_is_followed_and_survives_the_router(tmp_path: Path) -> None:
    market = Market(tmp_path, instruments=("USD/JPY",))
    router = await market.up()
    market.watch("router", "EUR/USD", link=router)
    await asyncio.sleep(0.2)
    assert market.asked[-1] == ("EUR/USD", "USD/JPY")
    market.prices.link_down(router)  # type: ignore[arg-type]
    await asyncio.sleep(2 * LINGER_NS / NS)
    assert market.asked[-1] == ("EUR/USD", "USD/JPY")
    await market.stop()


@in_virtual_time
async def test_with_an_instrument_come_the_pairs_that_value_it(tmp_path: Path) -> None:
    market = Market(tmp_path, instruments=("USD/JPY",), currency="GBP")
    await market.up()
    assert market.asked == [("GBP/USD", "USD/JPY")]
    await market.stop()


@in_virtual_time
async def test_where_a_broker_lists_too_many_only_what_is_wanted_is_followed(
    tmp_path: Path,
) -> None:
    with patch("actors.prices.INSTRUMENTS_MAX", 2):
        market = Market(tmp_path)
        await market.up()
        assert market.asked == []
        market.watch("edge-0", "EUR/USD")
        await asyncio.sleep(0.2)
        assert market.asked == [("EUR/USD",)]
        await market.stop()


@in_virtual_time
async def test_when_nothing_is_wanted_any_more_the_stream_is_closed(tmp_path: Path) -> None:
    market = Market(tmp_path)
    market.prices._floor = lambda: ()  # type: ignore[method-assign]
    await market.up()
    assert market.prices._latest("EUR/USD") is None
    edge = market.watch("edge-0", "EUR/USD")
    await asyncio.sleep(0.2)
    assert len(market.wired.venue._prices) == 1
    market.watch("edge-0", link=edge)
    await asyncio.sleep(LINGER_NS / NS + 1)
    assert market.wired.venue._prices == []
    market.watch("edge-0", "USD/JPY", link=edge)
    await asyncio.sleep(0.2)
    assert market.asked == [("EUR/USD",), ("USD/JPY",)]
    await market.stop()


@in_virtual_time
async def test_edges_learn_what_could_be_had_and_when_there_is_no_room(tmp_path: Path) -> None:
    market = Market(tmp_path, instruments=("USD/JPY",))
    market.prices._following._instruments_max = 2
    early = market.edge("edge-0")
    assert market.offers() == []
    await market.up()
    everything = tuple(one.symbol for one in market.wired.connection.instruments.values())
    assert [(offer.instruments, offer.is_full) for offer in market.offers()] == [
        (everything, False)
    ]
    market.watch("edge-0", "EUR/USD", link=early)
    await asyncio.sleep(0.2)
    assert (market.offers()[-1].instruments, market.offers()[-1].is_full) == (
        ("USD/JPY", "EUR/USD"),
        True,
    )
    market.edge("edge-1")
    assert market.offers("edge-1")[-1].is_full
    market.watch("edge-0", link=early)
    await asyncio.sleep(0.2)
    assert not market.offers()[-1].is_full
    await market.stop()


@in_virtual_time
async def test_the_router_never_hears_an_instrument_more_than_twenty_times_in_any_second(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path)
    await market.up()
    came: list[float] = []
    loop = asyncio.get_running_loop()
    router = market.wired.connection.router
    assert router is not None
    tell = router.send

    def note(message: object) -> None:
        came.extend([loop.time()] * len(getattr(message, "quotes", ())))
        tell(message)

    router.send = note  # type: ignore[method-assign]
    for number in range(1500):
        # Fast, then still for a while, so that repeats are among them.
        market.say(at_ns=UTC_NS + number)
        await asyncio.sleep(0.8 if number % 500 == 499 else 0.002)
    assert len(came) > 40
    for start in came:
        assert sum(start <= at < start + 1 for at in came) <= 20
    await market.stop()


def with_sessions(market: Market, spans: tuple[Span, ...]) -> None:
    """EUR/USD trades at an exchange with these sessions."""
    listed = (instrument("EUR/USD", calendar="XNYS"), instrument("USD/JPY"))
    market.wired.connection.instruments = {one.symbol: one for one in listed}
    market.prices._read_spans = AsyncMock(return_value=spans)  # type: ignore[method-assign]


@in_virtual_time
async def test_a_closed_session_closes_its_market_and_opens_it_again(tmp_path: Path) -> None:
    market = Market(tmp_path, simulator=None)
    opens_ns = UTC_START_NS + 20 * NS
    with_sessions(
        market, ((UTC_START_NS - NS, UTC_START_NS + 5 * NS), (opens_ns, opens_ns + 99 * NS))
    )
    await market.up()
    market.watch("edge-0", "EUR/USD", "USD/JPY")
    for symbol in ("EUR/USD", "USD/JPY"):
        market.say(symbol)
    await asyncio.sleep(6)
    told = [q for q in market.heard("edge-0") if not q.unchanged]
    assert [(q.instrument, q.update, q.tradeable) for q in told] == [
        ("EUR/USD", 1, True), ("USD/JPY", 1, True), ("EUR/USD", 2, False),
    ]  # fmt: skip
    # What the broker calls tradeable meanwhile is not.
    market.say("EUR/USD", at_ns=UTC_NS + 1)
    await asyncio.sleep(1)
    late = market.watch("edge-1", "EUR/USD")
    assert [q.tradeable for q in market.heard(late.name)] == [False]
    await asyncio.sleep(15)
    told = [q for q in market.heard("edge-0") if not q.unchanged][3:]
    assert [(q.update, q.tradeable) for q in told] == [(3, False), (4, True)]
    await market.stop()


@in_virtual_time
async def test_a_market_its_broker_calls_closed_is_not_opened_by_a_calendar(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path, simulator=None)
    with_sessions(
        market,
        (
            (UTC_START_NS - 9 * NS, UTC_START_NS - NS),
            (UTC_START_NS + 5 * NS, UTC_START_NS + 99 * NS),
        ),
    )
    await market.up()
    market.watch("edge-0", "EUR/USD")
    market.say(tradeable=False)
    await asyncio.sleep(10)
    assert [q.tradeable for q in market.heard("edge-0")] == [False]
    await market.stop()


@in_virtual_time
async def test_the_paper_broker_keeps_hours_of_its_own(tmp_path: Path) -> None:
    market = Market(tmp_path)
    with_sessions(market, ((UTC_START_NS - 9 * NS, UTC_START_NS - NS),))
    await market.up()
    market.watch("edge-0", "EUR/USD")
    market.say()
    await asyncio.sleep(2)
    assert all(q.tradeable for q in market.heard("edge-0"))
    await market.stop()


def test_the_sessions_of_an_exchange_come_from_its_calendar() -> None:
    wednesday_ns = 1_795_608_000 * NS  # 2026-11-25, 12:00 UTC
    spans = read_spans("XNYS", wednesday_ns)
    shut = wednesday_ns + 86_400 * NS  # Thanksgiving
    known = Sessions()
    known.learn("XNYS", spans)
    opens_ns = wednesday_ns + 150 * 60 * NS  # 09:30 in New York
    assert (known.is_open("XNYS", opens_ns - 1), known.is_open("XNYS", opens_ns)) == (False, True)
    assert not known.is_open("XNYS", shut + 3 * 3600 * NS)
    # The day after it closes at 13:00.
    early_ns = opens_ns + 2 * 86_400 * NS + 210 * 60 * NS
    assert (known.is_open("XNYS", early_ns - 1), known.is_open("XNYS", early_ns)) == (True, False)
    assert read_spans("NOT/A/CALENDAR", wednesday_ns) == ()
