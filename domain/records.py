"""What the journal holds: a record is a cause and the numbered updates it had.

State is a fold of records. The cause carries what replay needs beside the updates: the
command, the verdict and the rates it used, the broker's cursor. Every record names its
schema version, its epoch, its owner by pseudonym, and its retention class.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from msgspec import Struct

from domain.accounts import AccountSnapshot
from domain.audit import Retention
from domain.errors import ErrorInfo
from domain.instruments import Instrument
from domain.market_facts import MarketFact
from domain.orders import AmendOrder, CancelOrder, NewOrder
from domain.screening import Rate, Verdict
from domain.streams import StreamUpdate
from domain.trail import Audited

SCHEMA = 1


class EpochStarted(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="epoch_started"):
    """A router took the journal; every older one is fenced."""

    boot_id: str
    incarnation: str


class Ordered(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="ordered"):
    """A client's order: sent, queued, or denied, as its updates say. `digest` is of the body.

    `screened_ns` is the moment it was screened for, `rates` by which prices, `refused` what was
    said of candidates before the one of `verdict`.
    """

    command: NewOrder
    digest: str
    session: str
    cseq: int
    received_ns: int
    verdict: Verdict | None = None
    error: ErrorInfo | None = None
    rates: tuple[Rate, ...] = ()
    screened_ns: int = 0
    refused: tuple[Verdict, ...] = ()


class Checked(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="checked"):
    """What compliance said where no `Ordered` tells it: of an amend, or of an order not sent.

    `command` has the terms that were screened, `error` why it was not sent although it passed.
    """

    order_id: str
    command: NewOrder
    verdicts: tuple[Verdict, ...]
    rates: tuple[Rate, ...]
    screened_ns: int
    is_amend: bool = False
    error: ErrorInfo | None = None


class Ruled(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="ruled"):
    """From here on compliance screens by these settings (JSON), over these instruments.

    With the orders and prices of other records it is all that a screen depends on.
    """

    incarnation: str
    settings: str
    instruments: tuple[Instrument, ...] = ()


class MarketTold(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="market_told"):
    """What markets said of listed securities: whatever is screened from here on is by it.

    An order of a later record was screened before it if its `screened_ns` is older.
    """

    facts: tuple[MarketFact, ...]


class LeaseWord(Enum):
    """Who said what of a part of the firm's limit: the lessor lends and recalls."""

    LENT = "lent"
    RECALLED = "recalled"
    RETURNED = "returned"


class Leased(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="leased"):
    """A word between the lessor of the firm's limit and a shard's incarnation `epoch`."""

    shard: str
    epoch: int
    number: int
    word: LeaseWord
    amount: Decimal


class Changed(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="changed"):
    """A client's cancel or amend, by its own request id; `orders` are those it touches."""

    request_id: str
    command: AmendOrder | CancelOrder
    owner: str
    session: str
    cseq: int
    orders: tuple[str, ...]


class Reported(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="reported"):
    """A broker connection's events `first`..`last` of its incarnation, and the broker's cursor."""

    connection: str
    incarnation: str
    first: int
    last: int
    cursor: str | None = None


class Synced(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="synced"):
    """What the broker said an account holds after a (re)connect."""

    connection: str
    incarnation: str
    snapshot: AccountSnapshot


class Settled(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="settled"):
    """The router's own conclusion: a clock ran out, a mark proved, evidence was complete."""

    why: str


class HaltScope(Enum):
    """How wide a halt reaches."""

    ALL = "all"
    OWNER = "owner"
    ACCOUNT = "account"
    CONNECTION = "connection"
    BROKER = "broker"
    INSTRUMENT = "instrument"
    TAG = "tag"


class Halted(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="halted"):
    """No new order in scope leaves any more."""

    scope: HaltScope
    subject: str
    by: str
    reason: str


class Resumed(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="resumed"):
    """A halt was lifted."""

    scope: HaltScope
    subject: str
    by: str


class GuardKind(Enum):
    """What makes a guard fire."""

    CANCEL_ON_DISCONNECT = "cancel_on_disconnect"
    DEAD_MAN = "dead_man"


class Guard(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="guard"):
    """A promise to cancel for a session that falls silent; `armed` False lifts it."""

    owner: str
    session: str
    kind: GuardKind
    grace_ms: int
    armed: bool = True
    tag: str | None = None
    instrument: str | None = None
    account: str | None = None


class Resolved(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="resolved"):
    """An operator said what became of an order of unknown outcome, and how he knows."""

    order_id: str
    resolution: str
    evidence: str
    by: str
    request_id: str


class BreakerReset(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="breaker_reset"):
    """An operator let a connection take new orders again."""

    connection: str
    by: str


Cause = (
    EpochStarted
    | Ordered
    | Changed
    | Reported
    | Synced
    | Settled
    | Halted
    | Resumed
    | Guard
    | Resolved
    | BreakerReset
    | Audited
    | Checked
    | Ruled
    | Leased
    | MarketTold
)


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry of the journal, numbered 1, 2, 3 ... without holes."""

    number: int
    epoch: int
    at_ns: int
    cause: Cause
    updates: tuple[StreamUpdate, ...] = ()
    owner: str | None = None
    retention: Retention = Retention.ORDER
    schema: int = SCHEMA
