"""The compliance actor: nothing passes without a book, one router at a time, settings of Ray."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from router_world import (
    ACCOUNT,
    INSTRUMENTS,
    OWNER,
    PAPER,
    UTC_NS,
    FakeLink,
    connection_settings,
    new_order,
    quote,
    snapshot,
)

from actors import messages as m
from actors import options
from actors.calendars import build_calendar
from actors.compliance import ComplianceActor
from actors.paper import paper_settings
from actors.paths import Paths
from actors.router.desk import rate_of
from actors.settings import DeploymentSettings, OwnerSettings, Settings, SimulatorSettings
from compliance.limits import Security
from compliance.settings import ComplianceSettings
from domain import events as ev
from domain.findings import FindingKind
from domain.history import AccountHistory
from domain.lifecycle import Status
from domain.orders import Side
from domain.records import Halted, HaltScope
from domain.screening import Candidate, ScreenAnswer, ScreenRequest
from domain.streams import OrderUpdate, StreamUpdate

SETTINGS = ComplianceSettings(duplicate_window_ms=0)


class Screening:
    """A compliance actor and the router links it answers on."""

    def __init__(self) -> None:
        self.effects: list[tuple[str, Any]] = []
        self.actor = ComplianceActor(SETTINGS, "k1")
        self.numbers = 0

    def link(self, name: str = "router") -> FakeLink:
        return FakeLink(name, "router-from-compliance", self.effects)

    def load(self, link: FakeLink, epoch: int = 1, **words: Any) -> None:
        told = snapshot(connection_settings())
        plain: dict[str, Any] = {
            "accounts": (told,), "orders": (), "halts": (), "instruments": INSTRUMENTS,
        }  # fmt: skip
        self.actor.received(link, m.LoadBook(**(plain | words), epoch=epoch))  # type: ignore[arg-type]

    def screen(self, link: FakeLink, name: str = "o-1", **words: Any) -> str | None:
        """The code that refuses, or None where the order passes."""
        self.numbers += 1
        rates = words.pop("rates", (rate_of(quote()),))
        request = ScreenRequest(
            number=self.numbers, owner=OWNER, order_id=name, order=new_order(name, **words),
            candidates=(Candidate(connection=PAPER, account=ACCOUNT),), rates=rates,
            now_ns=UTC_NS,
        )  # fmt: skip
        self.actor.received(link, request)  # type: ignore[arg-type]
        answer = self.effects[-1][1]
        assert isinstance(answer, ScreenAnswer)
        assert answer.number == self.numbers
        violation = answer.verdicts[-1].violation
        return violation.code if violation else None


def test_before_a_book_is_loaded_nothing_passes_and_the_asker_is_cut_off() -> None:
    screening = Screening()
    link = screening.link()
    assert not screening.actor.is_ready()
    screening.actor.received(link, m.Release(order_id="o"))  # type: ignore[arg-type]
    assert link.is_closed
    assert screening.effects == []


def test_a_loaded_book_is_confirmed_with_the_incarnation() -> None:
    screening = Screening()
    screening.load(screening.link())
    [(_, told)] = screening.effects
    assert (type(told), told.incarnation) == (m.Loaded, "k1")
    assert msgspec.json.decode(told.settings, type=ComplianceSettings) == SETTINGS
    assert len(told.state) == 32
    assert screening.actor.is_ready()


def test_an_order_is_screened_reserved_and_released() -> None:
    screening = Screening()
    link = screening.link()
    screening.load(link)
    assert screening.screen(link) is None
    assert screening.actor.screener is not None
    assert set(screening.actor.screener.book.orders) == {"o-1"}
    screening.actor.received(link, m.Release(order_id="o-1"))  # type: ignore[arg-type]
    assert screening.actor.screener.book.orders == {}


def test_halts_and_rates_come_on_the_same_line() -> None:
    screening = Screening()
    link = screening.link()
    screening.load(link)
    assert screening.screen(link, rates=()) is not None  # no price, no order
    screening.actor.received(link, m.SeeRates(rates=(rate_of(quote()),)))  # type: ignore[arg-type]
    assert screening.screen(link, rates=()) is None
    halt = Halted(scope=HaltScope.ALL, subject="*", by="ops", reason="stop")
    screening.actor.received(link, m.SetHalts(epoch=1, number=1, halts=(halt,)))  # type: ignore[arg-type]
    assert screening.screen(link, "o-2") == "halted"


def test_a_newer_router_takes_over_and_an_older_one_is_refused() -> None:
    screening = Screening()
    old, new = screening.link("old"), screening.link("new")
    screening.load(old, epoch=2)
    screening.load(new, epoch=3)
    assert old.is_closed
    screening.actor.received(old, m.Release(order_id="o-1"))  # type: ignore[arg-type]
    late = screening.link("late")
    screening.load(late, epoch=1)
    assert late.is_closed
    assert screening.screen(new) is None


def test_without_its_router_nothing_is_known_any_more() -> None:
    screening = Screening()
    link = screening.link()
    screening.load(link)
    screening.actor.link_down(screening.link("watchdog"))  # type: ignore[arg-type]
    assert screening.actor.is_ready()
    screening.actor.link_down(link)  # type: ignore[arg-type]
    assert not screening.actor.is_ready()


def test_verdict_ids_never_come_twice_within_an_incarnation() -> None:
    screening = Screening()
    link = screening.link()
    seen = set()
    for epoch in (1, 2):
        screening.load(link, epoch=epoch)
        screening.screen(link)
        seen.add(screening.effects[-1][1].verdicts[-1].id)
    assert len(seen) == 2


# -- what is found after the trade


def test_what_is_found_is_told_to_the_router_and_remembered_from_its_history() -> None:
    screening = Screening()
    screening.actor = ComplianceActor(
        ComplianceSettings(), "k1", {"XNYS": build_calendar("XNYS", date(2026, 11, 25))}
    )
    link = screening.link()
    told = snapshot(connection_settings(regime="us_stocks_legacy"))
    trades = [
        StreamUpdate(stream="s", seq=number, at_ns=UTC_NS, body=traded(number))
        for number in range(8)
    ]
    first, rest = m.Observe(updates=tuple(trades[:3])), m.Observe(updates=tuple(trades[3:]))
    history = AccountHistory(account=ACCOUNT)
    history.take(StreamUpdate(stream="s", seq=9, at_ns=UTC_NS, body=traded(-1)))
    screening.load(link, accounts=(told,), histories=(history,))
    screening.actor.received(link, first)  # type: ignore[arg-type]
    screening.actor.batch_ended()
    assert not isinstance(screening.effects[-1][1], m.Found)
    screening.actor.received(link, rest)  # type: ignore[arg-type]
    screening.actor.batch_ended()
    found = screening.effects[-1][1]
    assert isinstance(found, m.Found)
    assert [each.kind for each in found.findings] == [FindingKind.PATTERN_DAY_TRADER]


def traded(number: int) -> OrderUpdate:
    """Purchases and sales of one share in turn."""
    fill = ev.Fill(
        at_ns=UTC_NS + number, execution_id=f"x{number}", broker_execution_id=f"x{number}",
        broker_order_id="b", instrument="ABC", side=(Side.BUY, Side.SELL)[number % 2],
        quantity=Decimal(1), price=Decimal(1),
    )  # fmt: skip
    return OrderUpdate(
        order_id=f"f{number}", status=Status.FILLED, version=1, filled=Decimal(1),
        leaves=Decimal(0), event=fill, instrument="ABC", account=ACCOUNT,
    )  # fmt: skip


# -- the contract with Ray


def test_a_process_under_other_settings_says_each_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in options.environment(Path("/nowhere")).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(options.os, "getpriority", lambda _which, _who: 0)
    assert [f for f in options.find_faults() if "oom" not in f] == []
    monkeypatch.setenv("RAY_worker_niceness", "15")
    monkeypatch.delenv("RAY_health_check_period_ms")
    # Niceness is measured against the raylet's: the worker is nicer than its parent here.
    monkeypatch.setattr(options.os, "getpriority", lambda _which, who: 0 if who else 15)
    faults = [f for f in options.find_faults() if "oom" not in f]
    assert len(faults) == 3
    assert "must be '0'" in faults[0]


def test_a_process_the_kernel_would_kill_first_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    adjusted = tmp_path / "oom_score_adj"
    adjusted.write_text("500\n")
    monkeypatch.setattr(options, "Path", lambda _path: adjusted)
    assert any("oom_score_adj is 500" in fault for fault in options.find_faults())


class FakeRay:
    """Records what would be asked of Ray."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def remote(self, *args: Any, **words: Any) -> Any:
        self.asked.append(args or words)
        return (lambda _host: self) if words else None

    def options(self, **words: Any) -> FakeRay:
        self.asked.append(words)
        return self


