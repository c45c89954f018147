"""A new book knows what the one before it knew, and its digest says so."""

from __future__ import annotations

from decimal import Decimal

from compliance.digest import digest_of, words_of
from compliance.past import Past
from compliance.screen import Screener
from domain.equity import EquityHistory
from domain.history import AccountHistory, Execution
from domain.screening import Candidate
from domain.streams import StreamUpdate, TransactionUpdate
from domain.transactions import Transaction, TransactionType
from tests.compliance.desk import (
    ACCOUNT,
    LOOSE,
    NOW,
    RATES,
    Desk,
    forex,
    limit_order,
    lots,
    new_order,
    position,
    snapshot,
)


def sold(quantity: int, *, is_short: bool, name: str = "1") -> Execution:
    return Execution(
        at_ns=NOW, id=name, order_id="o", instrument="ABC", sign=-1,
        quantity=Decimal(quantity), price=Decimal(10), is_short=is_short,
    )  # fmt: skip


def loaded(past: Past) -> Screener:
    screener = Screener(LOOSE, "again")
    screener.load(accounts=(snapshot(),), orders=(), halts=(), instruments=(forex(),), past=past)
    return screener


def a_past(peak: int = 500, account: str = ACCOUNT) -> Past:
    equity = EquityHistory(account=account, currency="USD", peak=Decimal(peak))
    sales = [sold(30, is_short=True), sold(50, is_short=False, name="2")]
    history = AccountHistory(account=account, executions=sales)
    return Past(histories=(history,), equities=(equity,))


def test_losses_and_used_locates_go_on_from_where_they_were() -> None:
    account = loaded(a_past()).book.accounts[ACCOUNT]
    assert account.losses.history.peak == 500
    assert account.activity.shorted("ABC", NOW) == 30


def test_the_past_of_an_account_nobody_listed_is_passed_over() -> None:
    assert digest_of(loaded(a_past(account="other")).book) == digest_of(loaded(Past()).book)


def test_money_that_comes_into_an_account_moves_its_highest_equity() -> None:
    screener = loaded(a_past(peak=100_000))
    for number, account in enumerate((ACCOUNT, "nobody's"), 1):
        moved = Transaction(
            connection="c", account=account, broker_transaction_id="7", currency="USD",
            type=TransactionType.DEPOSIT, amount=Decimal(50), traded_ns=NOW,
        )  # fmt: skip
        body = TransactionUpdate(transaction=moved)
        screener.observe(StreamUpdate(stream="s", seq=number, at_ns=NOW, body=body))
    assert screener.book.accounts[ACCOUNT].losses.history.peak == 100_050


def desk() -> Desk:
    return Desk(snapshot(position(*lots(1000))))


def test_equal_knowledge_has_an_equal_digest_and_another_has_not() -> None:
    one, other = desk(), desk()
    assert digest_of(one.screener.book) == digest_of(other.screener.book)
    assert one.code(limit_order(500, "1.05"), "o-1", rates=RATES) == "pass"
    assert digest_of(one.screener.book) != digest_of(other.screener.book)
    assert other.code(limit_order(500, "1.05"), "o-1", rates=RATES) == "pass"
    assert digest_of(one.screener.book) == digest_of(other.screener.book)
    assert [words.split("\x1f")[0] for words in words_of(one.screener.book)] == [
        "order", "account", "holding",
    ]  # fmt: skip


def test_an_equity_that_is_not_known_has_a_digest_too() -> None:
    unknown = Desk(snapshot(equity="1E18"))
    assert digest_of(unknown.screener.book) != digest_of(desk().screener.book)


def test_a_dry_run_on_an_account_nobody_knows_is_refused_by_itself() -> None:
    nobody = (Candidate(connection="c", account="nobody's"),)
    answer = desk().ask(new_order(), candidates=nobody, is_dry_run=True)
    assert [violation.code for violation in answer.all_violations] == ["unknown_account"]
    assert answer.passed is None


def test_having_been_asked_is_no_knowledge() -> None:
    asked, other = Desk(snapshot()), Desk(snapshot())
    asked.ask(new_order(), rates=RATES, is_dry_run=True)
    assert digest_of(asked.screener.book) == digest_of(other.screener.book)


def test_the_words_behind_a_digest_are_all_that_a_verdict_goes_by() -> None:
    one = desk()
    order = limit_order(-400, "1.25", closes_lot="T1", tag="grid")
    assert one.code(order, "o-1", rates=RATES) == "pass"
    one.screener.book.accounts[ACCOUNT].activity.sold_short("EUR/USD", Decimal(30), NOW)
    orders, _, holding = (words.split("\x1f") for words in words_of(one.screener.book))
    flags = "10001"  # it only reduces, and rests; it is not immediate, not short, not unknown
    assert orders == [
        "order", "o-1", ACCOUNT, "EUR/USD", "-1", "400", "0", "1.25", flags, "T1", "grid",
    ]  # fmt: skip
    opening, resting, reducing, marked_short, sold_short = (
        ["0"] * 2,
        ["0"] * 2,
        ["0", "400"],
        "0",
        "30",
    )
    assert holding == [
        "holding", ACCOUNT, "EUR/USD", "1000", *opening, *resting, *reducing, marked_short,
        sold_short, "T1 1000",
    ]  # fmt: skip
    assert one.code(new_order(-100), "o-2", rates=RATES) == "pass"
    orders = words_of(one.screener.book)[1].split("\x1f")
    assert orders == ["order", "o-2", ACCOUNT, "EUR/USD", "-1", "100", "0", "", "01000", "", ""]
