"""New orders: screened, written down, and only then sent; asked twice, answered twice the same."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import msgpack
from msgspec.structs import replace
from router_world import (
    ACCOUNT,
    BOOT_NS,
    INSTRUMENTS,
    MS,
    OTHER,
    OWNER,
    PAPER,
    FakeLink,
    World,
    connection_settings,
    instrument,
    market_order,
    new_order,
    quote,
)

from actors import messages as m
from actors.router import orders as orders_module
from compliance.settings import ComplianceSettings
from domain import commands as c
from domain import events as ev
from domain import ids
from domain.accounts import SessionState
from domain.errors import Outcome, Retry
from domain.findings import Finding, FindingKind
from domain.lifecycle import Status
from domain.orders import OrderType, TimeInForce, Trailing
from domain.records import HaltScope, Ordered
from domain.screening import Candidate, ScreenAnswer, ScreenRequest, Verdict
from domain.streams import Notice
from ledger.journal import JournalSettings, LocalJournal, init


@pytest.fixture
def world() -> World:
    return World().open()


def names_of(effects: list[tuple[str, Any]]) -> list[str]:
    return [name if name == "durable" else type(message).__name__ for name, message in effects]


# -- the way of an order


def test_an_order_is_written_down_before_it_is_sent_and_sent_before_it_is_answered(
    world: World,
) -> None:
    begin = len(world.effects)
    world.place()
    done = world.effects[begin:]
    assert names_of(done) == [
        "ScreenRequest", "ScreenAnswer", "durable", "Dispatch", "Answer", "Published", "Observe",
    ]  # fmt: skip
    (record,) = dict(done)["durable"]
    assert isinstance(record.cause, Ordered)
    assert [type(u.body.event) for u in record.updates] == [ev.Sending]


def test_an_order_makes_exactly_two_records(world: World) -> None:
    before = len(world.records())
    world.place()
    world.accept()
    assert len(world.records()) == before + 2
    assert world.status() == "live"


def test_the_dispatch_says_who_may_send_what_and_until_when(world: World) -> None:
    world.place()
    dispatch = world.last(PAPER, m.Dispatch)
    assert (dispatch.epoch, dispatch.intent, dispatch.attempt) == (1, 1, 1)
    assert dispatch.order == new_order()
    assert dispatch.venue_client_id == ids.venue_client_id(OWNER, "o-1", "0", 1)
    assert dispatch.send_by_ns == BOOT_NS + 500 * MS


def test_a_shorter_life_asked_for_by_the_client_is_the_send_by(world: World) -> None:
    world.place(deadline_ns=BOOT_NS + 20 * MS)
    assert world.last(PAPER, m.Dispatch).send_by_ns == BOOT_NS + 20 * MS


def test_the_answer_says_that_it_is_durable_and_the_event_tells_the_outcome(world: World) -> None:
    decided = world.place()
    assert (decided.status, decided.dup, decided.error) == ("sending", False, None)
    world.accept()
    told = [u for p in world.sent("edge-0", c.Published) for u in p.updates if "orders" in u.stream]
    assert [type(u.body.event) for u in told] == [ev.Sending, ev.Accepted]
    assert [u.seq for u in told] == [1, 2]


def test_a_fill_moves_the_position_and_the_money_in_the_same_record(world: World) -> None:
    world.live()
    world.fill(quantity=400, currency="USD", balance_after=Decimal(999_000))
    record = world.records()[-1]
    assert [u.stream for u in record.updates] == [
        f"orders/{OWNER}", f"account/{ACCOUNT}", f"account/{ACCOUNT}",
    ]  # fmt: skip
    books = world.router.desk.books
    assert books.positions[ACCOUNT, "EUR/USD"].quantity == 400
    assert books.balances[ACCOUNT, "USD"].cash == 999_000
    assert (world.status(), world.order().leaves) == ("partially_filled", 600)


def test_a_fill_in_a_currency_without_balances_changes_no_money(world: World) -> None:
    world.live()
    world.fill(currency="CHF", balance_after=Decimal(5))
    assert (ACCOUNT, "CHF") not in world.router.desk.books.balances


def test_a_batch_is_decided_order_by_order_and_answered_once(world: World) -> None:
    many = (new_order("b-1"), new_order("b-2", quantity=Decimal("0.5")), new_order("b-3"))
    answer = world.say(c.Batch(orders=many))
    assert answer is not None
    assert [d.status for d in answer.decided] == ["sending", None, "sending"]
    assert [d.error.code if d.error else None for d in answer.decided] == [
        None, "invalid_order", None,
    ]  # fmt: skip


# -- the same id again


def test_the_same_order_again_is_a_dup_with_the_same_answer(world: World) -> None:
    first = world.place()
    again = world.place()
    assert again.dup
    assert (again.order_id, again.status) == (first.order_id, first.status)
    assert len(world.sent(PAPER, m.Dispatch)) == 1


def test_the_same_id_with_another_body_is_a_conflict(world: World) -> None:
    world.place()
    answer = world.place(new_order(quantity=Decimal(7)))
    assert answer.error is not None
    assert answer.error.code == "id_conflict"
    assert world.order().quantity == 1000


def test_ids_belong_to_their_owner() -> None:
    other = connection_settings(id="paper-2", owner=OTHER, account="acc-2")
    world = World(connection_settings(), other).open()
    assert world.place().status == "sending"
    assert world.place(owner=OTHER).status == "sending"
    assert world.order(owner=OTHER).account == "acc-2"


def test_the_same_order_while_it_is_screened_waits_for_the_same_verdict(world: World) -> None:
    world.holds_verdicts = True
    assert world.say(c.Place(order=new_order())) is None
    assert world.say(c.Place(order=new_order())) is None
    world.holds_verdicts = False
    world.settle()
    answers = world.sent("edge-0", c.Answer)
    assert [a.decided[0].dup for a in answers] == [False, True]
    assert len(world.sent(PAPER, m.Dispatch)) == 1


def test_another_body_while_the_first_is_screened_is_a_conflict_at_once(world: World) -> None:
    world.holds_verdicts = True
    world.say(c.Place(order=new_order()))
    answer = world.say(c.Place(order=new_order(quantity=Decimal(7))))
    assert answer is not None
    assert answer.decided[0].error is not None
    assert answer.decided[0].error.code == "id_conflict"


def test_a_denied_order_is_written_down_and_stays_denied_after_a_restart() -> None:
    world = World(compliance=ComplianceSettings(max_quantity=Decimal(10))).open()
    first = world.place()
    assert (first.status, first.error and first.error.code) == ("denied", "max_quantity")
    assert first.error is not None
    assert first.error.rule == "max_quantity"
    assert first.error.outcome is Outcome.NONE
    world.restart()
    world.open()
    again = world.place()
    assert (again.status, again.dup) == ("denied", True)
    assert world.sent(PAPER, m.Dispatch) == []


def test_a_sent_order_is_a_dup_after_a_restart(tmp_path: Path) -> None:
    small = JournalSettings(
        segment_bytes=1024 * 1024, reserve_bytes=65_536, prepare_in_background=False
    )
    init(tmp_path / "journal", "test", small)
    journal = LocalJournal(tmp_path / "journal", "test", small)
    world = World(journal=journal).open()
    world.place()
    journal.close()
    world.journal = LocalJournal(tmp_path / "journal", "test", small)
    world.restart()
    world.open()
    assert world.place().dup
    assert world.router.desk.epoch == 2
    world.journal.close()


# -- refusals that consume nothing


REFUSALS = {
    "off the grid": (new_order(limit_price=Decimal("1.090001")), "invalid_order", "limit_price"),
    "too small": (new_order(quantity=Decimal("0.1")), "invalid_order", "quantity"),
    "not traded": (new_order(instrument="AUD/USD"), "unknown_instrument", "instrument"),
    "account of nobody": (new_order(account="acc-9"), "unknown_instrument", "instrument"),
    "not for this broker": (new_order(tag="odd"), "unsupported", None),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_is_refused_and_its_id_stays_free(world: World, case: str) -> None:
    order, code, field = REFUSALS[case]
    before = len(world.records())
    refused = world.place(order)
    assert refused.error is not None
    assert (refused.error.code, refused.error.field) == (code, field)
    assert refused.error.outcome is Outcome.NONE
    assert len(world.records()) == before
    assert world.place(new_order(order.client_order_id)).status == "sending"


def test_an_order_that_came_too_late_is_stale(world: World) -> None:
    refused = world.place(deadline_ns=BOOT_NS - 1)
    assert refused.error is not None
    assert refused.error.code == "stale"


def test_a_market_order_into_a_closed_market_is_refused_and_a_resting_one_is_not(
    world: World,
) -> None:
    world.quote(*INSTRUMENTS, tradeable=False)
    refused = world.place(market_order("m-1"))
    assert refused.error is not None
    assert refused.error.code == "market_closed"
    assert world.place(new_order("l-1")).status == "sending"


def test_without_a_connection_the_order_is_refused_with_outcome_none(world: World) -> None:
    world.lose_connection()
    refused = world.place()
    assert refused.error is not None
    assert (refused.error.code, refused.error.retry) == ("venue_unavailable", Retry.SAME_ID)


def test_without_compliance_the_order_is_refused_and_its_id_can_be_used_again(
    world: World,
) -> None:
    world.lose_compliance()
    before = len(world.records())
    refused = world.place()
    assert refused.error is not None
    assert (refused.error.code, refused.error.outcome) == ("compliance_unavailable", Outcome.NONE)
    assert len(world.records()) == before
    world.bring_compliance()
    assert world.place().status == "sending"


def test_compliance_lost_while_it_looks_refuses_what_it_looked_at(world: World) -> None:
    world.holds_verdicts = True
    assert world.say(c.Place(order=new_order())) is None
    world.lose_compliance()
    (answer,) = world.sent("edge-0", c.Answer)
    assert answer.decided[0].error.code == "compliance_unavailable"
    assert answer.decided[0].error.outcome is Outcome.NONE
    assert world.sent(PAPER, m.Dispatch) == []


def verdict(number: int, incarnation: str, name: str = PAPER) -> ScreenAnswer:
    candidate = Candidate(connection=name, account=ACCOUNT)
    passed = Verdict(id="v-1", incarnation=incarnation, candidate=candidate)
    return ScreenAnswer(number=number, verdicts=(passed,))


def test_a_verdict_of_another_incarnation_is_refused(world: World) -> None:
    world.holds_verdicts = True
    world.say(c.Place(order=new_order()))
    number = world.last("compliance", ScreenRequest).number
    world.router.from_compliance(verdict(number, "an-older-one"))
    world.router.flush()
    (answer,) = world.sent("edge-0", c.Answer)
    assert answer.decided[0].error.code == "compliance_unavailable"
    assert world.sent(PAPER, m.Dispatch) == []


def test_a_verdict_about_nothing_we_asked_changes_nothing(world: World) -> None:
    before = len(world.effects)
    world.router.from_compliance(verdict(99, "k1"))
    world.router.flush()
    assert len(world.effects) == before


def test_no_verdict_at_all_is_a_denial(world: World) -> None:
    world.holds_verdicts = True
    world.say(c.Place(order=new_order()))
    number = world.last("compliance", ScreenRequest).number
    world.router.from_compliance(ScreenAnswer(number=number, verdicts=()))
    world.router.flush()
    (answer,) = world.sent("edge-0", c.Answer)
    assert answer.decided[0].error.code == "not_screened"


def test_too_many_screens_at_once_are_refused_as_busy(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orders_module, "SCREENS_MAX", 1)
    world.holds_verdicts = True
    world.say(c.Place(order=new_order("o-1")))
    answer = world.say(c.Place(order=new_order("o-2")))
    assert answer is not None
    assert answer.decided[0].error is not None
    assert answer.decided[0].error.code == "busy"


# -- what may change while compliance looks


def test_an_order_that_grows_stale_while_screened_is_refused_and_released(world: World) -> None:
    world.holds_verdicts = True
    world.say(c.Place(order=new_order()), deadline_ns=BOOT_NS + 5 * MS)
    world.boot_ns += 6 * MS
    world.holds_verdicts = False
    world.settle()
    assert world.last("edge-0", c.Answer).decided[0].error.code == "stale"
    assert len(world.sent("compliance", m.Release)) == 1
    assert world.compliance is not None
    assert world.compliance.screener is not None
    assert world.compliance.screener.book.orders == {}


def test_a_halt_that_comes_while_compliance_looks_holds_the_order_back(world: World) -> None:
    world.holds_verdicts = True
    world.say(c.Place(order=new_order()))
    world.say(c.Halt(scope=HaltScope.INSTRUMENT, subject="EUR/USD", reason="news"))
    world.holds_verdicts = False
    world.settle()
    errors = [a.decided[0].error for a in world.sent("edge-0", c.Answer)]
    assert [error.code for error in errors if error is not None] == ["halted"]
    assert world.sent(PAPER, m.Dispatch) == []


def test_a_connection_lost_while_compliance_looks_holds_the_order_back(world: World) -> None:
    world.holds_verdicts = True
    world.say(c.Place(order=new_order()))
    world.lose_connection()
    world.holds_verdicts = False
    world.settle()
    assert world.last("edge-0", c.Answer).decided[0].error.code == "venue_unavailable"


def test_a_queue_that_is_full_refuses(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders_module, "READY_MAX", 0)
    refused = world.place()
    assert refused.error is not None
    assert refused.error.code == "busy"


# -- credits and the queue


def with_credits(credits_given: int) -> World:
    return World(connection_settings(credits=credits_given)).open()


def test_without_a_credit_an_order_waits_ready_and_goes_when_one_comes_free() -> None:
    world = with_credits(1)
    world.place(new_order("o-1"))
    assert world.place(new_order("o-2")).status == "ready"
    assert len(world.sent(PAPER, m.Dispatch)) == 1
    world.accept("o-1")
    assert [d.order.client_order_id for d in world.sent(PAPER, m.Dispatch)] == ["o-1", "o-2"]
    assert world.status("o-2") == "sending"
    assert world.order("o-2").intent == 2


def test_a_credit_comes_free_by_the_stream_too() -> None:
    world = with_credits(1)
    world.place(new_order("o-1"))
    world.place(new_order("o-2"))
    order = world.order("o-1")
    told = ev.Accepted(at_ns=1, broker_order_id="b-1", venue_client_id=order.venue_client_id)
    world.events(told)
    assert world.status("o-2") == "sending"


def test_a_ready_order_can_be_canceled_without_the_broker() -> None:
    world = with_credits(1)
    world.place(new_order("o-1"))
    world.place(new_order("o-2"))
    assert world.cancel("o-2").decided[0].status == "canceled"
    world.accept("o-1")
    assert world.sent(PAPER, m.SendCancel) == []
    assert len(world.sent(PAPER, m.Dispatch)) == 1


def test_a_ready_order_that_is_halted_dies_when_its_credit_comes() -> None:
    world = with_credits(1)
    world.place(new_order("o-1"))
    world.place(new_order("o-2"))
    world.say(c.Halt(scope=HaltScope.ALL, reason="stop"))
    world.accept("o-1")
    assert (world.status("o-2"), world.order("o-2").reason) == ("canceled", "halted")


def test_a_ready_order_past_its_life_dies_when_its_credit_comes() -> None:
    world = with_credits(1)
    world.place(new_order("o-1"))
    world.place(new_order("o-2"), deadline_ns=BOOT_NS + 100 * MS)
    world.pass_ms(101)
    world.accept("o-1")
    assert (world.status("o-2"), world.order("o-2").reason) == ("canceled", "stale")


def test_a_ready_order_without_a_life_of_its_own_waits_as_long_as_it_must() -> None:
    world = with_credits(1)
    world.place(new_order("o-1"))
    world.place(new_order("o-2"))
    world.pass_ms(3_000)
    world.accept("o-1")
    assert world.status("o-2") == "sending"
    assert world.last(PAPER, m.Dispatch).send_by_ns == world.boot_ns + 500 * MS


def test_an_order_that_asked_to_queue_waits_for_the_connection(world: World) -> None:
    world.lose_connection()
    refused = world.place(new_order("o-1", queue_if_down=True))
    # The connection's instruments are known from before; only the line is down.
    assert refused.status == "ready"
    world.pass_ms(2_000)
    world.bring_connection()
    world.pass_ms(50)
    assert world.status("o-1") == "sending"


def test_two_connections_keep_their_queues_apart() -> None:
    first = connection_settings(credits=1)
    second = connection_settings(id="paper-2", account="acc-2", credits=1)
    world = World(first, second).open()
    for number in (1, 2):
        world.place(new_order(f"b-{number}", account="acc-2"))
        world.place(new_order(f"a-{number}", account=ACCOUNT))
    world.accept("a-1", "x-a")
    assert [world.status(name) for name in ("a-2", "b-2")] == ["sending", "ready"]
    world.accept("b-1", "x-b")
    assert world.status("b-2") == "sending"
    assert world.order("b-2").connection == "paper-2"


def test_the_cheapest_of_two_accounts_takes_the_order() -> None:
    first = connection_settings()
    second = connection_settings(id="paper-2", account="acc-2")
    world = World(first, second).open()
    dear = quote(connection=PAPER, ask=Decimal("1.10100"))
    world.hear(PAPER, m.Quotes(quotes=(dear,)))
    world.place(market_order())
    assert world.order().connection == "paper-2"


# -- previews


def test_a_preview_tells_every_verdict_and_places_nothing() -> None:
    world = World(compliance=ComplianceSettings(max_quantity=Decimal(10))).open()
    before = len(world.records())
    answer = world.say(c.Place(order=new_order(), dry_run=True))
    assert answer is not None
    assert answer.body is not None
    verdicts = msgpack.decode(answer.body)
    assert {v["code"] for v in verdicts["all_violations"]} == {"max_quantity"}
    assert len(world.records()) == before
    assert world.place(new_order()).dup is False


def test_a_preview_that_cannot_be_asked_is_refused_like_an_order(world: World) -> None:
    answer = world.say(c.Place(order=new_order(instrument="AUD/USD"), dry_run=True))
    assert answer is not None
    assert answer.decided[0].error is not None
    assert answer.decided[0].error.code == "unknown_instrument"


# -- the line to compliance


def test_compliance_gets_the_whole_book_when_it_comes(world: World) -> None:
    world.live("o-1")
    world.lose_compliance()
    world.bring_compliance()
    book = world.last("compliance", m.LoadBook)
    assert [o.client_order_id for o in book.orders] == ["o-1"]
    assert [a.account.account for a in book.accounts] == [ACCOUNT]
    assert {i.symbol for i in book.instruments} == {i.symbol for i in INSTRUMENTS}


def test_an_account_without_balances_yet_is_not_told_to_compliance() -> None:
    world = World()
    world.bring_compliance()
    world.bring_connection(in_step=False)
    assert world.last("compliance", m.LoadBook).accounts == ()


def test_new_instruments_are_told_to_compliance_and_the_same_ones_are_not(world: World) -> None:
    books = len(world.sent("compliance", m.LoadBook))
    world.attached(PAPER, INSTRUMENTS, state=SessionState.CONNECTED)
    assert len(world.sent("compliance", m.LoadBook)) == books
    more = (*INSTRUMENTS, instrument("AUD/USD"))
    world.attached(PAPER, more, state=SessionState.CONNECTED)
    assert len(world.sent("compliance", m.LoadBook)) == books + 1


def test_another_compliance_that_goes_does_not_take_ours_along(world: World) -> None:
    world.router.compliance_down(world.links["edge-0"])  # type: ignore[arg-type]
    assert world.place().status == "sending"


def test_quotes_are_passed_on_to_compliance_as_rates(world: World) -> None:
    rates = world.last("compliance", m.SeeRates).rates
    assert {rate.instrument for rate in rates} == {i.symbol for i in INSTRUMENTS}


def test_a_ready_order_counts_in_exposure_after_compliance_restarts() -> None:
    world = with_credits(1)
    world.place(new_order("o-1"))
    world.place(new_order("o-2"))
    world.lose_compliance()
    world.bring_compliance()
    assert world.compliance is not None
    assert world.compliance.screener is not None
    reserved = world.compliance.screener.book.orders
    ready = world.order("o-2")
    assert ready.status is not Status.READY or ready.order_id in reserved


def test_a_trailing_stop_has_its_own_grid(world: World) -> None:
    order = new_order(
        type=OrderType.TRAILING_STOP,
        time_in_force=TimeInForce.GTC,
        limit_price=None,
        trailing=Trailing(amount=Decimal("0.000001")),
    )
    refused = world.place(order)
    assert refused.error is not None
    assert refused.error.field == "trailing.amount"


# -- what compliance finds after the trade


def deficit(amount: str) -> Finding:
    return Finding(
        id="f-1", kind=FindingKind.INTRADAY_DEFICIT, account=ACCOUNT, day="2026-11-16", at_ns=1,
        rule="intraday_margin", citation="c", message="fell short", amount=Decimal(amount),
    )  # fmt: skip


def test_a_finding_is_written_down_once_and_told_to_the_next_compliance(world: World) -> None:
    for amount in ("5", "5", "4", "7"):
        world.router.from_compliance(m.Found(findings=(deficit(amount),)))
    world.lose_compliance()
    world.bring_compliance()
    (history,) = world.last("compliance", m.LoadBook).histories
    assert history.findings == {"f-1": deficit("7")}
    notices = [
        update.body.message
        for record in world.router.journal.replay()
        for update in record.updates
        if isinstance(update.body, Notice)
    ]
    assert notices == ["intraday_deficit: fell short"] * 2


def test_a_finding_about_an_account_nobody_knows_is_left_out(world: World) -> None:
    number = world.router.desk.books.number
    finding = replace(deficit("5"), account="stranger")
    world.router.from_compliance(m.Found(findings=(finding,)))
    assert world.router.desk.books.number == number


def test_what_one_batch_brings_leaves_in_one_write_a_link(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[tuple[str, list[str]]] = []

    def send_all(link: FakeLink, messages: list[Any]) -> None:
        writes.append((link.name, [type(message).__name__ for message in messages]))
        for message in messages:
            link.send(message)

    monkeypatch.setattr(FakeLink, "send_all", send_all)
    world.say(c.Batch(orders=(new_order("o-1"), new_order("o-2"))))
    asked = [kinds for name, kinds in writes if name == "compliance" and "ScreenRequest" in kinds]
    assert asked == [["ScreenRequest", "ScreenRequest"]]