def test_an_actor_is_found_by_its_name_and_never_retries() -> None:
    ray = FakeRay()
    options.spawn(ray, object, "router.0", "/home")
    settings, named, arguments = ray.asked
    assert (settings["max_restarts"], settings["max_task_retries"]) == (-1, 0)
    assert (named["name"], named["get_if_exists"]) == ("router.0", True)
    assert arguments == ("router", "/home")


# -- a paper broker's settings


def settings_with(simulator: SimulatorSettings) -> Settings:
    return Settings(
        deployment=DeploymentSettings(id="test"),
        owners=(OwnerSettings(id=OWNER),),
        connections=(connection_settings(), connection_settings(id="real", simulator=None)),
        simulators=(simulator,),
    )


def test_a_paper_broker_gets_the_accounts_of_its_connections(tmp_path: Path) -> None:
    simulator = SimulatorSettings(id="sim", balance=5_000, port=4321, accounts=("101-1-1-1",))
    made = json.loads(paper_settings(simulator, settings_with(simulator), Paths(tmp_path)))
    assert [a["id"] for a in made["engine"]["accounts"]] == ["101-001-1000001-001", "101-1-1-1"]
    assert made["engine"]["accounts"][0]["balance"] == "5000"
    assert (made["port"], made["feed"]["source"]) == (4321, "generator")
    assert made["state"].startswith(str(tmp_path))


