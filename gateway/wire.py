"""Every message of the protocol, once, for both codecs; `t` names the type.

Client messages are strict: unknown fields are refused, and decimals travel as strings (see
strict.py, which derives the refusing twins from these). Server messages may gain fields.
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any

from msgspec import Meta, Struct

from domain.commands import (
    AmendPosition,
    ClosePosition,
    Decided,
    Halt,
    ResolveOrder,
    Resume,
    SetGuard,
)
from domain.errors import ErrorInfo
from domain.orders import (
    BATCH_ORDERS_MAX,
    AmendOrder,
    CancelOrder,
    ClientOrderId,
    NewOrder,
    Symbol,
    Tag,
)
from domain.quotes import Quote
from domain.streams import UpdateBody
from gateway.close_codes import CloseCode as CloseCode
from gateway.wire_bounds import (
    OrderId,
    Ordinal,
    RequestId,
    RowLimit,
    Sequence,
    SignalBody,
    StreamName,
)


class Role(Enum):
    """What a session is for; it takes no more of the token's scopes than that."""

    TRADE = "trade"
    READ = "read"
    DROP_COPY = "drop_copy"


class Scope(Enum):
    """What a token allows."""

    TRADE = "trade"
    READ = "read"
    ADMIN = "admin"
    DROP_COPY = "drop_copy"


# -- from the client


class ClientMessage(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="t"
):
    """What all client messages share."""


class Login(ClientMessage, frozen=True, kw_only=True, omit_defaults=True, tag="login"):
    """Opens the session. `cursors` name the last applied number of each stream to resume."""

    session: Tag
    generation: Sequence = 0
    role: Role = Role.TRADE
    cursors: Annotated[dict[StreamName, Sequence], Meta(max_length=64)] = {}
    guard: SetGuard | None = None
    last_cseq: Sequence = 0


class Request(ClientMessage, frozen=True, kw_only=True):
    """Gets exactly one `res` with the same id."""

    id: RequestId


class NumberedRequest(Request, frozen=True, kw_only=True):
    """A command; the client numbers them 1, 2, 3 ... over all its generations."""

    cseq: Ordinal


class OrderNew(NumberedRequest, frozen=True, kw_only=True, tag="order.new"):
    """Places an order."""

    order: NewOrder


class OrderAmend(NumberedRequest, frozen=True, kw_only=True, tag="order.amend"):
    """Changes a working order."""

    amend: AmendOrder


class OrderCancel(NumberedRequest, frozen=True, kw_only=True, tag="order.cancel"):
    """Cancels one order or many."""

    cancel: CancelOrder


class OrderBatch(NumberedRequest, frozen=True, kw_only=True, tag="order.batch"):
    """Places several orders, each decided alone."""

    orders: Annotated[tuple[NewOrder, ...], Meta(min_length=1, max_length=BATCH_ORDERS_MAX)]


class PositionClose(NumberedRequest, frozen=True, kw_only=True, tag="position.close"):
    """Closes a position, or part of it."""

    close: ClosePosition


class PositionAmend(NumberedRequest, frozen=True, kw_only=True, tag="position.amend"):
    """Sets a lot's protective orders."""

    protect: AmendPosition


class SignalNew(NumberedRequest, frozen=True, kw_only=True, omit_defaults=True, tag="signal.new"):
    """A strategy's signal; a rule of the settings says which order it stands for.

    Its id, in `signal_id` or in the field its rule names, is the order's: taken once. A `dry_run`
    shows the order and every rule's verdict on it, and places nothing.
    """

    signal: SignalBody
    signal_id: ClientOrderId | None = None
    dry_run: bool = False


class GuardSet(NumberedRequest, frozen=True, kw_only=True, tag="guard.set"):
    """Arms or lifts a guard of this session."""

    guard: SetGuard


class HaltTrading(NumberedRequest, frozen=True, kw_only=True, tag="halt"):
    """Stops new orders in a scope."""

    halt: Halt


class ResumeTrading(NumberedRequest, frozen=True, kw_only=True, tag="resume"):
    """Lifts a halt."""

    resume: Resume


class OrderPreview(Request, frozen=True, kw_only=True, tag="order.preview"):
    """Every rule's verdict on an order; places nothing."""

    order: NewOrder


class ReadRequest(Request, frozen=True, kw_only=True, omit_defaults=True):
    """Rows at least as new as record `at_least` of the journal, a `position` read before.

    Without it they are as new as what this session was told.
    """

    at_least: Sequence | None = None


class OrderGet(Request, frozen=True, kw_only=True, omit_defaults=True, tag="order.get"):
    """One order, by either id."""

    client_order_id: ClientOrderId | None = None
    order_id: str | None = None


class OrdersList(ReadRequest, frozen=True, kw_only=True, omit_defaults=True, tag="orders.list"):
    """Orders, newest first; `status` is `open` (the default), `all`, or one of ours.

    `before` is the order_id of the last row of a page: the next page, of what is older.
    """

    status: str | None = None
    instrument: Symbol | None = None
    account: str | None = None
    tag: Tag | None = None
    since_ns: Sequence | None = None
    until_ns: Sequence | None = None
    before: OrderId | None = None
    limit: RowLimit | None = None


class ExecutionsSince(
    ReadRequest, frozen=True, kw_only=True, omit_defaults=True, tag="executions.since"
):
    """Fills of the owner after a number of `orders/<owner>`."""

    after: Sequence = 0
    limit: RowLimit | None = None


class PositionsList(
    ReadRequest, frozen=True, kw_only=True, omit_defaults=True, tag="positions.list"
):
    """Open positions."""

    account: str | None = None


