"""What makes it impossible to ask the rules at all, and which instruments can be reasoned about."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from compliance.credit import Quoter
from compliance.exposure import Book
from compliance.holding import OpenOrder
from compliance.magnitude import LOT_MIN, PRICE_MAX, QUANTITY_MAX, is_usable
from domain.instruments import Instrument
from domain.portfolio import ZERO
from domain.screening import Candidate, ScreenRequest, Violation

_HOUSE = "house: fails closed"


def find_missing(
    request: ScreenRequest,
    candidate: Candidate,
    known: OpenOrder | None,
    book: Book,
    instruments: Mapping[str, Instrument],
) -> Violation | None:
    """Numbers that are none, and names that nobody told us of."""
    order = request.order
    if not is_usable(order.quantity, QUANTITY_MAX):
        return _refuse("bad_quantity", f"{order.quantity} is not a quantity", "quantity")
    price = order.limit_price
    if price is not None and not is_usable(price, PRICE_MAX):
        return _refuse("bad_price", f"{price} is not a price", "limit_price")
    if order.stop_price is not None or order.price_bound is not None:
        for field in ("stop_price", "price_bound"):
            price = getattr(order, field)
            if price is not None and not is_usable(price, PRICE_MAX):
                return _refuse("bad_price", f"{price} is not a price", field)
    exposure = book.accounts.get(candidate.account)
    if exposure is None or exposure.account.owner != request.owner:
        return _refuse("unknown_account", f"{candidate.account} is not known", "account")
    if order.instrument not in instruments:
        return _refuse("unknown_instrument", f"{order.instrument} is not known", "instrument")
    if request.replaces_order_id is None:
        return None
    at = (candidate.account, order.instrument, order.side.sign)
    if known is None or (known.account, known.instrument, known.sign) != at:
        return _refuse("unknown_order", f"no open order {request.replaces_order_id} to amend")
    return None


def by_symbol(instruments: tuple[Instrument, ...]) -> dict[str, Instrument]:
    """One row a symbol: where brokers differ, the one that asks for more margin.

    A row whose numbers make no sense is left out, so that its orders are refused.
    """
    found: dict[str, Instrument] = {}
    for instrument in filter(_is_sane, instruments):
        held = found.get(instrument.symbol)
        if held is None or (held.margin_rate or ZERO) < (instrument.margin_rate or ZERO):
            found[instrument.symbol] = instrument
    return found


def make_quoter(instruments: Mapping[str, Instrument]) -> Quoter:
    """In what an instrument is priced; of one nobody told of its symbol says it."""

    def find(symbol: str) -> tuple[str, Decimal]:
        instrument = instruments.get(symbol)
        if instrument is None:
            return symbol.partition("/")[2], Decimal(1)
        return instrument.quote_currency, instrument.multiplier

    return find


def _is_sane(instrument: Instrument) -> bool:
    has_grid = is_usable(instrument.lot, QUANTITY_MAX) and instrument.lot >= LOT_MIN
    margin_rate = instrument.margin_rate or ZERO
    has_margin = margin_rate.is_finite() and ZERO <= margin_rate <= 1
    return has_grid and has_margin and is_usable(instrument.multiplier, PRICE_MAX)


def _refuse(code: str, message: str, field: str | None = None) -> Violation:
    return Violation(code=code, rule="inputs", citation=_HOUSE, message=message, field=field)
