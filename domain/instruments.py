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


def find_grid_fault(order: NewOrder, instrument: Instrument) -> Fault | None:
    """Returns where the order leaves the instrument's grid or bounds, or None."""
    if not instrument.quantity_min <= order.quantity <= instrument.quantity_max:
        low, high = instrument.quantity_min, instrument.quantity_max
        return Fault("quantity", f"must be between {low} and {high} for {instrument.symbol}")
    if order.quantity % instrument.lot:
        return Fault("quantity", f"must be a multiple of {instrument.lot}")
    for field in ("limit_price", "stop_price", "price_bound"):
        price: Decimal | None = getattr(order, field)
        if price is not None and price % instrument.tick:
            return Fault(field, f"must be a multiple of {instrument.tick}")
    return None
