"""Ticks from files and from a seed, the pace they are played at, market hours, candles."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path
from random import Random

import pytest
from oanda_client import served

from brokers.simulators.book import Quote
from brokers.simulators.candles import Candles
from brokers.simulators.engine import EngineSettings
from brokers.simulators.feed import Feed, FeedSettings, MarketClock
from brokers.simulators.listings import LISTINGS
from brokers.simulators.market_hours import Always, Forex, next_roll_ns
from brokers.simulators.oanda_bodies import BadRequest, parse_time, rfc3339, unix
from brokers.simulators.ticks import (
    BadTicks,
    Tick,
    generate,
    read_aligned,
    read_ticks,
    tick_files,
)

D = Decimal
NS = 1_000_000_000
TICKS = Path(__file__).parents[3] / "shared" / "data" / "ticks"
BY_NAME = {x.symbol: x for x in LISTINGS}


def write(path: Path, *rows: str, header: str = "ts_utc_ns,instrument,bid,ask") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_file_is_read_as_it_stands(tmp_path):
    path = write(
        tmp_path / "a.csv", "5,BTC_USDT,1.5,1.6,0.5,",
        header="ts_utc_ns,instrument,bid,ask,bid_size,ask_size",
    )  # fmt: skip
    (tick,) = read_ticks(path)
    assert tick == Tick(
        at_ns=5, instrument="BTC_USDT", bid=D("1.5"), ask=D("1.6"), bid_size=D("0.5")
    )


BAD = [
    ("5,EUR_USD,1.2,1.1", ":2:"),
    ("5,EUR_USD,0,1.1", ":2:"),
    ("5,EUR_USD,x,1.1", ":2:"),
    ("x,EUR_USD,1,1.1", ":2:"),
    ("5,EUR_USD", ":2:"),
]


@pytest.mark.parametrize(("row", "where"), BAD)
def test_a_bad_row_is_named(tmp_path, row, where):
    with pytest.raises(BadTicks, match=where):
        list(read_ticks(write(tmp_path / "a.csv", row)))


def test_a_file_without_the_columns_is_refused(tmp_path):
    with pytest.raises(BadTicks, match="expected ts_utc_ns"):
        list(read_ticks(write(tmp_path / "a.csv", header="time,price")))


def test_a_folder_without_ticks_is_refused(tmp_path):
    with pytest.raises(BadTicks, match="no tick file"):
        tick_files(tmp_path)


def test_files_of_different_years_play_side_by_side(tmp_path):
    write(tmp_path / "a.csv", "100,EUR_USD,1,2", "300,EUR_USD,1,2")
    write(tmp_path / "b.csv", "9000,USD_JPY,1,2", "9100,USD_JPY,1,2", "9050,USD_JPY,1,2")
    write(tmp_path / "c.csv")
    played = [(x.at_ns, x.instrument) for x in read_aligned(tick_files(tmp_path))]
    assert played == [
        (100, "EUR_USD"),
        (100, "USD_JPY"),
        (200, "USD_JPY"),
        (200, "USD_JPY"),
        (300, "EUR_USD"),
    ]
    assert list(read_aligned([tmp_path / "c.csv"])) == []


def test_the_shared_recordings_are_read_whole():
    if not TICKS.exists():
        pytest.skip("the shared ticks are not beside this checkout")
    ticks = list(read_aligned(tick_files(TICKS)))
    assert {x.instrument for x in ticks} == {"BTC_USDT", "EUR_USD", "USD_JPY"}
    assert all(x.at_ns <= y.at_ns for x, y in pairwise(ticks))
    lines = sum(len(x.read_text().splitlines()) - 1 for x in tick_files(TICKS))
    assert len(ticks) == lines


def test_a_made_market_is_the_same_for_the_same_seed():
    first, second, other = (
        list(islice(generate(BY_NAME, Random(seed), NS), 2_000)) for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


def test_a_made_market_keeps_to_the_grid_and_to_realistic_spreads():
    ticks = list(islice(generate(BY_NAME, Random(5), NS), 5_000))
    assert {x.instrument for x in ticks[: len(LISTINGS)]} == set(BY_NAME)
    for tick in ticks:
        listing = BY_NAME[tick.instrument]
        assert tick.bid < tick.ask
        assert tick.bid % listing.tick == tick.ask % listing.tick == 0
        assert tick.ask - tick.bid <= listing.spread * 2
    assert all(x.at_ns <= y.at_ns for x, y in pairwise(ticks))


def made(count: int, gap_s: float = 0.0) -> list[Tick]:
    return [
        Tick(at_ns=int(n * gap_s * NS), instrument="EUR_USD", bid=D(1), ask=D(2))
        for n in range(count)
    ]


async def play(settings: FeedSettings, ticks: list[Tick]) -> tuple[list[Tick], float]:
    seen: list[Tick] = []
    feed = Feed(settings, lambda: iter(ticks), seen.append, MarketClock(lambda: 0, False))
    loop = asyncio.get_running_loop()
    began = loop.time()
    feed.start()
    feed.start()
    async with asyncio.timeout(10):
        while feed.is_running:
            await asyncio.sleep(0.001)
    took = loop.time() - began
    await feed.stop()
    await feed.stop()
    return seen, took


@pytest.mark.asyncio
async def test_ticks_played_without_a_speed_come_at_once():
    ticks = made(120, gap_s=3600)
    seen, _ = await play(FeedSettings(source="generator", speed=0, loop=False), ticks)
    assert seen == ticks


@pytest.mark.asyncio
async def test_ticks_are_not_played_before_their_time():
    ticks = made(5, gap_s=0.1)
    seen, took = await play(FeedSettings(source="generator", speed=10, loop=False), ticks)
    assert seen == ticks
    assert took >= 0.035


@pytest.mark.asyncio
async def test_long_silences_are_cut():
    ticks = made(3, gap_s=86_400)
    settings = FeedSettings(source="generator", speed=1, loop=False, gap_max_ms=5)
    seen, _ = await play(settings, ticks)
    assert seen == ticks


@pytest.mark.asyncio
async def test_a_crowd_of_ticks_at_one_time_lets_others_run():
    seen, _ = await play(FeedSettings(source="generator", speed=1, loop=False), made(200))
    assert len(seen) == 200


@pytest.mark.asyncio
async def test_a_replay_begins_again_at_its_end(tmp_path):
    write(tmp_path / "a.csv", "100,EUR_USD,1.1,1.2", "200,EUR_USD,1.1,1.3")
    feed = FeedSettings(source="files", ticks=str(tmp_path), speed=0)
    async with served(feed=feed) as client:
        async with asyncio.timeout(10):
            while client.sim.player.played < 10:
                await asyncio.sleep(0.001)


@pytest.mark.asyncio
async def test_hours_can_be_kept_by_the_ticks_own_time(tmp_path):
    saturday = int(datetime(2020, 1, 4, 12, tzinfo=UTC).timestamp()) * NS
    write(tmp_path / "a.csv", f"{saturday},EUR_USD,1.1,1.2")
    feed = FeedSettings(source="files", ticks=str(tmp_path), loop=False, speed=0)
    engine = EngineSettings(hours="forex")
    async with served(feed=feed, engine=engine, clock="ticks", restamp=False) as client:
        clock = await client.control("GET", "/clock")
        _, body = await client.order()
        _, priced = await client.ask("GET", "/pricing?instruments=EUR_USD")
    assert (clock["open"], clock["market_ns"]) == (False, saturday)
    assert body["orderCancelTransaction"]["reason"] == "MARKET_HALTED"
    assert priced["prices"][0]["time"] == "2020-01-04T12:00:00.000000000Z"


def test_between_ticks_the_markets_time_goes_on_at_the_replays_pace():
    now = [1000]
    clock = MarketClock(lambda: now[0], by_ticks=True)
    assert clock.market_ns() == 1000
    clock.saw(50)
    clock.speed = 10
    now[0] += 3
    assert clock.market_ns() == 80


# -- hours


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * NS


WEEK = [
    ("2020-01-05T16:59:59-05:00", False),  # Sunday
    ("2020-01-05T17:00:00-05:00", True),
    ("2020-01-08T03:00:00-05:00", True),
    ("2020-01-10T16:59:59-05:00", True),  # Friday
    ("2020-01-10T17:00:00-05:00", False),
    ("2020-01-11T12:00:00-05:00", False),
    ("2020-07-05T20:59:59+00:00", False),  # in summer New York is four hours behind
    ("2020-07-05T21:00:00+00:00", True),
]


@pytest.mark.parametrize(("moment", "is_open"), WEEK)
def test_forex_keeps_new_yorks_week(moment, is_open):
    hours = Forex()
    assert hours.is_open(at(moment)) is is_open
    assert hours.is_open(at(moment)) is is_open


def test_one_schedule_answers_for_any_order_of_moments():
    hours = Forex()
    for moment, is_open in [*WEEK, *reversed(WEEK)]:
        assert hours.is_open(at(moment)) is is_open


ROLLS = [
    ("2020-01-08T16:59:59-05:00", "2020-01-08T17:00:00-05:00"),
    ("2020-01-08T17:00:00-05:00", "2020-01-09T17:00:00-05:00"),
    ("2020-03-07T18:00:00-05:00", "2020-03-08T17:00:00-04:00"),  # the clocks change
]


@pytest.mark.parametrize(("moment", "roll"), ROLLS)
def test_the_day_rolls_at_five(moment, roll):
    assert next_roll_ns(at(moment)) == at(roll)
    assert Forex().day_end_ns(at(moment)) == Always().day_end_ns(at(moment)) == at(roll)


# -- candles and times


def test_candles_join_what_their_interval_saw():
    candles = Candles()
    prices = [(0, "1.5"), (1, "1.9"), (2, "1.1"), (6, "1.4"), (61, "1.2")]
    for second, bid in prices:
        quote = Quote(instrument="X", bid=D(bid), ask=D(bid) + 1, at_ns=second * NS)
        candles.add(quote)
    first, second = candles.of("X", 60, 10)
    assert (first.bid.o, first.bid.h, first.bid.l, first.bid.c) == tuple(
        map(D, ("1.5", "1.9", "1.1", "1.4"))
    )
    assert (first.ticks, second.ticks) == (4, 1)
    assert [x.from_s for x in candles.of("X", 5, 2)] == [5, 60]
    assert candles.of("Y", 5, 2) == []


TIMES = [
    "2020-01-01T00:00:00.123456789Z",
    "2020-01-01T02:00:00.123456789+02:00",
    "1577836800.123456789",
]


@pytest.mark.parametrize("text", TIMES)
def test_times_are_read_to_the_nanosecond(text):
    at_ns = parse_time(text)
    assert rfc3339(at_ns) == "2020-01-01T00:00:00.123456789Z"
    assert unix(at_ns) == "1577836800.123456789"


@pytest.mark.parametrize("text", ["", "now", "2020-01-01", "-5", "2020-01-01T00:00:00", "1e9"])
def test_other_times_are_refused(text):
    with pytest.raises(BadRequest):
        parse_time(text)
