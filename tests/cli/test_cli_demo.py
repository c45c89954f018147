"""The demo's parts: ticks, the simulator's book, the comparison and the report."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from actors.paper import venue_book
from actors.settings import load
from actors.supervisor import Running
from cli.demo import refuse_live
from cli.demo_report import (
    Report,
    count_commits,
    find_forgotten,
    make_report,
    percentile_ms,
    tell,
    types_of,
)
from cli.demo_trade import ClientLog
from cli.demo_world import SETTINGS, load_ticks, paper_brokers
from cli.trouble import Trouble
from domain import events as ev
from domain.accounts import Environment
from domain.streams import OrderUpdate
from gateway import wire
from ledger.reader import JournalReader
from tests.cli.cli_world import Story, call, make_home

TICKS = "ts_utc_ns,instrument,bid,ask\n1,EUR_USD,1.1,1.2\n2,EUR_USD,1.2,1.3\n"


def test_a_folder_of_ticks_is_read_by_instrument(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(TICKS)
    (tmp_path / "b.csv").write_text(TICKS.replace("EUR_USD", "USD_JPY"))
    ticks = load_ticks(tmp_path)
    assert ticks.instruments == ["EUR/USD", "USD/JPY"]
    assert [tick.bid for tick in ticks.by_symbol["EUR_USD"]] == [Decimal("1.1"), Decimal("1.2")]


@pytest.mark.parametrize("text", ["", "a,b\n", TICKS + "3,EUR_USD,x,1\n", TICKS.split("\n")[0]])
def test_ticks_that_cannot_be_read_are_said_to_be_so(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.csv"
    file.write_text(text)
    with pytest.raises(Trouble):
        load_ticks(file)


def test_ticks_that_are_not_there_end_the_demo_before_it_starts(tmp_path: Path) -> None:
    result = call(tmp_path, "demo", "--ticks", str(tmp_path / "none"))
    assert result.exit_code == 1
    assert "the ticks cannot be read" in result.stderr


def test_the_demos_own_settings_can_be_used(tmp_path: Path) -> None:
    path = tmp_path / "fillgate.toml"
    words = {"deployment": "d-1", "owner": "o-1", "seed": 7, "speed": 1.0, "ticks": ""}
    names = json.dumps(["EUR/USD"])
    path.write_text(SETTINGS.format(instruments=names, shares=json.dumps(["SPY"]), **words))
    assert load(path).connections[0].instruments == ("EUR/USD",)


def test_a_deployment_with_real_money_is_not_traded_on(tmp_path: Path) -> None:
    settings = load(make_home(tmp_path).settings)
    refuse_live(settings)
    live = replace(settings.connections[0], environment=Environment.LIVE)
    with pytest.raises(Trouble, match="real money"):
        refuse_live(replace(settings, connections=(live,)))


def test_attaching_to_what_does_not_run_says_so(tmp_path: Path) -> None:
    paths = make_home(tmp_path)
    result = call(paths.home, "demo", "--attach")
    assert result.exit_code == 1
    assert "no deployment runs" in result.stderr


@pytest.mark.asyncio
async def test_a_deployment_without_a_paper_broker_has_no_book_to_compare() -> None:
    running = Running(pid=1, url="", health_url="", ray_address="")
    with pytest.raises(Trouble, match="no paper broker"):
        async with paper_brokers(running):
            pytest.fail("there is nothing to enter")


def raw_book(state: str = "filled", price: str = "1.1002") -> dict[str, Any]:
    """The simulator's book of the story below, as JSON."""
    return {
        "orders": [{"id": 6, "client_order_id": "venue-c-1", "state": state}],
        "fills": [{"transaction_id": 7, "order_id": 6, "units": "1000", "price": price}],
    }


def test_the_simulators_book_is_read() -> None:
    book = venue_book(raw_book())
    assert book.orders[0].broker_order_id == "6"
    assert not book.orders[0].is_working
    assert book.fills[0].quantity == 1000


