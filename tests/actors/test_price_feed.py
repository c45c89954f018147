"""One price stream: changed while it is open, replaced without a gap, opened again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from price_world import TICK_S, Market
from router_world import UTC_NS, quote
from virtual_time import in_virtual_time


@in_virtual_time
async def test_the_old_stream_stays_until_the_new_one_speaks(tmp_path: Path) -> None:
    market = Market(tmp_path, instruments=("USD/JPY",))
    await market.up()
    market.watch("edge-0", "EUR/USD", "USD/JPY")
    await asyncio.sleep(0.2)
    assert market.opened_beside == [0, 1]
    assert len(market.wired.venue._prices) == 2
    for number in range(3):
        # Both streams tell it: one update each, whoever speaks.
        market.say("USD/JPY", at_ns=UTC_NS + number)
        await asyncio.sleep(TICK_S)
    assert len(market.wired.venue._prices) == 1
    assert [q.update for q in market.heard("edge-0")] == [1, 2, 3]
    await market.stop()


@in_virtual_time
async def test_a_broker_that_allows_one_stream_gets_one_after_the_other(tmp_path: Path) -> None:
    market = Market(tmp_path, instruments=("USD/JPY",), streams_max=1)
    await market.up()
    market.watch("edge-0", "EUR/USD")
    await asyncio.sleep(0.3)
    assert market.asked == [("USD/JPY",), ("EUR/USD", "USD/JPY"), ("EUR/USD", "USD/JPY")]
    assert market.opened_beside == [0, 0]
    market.say()
    await asyncio.sleep(TICK_S)
    assert [q.update for q in market.heard("edge-0")] == [1]
    await market.stop()


@in_virtual_time
async def test_where_a_second_stream_does_not_open_the_first_goes_on_and_it_is_tried_again(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path, instruments=("USD/JPY",))
    await market.up()
    market.say("USD/JPY")
    market.wired.venue.is_down = True
    market.watch("edge-0", "EUR/USD", "USD/JPY")
    await asyncio.sleep(1)
    market.say("USD/JPY", at_ns=UTC_NS + 1)
    await asyncio.sleep(TICK_S)
    assert market.heard("edge-0")[-1].update == 2
    market.wired.venue.is_down = False
    await asyncio.sleep(3)
    assert market.asked[-1] == ("EUR/USD", "USD/JPY")
    await market.stop()


@in_virtual_time
async def test_changes_are_said_on_a_stream_that_takes_them(tmp_path: Path) -> None:
    market = Market(tmp_path, instruments=("USD/JPY",))
    changes: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def change(added: tuple[str, ...], removed: tuple[str, ...]) -> tuple[bytes, ...]:
        changes.append((added, removed))
        return (b"a", b"b")

    market.wired.connection.adapter.change_prices = change  # type: ignore[method-assign]
    await market.up()
    # It is said once the stream is known to be open.
    market.say("USD/JPY")
    market.watch("edge-0", "EUR/USD")
    market.watch("edge-1", "GBP/USD")
    await asyncio.sleep(0.2)
    assert (changes, market.said) == ([(("EUR/USD", "GBP/USD"), ())], [(b"a", b"b")])
    assert len(market.asked) == 1
    market.say("EUR/USD")
    await asyncio.sleep(TICK_S)
    assert len(market.heard("edge-0")) == 1
    await market.stop()


@in_virtual_time
async def test_a_lost_stream_is_opened_with_everything_wanted_by_then(tmp_path: Path) -> None:
    market = Market(tmp_path, instruments=("USD/JPY",))
    await market.up()
    market.wired.venue.is_down = True
    market.wired.venue.cut()
    market.watch("edge-0", "EUR/USD")
    await asyncio.sleep(5)
    market.wired.venue.is_down = False
    await asyncio.sleep(5)
    assert market.asked[-1] == ("EUR/USD", "USD/JPY")
    await market.stop()


@in_virtual_time
async def test_a_wish_withdrawn_at_once_changes_nothing(tmp_path: Path) -> None:
    market = Market(tmp_path, instruments=("USD/JPY",))
    await market.up()
    market.say("USD/JPY")
    await asyncio.sleep(TICK_S)
    (feed,) = market.prices._feeds.values()
    feed.want(frozenset(("USD/JPY", "EUR/USD")))
    await asyncio.sleep(TICK_S)
    feed.want(frozenset(("USD/JPY",)))
    await asyncio.sleep(1)
    assert len(market.asked) == 1
    await market.stop()


@in_virtual_time
async def test_a_stream_that_ends_quietly_is_opened_again(tmp_path: Path) -> None:
    market = Market(tmp_path, instruments=("USD/JPY",))
    await market.up()
    market.say("USD/JPY")
    await asyncio.sleep(TICK_S)
    (feed,) = market.prices._feeds.values()
    feed.take = lambda *_: False  # type: ignore[method-assign]
    market.say("USD/JPY")
    await asyncio.sleep(TICK_S)
    del feed.take
    await asyncio.sleep(1)
    assert market.asked == [("USD/JPY",), ("USD/JPY",)]
    await market.stop()


@in_virtual_time
async def test_prices_end_cleanly_while_a_stream_is_being_replaced(tmp_path: Path) -> None:
    market = Market(tmp_path, instruments=("USD/JPY",))
    await market.up()
    market.watch("edge-0", "EUR/USD")
    await asyncio.sleep(0.2)
    assert len(market.wired.venue._prices) == 2
    await market.stop()
    assert market.wired.venue._prices == []


@in_virtual_time
async def test_a_stream_tells_first_what_it_knows_and_only_news_of_that_counts(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path)
    await market.up()
    market.watch("edge-0", "EUR/USD", "USD/JPY", "GBP/USD")
    for symbol in ("EUR/USD", "USD/JPY", "GBP/USD"):
        market.say(symbol)
    await asyncio.sleep(TICK_S)
    market.wired.venue.cut()
    await asyncio.sleep(0.5)
    market.say("EUR/USD", at_ns=UTC_NS - 1)
    market.say("USD/JPY", tradeable=False)
    market.say("GBP/USD", at_ns=UTC_NS + 1)
    await asyncio.sleep(TICK_S)
    told = [(q.instrument, q.tradeable) for q in market.heard("edge-0") if q.update == 2]
    assert told == [("USD/JPY", False), ("GBP/USD", True)]
    await market.stop()


@in_virtual_time
async def test_a_new_stream_that_lags_behind_the_old_takes_no_price_back(tmp_path: Path) -> None:
    market = Market(tmp_path, instruments=("USD/JPY",))
    await market.up()
    market.watch("edge-0", "EUR/USD", "USD/JPY")
    await asyncio.sleep(0.2)
    # Both streams hear three; the old one has told all before the new one speaks.
    for number in (1, 2, 3):
        market.say("USD/JPY", at_ns=UTC_NS + number)
    await asyncio.sleep(TICK_S)
    market.say("USD/JPY", at_ns=UTC_NS + 4)
    await asyncio.sleep(TICK_S)
    told = [(q.update, q.broker_ns - UTC_NS) for q in market.heard("edge-0")]
    assert told == [(1, 1), (2, 2), (3, 3), (4, 4)]
    await market.stop()


@in_virtual_time
async def test_a_broker_whose_clock_went_back_is_heard_again_after_a_moment(
    tmp_path: Path,
) -> None:
    market = Market(tmp_path)
    await market.up()
    market.watch("edge-0", "EUR/USD")
    market.say()
    await asyncio.sleep(TICK_S)
    market.wired.venue.cut()
    await asyncio.sleep(0.5)
    market.say(at_ns=UTC_NS - 9)
    await asyncio.sleep(3)
    market.say(at_ns=UTC_NS - 8)
    await asyncio.sleep(TICK_S)
    real = [q for q in market.heard("edge-0") if not q.unchanged]
    assert [(q.update, q.broker_ns - UTC_NS) for q in real] == [(1, 0), (2, -8)]
    await market.stop()


@in_virtual_time
async def test_an_old_stream_that_speaks_after_the_new_one_is_not_heard(tmp_path: Path) -> None:
    market = Market(tmp_path, instruments=("USD/JPY",))
    await market.up()
    market.say("USD/JPY")
    market.watch("edge-0", "EUR/USD", "USD/JPY")
    await asyncio.sleep(0.2)
    old, new = market.wired.venue._prices
    new.put_nowait(msgspec.msgpack.encode(quote("USD/JPY", UTC_NS + 1)))
    old.put_nowait(msgspec.msgpack.encode(quote("USD/JPY", UTC_NS + 1)))
    await asyncio.sleep(TICK_S)
    assert [q.update for q in market.heard("edge-0")] == [1, 2]
    assert len(market.wired.venue._prices) == 1
    await market.stop()
