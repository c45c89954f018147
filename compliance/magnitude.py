"""How large numbers may be, so that sums of `Decimal` stay exact in 28 digits whatever the order.

Amounts are rounded up to a millionth, and adding or taking away such amounts never rounds:
a running sum equals one made afresh.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_UP, Context, Decimal, InvalidOperation

QUANTITY_MAX = Decimal(10**12)
PRICE_MAX = Decimal(10**9)
VALUE_MAX = Decimal(10**18)
LOT_MIN = Decimal("1E-12")
CENT = Decimal("0.01")
STEP = Decimal("0.000001")
_ZERO = Decimal(0)
_UP = Context(rounding=ROUND_UP)


Bounded = tuple[str, Decimal | int | None, Decimal | int, Decimal | int]
"""A field, its value (None: not set), and the least and the most it may be."""


def find_bound_faults(bounds: Iterable[Bounded]) -> list[str]:
    """The fields beyond their bounds, each with them."""
    return [
        f"{name} must be between {low} and {high}, not {value}"
        for name, value, low, high in bounds
        if value is not None and not (Decimal(value).is_finite() and low <= value <= high)
    ]


def is_usable(number: Decimal, limit: Decimal) -> bool:
    """True for a finite number above zero and up to the limit."""
    try:
        return _ZERO < number <= limit
    except InvalidOperation:  # no number at all
        return False


def ceil_amount(amount: Decimal) -> Decimal:
    """The amount (zero or more) rounded up to a millionth; at most `VALUE_MAX`."""
    if amount >= VALUE_MAX:
        return VALUE_MAX
    return _UP.quantize(amount, STEP)


def ceil_cent(amount: Decimal) -> Decimal:
    """The amount (zero or more) rounded up to a hundredth; at most `VALUE_MAX`."""
    if amount >= VALUE_MAX:
        return VALUE_MAX
    return _UP.quantize(amount, CENT)


def whole_lots(quantity: Decimal, lot: Decimal) -> Decimal:
    """The quantity (zero or more, up to `QUANTITY_MAX`) rounded down to the instrument's grid."""
    return min(quantity, QUANTITY_MAX) // lot * lot


def plain(number: Decimal) -> str:
    """The number for people: no exponent, no trailing zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