class World:
    """A journal with one filled order, and a client that heard all of it."""

    def __init__(self, folder: Path) -> None:
        paths = make_home(folder)
        story = Story(paths)
        order = story.place("c-1")
        accepted = ev.Accepted(at_ns=0, broker_order_id="6", venue_client_id="venue-c-1")
        story.report((order, accepted), (order, story.fill(order)))
        story.close()
        self.paths = paths
        self.journal = paths.journal
        self.log = ClientLog("orders/o-test")
        self.events = [
            wire.Ev(stream=u.stream, seq=u.seq, at_ns=u.at_ns, body=u.body)
            for record in JournalReader(paths.journal).replay()
            for u in record.updates
        ]

    def report(self, book: dict[str, Any], durable: tuple[str, ...] = ("c-1",)) -> Report:
        for event in self.events:
            self.log.take(event)
        trader: Any = SimpleNamespace(durable=set(durable), acts={}, refused={})
        return make_report(self.paths, self.log, trader, venue_book(book), 1.0)


def test_three_books_that_agree_have_no_differences(tmp_path: Path) -> None:
    report = World(tmp_path).report(raw_book())
    assert report.differences == ()
    assert (report.orders, report.fills) == (1, 1)
    assert report.order_types == {"market fok": {"filled": 1}}
    assert report.events == {"accepted": 1, "fill": 1, "sending": 1}


@pytest.mark.parametrize(
    "book",
    [
        raw_book(state="working"),
        raw_book(price="1.2"),
        {"orders": [], "fills": []},
        {**raw_book(), "fills": []},
        {"orders": [*raw_book()["orders"], {"id": 9, "client_order_id": None, "state": "filled"}],
         "fills": raw_book()["fills"]},
    ],
    ids=["works on", "other price", "no fill here", "fill lost", "a stranger"],
)  # fmt: skip
def test_a_venue_that_tells_another_story_is_a_difference(
    tmp_path: Path, book: dict[str, Any]
) -> None:
    assert World(tmp_path).report(book).differences


def test_an_event_the_client_missed_is_a_difference(tmp_path: Path) -> None:
    world = World(tmp_path)
    del world.events[1]
    assert "client lacks number 2" in world.report(raw_book()).differences


def test_an_event_the_client_heard_twice_is_a_difference(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.events.append(world.events[-1])
    assert any("2 times" in line for line in world.report(raw_book()).differences)


def test_an_order_said_to_be_durable_must_be_in_the_journal(tmp_path: Path) -> None:
    report = World(tmp_path).report(raw_book(), ("c-1", "c-9"))
    assert report.differences == ("c-9: the client was told it is durable",)
    assert find_forgotten([], set()) == []


def test_the_time_from_sending_to_the_brokers_outcome_is_measured_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.log.sending("c-1")
    world.log.sending("c-other")
    assert world.report(raw_book()).measured == 1


def test_what_other_streams_say_is_no_part_of_the_log() -> None:
    log = ClientLog("orders/o-test")
    body = OrderUpdate(
        order_id="x", status="live", version=1, filled=Decimal(0), leaves=Decimal(0),
        event=ev.Held(at_ns=0),
    )  # fmt: skip
    log.take(wire.Ev(stream="orders/o-other", seq=1, at_ns=0, body=body))
    assert not log.updates


def test_commits_are_counted_by_the_marks_in_the_frames(tmp_path: Path) -> None:
    assert count_commits(World(tmp_path).journal) == 3


@pytest.mark.parametrize(
    ("share", "wanted"), [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0), (0.001, 1.0)]
)
def test_a_percentile_is_a_value_that_was_measured(share: float, wanted: float) -> None:
    spans = [number * 1_000_000 for number in range(100, 0, -1)]
    assert percentile_ms(spans, share) == wanted


def test_without_measures_there_is_no_percentile() -> None:
    assert percentile_ms([], 0.5) == 0.0


def test_orders_of_others_are_not_among_the_types() -> None:
    from domain.lifecycle import Origin
    from tests.domain.builders import an_order

    assert types_of([an_order(origin=Origin.EXTERNAL, terms=None)]) == {}


def test_the_report_is_told_with_its_differences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = World(tmp_path).report(raw_book())
    tell(good)
    assert "agree" in capsys.readouterr().out
    tell(replace(good, differences=("fill 7: here alone",)))
    out = capsys.readouterr().out
    assert "1 differences" in out
    assert "fill 7: here alone" in out
