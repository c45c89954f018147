"""What a gateway edge asks of the router, and the answers: the two ends of an order's first hop.

`ref` numbers requests per edge; an answer names it. Commands are idempotent by their own id
(an order by its client order id, anything else by `request_id`), so asking again is safe.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from typing import Annotated

from msgspec import Meta, Struct

from domain.errors import ErrorInfo
from domain.orders import (
    BATCH_ORDERS_MAX,
    AmendOrder,
    CancelOrder,
    ClientOrderId,
    NewOrder,
    StopLoss,
    Symbol,
    TakeProfit,
    Trailing,
)
from domain.records import GuardKind, HaltScope
from domain.streams import StreamUpdate


class ClosePosition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="close"):
    """Closes a position: all of it, a quantity, or a percent. Becomes a reduce-only order."""

    client_order_id: ClientOrderId
    account: str
    instrument: Symbol
    quantity: Decimal | None = None
    percent: Decimal | None = None


class AmendPosition(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="protect"):
    """Sets or replaces the protective orders of a lot."""

    account: str
    lot_id: str
    stop_loss: StopLoss | None = None
    take_profit: TakeProfit | None = None
    trailing: Trailing | None = None


class SetGuard(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="guard"):
    """Arms or lifts a guard of this session (PROTOCOL rule 6)."""

    kind: GuardKind
    grace_ms: Annotated[int, Meta(ge=0, le=3_600_000)] = 0
    armed: bool = True
    tag: str | None = None
    instrument: str | None = None
    account: str | None = None


class Halt(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="halt"):
    """Stops new orders in scope; cancels still pass. `subject` names the scope's member.

    `cancel_open` also cancels clients' orders in scope that are open, whoever placed them; what
    guards a position stays.
    """

    scope: HaltScope
    subject: str = "*"
    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    cancel_open: bool = False


class Resume(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="resume"):
    """Lifts a halt, in two steps: `confirm` is the word the first one was answered with.

    That word is made of the halt itself, so nobody lifts another halt than the one he read of.
    """

    scope: HaltScope
    subject: str = "*"
    confirm: str | None = None


class Resolution(Enum):
    """What an operator found out about an order of unknown outcome."""

    FILLED = "filled"
    CANCELED = "canceled"
    NEVER_ARRIVED = "never_arrived"


class Execution(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fill as the broker's own records show it; by its id it counts once, whoever tells it."""

    quantity: Decimal
    price: Decimal
    broker_order_id: Annotated[str, Meta(min_length=1, max_length=64)]
    broker_execution_id: Annotated[str, Meta(min_length=1, max_length=64)]


class ResolveOrder(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag="resolve"
):
    """Ends an order of unknown outcome by what an operator found out, and how (`evidence`).

    `execution` is for `filled` alone: what was filled, and under which of the broker's ids.
    """

    order_id: Annotated[str, Meta(min_length=1, max_length=64)]
    resolution: Resolution
    evidence: Annotated[str, Meta(min_length=1, max_length=500)]
    execution: Execution | None = None


class ResetBreaker(Struct, frozen=True, kw_only=True, tag="reset_breaker"):
    """Lets a connection take new orders again."""

    connection: str


class Place(Struct, frozen=True, kw_only=True, tag="new"):
    """A new order; `dry_run` asks for the verdicts and places nothing."""

    order: NewOrder
    dry_run: bool = False


class Amend(Struct, frozen=True, kw_only=True, tag="amend"):
    """New terms for a working order."""

    amend: AmendOrder


class Cancel(Struct, frozen=True, kw_only=True, tag="cancel"):
    """Cancels one order or many."""

    cancel: CancelOrder


class Batch(Struct, frozen=True, kw_only=True, tag="batch"):
    """Several new orders, each decided alone; the answer lists theirs in order."""

    orders: Annotated[tuple[NewOrder, ...], Meta(min_length=1, max_length=BATCH_ORDERS_MAX)]


