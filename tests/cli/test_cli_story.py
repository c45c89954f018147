"""Records in plain words, and an order's whole story told from the journal."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from cli.explain import touches
from cli.story import (
    describe_cause,
    describe_event,
    describe_order,
    describe_update,
    evidence_lines,
)
from domain import events as ev
from domain.accounts import AccountBalances, ConnectionState, SessionState
from domain.orders import (
    AmendOrder,
    Bracket,
    CancelOrder,
    OrderType,
    StopLoss,
    TakeProfit,
    TimeInForce,
    Trailing,
)
from domain.portfolio import LotClosed, LotOpened, Position
from domain.records import (
    Changed,
    Checked,
    EpochStarted,
    Guard,
    GuardKind,
    Halted,
    HaltScope,
    Leased,
    LeaseWord,
    Record,
    Resumed,
    Ruled,
    Settled,
)
from domain.screening import Candidate, Verdict
from domain.streams import (
    BalancesUpdate,
    ConnectionUpdate,
    Notice,
    NoticeKind,
    PositionUpdate,
    StreamUpdate,
    TransactionUpdate,
    UpdateBody,
)
from domain.transactions import Transaction, TransactionType
from tests.cli.cli_world import BRACKET, VIOLATION, Story, an_order, call, call_json, make_home
from tests.domain.builders import ERROR, EVENTS, a_fill


def record(cause: object) -> Record:
    return Record(number=1, epoch=1, at_ns=0, cause=cause)  # type: ignore[arg-type]


def told(body: UpdateBody) -> str:
    return describe_update(StreamUpdate(stream="s", seq=1, at_ns=0, body=body))


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_every_event_has_a_sentence(kind: type) -> None:
    words = describe_event(EVENTS[kind])
    assert len(words) > 10
    assert "Decimal" not in words


def test_a_fill_names_the_lots_it_opens_and_closes() -> None:
    opened = LotOpened(lot_id="7", quantity=Decimal(40), price=Decimal("1.1"))
    closed = LotClosed(lot_id="5", quantity=Decimal(-40), price=Decimal("1.1"))
    fill = a_fill(lots_opened=(opened,), lots_closed=(closed,), realized_pnl=Decimal("2.50"))
    words = describe_event(fill)
    assert "opens lot 7" in words
    assert "closes of lot 5" in words
    assert "realized 2.5" in words


def test_a_plain_order_reads_like_a_sentence() -> None:
    assert describe_order(an_order()) == "buy 1000 EUR/USD market, fok"


def test_an_order_tells_all_its_terms() -> None:
    order = an_order(
        type=OrderType.LIMIT,
        limit_price=Decimal("1.10"),
        time_in_force=TimeInForce.GTD,
        expire_at_ns=0,
        closes_lot="7",
        reduce_only=True,
        bracket=Bracket(
            take_profit=TakeProfit(limit_price=Decimal("1.2")),
            stop_loss=StopLoss(distance=Decimal("0.01")),
            trailing=Trailing(percent=Decimal(2)),
        ),
    )
    words = describe_order(order)
    assert "at 1.1," in words
    assert "until 1970-01-01 00:00:00.000, for lot 7, reduce only" in words
    assert "take profit 1.2 and stop loss 0.01 away and trailing by 2 %" in words


def test_a_trailing_stop_tells_its_distance() -> None:
    order = an_order(type=OrderType.TRAILING_STOP, trailing=Trailing(amount=Decimal("0.001")))
    assert "trailing by 0.001" in describe_order(order)


CAUSES = [
    (EpochStarted(boot_id="b", incarnation="i-1"), "a router took the journal"),
    (Settled(why="a mark proved it"), "concluded: a mark proved it"),
    (Halted(scope=HaltScope.ALL, subject="*", by="ops", reason="storm"), "storm"),
    (Resumed(scope=HaltScope.TAG, subject="x", by="ops"), "lifted the halt of tag x"),
    (
        Guard(owner="o", session="s", kind=GuardKind.DEAD_MAN, grace_ms=1),
        "armed its guard dead_man",
    ),
    (Ruled(incarnation="k-1", settings="{}"), "over 0 new or changed instruments"),
    (
        Leased(shard="s", epoch=1, number=1, word=LeaseWord.LENT, amount=Decimal(50)),
        "the firm's limit: 50 lent to s",
    ),
]
LOOKED_AT = Checked(
    order_id="o-1",
    command=an_order(),
    verdicts=(
        Verdict(
            id="v-1",
            incarnation="i",
            candidate=Candidate(connection="c", account="a"),
            violation=VIOLATION,
        ),
    ),
    rates=(),
    screened_ns=1,
    is_amend=True,
    error=ERROR,
)


def test_a_check_without_an_order_tells_its_verdict_and_why_nothing_was_sent() -> None:
    told = record(LOOKED_AT)
    assert "compliance looked at an amend: buy 1000" in describe_cause(told)
    lines = evidence_lines(told)
    assert any("compliance denied it" in line for line in lines)
    assert any(line.startswith("refused: ") for line in lines)
    assert touches(told, frozenset({"o-1"}))
    assert not touches(told, frozenset({"o-2"}))


@pytest.mark.parametrize(("cause", "words"), CAUSES, ids=lambda value: type(value).__name__)
def test_a_cause_says_who_did_what(cause: object, words: str) -> None:
    assert words in describe_cause(record(cause))


CHANGES = [
    (CancelOrder(client_order_id="c-1"), "cancel c-1"),
    (CancelOrder(all=True), "cancel all orders"),
    (AmendOrder(client_order_id="c-1", limit_price=Decimal("1.2")), "to limit price 1.2"),
    (AmendOrder(client_order_id="c-1", trailing=Trailing(amount=Decimal(1))), "trailing by 1"),
    (AmendOrder(client_order_id="c-1", expire_at_ns=5), "new terms"),
]


@pytest.mark.parametrize(("command", "words"), CHANGES)
def test_a_change_says_what_was_asked(command: AmendOrder | CancelOrder, words: str) -> None:
    cause = Changed(
        request_id="r-1", command=command, owner="o", session="s", cseq=1, orders=("x",)
    )
    assert words in describe_cause(record(cause))


BODIES = [
    (
        BalancesUpdate(
            balances=AccountBalances(
                account="a", currency="USD", cash=Decimal("10.50"), equity=Decimal(10)
            )
        ),
        "balance 10.5 USD",
    ),
    (
        PositionUpdate(position=Position(account="a", instrument="EUR/USD", quantity=Decimal(0))),
        "position 0 EUR/USD",
    ),
    (
        TransactionUpdate(
            transaction=Transaction(
                connection="c",
                account="a",
                broker_transaction_id="1",
                type=TransactionType.FEE,
                currency="USD",
                amount=Decimal(-1),
                traded_ns=0,
            )
        ),
        "fee -1 USD",
    ),
    (
        ConnectionUpdate(
            connection=ConnectionState(
                connection="c", state=SessionState.RECONNECTING, reason="silence", since_ns=0
            )
        ),
        "c is reconnecting: silence",
    ),
    (Notice(kind=NoticeKind.BREAK, scope="account/a", message="odd"), "notice break"),
]


@pytest.mark.parametrize(("body", "words"), BODIES, ids=lambda value: type(value).__name__)
def test_an_update_says_what_it_is_about(body: UpdateBody, words: str) -> None:
    assert words in told(body)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A journal with a bracket order that filled, its child, and a denied order."""
    paths = make_home(tmp_path)
    story = Story(paths)
    order = story.place("c-1", bracket=BRACKET)
    accepted = ev.Accepted(at_ns=0, broker_order_id="6", venue_client_id="venue-c-1")
    story.report((order, accepted), (order, story.fill(order)))
    child, external = story.child(order, "7")
    story.report((child, external))
    story.place("c-2", violation=VIOLATION)
    story.close()
    return paths.home


