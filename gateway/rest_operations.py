"""Every REST operation, once: its path, its words, and the protocol request it stands for.

The handler, the OpenAPI description and the authorisation matrix of the tests read this table.
An operation becomes a request of `gateway/wire.py`, so that authority, rates and faults are
those of the WebSocket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from domain.accounts import BrokerAccount
from domain.commands import AmendPosition, ClosePosition, Halt, Resume
from domain.errors import ErrorInfo
from domain.instruments import Instrument
from domain.orders import AmendOrder, CancelOrder, NewOrder
from domain.portfolio import Position
from domain.previews import Preview
from domain.quotes import Quote
from domain.rows import AccountRow, ConnectionRow, OrderRow, TransactionRow
from domain.streams import StreamUpdate
from gateway import rest_words as words
from gateway import wire
from gateway.errors import refusal
from gateway.rest_words import Answered, Page
from gateway.wire_bounds import SignalBody

PREFIX = "/api/v1"
UNNUMBERED = 0
"""REST numbers no commands: their ids make them idempotent."""


class Given(Struct, frozen=True, kw_only=True):
    """What a request gave, decoded: its words, its name for itself, and its conditions."""

    request_id: str
    name: str = ""
    query: Any = None
    body: Any = None
    has_key: bool = False
    if_version: int | None = None


Build = Callable[[Given], wire.Request | ErrorInfo]


class Operation(Struct, frozen=True, kw_only=True):
    """One method of one path. `otherwise` is asked where what `build` named is not known.

    `answer` is the type of a good answer, `status` its code; `shown` that of a dry run. `prefix`
    is where the body stands in the protocol's request: fields of errors are named without it.
    """

    method: str
    path: str
    name: str
    summary: str
    build: Build
    request: type[wire.Request]
    answer: Any
    query: type[words.Query] | None = None
    body: Any = None
    status: int = 200
    prefix: str = ""
    otherwise: Build | None = None
    shown: Any = None
    example: dict[str, Any] | None = None

    @property
    def answers(self) -> tuple[Any, ...]:
        """The types of all good answers."""
        return (self.answer,) if self.shown is None else (self.answer, self.shown)

    @property
    def good(self) -> dict[str, tuple[Any, ...]]:
        """The types of the good answers by HTTP status; 200 also says that all is as before."""
        if self.status == 201 and self.answer is Answered:
            return {"201": (self.answer,), "200": self.answers}
        return {str(self.status): self.answers}


def _amend(given: Given) -> wire.Request | ErrorInfo:
    body = given.body
    if given.if_version is not None and body.if_version not in (None, given.if_version):
        return refusal("invalid_order", "If-Match and if_version differ", field="if_version")
    amend = AmendOrder(
        client_order_id=given.name,
        quantity=body.quantity,
        limit_price=body.limit_price,
        stop_price=body.stop_price,
        trailing=body.trailing,
        expire_at_ns=body.expire_at_ns,
        if_version=body.if_version if given.if_version is None else given.if_version,
    )
    return wire.OrderAmend(id=given.request_id, cseq=UNNUMBERED, amend=amend)


def _cancel(given: Given, **selector: Any) -> wire.Request:
    cancel = CancelOrder(**selector)
    return wire.OrderCancel(id=given.request_id, cseq=UNNUMBERED, cancel=cancel)


def _cancel_many(given: Given) -> wire.Request:
    query = given.query
    return _cancel(given, **{name: getattr(query, name) for name in query.__struct_fields__})


def _close(given: Given) -> wire.Request | ErrorInfo:
    body = given.body
    name = body.client_order_id or (given.request_id if given.has_key else None)
    if name is None:
        fix = "name the close, here or in Idempotency-Key: it is done once"
        return refusal("missing_id", fix, field="client_order_id")
    close = ClosePosition(
        client_order_id=name,
        account=body.account,
        instrument=body.instrument,
        quantity=body.quantity,
        percent=body.percent,
    )
    return wire.PositionClose(id=given.request_id, cseq=UNNUMBERED, close=close)


def _signal(given: Given) -> wire.Request:
    return wire.SignalNew(
        id=given.request_id,
        cseq=UNNUMBERED,
        signal=given.body,
        signal_id=given.request_id if given.has_key else None,
        dry_run=given.query.dry_run,
    )


def _halt(given: Given) -> wire.Request:
    body = given.body
    halt = Halt(scope=body.scope, subject=body.subject, reason=body.reason)
    return wire.HaltTrading(id=given.request_id, cseq=UNNUMBERED, halt=halt)


def _resume(given: Given) -> wire.Request:
    asked = given.body
    resume = Resume(scope=asked.scope, subject=asked.subject, confirm=asked.confirm)
    return wire.ResumeTrading(id=given.request_id, cseq=UNNUMBERED, resume=resume)


def _asked(request: type[wire.Request]) -> Build:
    """A read whose query string is the request's own fields."""

    def build(given: Given) -> wire.Request:
        query = given.query
        fields = query.__struct_fields__ if query is not None else ()
        return request(id=given.request_id, **{name: getattr(query, name) for name in fields})

    return build