class TakeSignal(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="signal"):
    """A strategy's signal in its own words; `dry_run` asks for the order it would become."""

    signal: dict[str, str]
    signal_id: ClientOrderId | None = None
    dry_run: bool = False


Command = (
    Place
    | Amend
    | Cancel
    | Batch
    | TakeSignal
    | ClosePosition
    | AmendPosition
    | SetGuard
    | Halt
    | Resume
    | ResolveOrder
    | ResetBreaker
)


class Submit(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="submit"):
    """A command on its way from an edge to the router.

    `cseq` is the client's own number; `deadline_ns` is on the boot clock, after which a
    new order dies unsent. `by_admin` is set where the token carries the admin scope; `trace` names
    the trace of one that is traced.
    """

    ref: int
    owner: str
    session: str
    cseq: int
    request_id: str
    command: Command
    received_ns: int
    deadline_ns: int | None = None
    by_admin: bool = False
    trace: str | None = None


class Decided(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one order, amend or cancel: durable, or refused with `error`."""

    client_order_id: str | None = None
    order_id: str | None = None
    status: str | None = None
    dup: bool = False
    error: ErrorInfo | None = None


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="answer"):
    """The router's answer to a Submit: `error` refuses it whole; else one `Decided` an order.

    `body` is for a dry run: the verdicts, as msgpack.
    """

    ref: int
    decided: tuple[Decided, ...] = ()
    error: ErrorInfo | None = None
    body: bytes | None = None


class Login(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="login"):
    """A session opened (or came back) at an edge, by a token (its id) and from an address."""

    ref: int
    owner: str
    session: str
    generation: int
    token: str = ""
    peer: str = ""


class LoggedIn(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="logged_in"):
    """The session's standing: its last decided command and the owner's stream heads.

    `error` refuses: a newer generation of the same session is open.
    """

    ref: int
    last_cseq: int = 0
    heads: dict[str, int] = {}
    accounts: tuple[str, ...] = ()
    error: ErrorInfo | None = None


class Logout(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="logout"):
    """A session's socket closed at an edge; its guards start to run.

    `is_moving`: the edge sent it to another one, and its guards give it a moment to get there.
    """

    owner: str
    session: str
    generation: int
    is_moving: bool = False


class Refusal(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """So many tries from an address that were not let in for one reason."""

    peer: str
    code: str
    count: int = 1


class Refusals(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="refusals"):
    """Whom an edge let not in: for the audit trail alone. Nothing follows."""

    refused: tuple[Refusal, ...]


class ReadStream(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="read"):
    """Asks for a stream's entries after a number, at most `limit`.

    `from_journal` asks the router for what it no longer holds in memory, where nobody else has
    it. `head` is the stream's last number as far as it is known on the way.
    """

    ref: int
    owner: str
    stream: str
    after: int
    limit: int
    from_journal: bool = False
    head: int = 0


class StreamPage(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="page"):
    """Entries in order, and the stream's head when they were read."""

    ref: int
    stream: str
    head: int
    updates: tuple[StreamUpdate, ...] = ()


class Published(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="published"):
    """Updates just made durable, of record `position`; `owner` None: they concern everyone."""

    owner: str | None
    updates: tuple[StreamUpdate, ...]
    position: int = 0


class Query(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="query"):
    """A read of projections: `what` is the protocol's request name.

    Its rows must be at least as new as record `at_least` of the journal.
    """

    ref: int
    owner: str
    what: str
    args: dict[str, str | int | None] = {}
    by_admin: bool = False
    at_least: int = 0


class QueryAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="query_answer"):
    """Rows as msgpack, stamped with the journal position they were read at."""

    ref: int
    position: int = 0
    body: bytes | None = None
    error: ErrorInfo | None = None


class SessionReplaced(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="replaced"):
    """A newer generation logged in elsewhere: the edge closes the older socket."""

    owner: str
    session: str
    generation: int


ToRouter = Submit | Login | Logout | ReadStream | Query | Refusals
FromRouter = Answer | LoggedIn | StreamPage | Published | QueryAnswer | SessionReplaced
