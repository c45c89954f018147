"""What each request becomes on its way to the router: a command, a query, or neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from domain.commands import (
    Amend,
    Batch,
    Cancel,
    Command,
    Place,
    ResetBreaker,
    TakeSignal,
)
from domain.errors import ErrorInfo
from domain.orders import NewOrder
from gateway import wire
from gateway.errors import refusal
from gateway.rates import NS_PER_MS

COMMANDS: dict[type[wire.Request], Callable[[Any], Command]] = {
    wire.OrderNew: lambda request: Place(order=request.order),
    wire.OrderPreview: lambda request: Place(order=request.order, dry_run=True),
    wire.OrderAmend: lambda request: Amend(amend=request.amend),
    wire.OrderCancel: lambda request: Cancel(cancel=request.cancel),
    wire.OrderBatch: lambda request: Batch(orders=request.orders),
    wire.SignalNew: lambda request: TakeSignal(
        signal=request.signal, signal_id=request.signal_id, dry_run=request.dry_run
    ),
    wire.PositionClose: lambda request: request.close,
    wire.PositionAmend: lambda request: request.protect,
    wire.GuardSet: lambda request: request.guard,
    wire.HaltTrading: lambda request: request.halt,
    wire.ResumeTrading: lambda request: request.resume,
    wire.OrderResolve: lambda request: request.resolve,
    wire.BreakerReset: lambda request: ResetBreaker(connection=request.connection),
}
QUERIES = frozenset(
    {
        wire.OrderGet, wire.OrdersList, wire.ExecutionsSince, wire.PositionsList,
        wire.AccountsList, wire.AccountGet, wire.InstrumentsList, wire.QuoteGet,
        wire.TransactionsSince, wire.ConnectionsList,
    }
)  # fmt: skip
OF_SESSION = frozenset({wire.Sub, wire.Unsub, wire.Ack, wire.Ping})
assert set(wire.REQUESTS) == COMMANDS.keys() | QUERIES | OF_SESSION
assert len(wire.REQUESTS) == len(COMMANDS) + len(QUERIES) + len(OF_SESSION)

_RENAMED = {"instruments": "instrument"}
_SKIPPED = frozenset({"id", "cseq"})

Args = dict[str, str | int | None]


def tag_of(request: wire.Request) -> str:
    """The request's name in the protocol."""
    return str(request.__struct_config__.tag)


def query_args(request: wire.Request) -> Args:
    """A query's arguments, flat: several instruments are joined by commas."""
    args: Args = {}
    for name in request.__struct_fields__:
        value = getattr(request, name)
        if name in _SKIPPED or value is None:
            continue
        args[_RENAMED.get(name, name)] = ",".join(value) if isinstance(value, tuple) else value
    return args


def order_of(request: wire.Request) -> NewOrder | None:
    """The order whose validity the command has: the first of a batch speaks for all."""
    if isinstance(request, wire.OrderBatch):
        return request.orders[0]
    if isinstance(request, wire.OrderNew | wire.OrderPreview):
        return request.order
    return None


class Now:
    """One reading of both clocks, and the client's clock against ours where measured."""

    __slots__ = ("boot_ns", "offset_ns", "utc_ns")

    def __init__(self, utc_ns: int, boot_ns: int, offset_ns: int | None) -> None:
        self.utc_ns = utc_ns
        self.boot_ns = boot_ns
        self.offset_ns = offset_ns


def find_deadline(request: wire.Request, now: Now) -> int | ErrorInfo | None:
    """The boot-clock time after which the order dies unsent; None without one."""
    order = order_of(request)
    if order is None:
        return None
    deadlines = []
    if order.valid_for_ms is not None:
        deadlines.append(now.boot_ns + order.valid_for_ms * NS_PER_MS)
    if order.valid_until_ns is not None:
        if now.offset_ns is None:
            return refusal(
                "clock_not_measured",
                "send a ping with client_ns first, or use valid_for_ms",
                field="order.valid_until_ns",
            )
        left_ns = order.valid_until_ns + now.offset_ns - now.utc_ns
        if left_ns <= 0:
            return refusal("stale", "the order's time is over", field="order.valid_until_ns")
        deadlines.append(now.boot_ns + left_ns)
    return min(deadlines, default=None)