_ORDER = {
    "client_order_id": "trend-1.000042", "instrument": "EUR/USD", "side": "buy",
    "quantity": "1000", "type": "limit", "limit_price": "1.08420", "time_in_force": "gtc",
}  # fmt: skip
_SIGNAL = {"strategy": "trend", "id": "trend-2026-01-31T14:30", "symbol": "EURUSD", "action": "buy"}
_CLOSE = {
    "client_order_id": "close-000043", "account": "oanda-paper", "instrument": "EUR/USD",
    "percent": "50",
}  # fmt: skip

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="POST", path="/orders", name="placeOrder", status=201, prefix="order.",
        summary="Places an order: an answer means that it is durable. Its client_order_id names "
        "it for ever: the same order again gets the same answer, with dup.",
        request=wire.OrderNew, body=NewOrder, query=words.WaitQuery, answer=Answered,
        example=_ORDER,
        build=lambda given: wire.OrderNew(
            id=given.request_id, cseq=UNNUMBERED, order=given.body
        ),
    ),
    Operation(
        method="GET", path="/orders", name="listOrders",
        summary="Orders, newest first; the open ones unless status says otherwise.",
        request=wire.OrdersList, query=words.OrdersQuery, answer=Page[OrderRow],
        build=_asked(wire.OrdersList),
    ),
    Operation(
        method="DELETE", path="/orders", name="cancelOrders", prefix="cancel.",
        summary="Cancels all orders of a tag, an instrument, an account, or all: say which.",
        request=wire.OrderCancel, query=words.CancelQuery, answer=Answered, build=_cancel_many,
    ),
    Operation(
        method="GET", path="/orders/{id}", name="getOrder",
        summary="One order, by its client_order_id or our order_id; ETag is its version.",
        request=wire.OrderGet, answer=OrderRow,
        build=lambda given: wire.OrderGet(id=given.request_id, client_order_id=given.name),
        otherwise=lambda given: wire.OrderGet(id=given.request_id, order_id=given.name),
    ),
    Operation(
        method="PATCH", path="/orders/{id}", name="amendOrder", prefix="amend.",
        summary="Changes a working order. If-Match (or if_version) refuses if it moved meanwhile.",
        request=wire.OrderAmend, body=words.AmendBody, answer=Answered, build=_amend,
    ),
    Operation(
        method="DELETE", path="/orders/{id}", name="cancelOrder", prefix="cancel.",
        summary="Cancels one order, by its client_order_id or our order_id.",
        request=wire.OrderCancel, answer=Answered,
        build=lambda given: _cancel(given, client_order_id=given.name),
        otherwise=lambda given: _cancel(given, order_id=given.name),
    ),
    Operation(
        method="POST", path="/batches", name="placeOrders",
        summary="Places up to 50 orders, each decided alone; refusals stand beside their orders.",
        request=wire.OrderBatch, body=words.BatchBody, answer=Answered,
        build=lambda given: wire.OrderBatch(
            id=given.request_id, cseq=UNNUMBERED, orders=given.body.orders
        ),
    ),
    Operation(
        method="POST", path="/previews", name="previewOrder", prefix="order.",
        summary="Every rule's verdict on an order, and what it would cost where. Places nothing.",
        request=wire.OrderPreview, body=NewOrder, answer=Preview, example=_ORDER,
        build=lambda given: wire.OrderPreview(id=given.request_id, order=given.body),
    ),
    Operation(
        method="POST", path="/signals", name="takeSignal", status=201, prefix="signal.",
        summary="Takes a strategy's signal, in the words that its rule in the settings maps. Its "
        "id, in Idempotency-Key or in the field of the rule, is the order's: taken once.",
        request=wire.SignalNew, body=SignalBody, query=words.SignalQuery, answer=Answered,
        shown=Preview, example=_SIGNAL,
        build=_signal,
    ),
    Operation(
        method="GET", path="/positions", name="listPositions", summary="Open positions.",
        request=wire.PositionsList, query=words.PositionsQuery, answer=Page[Position],
        build=_asked(wire.PositionsList),
    ),
    Operation(
        method="POST", path="/positions/close", name="closePosition", status=201, prefix="close.",
        summary="Closes a position: all of it, a quantity, or a percent.",
        request=wire.PositionClose, body=words.CloseBody, query=words.WaitQuery, answer=Answered,
        example=_CLOSE,
        build=_close,
    ),
    Operation(
        method="POST", path="/positions/protect", name="protectPosition", prefix="protect.",
        summary="Sets or replaces the stop loss, take profit or trailing stop of one lot.",
        request=wire.PositionAmend, body=AmendPosition, answer=Answered,
        build=lambda given: wire.PositionAmend(
            id=given.request_id, cseq=UNNUMBERED, protect=given.body
        ),
    ),
    Operation(
        method="GET", path="/accounts", name="listAccounts", summary="Your accounts.",
        request=wire.AccountsList, answer=Page[BrokerAccount], build=_asked(wire.AccountsList),
    ),
    Operation(
        method="GET", path="/accounts/{id}", name="getAccount",
        summary="One account with its balances.",
        request=wire.AccountGet, answer=AccountRow,
        build=lambda given: wire.AccountGet(id=given.request_id, account=given.name),
    ),
    Operation(
        method="GET", path="/instruments", name="listInstruments", summary="What can be traded.",
        request=wire.InstrumentsList, answer=Page[Instrument], build=_asked(wire.InstrumentsList),
    ),
    Operation(
        method="GET", path="/quotes", name="getQuotes",
        summary="The last quote of one instrument or several. To follow prices use the WebSocket.",
        request=wire.QuoteGet, query=words.QuotesQuery, answer=Page[Quote],
        build=lambda given: wire.QuoteGet(
            id=given.request_id, instruments=tuple(given.query.instruments.split(","))
        ),
    ),
    Operation(
        method="GET", path="/executions", name="listExecutions", summary="Fills, oldest first.",
        request=wire.ExecutionsSince, query=words.ExecutionsQuery, answer=Page[StreamUpdate],
        build=_asked(wire.ExecutionsSince),
    ),
    Operation(
        method="GET", path="/transactions", name="listTransactions",
        summary="Booked movements of an account, oldest first.",
        request=wire.TransactionsSince, query=words.TransactionsQuery, answer=Page[TransactionRow],
        build=_asked(wire.TransactionsSince),
    ),
    Operation(
        method="GET", path="/connections", name="listConnections",
        summary="Your broker connections and their state.",
        request=wire.ConnectionsList, answer=Page[ConnectionRow],
        build=_asked(wire.ConnectionsList),
    ),
    Operation(
        method="POST", path="/halts", name="halt", prefix="halt.",
        summary="Stops new orders in a scope; cancels still pass. Answered once every gate has it.",
        request=wire.HaltTrading, body=words.HaltBody, answer=words.Halted, build=_halt,
    ),
    Operation(
        method="POST", path="/halts/resume", name="resume", prefix="resume.",
        summary="Lifts a halt.",
        request=wire.ResumeTrading, body=words.ResumeBody, answer=words.Halted, build=_resume,
    ),
    Operation(
        method="POST", path="/tickets", name="makeTicket", status=201,
        summary="Trades the token for a ticket that opens one WebSocket from this origin.",
        request=wire.Ping, answer=words.TicketMade,
        build=lambda given: wire.Ping(id=given.request_id),
    ),
)  # fmt: skip

TICKET = next(operation for operation in OPERATIONS if operation.name == "makeTicket")

Methods = dict[str, Operation]
_EXACT: dict[str, Methods] = {}
_NAMED: dict[str, Methods] = {}
for _operation in OPERATIONS:
    _is_named = _operation.path.endswith("/{id}")
    _paths = _NAMED if _is_named else _EXACT
    _path = PREFIX + _operation.path.removesuffix("/{id}")
    _paths.setdefault(_path, {})[_operation.method] = _operation


def find_methods(path: str) -> tuple[Methods | None, str]:
    """The operations of a path, and the name it ends with where it names one thing."""
    methods = _EXACT.get(path)
    if methods is not None:
        return methods, ""
    parent, _, name = path.rpartition("/")
    return (_NAMED.get(parent), name) if name else (None, "")
