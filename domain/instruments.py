"""What can be traded, on which grid, and when."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from msgspec import Struct

from domain.orders import Fault, NewOrder, OptionRight


class AssetClass(Enum):
    """Kinds of instrument; rules and brokers differ by them."""

    FOREX = "forex"
    EQUITY = "equity"
    ETF = "etf"
    OPTION = "option"
    FUTURE = "future"
    CRYPTO = "crypto"
    CFD = "cfd"
    METAL = "metal"


class OptionContract(Struct, frozen=True, kw_only=True):
    """What an OCC symbol says: underlying, expiry (business date), right, strike."""

    underlying: str
    expires_on: str
    right: OptionRight
    strike: Decimal


class Instrument(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An instrument in canonical words.

    `symbol` is ours (EUR/USD, AAPL); `broker_symbol` the broker's. `tick` is the price grid,
    `lot` the quantity grid, `pip` the unit spreads are quoted in; `multiplier` is quantity to
    base units. `margin_rate` is the broker's own, a fraction of notional.
    `calendar` names an exchange calendar, or `forex` / `always`.
    """

    symbol: str
    broker_symbol: str
    asset_class: AssetClass
    base_currency: str
    quote_currency: str
    tick: Decimal
    lot: Decimal
    quantity_min: Decimal
    quantity_max: Decimal
    pip: Decimal
    multiplier: Decimal = Decimal(1)
    margin_rate: Decimal | None = None
    calendar: str = "always"
    marginable: bool = True
    shortable: bool = True
    trailing_distance_min: Decimal | None = None
    option: OptionContract | None = None
    exchange: str | None = None

    @property
    def price_precision(self) -> int:
        """Decimals of the price grid."""
        return _decimals(self.tick)

    @property
    def quantity_precision(self) -> int:
        """Decimals of the quantity grid."""
        return _decimals(self.lot)


def conversion_pairs(instrument: Instrument, home: str) -> tuple[str, ...]:
    """The pairs, either way round, that turn its currencies into another."""
    return tuple(
        pair
        for currency in (instrument.base_currency, instrument.quote_currency)
        if currency != home
        for pair in (f"{currency}/{home}", f"{home}/{currency}")
    )


def _decimals(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(-int(exponent), 0)


def find_grid_fault(order: NewOrder, instrument: Instrument) -> Fault | None:
    """Returns where the order leaves the instrument's grid or bounds, or None."""
    if not instrument.quantity_min <= order.quantity <= instrument.quantity_max:
        low, high = instrument.quantity_min, instrument.quantity_max
        return Fault("quantity", f"must be between {low} and {high} for {instrument.symbol}")
    if order.quantity % instrument.lot:
        return Fault("quantity", f"must be a multiple of {instrument.lot}")
    if order.display_quantity is not None and order.display_quantity % instrument.lot:
        return Fault("display_quantity", f"must be a multiple of {instrument.lot}")
    for field, price in _prices(order):
        if price is not None and price % instrument.tick:
            return Fault(field, f"must be a multiple of {instrument.tick}")
    return _find_trailing_grid_fault(order, instrument)


def _prices(order: NewOrder) -> list[tuple[str, Decimal | None]]:
    prices = [
        ("limit_price", order.limit_price),
        ("stop_price", order.stop_price),
        ("price_bound", order.price_bound),
    ]
    stop = order.bracket.stop_loss if order.bracket else None
    if stop is not None:
        prices.append(("bracket.stop_loss.stop_price", stop.stop_price))
        prices.append(("bracket.stop_loss.distance", stop.distance))
        prices.append(("bracket.stop_loss.limit_price", stop.limit_price))
    target = order.bracket.take_profit if order.bracket else None
    if target is not None:
        prices.append(("bracket.take_profit.limit_price", target.limit_price))
    return prices


def _find_trailing_grid_fault(order: NewOrder, instrument: Instrument) -> Fault | None:
    nearest = instrument.trailing_distance_min
    bracket = order.bracket.trailing if order.bracket else None
    for field, trailing in (("trailing", order.trailing), ("bracket.trailing", bracket)):
        if trailing is None or trailing.amount is None:
            continue
        if trailing.amount % instrument.tick:
            return Fault(f"{field}.amount", f"must be a multiple of {instrument.tick}")
        if nearest is not None and trailing.amount < nearest:
            return Fault(f"{field}.amount", f"must be at least {nearest}")
    return None
