"""How much credit one holding uses, direction by direction, and how sums are valued."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from compliance.credit import CreditBook, CreditLine, Tally
from compliance.holding import Holding, OpenOrder
from compliance.limits import MarketSettings
from compliance.losses import LossMeter
from compliance.rates import Conversion, RateBook
from compliance.settings import ComplianceSettings, find_faults
from domain.accounts import AccountBalances
from domain.equity import QUARTER_NS, QUARTERS_MAX, EquityHistory
from domain.transactions import Transaction, TransactionType
from tests.compliance.desk import MS, NOW, rate

D = Decimal


def order(sign: int, leaves: int, price: str | None, **words: Any) -> OpenOrder:
    plain: dict[str, Any] = {
        "order_id": "o", "account": "a", "instrument": "ABC", "version": 0, "sign": sign,
        "leaves": D(leaves), "credit_price": D(price) if price else None,
    }  # fmt: skip
    return OpenOrder(**(plain | words))


def line_of(held: int, *orders: OpenOrder, price: str | None = "10") -> CreditLine:
    line = CreditLine("USD", D(2))
    line.price = D(price) if price else None
    line.held = D(held)
    for each in orders:
        line.shift(each, 1)
    return line


AT_ONCE = {"is_immediate": True}
EXIT = {"only_reduces": True}

ROWS: list[tuple[int, tuple[OpenOrder, ...], int]] = [
    (0, (), 0),
    (5, (), 100),
    (-5, (), 100),
    # A buy at 11 beside a position valued at 10, times a multiplier of 2.
    (5, (order(1, 3, "11"),), 166),
    (5, (order(-1, 3, "11"),), 100),
    (5, (order(-1, 8, "11"),), 176),
    (5, (order(-1, 8, "11", **AT_ONCE),), 100),
    (5, (order(-1, 30, "11", **AT_ONCE),), 560),
    (-5, (order(-1, 3, "11"),), 166),
    (-5, (order(1, 3, "11"),), 100),
    (-5, (order(1, 8, "11"),), 176),
    (-5, (order(1, 8, "11", **AT_ONCE),), 100),
    (-5, (order(1, 30, "11", **AT_ONCE),), 560),
    # Two of a kind add up.
    (0, (order(1, 3, "11"), order(1, 2, "10")), 106),
    (0, (order(-1, 3, "11"), order(-1, 2, "10")), 106),
    (5, (order(-1, 3, "11"), order(-1, 2, "11")), 110),
    (-5, (order(1, 3, "11"), order(1, 2, "11")), 110),
    # Without a price of their own they take the holding's, and may rest.
    (5, (order(1, 3, None),), 160),
    (5, (order(-1, 8, None),), 160),
    (-5, (order(1, 8, None),), 160),
    (-5, (order(-1, 3, None),), 160),
    (0, (order(1, 3, None), order(1, 4, None)), 140),
    (0, (order(-1, 3, None), order(-1, 4, None)), 140),
    (5, (order(-1, 3, None), order(-1, 4, "11")), 148),
    (-5, (order(1, 3, None), order(1, 4, "11")), 148),
    # What only reduces takes none, but lets the others reach further, never past zero itself.
    (5, (order(-1, 3, "11", **EXIT),), 100),
    (5, (order(-1, 9, "11", **AT_ONCE), order(-1, 3, "11", **EXIT)), 158),
    (5, (order(-1, 9, "11", **AT_ONCE), order(-1, 2, "9", **EXIT), order(-1, 1, "9", **EXIT)), 158),
    (5, (order(-1, 9, "11", **AT_ONCE), order(-1, 99, "11", **EXIT)), 198),
    (-5, (order(1, 9, "11", **AT_ONCE), order(1, 3, "11", **EXIT)), 158),
    (-5, (order(1, 9, "11", **AT_ONCE), order(1, 2, "9", **EXIT), order(1, 1, "9", **EXIT)), 158),
    (-5, (order(1, 9, "11", **AT_ONCE), order(1, 99, "11", **EXIT)), 198),
    # One of unknown side counts both ways.
    (5, (order(0, 3, None),), 160),
    (-5, (order(0, 3, None),), 160),
]


@pytest.mark.parametrize(("held", "orders", "worst"), ROWS)
def test_a_line_uses_the_dearer_direction(
    held: int, orders: tuple[OpenOrder, ...], worst: int
) -> None:
    line = line_of(held, *orders)
    assert line.worst() == worst
    for each in orders:
        line.shift(each, -1)
    assert line.worst() == abs(held) * 20
    for sums in (line.opening, line.resting, line.unpriced, line.reducing):
        assert sums == {1: 0, -1: 0}


@pytest.mark.parametrize(("is_immediate", "worst"), [(True, 100), (False, 176)])
def test_what_one_more_order_would_make_of_it(is_immediate: bool, worst: int) -> None:
    line = line_of(5)
    assert line.worst_with(-1, D(176), is_immediate=is_immediate) == worst
    assert line.worst() == 100
    assert line.worst_with(1, D(66), is_immediate=is_immediate) == 166


@pytest.mark.parametrize(
    ("held", "orders", "is_unvalued"),
    [
        (0, (), False),
        (1, (), True),
        (0, (order(1, 1, None),), True),
        (0, (order(-1, 1, None),), True),
        (0, (order(1, 1, "10"),), False),
    ],
)
def test_what_has_no_price_is_unvalued_until_there_is_one(
    held: int, orders: tuple[OpenOrder, ...], is_unvalued: bool
) -> None:
    line = line_of(held, *orders, price=None)
    assert line.is_unvalued is is_unvalued
    line.price = D(1)
    assert not line.is_unvalued


def test_the_dearer_price_counts_while_an_amend_is_under_way() -> None:
    assert order(1, 1, "10", wanted_credit=D(12)).credit_unit == 12
    assert order(1, 1, "10", wanted_credit=D(9)).credit_unit == 10
    assert order(1, 1, None, wanted_credit=D(9)).credit_unit is None
    assert order(1, 1, "10").credit_unit == 10


# ------------------------------------------------------------------ sums


def test_a_sum_follows_amounts_at_once_and_rates_when_told() -> None:
    tally = Tally()
    tally.add("EUR", D(100), Conversion(D("1.1"), NOW))
    tally.add("GBP", D(10), Conversion(D(2), NOW))
    assert tally.total == 130
    tally.add("EUR", D(-40), Conversion(D("1.2"), NOW))
    assert tally.total == 92
    tally.value("GBP", Conversion(D(3), NOW))
    assert tally.total == 102
    tally.value("CHF", Conversion(D(3), NOW))
    assert tally.total == 102


def test_a_sum_is_valued_where_every_rate_it_used_is_young_enough() -> None:
    tally = Tally()
    tally.add("EUR", D(100), Conversion(D(1), NOW - 10))
    tally.add("GBP", D(1), Conversion(D(1), NOW))
    asked: list[str] = []

    def none(currency: str) -> Conversion | None:
        asked.append(currency)
        return None

    assert tally.is_valued(NOW - 10, none)
    assert asked == []
    assert tally.is_valued(NOW, lambda _: Conversion(D(2), NOW))
    assert tally.total == 202
    assert not tally.is_valued(NOW + 1, none)
    assert asked == ["EUR", "GBP"]
    assert tally.total == 0


def test_a_currency_that_is_used_no_more_needs_no_rate() -> None:
    tally = Tally()
    tally.add("EUR", D(100), None)
    assert not tally.is_valued(1, lambda _: None)
    tally.add("EUR", D(-100), None)
    assert tally.is_valued(NOW, lambda _: None)


def book_of(*rates: Any) -> CreditBook:
    prices = RateBook()
    for each in rates:
        prices.put(each)
    return CreditBook("USD", lambda symbol: (symbol.partition("/")[2], D(1)), prices)


def test_a_book_counts_by_owner_and_over_all() -> None:
    book = book_of(rate("GBP/USD", "2"))
    for owner, symbol in (("a", "X/GBP"), ("b", "Y/USD")):
        holding = Holding(symbol)
        holding.quantity = D(10)
        book.hold(owner, holding, D(3))
    assert book.tally("a").total == 60
    assert book.tally("b").total == 30
    assert book.total(book.firm, NOW) == 90
    assert book.total(book.firm, NOW + 1) is None
    book.rates.put(rate("GBP/USD", "3", age_ms=-1))
    book.revalue("a", "GBP")
    book.revalue("a", "CHF")
    assert (book.tally("a").total, book.firm.total) == (90, 120)
    assert book.total(book.firm, NOW + MS) == 120


def test_a_newer_price_values_what_is_held_and_clears_what_was_not() -> None:
    book = book_of()
    holding = Holding("X/USD")
    holding.quantity = D(10)
    book.hold("a", holding, None)
    assert book.unvalued == {"a": 1}
    book.value("a", holding, D(4))
    book.value("a", holding, D(4))
    assert book.unvalued == {"a": 0}
    assert book.tally("a").total == 40
    book.hold("a", holding, D(3))
    assert book.tally("a").total == 40


# ------------------------------------------------------------------ losses and settings


DAY_NS = 96 * QUARTER_NS


class Told:
    """A meter and the broker's words on its account."""

    def __init__(self, history: EquityHistory | None = None) -> None:
        self.history = history or EquityHistory(account="a", currency="USD")
        self.meter = LossMeter(self.history)

    def tell(
        self, equity: int | str, result: int | None, at_ns: int, currency: str = "USD"
    ) -> None:
        told = AccountBalances(
            account="a",
            currency=currency,
            cash=D(equity),
            equity=D(equity),
            day_pnl=None if result is None else D(result),
        )
        self.meter.told(told, at_ns)

    def move(self, amount: int, **words: Any) -> None:
        plain: dict[str, Any] = {
            "account": "a", "connection": "c", "broker_transaction_id": "7", "currency": "USD",
            "type": TransactionType.DEPOSIT if amount > 0 else TransactionType.WITHDRAWAL,
            "traded_ns": 1, "amount": D(amount),
        }  # fmt: skip
        self.meter.moved(Transaction(**(plain | words)))

    def again(self) -> LossMeter:
        """A meter made of what the router kept, as after a restart."""
        meter = LossMeter(msgspec.msgpack.decode(msgspec.msgpack.encode(self.history),
                                                 type=EquityHistory))  # fmt: skip
        meter.turn(date(2026, 11, 20), self.meter._from_ns, self.meter._until_ns)
        return meter