def test_the_story_of_an_order_tells_verdict_prices_sending_and_fill(home: Path) -> None:
    text = call(home, "order", "explain", "c-1").stdout
    assert "compliance let it pass" in text
    assert "by the price of EUR/USD: 1.1 / 1.1002" in text
    assert "sent over oanda-paper as intent 1" in text
    assert "filled 1000 at 1.1002" in text
    assert "now filled" in text


def test_the_story_of_a_bracket_order_tells_its_children(home: Path) -> None:
    story = call_json(home, "order", "explain", "c-1")
    assert len(story["order_ids"]) == 2
    assert any("guarding lot 7" in line for part in story["story"] for line in part["events"])


def test_the_story_of_a_denied_order_tells_rule_source_and_numbers(home: Path) -> None:
    text = call(home, "order", "explain", "c-2").stdout
    assert "rule max_quantity: quantity 1000 is above 10" in text
    assert "source: house limit" in text
    assert "numbers: limit 10" in text
    assert "would pass: largest quantity that fits: 10" in text
    assert "now denied" in text


@pytest.mark.parametrize("name", ["6", "venue-c-1"])
def test_an_order_is_found_by_the_brokers_name_for_it(home: Path, name: str) -> None:
    assert call(home, "order", "explain", name).exit_code == 0


