"""A cash account's money by when it settles, and what goes wrong when it is not waited for."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compliance.funding import Funding
from compliance.settlement import cycle_days, market_of, settles_on
from domain.findings import FindingKind
from domain.instruments import AssetClass
from tests.compliance.cases_day_trading import CashStory, kind_of
from tests.compliance.desk import stock
from tests.compliance.stock_desk import MONDAY, new_york, noon_ns
from tests.shared_data import SHARED, requires_shared

VECTORS = SHARED / "tax_vectors" / "fidelity_cash_account_examples.json"
LIQUIDATION_STORY = ["Mon SELL OLD 0", "Mon BUY ABC 10000", "Tue SELL XYZ 10000"]
"""The definition (buy, cover the cost later by selling something else) as events."""


@requires_shared
def test_fidelitys_examples_end_as_published() -> None:
    for example in json.loads(VECTORS.read_text())["examples"]:
        story = CashStory(Decimal(example.get("settled_cash", 0)))
        is_definition = example["id"] == "fid-clv-def"
        for words in LIQUIDATION_STORY if is_definition else example["events"]:
            story.play(words)
        kinds = [misstep.kind for misstep in story.funding.missteps.values()]
        expected = kind_of(example["violation"])
        assert kinds == ([] if expected is None else [expected]), example["id"]


def told(*events: str, settled: int = 0) -> Funding:
    story = CashStory(Decimal(settled))
    for words in events:
        story.play(words)
    return story.funding


def kinds(funding: Funding) -> list[FindingKind]:
    return [misstep.kind for misstep in funding.missteps.values()]


def test_selling_what_was_never_paid_is_a_free_ride() -> None:
    funding = told("Mon BUY ABC 10000", "Wed SELL ABC 10500")
    (misstep,) = funding.missteps.values()
    assert (misstep.kind, misstep.amount) == (FindingKind.FREE_RIDE, 10_000)
    assert funding.available == 500


def test_payment_within_the_payment_period_undoes_a_free_ride_and_a_later_one_does_not() -> None:
    in_time = told("Mon BUY ABC 100", "Mon SELL ABC 100", "Thu DEPOSIT 100")
    (misstep,) = in_time.missteps.values()
    assert misstep.met == misstep.amount
    late = told("Mon BUY ABC 100", "Mon SELL ABC 100", "Fri DEPOSIT 100")
    (misstep,) = late.missteps.values()
    assert misstep.met == 0


def test_what_was_paid_before_the_sale_is_no_free_ride() -> None:
    assert kinds(told("Mon BUY ABC 100", "Tue DEPOSIT 100", "Tue SELL ABC 100")) == []
    assert told("Mon BUY ABC 100", "Tue DEPOSIT 40").unpaid == 60


def test_proceeds_of_the_same_day_pay_a_purchase_without_a_violation() -> None:
    funding = told("Mon BUY ABC 100", "Mon SELL OLD 100")
    assert kinds(funding) == []
    assert funding.find_misstep("ABC", Decimal(1)) == (
        FindingKind.GOOD_FAITH, MONDAY + timedelta(days=1),
    )  # fmt: skip
    funding.turn(MONDAY + timedelta(days=1))
    assert funding.find_misstep("ABC", Decimal(1)) is None


def test_a_slip_of_a_few_dollars_makes_the_sale_a_free_ride() -> None:
    funding = told("Mon BUY ABC 1003", settled=1000)
    assert funding.find_misstep("ABC", Decimal(1)) == (FindingKind.FREE_RIDE, date.max)
    assert kinds(told("Mon BUY ABC 1003", "Mon SELL ABC 1010", settled=1000)) == [
        FindingKind.FREE_RIDE
    ]


def test_what_was_held_before_and_what_nobody_held_is_free_to_go() -> None:
    funding = Funding(Decimal(0), {"OLD": Decimal(5), "SHORT": Decimal(-5)}, MONDAY)
    assert funding.find_misstep("OLD", Decimal(5)) is None
    assert funding.find_misstep("SHORT", Decimal(5)) is None


def test_a_withdrawal_takes_settled_cash_and_a_loss_beyond_all_takes_it_too() -> None:
    assert told("Mon WITHDRAW 30", settled=100).available == 70
    # Sold for less than what was never paid: the rest is owed.
    assert told("Mon BUY ABC 100", "Tue SELL ABC 90").available == -10


def test_one_order_sold_in_parts_is_one_violation() -> None:
    story = CashStory(Decimal(0))
    for words in ("Mon SELL XYZ 100", "Mon BUY ABC 100"):
        story.play(words)
    for _ in range(2):
        part = story._execution("ABC", -1, Decimal(50))
        part = type(part)(
            at_ns=part.at_ns, id=f"p{story.step}", order_id="one", instrument="ABC", sign=-1,
            quantity=Decimal(50), price=Decimal(1),
        )  # fmt: skip
        story.step += 1
        tuesday = MONDAY + timedelta(days=1)
        story.funding.sell(part, Decimal(50), tuesday, tuesday)
    (misstep,) = story.funding.missteps.values()
    assert (misstep.kind, misstep.amount) == (FindingKind.GOOD_FAITH, 100)
    assert (misstep.day, misstep.at_ns) == (MONDAY, noon_ns(MONDAY) + 2)


def test_crypto_settles_at_once_and_an_unknown_market_by_the_longest_cycle() -> None:
    known = {"": new_york()}
    assert settles_on(stock(asset_class=AssetClass.CRYPTO), MONDAY, known) == MONDAY
    assert market_of(stock(calendar="XTKS")) is None
    assert settles_on(None, MONDAY, known) == MONDAY + timedelta(days=2)
    assert cycle_days("US", date(2024, 5, 27)) == 2
    assert cycle_days("US", date(2001, 1, 2)) == 2


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["Mon", "Tue", "Wed", "Thu", "Fri"]),
        st.sampled_from(["BUY", "SELL", "DEPOSIT", "WITHDRAW"]),
        st.sampled_from(["ABC", "XYZ"]),
        st.integers(1, 500),
    ),
    max_size=25,
)


@given(EVENTS)
def test_no_cent_comes_or_goes_but_by_trades_and_movements(
    events: list[tuple[str, str, str, int]],
) -> None:
    order = ["Mon", "Tue", "Wed", "Thu", "Fri"]
    story = CashStory(Decimal(1000))
    cash = Decimal(1000)
    for day, deed, symbol, amount in sorted(events, key=lambda event: order.index(event[0])):
        is_move = deed in ("DEPOSIT", "WITHDRAW")
        if deed == "SELL" and symbol not in story.cost:
            continue
        story.play(f"{day} {deed} {amount}" if is_move else f"{day} {deed} {symbol} {amount}")
        cash += amount if deed in ("SELL", "DEPOSIT") else -amount
    funding = story.funding
    assert funding.available - funding.unpaid == cash
    funding.turn(MONDAY + timedelta(days=30))
    assert funding.unsettled == 0


def test_a_worthless_sale_pays_for_nothing() -> None:
    assert told("Mon BUY ABC 100", "Tue SELL OLD 0").unpaid == 100


@pytest.mark.parametrize("amount", [Decimal(0), Decimal(-5)])
def test_nothing_is_expected_of_no_proceeds(amount: Decimal) -> None:
    funding = Funding(Decimal(0), {}, MONDAY)
    funding.expect(MONDAY, amount)
    assert funding.unsettled == 0


def test_one_payment_undoes_free_rides_oldest_first_and_no_further_than_it_goes() -> None:
    funding = told(
        "Mon BUY ABC 100", "Mon SELL ABC 100", "Mon BUY XYZ 60", "Mon SELL XYZ 60",
        "Tue DEPOSIT 120", "Wed DEPOSIT 30",
    )  # fmt: skip
    owed = {each.instrument: (each.amount, each.met) for each in funding.missteps.values()}
    assert owed == {"ABC": (100, 100), "XYZ": (60, 50)}


def test_one_sale_that_pays_two_purchases_late_is_one_liquidation_of_both() -> None:
    funding = told("Mon BUY ABC 100", "Mon BUY XYZ 50", "Tue BUY DEF 7", "Tue SELL OLD 157")
    (misstep,) = funding.missteps.values()
    # What was bought the same day is paid in time.
    assert (misstep.kind, misstep.amount) == (FindingKind.LIQUIDATION, 150)
    assert (misstep.instrument, misstep.day) == ("OLD", MONDAY + timedelta(days=1))


def test_where_the_markets_own_days_are_not_known_the_accounts_stand_in() -> None:
    abroad = stock(calendar="XLON")
    assert settles_on(abroad, MONDAY, {"": new_york()}) == MONDAY + timedelta(days=2)