def test_a_days_loss_is_counted_from_the_last_equity_before_it() -> None:
    told = Told()
    meter = told.meter
    meter.turn(date(2026, 11, 20), 0, DAY_NS)
    assert meter.worst_today == 0
    told.tell(1000, None, 0)
    told.tell(900, None, DAY_NS - 1)
    assert meter.worst_today == 100
    told.tell(850, None, DAY_NS)
    assert meter.worst_today == 50
    meter.turn(date(2026, 11, 21), DAY_NS, 2 * DAY_NS)
    assert meter.worst_today == 50
    meter.turn(date(2026, 11, 21), DAY_NS, 2 * DAY_NS)
    told.tell(870, -5, DAY_NS + 1)
    assert meter.worst_today == 50
    told.tell(870, -70, DAY_NS + QUARTER_NS)
    assert meter.worst_today == 70
    told.tell(870, -60, DAY_NS + QUARTER_NS)
    assert meter.worst_today == 70
    assert told.again().worst_today == 70
    meter.turn(date(2026, 11, 22), 2 * DAY_NS, 3 * DAY_NS)
    assert meter.worst_today == 0


def test_a_drawdown_needs_an_equity_above_zero() -> None:
    told = Told()
    told.tell(-10, None, 0)
    assert told.meter.drawdown_percent == 0
    told.tell(100, None, 0)
    told.tell(75, None, 0)
    assert told.meter.drawdown_percent == 25
    assert told.again().drawdown_percent == 25


