"""What a client asks for: orders, brackets, legs, and the words they are made of.

Quantities and prices are `Decimal` in the units of the instrument, times int64 ns UTC,
and absent is `None`, never zero. Words follow FIX 5.0 SP2 (tags in the enum docs).
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Annotated, get_args, get_type_hints

from msgspec import Meta, Struct

CLIENT_ORDER_ID_CHARS_MAX = 64
LEGS_MAX = 8
NUMBER_MAX = Decimal(10) ** 15
DECIMALS_MAX = 12
"""With NUMBER_MAX: 27 digits, so grid arithmetic is exact in the context's 28 and never raises."""
BATCH_ORDERS_MAX = 50

ClientOrderId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=CLIENT_ORDER_ID_CHARS_MAX,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:\-]*$",
    ),
]
Tag = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:\-]+$")]
Symbol = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9./:\-_ ]+$")]


class Side(Enum):
    """FIX 54. The two short-sale words matter to Reg SHO and to brokers that book shorts apart."""

    BUY = "buy"
    SELL = "sell"
    SELL_SHORT = "sell_short"
    BUY_TO_COVER = "buy_to_cover"

    def __init__(self, word: str) -> None:
        self.sign = 1 if word.startswith("buy") else -1
        """+1 where a fill adds to the position, -1 where it takes away."""

    @property
    def is_buy(self) -> bool:
        """True where the order buys."""
        return self.sign > 0


class OrderType(Enum):
    """FIX 40."""

    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"
    TRAILING_STOP = "trailing_stop"
    MARKET_IF_TOUCHED = "market_if_touched"


class TimeInForce(Enum):
    """FIX 59."""

    DAY = "day"
    GTC = "gtc"
    GTD = "gtd"
    IOC = "ioc"
    FOK = "fok"
    OPG = "opg"
    CLS = "cls"


class PositionEffect(Enum):
    """FIX 77: whether the order may open, must close, or nets (the default)."""

    NET = "net"
    OPEN_ONLY = "open_only"
    REDUCE_FIRST = "reduce_first"
    REDUCE_ONLY = "reduce_only"


class OptionRight(Enum):
    """FIX 201."""

    CALL = "call"
    PUT = "put"


