"""What an order adds to an account's maintenance, exactly and at most."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from compliance.holding import Holding
from compliance.rates import Conversion
from compliance.stock_margin import MarginTerms, StockMargin

TERMS = MarginTerms(
    long=Decimal("0.25"), short=Decimal("0.3"), short_share=Decimal(5), multiplier=Decimal(1)
)
_SIZES = st.integers(0, 5_000).map(Decimal)
_PRICES = st.decimals("0.01", "900", places=2)


@given(
    held=st.integers(-5_000, 5_000).map(Decimal),
    bought=_SIZES,
    sold=_SIZES,
    quantity=st.integers(1, 5_000).map(Decimal),
    sign=st.sampled_from((1, -1)),
    mid=_PRICES,
    price=_PRICES,
)
def test_an_order_never_adds_more_than_it_is_said_to_add_at_most(
    held: Decimal, bought: Decimal, sold: Decimal, quantity: Decimal, sign: int, mid: Decimal,
    price: Decimal,
) -> None:  # fmt: skip
    margin, holding = StockMargin(lambda _symbol: TERMS), Holding("ABC")
    holding.quantity = held
    holding.opening = {1: bought, -1: sold}
    margin.weigh(holding)
    margin.price("ABC", Conversion(mid, 1))
    added = margin.added("ABC", sign, quantity, price)
    assert added <= margin.added_at_most("ABC", sign, quantity, price)


def test_what_was_filled_before_the_first_price_gains_from_what_it_cost() -> None:
    margin = StockMargin(lambda _symbol: TERMS)
    margin.fill("ABC", Decimal(100), Decimal(11), Decimal(2))
    margin.fill("ABC", Decimal(-40), Decimal("11.5"), Decimal(0))
    assert (margin.gain, margin.spent) == (-2, 642)
    margin.price("ABC", Conversion(Decimal(12), 1))
    assert margin.gain == 60 * 12 - 1100 + 460 - 2
    margin.price("ABC", Conversion(Decimal(13), 2))
    assert margin.gain == 60 * 12 - 1100 + 460 - 2  # nothing is held, as far as it was told