def test_money_taken_out_is_no_fall_from_the_highest() -> None:
    told = Told()
    told.tell(100, None, 0)
    told.tell(60, None, 0)
    told.move(-40)
    assert told.meter.drawdown_percent == 0
    told.move(20)
    told.tell(80, None, 1)
    assert told.meter.drawdown_percent == 0
    told.move(50, currency="EUR")
    told.move(50, type=TransactionType.FEE)
    assert told.history.peak == 80


def test_what_is_no_equity_of_the_account_is_passed_over() -> None:
    told = Told()
    assert told.meter.drawdown_percent == 0
    told.tell(100, None, 0)
    told.tell(50, None, 0, "EUR")
    told.tell("NaN", None, 0)
    told.tell("1E18", None, 0)
    assert (told.meter.worst_today, told.history.equity) == (0, 100)


def test_no_more_quarters_are_kept_than_days_need() -> None:
    told = Told()
    for number in range(QUARTERS_MAX + 5):
        told.tell(100, None, number * QUARTER_NS)
    assert len(told.history.quarters) == QUARTERS_MAX
    told.tell(90, None, 0)  # a late word counts now
    assert told.history.equity == 90
    assert len(told.history.quarters) == QUARTERS_MAX


def test_every_limit_may_stand_at_its_edge() -> None:
    lowest = MarketSettings(
        messages_per_s_max=0, window_ms=1, window_quantity_max=D(0), window_notional_max=D(0),
        repeats_max=0, repeats_window_ms=1, customer_credit_max=D(0), firm_credit_max=D(0),
        daily_loss_max=D(0), drawdown_percent_max=D(0),
    )  # fmt: skip
    highest = MarketSettings(
        messages_per_s_max=100_000, window_ms=86_400_000, window_quantity_max=D(10**12),
        window_notional_max=D(10**18), repeats_max=10_000, repeats_window_ms=86_400_000,
        customer_credit_max=D(10**18), firm_credit_max=D(10**18), daily_loss_max=D(10**18),
        drawdown_percent_max=D(100),
    )  # fmt: skip
    for market in (lowest, highest):
        assert find_faults(ComplianceSettings(market=market)) == ()