class StopLoss(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A protective stop made when the entry fills: a price, or a distance from the fill."""

    stop_price: Decimal | None = None
    distance: Decimal | None = None
    limit_price: Decimal | None = None


class TakeProfit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A profit target made when the entry fills."""

    limit_price: Decimal


class Trailing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """How far a trailing stop follows: an amount in price units, or a percent, never both."""

    amount: Decimal | None = None
    percent: Decimal | None = None


class Bracket(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Children that guard the entry; each becomes an order of its own with the entry as parent."""

    stop_loss: StopLoss | None = None
    take_profit: TakeProfit | None = None
    trailing: Trailing | None = None


class OrderLeg(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One leg of a multi-leg option order; `instrument` is its OCC symbol."""

    instrument: Symbol
    side: Side
    ratio: Annotated[int, Meta(ge=1, le=100)] = 1
    position_effect: PositionEffect = PositionEffect.NET


class NewOrder(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False
):
    """A command to trade.

    `quantity` is positive, in units of the instrument; the side carries the direction.
    `stop_price` triggers stop, stop-limit and market-if-touched orders. `account` pins the
    order to one broker account; without it the router chooses. `valid_for_ms` counts from
    receipt at the edge; `valid_until_ns` is absolute UTC and needs a measured session clock.
    """

    client_order_id: ClientOrderId
    instrument: Symbol
    side: Side
    quantity: Decimal
    type: OrderType = OrderType.MARKET
    time_in_force: TimeInForce = TimeInForce.DAY
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    price_bound: Decimal | None = None
    trailing: Trailing | None = None
    expire_at_ns: int | None = None
    extended_hours: bool = False
    bracket: Bracket | None = None
    legs: Annotated[tuple[OrderLeg, ...], Meta(max_length=LEGS_MAX)] = ()
    position_effect: PositionEffect = PositionEffect.NET
    closes_lot: str | None = None
    post_only: bool = False
    reduce_only: bool = False
    display_quantity: Decimal | None = None
    account: str | None = None
    parent_client_order_id: ClientOrderId | None = None
    tag: Tag | None = None
    signal_id: Tag | None = None
    valid_for_ms: Annotated[int, Meta(ge=1, le=86_400_000)] | None = None
    valid_until_ns: int | None = None
    queue_if_down: bool = False

    @property
    def only_reduces(self) -> bool:
        """True where the broker is told that the order may not open anything."""
        is_named = self.closes_lot is not None
        return self.reduce_only or is_named or self.position_effect is PositionEffect.REDUCE_ONLY


class AmendOrder(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag="amend",
):
    """New terms for a working order; a field left out keeps its value.

    `quantity` is the new total, filled part included. `if_version` refuses the amend where
    the order has changed since the client last saw it.
    """

    client_order_id: ClientOrderId
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trailing: Trailing | None = None
    expire_at_ns: int | None = None
    if_version: int | None = None


class CancelOrder(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag="cancel",
):
    """Cancels one order, or all that match; exactly one of the selectors is set.

    `include_external` also takes orders made outside Fillgate; they are left alone otherwise.
    """

    client_order_id: ClientOrderId | None = None
    order_id: str | None = None
    tag: Tag | None = None
    instrument: Symbol | None = None
    account: str | None = None
    all: bool = False
    include_external: bool = False


class Fault(Struct, frozen=True):
    """What is wrong with an order's own words: the field and the fix."""

    field: str
    message: str


NEEDS_LIMIT = (OrderType.LIMIT, OrderType.STOP_LIMIT)
NEEDS_STOP = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.MARKET_IF_TOUCHED)

HAVE_NUMBERS = frozenset({Bracket, StopLoss, TakeProfit, Trailing})
_NUMBER_MIN = -NUMBER_MAX


@cache
def _number_fields(struct: type[Struct]) -> tuple[str, ...]:
    """The fields that hold a number, or words that do."""
    hints = get_type_hints(struct)
    held = {Decimal, *HAVE_NUMBERS}
    return tuple(name for name in hints if held & {hints[name], *get_args(hints[name])})


def find_fault(order: NewOrder) -> Fault | None:
    """Returns the first contradiction within the order itself, or None. Knows no market."""
    return (
        find_number_fault(order)
        or _find_quantity_fault(order)
        or _find_price_fault(order)
        or _find_time_fault(order)
        or find_bracket_fault(order.bracket)
    )


def find_number_fault(words: Struct, within: str = "") -> Fault | None:
    """Returns the first number of a command that is not finite, too large or too fine, or None.

    Decimal strings can spell NaN, Infinity and 1E+999999, and each would raise further on.
    """
    for field in _number_fields(type(words)):
        value = getattr(words, field)
        if value is None:
            continue
        kind = type(value)
        if kind is Decimal:
            if not _is_bounded(value):
                text = f"must be a number below 1e15 with at most {DECIMALS_MAX} decimals"
                return Fault(within + field, text)
        else:
            fault = find_number_fault(value, f"{within}{field}.")
            if fault is not None:
                return fault
    return None


def _is_bounded(number: Decimal) -> bool:
    if not number.is_finite() or not _NUMBER_MIN < number < NUMBER_MAX:
        return False
    exponent = number.as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -DECIMALS_MAX


def _find_quantity_fault(order: NewOrder) -> Fault | None:
    if order.quantity <= 0:
        return Fault("quantity", "must be greater than zero; the side carries the direction")
    shown = order.display_quantity
    if shown is not None and not 0 < shown <= order.quantity:
        return Fault("display_quantity", "must be above zero and at most the quantity")
    return None


def _find_price_fault(order: NewOrder) -> Fault | None:
    for field, needed_by in (("limit_price", NEEDS_LIMIT), ("stop_price", NEEDS_STOP)):
        price: Decimal | None = getattr(order, field)
        if (price is not None) != (order.type in needed_by):
            verb = "needs" if price is None else "takes no"
            return Fault(field, f"a {order.type.value} order {verb} {field}")
        if price is not None and price <= 0:
            return Fault(field, "must be greater than zero")
    if order.price_bound is not None and order.price_bound <= 0:
        return Fault("price_bound", "must be greater than zero")
    if (order.trailing is not None) != (order.type is OrderType.TRAILING_STOP):
        verb = "needs" if order.trailing is None else "takes no"
        return Fault("trailing", f"a {order.type.value} order {verb} trailing")
    return _find_trailing_fault("trailing", order.trailing)


def _find_time_fault(order: NewOrder) -> Fault | None:
    if (order.expire_at_ns is not None) != (order.time_in_force is TimeInForce.GTD):
        return Fault("expire_at_ns", "goes with time_in_force gtd, and only with it")
    if order.post_only and order.type is not OrderType.LIMIT:
        return Fault("post_only", "only a limit order can be post-only")
    return None


def find_bracket_fault(bracket: Bracket | None, within: str = "bracket.") -> Fault | None:
    """Returns what is wrong with protective prices, or None."""
    if bracket is None:
        return None
    stop = bracket.stop_loss
    if stop is not None:
        if (stop.stop_price is None) == (stop.distance is None):
            return Fault(f"{within}stop_loss", "needs stop_price or distance, not both")
        if (stop.stop_price or stop.distance or 0) <= 0:
            return Fault(f"{within}stop_loss", "must be greater than zero")
        if stop.limit_price is not None and stop.limit_price <= 0:
            return Fault(f"{within}stop_loss.limit_price", "must be greater than zero")
    if bracket.take_profit is not None and bracket.take_profit.limit_price <= 0:
        return Fault(f"{within}take_profit.limit_price", "must be greater than zero")
    return _find_trailing_fault(f"{within}trailing", bracket.trailing)


def _find_trailing_fault(field: str, trailing: Trailing | None) -> Fault | None:
    if trailing is None:
        return None
    if (trailing.amount is None) == (trailing.percent is None):
        return Fault(field, "needs amount or percent, not both")
    if (trailing.amount or trailing.percent or 0) <= 0:
        return Fault(field, "must be greater than zero")
    return None