class AccountsList(ReadRequest, frozen=True, kw_only=True, tag="accounts.list"):
    """The owner's accounts."""


class AccountGet(ReadRequest, frozen=True, kw_only=True, tag="account.get"):
    """One account with its balances."""

    account: str


class InstrumentsList(Request, frozen=True, kw_only=True, tag="instruments.list"):
    """What can be traded."""


class QuoteGet(Request, frozen=True, kw_only=True, tag="quote.get"):
    """The last quote of one instrument or several."""

    instruments: Annotated[tuple[Symbol, ...], Meta(min_length=1, max_length=100)]


class TransactionsSince(
    ReadRequest, frozen=True, kw_only=True, omit_defaults=True, tag="transactions.since"
):
    """Movements of an account after a row's `seq`; those of one stay together on a page."""

    account: str
    after: Sequence = 0
    limit: RowLimit | None = None


class ConnectionsList(Request, frozen=True, kw_only=True, tag="connections.list"):
    """The owner's broker connections and their state."""


class BreakerReset(Request, frozen=True, kw_only=True, tag="breaker.reset"):
    """Lets a connection trade again after its breaker opened."""

    connection: str


class OrderResolve(Request, frozen=True, kw_only=True, tag="order.resolve"):
    """Ends an order of unknown outcome by what an operator found out."""

    resolve: ResolveOrder


class Sub(Request, frozen=True, kw_only=True, omit_defaults=True, tag="sub"):
    """Follows streams, each after the number given, or from now on where it is null.

    `quotes/<instrument>` takes null; the newest quote follows at once, as a repeat. `snapshot`
    sends the state first, as `snap`: of one durable stream, or of quotes. `conflate` False asks
    for each quote, however slowly they are read: past the bound the connection is closed.
    """

    streams: Annotated[dict[StreamName, Sequence | None], Meta(min_length=1, max_length=64)]
    snapshot: bool = False
    conflate: bool = True


class Unsub(Request, frozen=True, kw_only=True, tag="unsub"):
    """Follows them no longer."""

    streams: Annotated[tuple[StreamName, ...], Meta(min_length=1, max_length=64)]


class Ack(Request, frozen=True, kw_only=True, tag="ack"):
    """Tells that all up to a number was applied."""

    stream: StreamName
    seq: Sequence


class Ping(Request, frozen=True, kw_only=True, omit_defaults=True, tag="ping"):
    """With `client_ns` (UTC, as sent) it measures the session's clock offset.

    `rtt_ns` is the round trip of an earlier ping: it makes the measure safe instead of late.
    """

    client_ns: Sequence | None = None
    rtt_ns: Sequence | None = None


REQUESTS: tuple[type[Request], ...] = (
    OrderNew, OrderAmend, OrderCancel, OrderBatch, OrderGet, OrdersList, OrderPreview,
    SignalNew, ExecutionsSince, PositionsList, PositionClose, PositionAmend, Sub, Unsub, Ack,
    GuardSet, HaltTrading, ResumeTrading, Ping, AccountsList, AccountGet, InstrumentsList, QuoteGet,
    TransactionsSince, ConnectionsList, BreakerReset, OrderResolve,
)  # fmt: skip
CLIENT_MESSAGES: tuple[type[ClientMessage], ...] = (Login, *REQUESTS)


# -- from the server


class ServerMessage(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="t"):
    """What all server messages share."""


class Hello(ServerMessage, frozen=True, kw_only=True, tag="hello"):
    """The first message: where the client is, and what is allowed here."""

    epoch: int
    deployment: str
    server_ns: int
    heartbeat_ms: int
    limits: dict[str, int]
    venues: tuple[str, ...]


class Welcome(ServerMessage, frozen=True, kw_only=True, tag="welcome"):
    """The session is open. `resume` says after which number each stream goes on."""

    owner: str
    session: str
    generation: int
    scopes: tuple[Scope, ...]
    last_cseq: int
    resume: dict[str, int]
    heads: dict[str, int]
    accounts: tuple[str, ...]


class Res(ServerMessage, frozen=True, kw_only=True, tag="res"):
    """The one answer to a request: an error, what was decided, or rows read at `position`."""

    id: str
    error: ErrorInfo | None = None
    decided: tuple[Decided, ...] = ()
    position: int | None = None
    body: Any = None


class Ev(ServerMessage, frozen=True, kw_only=True, tag="ev"):
    """An entry of a durable stream."""

    stream: str
    seq: int
    at_ns: int
    body: UpdateBody


class Snap(ServerMessage, frozen=True, kw_only=True, tag="snap"):
    """A stream's state at `seq`. `hash` is blake2b-128 (hex) of the rows as msgpack."""

    stream: str
    seq: int
    hash: str
    rows: Any


class QuoteUpdate(ServerMessage, frozen=True, kw_only=True, tag="quote"):
    """A quote; for a slow reader it stands for several."""

    quote: Quote


class Hb(ServerMessage, frozen=True, kw_only=True, tag="hb"):
    """Nothing else was said for a while; `heads` are those of all streams followed."""

    server_ns: int
    heads: dict[str, int]


class Lag(ServerMessage, frozen=True, kw_only=True, tag="lag"):
    """The client reads too slowly: half of what may wait is waiting."""

    unsent_bytes: int
    unsent_bytes_max: int


class Goaway(ServerMessage, frozen=True, kw_only=True, tag="goaway"):
    """The last message before a close: why, and the last number sent of each stream."""

    code: int
    error: ErrorInfo
    sent: dict[str, int] = {}


SERVER_MESSAGES: tuple[type[ServerMessage], ...] = (
    Hello, Welcome, Res, Ev, Snap, QuoteUpdate, Hb, Lag, Goaway,
)  # fmt: skip
