"""What is remembered of an account: the same whatever comes twice, late or never."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from domain import events as ev
from domain import history as module
from domain.accounts import AccountBalances, ConnectionState, SessionState
from domain.findings import Finding, FindingKind
from domain.history import AccountHistory, Change, account_of, fold
from domain.lifecycle import Status
from domain.orders import Side
from domain.portfolio import Position
from domain.streams import (
    BalancesUpdate,
    ConnectionUpdate,
    Notice,
    NoticeKind,
    OrderUpdate,
    PositionUpdate,
    StreamUpdate,
    TransactionUpdate,
    UpdateBody,
)
from domain.transactions import Transaction, TransactionType

DAY = 86_400 * 10**9
NOW = 1_795_000_000 * 10**9


def told(body: UpdateBody, at_ns: int = NOW) -> StreamUpdate:
    return StreamUpdate(stream="s", seq=1, at_ns=at_ns, body=body)


def fill(name: str, at_ns: int = NOW, **words: Any) -> OrderUpdate:
    event = ev.Fill(
        at_ns=at_ns, execution_id=name, broker_execution_id=name, broker_order_id="b",
        instrument="ABC", side=Side.BUY, quantity=Decimal(1), price=Decimal(10), **words,
    )  # fmt: skip
    return order(event)


def order(event: ev.OrderEvent) -> OrderUpdate:
    return OrderUpdate(
        order_id="o", status=Status.FILLED, version=1, filled=Decimal(1), leaves=Decimal(0),
        event=event, account="a",
    )  # fmt: skip


def balances(equity: int = 100, currency: str = "USD", **words: Any) -> BalancesUpdate:
    return BalancesUpdate(
        balances=AccountBalances(
            account="a", currency=currency, cash=Decimal(1), equity=Decimal(equity), **words
        )
    )


def transfer(amount: int, at_ns: int = NOW, **words: Any) -> TransactionUpdate:
    plain: dict[str, Any] = {
        "connection": "c", "account": "a", "broker_transaction_id": f"t{at_ns}",
        "type": TransactionType.DEPOSIT, "currency": "USD", "amount": Decimal(amount),
        "traded_ns": at_ns,
    }  # fmt: skip
    return TransactionUpdate(transaction=Transaction(**(plain | words)))


def finding(amount: int = 5, day: str = "2026-11-16", **words: Any) -> Finding:
    plain: dict[str, Any] = {
        "id": f"f{day}", "kind": FindingKind.GOOD_FAITH, "account": "a", "day": day, "at_ns": 1,
        "rule": "r", "citation": "c", "message": "m", "amount": Decimal(amount),
    }  # fmt: skip
    return Finding(**(plain | words))


def notice(found: Finding | None) -> Notice:
    return Notice(kind=NoticeKind.FINDING, scope="account/a", message="m", finding=found)


def test_an_execution_is_the_next_one_a_late_one_or_known() -> None:
    history = AccountHistory(account="a")
    assert history.take(told(fill("x2", NOW + 2))) is Change.NEXT
    assert history.take(told(fill("x1", NOW + 1))) is Change.LATE
    assert history.take(told(fill("x1", NOW + 1))) is Change.NONE
    assert history.take(told(fill("x0", NOW + 1))) is Change.LATE
    assert history.take(told(order(ev.Held(at_ns=NOW)))) is Change.NONE
    assert [each.id for each in history.executions] == ["x0", "x1", "x2"]


def test_a_commission_paid_is_a_fee() -> None:
    history = AccountHistory(account="a")
    history.take(told(fill("x", commission=Decimal("-0.5"))))
    assert history.executions[0].fees == Decimal("0.5")


def test_money_in_and_out_is_remembered_once_and_nothing_else_is() -> None:
    history = AccountHistory(account="a")
    assert history.take(told(transfer(100))) is Change.MONEY
    assert history.take(told(transfer(100))) is Change.NONE
    out = transfer(-30, NOW - 1, type=TransactionType.WITHDRAWAL)
    assert history.take(told(out)) is Change.MONEY
    assert history.take(told(transfer(1, type=TransactionType.DIVIDEND))) is Change.NONE
    assert history.take(told(transfer(1, currency="EUR"))) is Change.NONE
    assert [each.amount for each in history.movements] == [-30, 100]


def test_the_newest_balances_of_a_new_york_date_are_its_close() -> None:
    history = AccountHistory(account="a")
    history.take(told(balances(1)))
    history.take(told(balances(2, margin_maintenance=Decimal(9)), NOW + 1))
    history.take(told(balances(3), NOW))
    history.take(told(balances(4, "EUR"), NOW + 2))
    history.take(told(balances(5, broker_ns=NOW + 3 + DAY), NOW + 3))
    assert [(c.day, c.equity, c.maintenance) for c in history.closes] == [
        ("2026-11-18", 2, 9), ("2026-11-19", 5, None),
    ]  # fmt: skip
    for day in range(20):
        history.take(told(balances(6), NOW + (day + 2) * DAY))
    assert len(history.closes) == module.CLOSES_MAX


def test_what_is_too_old_goes_and_does_not_come_again() -> None:
    history = AccountHistory(account="a")
    later = NOW + 50 * DAY
    history.take(told(transfer(1)))
    history.take(told(notice(finding(day="2025-01-02"))))
    history.take(told(fill("old")))
    history.take(told(fill("also", NOW + DAY), NOW + DAY))
    assert history.take(told(fill("new", later), later)) is Change.LATE
    assert [each.id for each in history.executions] == ["new"]
    assert history.movements == []
    assert history.findings == {}
    assert history.dropped_ns == NOW + DAY
    assert history.take(told(fill("old"), later)) is Change.NONE
    assert history.take(told(transfer(1), later)) is Change.NONE


def test_a_full_history_drops_its_oldest_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXECUTIONS_MAX", 20)
    history = AccountHistory(account="a")
    for number in range(21):
        history.take(told(fill(f"x{number:02}", NOW + number)))
    assert [each.id for each in history.executions][:1] == ["x03"]
    assert len(history.executions) == 18


def test_a_finding_that_says_more_replaces_one_that_says_less() -> None:
    history = AccountHistory(account="a")
    history.take(told(notice(finding(5))))
    assert history.take(told(notice(None))) is Change.NONE
    assert not history.note(finding(4))
    assert not history.note(finding(5))
    assert history.note(finding(5, met=Decimal(5)))
    assert history.note(finding(6))
    assert history.findings["f2026-11-16"].amount == 6


def test_updates_go_to_the_history_of_their_account() -> None:
    position = PositionUpdate(position=Position(account="p", instrument="ABC", quantity=Decimal(1)))
    connection = ConnectionUpdate(
        connection=ConnectionState(
            connection="c", state=SessionState.CONNECTED, reason="r", since_ns=1
        )
    )
    names = [
        account_of(told(body))
        for body in (
            fill("x"), balances(), transfer(1), notice(finding()), position, connection,
            notice(None), order(ev.Held(at_ns=NOW)),
        )
    ]  # fmt: skip
    assert names == ["a", "a", "a", "a", "p", None, None, None]
    histories: dict[str, AccountHistory] = {}
    for body in (position, connection, fill("x"), fill("x"), balances()):
        fold(histories, told(body))
    assert list(histories) == ["a"]
    assert len(histories["a"].executions) == 1