def test_an_order_nobody_knows_is_said_to_be_so(home: Path) -> None:
    result = call(home, "order", "explain", "c-9")
    assert result.exit_code == 1
    assert "knows no order c-9" in result.stderr


def test_the_journal_is_shown_record_by_record(home: Path) -> None:
    text = call(home, "journal", "show").stdout
    assert [f"#{number}" in text for number in range(1, 6)] == [True] * 5
    assert "a router took the journal" in text


def test_the_journal_can_be_shown_in_part(home: Path) -> None:
    lines = call(home, "journal", "show", "--from", "2", "--limit", "1", "--json").stdout
    assert len(lines.splitlines()) == 1
    assert '"number":2' in lines


def test_the_journal_can_be_shown_for_one_order_or_stream(home: Path) -> None:
    of_order = call(home, "journal", "show", "--order", "c-2", "--json").stdout.splitlines()
    of_stream = call(home, "journal", "show", "--stream", "orders/o-test", "--json").stdout
    assert len(of_order) == 1
    assert len(of_stream.splitlines()) == 4
    assert call(home, "journal", "show", "--stream", "orders/nobody").stdout == ""


def test_the_journal_can_be_followed_until_ctrl_c(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.journal.time.sleep", interrupt)
    result = call(home, "journal", "show", "--from", "4", "--follow", "--json")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 2


def test_a_whole_journal_is_said_to_be_whole(home: Path) -> None:
    result = call(home, "journal", "verify")
    assert result.exit_code == 0
    assert "5 records" in result.stdout
    assert "whole" in result.stdout


def test_a_damaged_journal_is_exit_code_1_and_names_the_place(home: Path) -> None:
    segment = min((home / "journal").glob("segment-*.log"))
    data = bytearray(segment.read_bytes())
    data[data.index(b"venue-c-1")] ^= 1
    segment.write_bytes(data)
    result = call(home, "journal", "verify")
    assert result.exit_code == 1
    assert "record 2" in result.stdout
    assert segment.name in result.stdout


def test_a_missing_journal_says_how_to_make_one(tmp_path: Path) -> None:
    report = call_json(tmp_path / "home", "journal", "verify")
    assert "fillgate init" in report["faults"][0]


def test_a_late_fill_is_told_as_late() -> None:
    from domain.lifecycle import Status
    from domain.streams import OrderUpdate

    update = OrderUpdate(
        order_id="o",
        status=Status.CANCELED,
        version=3,
        filled=Decimal(40),
        leaves=Decimal(0),
        event=a_fill(),
    )
    assert "late" not in told(update)
    assert "late" in told(replace(update, late_fill=True))