def test_a_paper_broker_can_replay_ticks_and_finds_a_port_of_its_own(tmp_path: Path) -> None:
    simulator = SimulatorSettings(id="sim", ticks="some/ticks", speed=10.0)
    made = json.loads(paper_settings(simulator, settings_with(simulator), Paths(tmp_path)))
    assert (made["feed"]["source"], made["feed"]["ticks"]) == ("files", "some/ticks")
    assert made["feed"]["speed"] == 10.0
    assert made["port"] > 0


@pytest.mark.parametrize(
    ("broker", "name", "limit"),
    [("oanda", "requests_per_s", 120), ("alpaca", "requests_per_min", 200)],
)
def test_a_paper_broker_counts_requests_as_its_broker_does(
    tmp_path: Path, broker: Any, name: str, limit: int
) -> None:
    for limits, expected in ((True, limit), (False, None)):
        simulator = SimulatorSettings(id="sim", broker=broker, limits=limits)
        made = json.loads(paper_settings(simulator, settings_with(simulator), Paths(tmp_path)))
        assert made.get(name) == expected


def test_what_becomes_known_of_a_security_is_taken_and_a_tripped_halt_is_told() -> None:
    screening = Screening()
    link = screening.link()
    screening.load(link)
    told = Security(symbol="ABC", tier=1, easy_to_borrow=True)
    screening.actor.received(link, m.SeeMarket(securities=(told,)))  # type: ignore[arg-type]
    screener = screening.actor.screener
    assert screener is not None
    state = screener.market.find("ABC")
    assert state is not None
    assert state.facts == told
    trip = Halted(scope=HaltScope.TAG, subject="grid", by="compliance", reason="repeats")
    screener._trips = [trip]
    screening.actor.received(link, m.Release(order_id="o-9"))  # type: ignore[arg-type]
    screening.actor.batch_ended()
    assert screening.effects[-1][1] == m.Tripped(halts=(trip,))
