"""What is wrong with a request's own words, beyond its types."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from domain.commands import ClosePosition
from domain.errors import ErrorInfo
from domain.lifecycle import Status
from domain.orders import (
    AmendOrder,
    Bracket,
    CancelOrder,
    Fault,
    NewOrder,
    find_bracket_fault,
    find_fault,
    find_number_fault,
)
from domain.signals import NAME_CHARS_MAX, TEXT_CHARS_MAX
from gateway import wire
from gateway.errors import from_fault, refusal

_AMENDABLE = ("quantity", "limit_price", "stop_price", "trailing", "expire_at_ns")
LISTED = ("open", "all", *(status.value for status in Status))
_SELECTORS = ("client_order_id", "order_id", "tag", "instrument", "account")


def find_request_fault(request: wire.Request) -> ErrorInfo | None:
    """The first fault of the request, naming its field, or None."""
    find = _FINDERS.get(type(request))
    return find(request) if find is not None else None


def _in_order(request: Any) -> ErrorInfo | None:
    return _of_order(request.order, "order")


def _of_order(order: NewOrder, prefix: str) -> ErrorInfo | None:
    fault = find_fault(order)
    return from_fault(fault, prefix) if fault is not None else None


def _in_batch(request: wire.OrderBatch) -> ErrorInfo | None:
    lives = {(order.valid_for_ms, order.valid_until_ns) for order in request.orders}
    if len(lives) > 1:
        # A batch travels as one command and so has one deadline.
        return refusal(
            "invalid_order",
            "valid_for_ms and valid_until_ns must be the same in all orders of a batch",
            field="orders",
        )
    ids = {order.client_order_id for order in request.orders}
    if len(ids) < len(request.orders):
        return refusal("invalid_order", "client_order_id must differ", field="orders")
    for index, order in enumerate(request.orders):
        if (error := _of_order(order, f"orders[{index}]")) is not None:
            return error
    return None


def _in_amend(request: wire.OrderAmend) -> ErrorInfo | None:
    amend: AmendOrder = request.amend
    if all(getattr(amend, name) is None for name in _AMENDABLE):
        fault = Fault("quantity", "an amend changes at least one term")
        return from_fault(fault, "amend")
    followed = Bracket(trailing=amend.trailing)
    wrong = find_number_fault(amend) or find_bracket_fault(followed, "")
    if wrong is not None:
        return from_fault(wrong, "amend")
    for name in ("quantity", "limit_price", "stop_price"):
        if not _is_positive(getattr(amend, name)):
            return from_fault(Fault(name, "must be greater than zero"), "amend")
    return None


def _is_positive(number: Decimal | None) -> bool:
    return number is None or number > 0


def _in_cancel(request: wire.OrderCancel) -> ErrorInfo | None:
    cancel: CancelOrder = request.cancel
    chosen = sum(getattr(cancel, name) is not None for name in _SELECTORS) + cancel.all
    if chosen != 1:
        return refusal(
            "invalid_cancel",
            f"set exactly one of {', '.join(_SELECTORS)}, all",
            field="cancel",
        )
    return None


def _in_close(request: wire.PositionClose) -> ErrorInfo | None:
    close: ClosePosition = request.close
    if (wrong := find_number_fault(close)) is not None:
        return from_fault(wrong, "close")
    if close.quantity is not None and close.percent is not None:
        return from_fault(Fault("percent", "goes without quantity"), "close")
    if not _is_positive(close.quantity):
        return from_fault(Fault("quantity", "must be greater than zero"), "close")
    if close.percent is not None and not 0 < close.percent <= 100:
        return from_fault(Fault("percent", "must be above 0 and at most 100"), "close")
    return None


def _in_signal(request: wire.SignalNew) -> ErrorInfo | None:
    for name, text in request.signal.items():
        if not isinstance(text, str):
            fix = 'send text in quotes, such as "1.0842": a bare number may have been rounded'
            return refusal("wrong_type", fix, field=f"signal.{name}"[:TEXT_CHARS_MAX])
        if not 1 <= len(name) <= NAME_CHARS_MAX or len(text) > TEXT_CHARS_MAX:
            fix = f"names of at most {NAME_CHARS_MAX} characters, texts of at most {TEXT_CHARS_MAX}"
            return refusal("out_of_range", fix, field=f"signal.{name}"[:TEXT_CHARS_MAX])
    return None


def _in_list(request: wire.OrdersList) -> ErrorInfo | None:
    if request.status is None or request.status in LISTED:
        return None
    return refusal("unknown_value", f"must be one of {', '.join(LISTED)}", field="status")


def _in_protect(request: wire.PositionAmend) -> ErrorInfo | None:
    protect = request.protect
    wanted = Bracket(
        stop_loss=protect.stop_loss, take_profit=protect.take_profit, trailing=protect.trailing
    )
    if wanted == Bracket():
        fault: Fault | None = Fault("stop_loss", "say stop_loss, take_profit or trailing")
    else:
        fault = find_number_fault(wanted) or find_bracket_fault(wanted, "")
    return from_fault(fault, "protect") if fault is not None else None


def _in_get(request: wire.OrderGet) -> ErrorInfo | None:
    if (request.client_order_id is None) == (request.order_id is None):
        return refusal(
            "invalid_request", "give client_order_id or order_id, not both", field="client_order_id"
        )
    return None


_FINDERS: dict[type, Callable[[Any], ErrorInfo | None]] = {
    wire.OrderNew: _in_order,
    wire.OrderPreview: _in_order,
    wire.OrderBatch: _in_batch,
    wire.OrderAmend: _in_amend,
    wire.OrderCancel: _in_cancel,
    wire.OrdersList: _in_list,
    wire.SignalNew: _in_signal,
    wire.PositionClose: _in_close,
    wire.PositionAmend: _in_protect,
    wire.OrderGet: _in_get,
}
