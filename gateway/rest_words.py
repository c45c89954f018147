"""What REST says beside the protocol's own objects: query strings, bodies, and answers."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta, Struct

from domain.commands import Decided
from domain.errors import Category, Outcome, Retry, VenueError
from domain.orders import BATCH_ORDERS_MAX, ClientOrderId, NewOrder, Symbol, Tag, Trailing
from domain.records import HaltScope
from domain.rows import OrderRow
from gateway.faults import LISTED
from gateway.wire_bounds import OrderId, RowLimit, Sequence

WAIT_MS_DEFAULT = 2_000
WAIT_MS_MAX = 10_000

Row = TypeVar("Row")
WaitMs = Annotated[int, Meta(ge=1, le=WAIT_MS_MAX)]
Instruments = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=3_300,
        pattern=r"^[A-Za-z0-9./:\-_ ]{1,32}(,[A-Za-z0-9./:\-_ ]{1,32}){0,99}$",
    ),
]
ListedStatus = Literal[LISTED]  # type: ignore[valid-type]


# -- query strings


class Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all query strings share: a name that is not here is refused."""


class OrdersQuery(Query, frozen=True, kw_only=True):
    """Which orders; `before` is `next` of the page before."""

    status: ListedStatus | None = None
    instrument: Symbol | None = None
    account: str | None = None
    tag: Tag | None = None
    since_ns: Sequence | None = None
    until_ns: Sequence | None = None
    limit: RowLimit | None = None
    before: OrderId | None = None


class CancelQuery(Query, frozen=True, kw_only=True):
    """Which orders to cancel: exactly one of `tag`, `instrument`, `account`, `all`."""

    tag: Tag | None = None
    instrument: Symbol | None = None
    account: str | None = None
    all: bool = False
    include_external: bool = False


class PositionsQuery(Query, frozen=True, kw_only=True):
    """Of one account, or of all."""

    account: str | None = None


class QuotesQuery(Query, frozen=True, kw_only=True):
    """Symbols joined by commas, at most 100."""

    instruments: Instruments


class ExecutionsQuery(Query, frozen=True, kw_only=True):
    """After a number of `orders/<owner>`."""

    after: Sequence = 0
    limit: RowLimit | None = None


class TransactionsQuery(Query, frozen=True, kw_only=True):
    """After a number of the account's stream."""

    account: str
    after: Sequence = 0
    limit: RowLimit | None = None


class WaitQuery(Query, frozen=True, kw_only=True):
    """`wait=outcome` answers with what the broker did, or with how it stands after `wait_ms`."""

    wait: Literal["outcome"] | None = None
    wait_ms: WaitMs = WAIT_MS_DEFAULT


class SignalQuery(WaitQuery, frozen=True, kw_only=True):
    """`dry_run` shows the order that the signal would become."""

    dry_run: bool = False


# -- bodies


class AmendBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """New terms; a field left out keeps its value. `If-Match` stands for `if_version`."""

    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trailing: Trailing | None = None
    expire_at_ns: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    if_version: Sequence | None = None


class CloseBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of a position, a quantity or a percent. `Idempotency-Key` stands for the id."""

    account: str
    instrument: Symbol
    client_order_id: ClientOrderId | None = None
    quantity: Decimal | None = None
    percent: Decimal | None = None


class BatchBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Orders that are each decided alone."""

    orders: Annotated[tuple[NewOrder, ...], Meta(min_length=1, max_length=BATCH_ORDERS_MAX)]


class HaltBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stops new orders in scope; `subject` names the scope's member."""

    scope: HaltScope
    reason: Annotated[str, Meta(min_length=1, max_length=200)]
    subject: str = "*"


class ResumeBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lifts a halt."""

    scope: HaltScope
    subject: str = "*"
    confirm: str | None = None


# -- answers


class Page(Struct, Generic[Row], frozen=True, kw_only=True):
    """Rows read at a position of the journal; `next` asks for those after, null at the end."""

    position: int
    rows: tuple[Row, ...]
    next: str | int | None = None


class Answered(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was decided, durably; with `wait=outcome` the order as it stands then."""

    decided: tuple[Decided, ...]
    order: OrderRow | None = None


class Halted(Struct, frozen=True, kw_only=True):
    """The gates that confirmed, and those ended instead: nothing in scope leaves after this."""

    confirmed: tuple[str, ...]
    ended: tuple[str, ...]


class TicketMade(Struct, frozen=True, kw_only=True):
    """Opens one WebSocket from the same origin, once, within its life."""

    ticket: str
    origin: str
    valid_for_ms: int


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The protocol's error object as RFC 9457 problem details.

    `status` is HTTP's; the order's own, where there is one, is `order_status`.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    category: Category
    outcome: Outcome
    retry: Retry
    field: str | None = None
    retry_after_ms: int | None = None
    rule: str | None = None
    citation: str | None = None
    venue: VenueError | None = None
    client_order_id: str | None = None
    order_id: str | None = None
    order_status: str | None = None
