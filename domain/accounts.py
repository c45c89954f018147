"""Who trades, where, and with what money."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from msgspec import Struct

from domain.portfolio import Position


class Environment(Enum):
    """Real money or not."""

    LIVE = "live"
    PAPER = "paper"


class AccountType(Enum):
    """What kind of account the broker opened."""

    INDIVIDUAL = "individual"
    JOINT = "joint"
    IRA = "ira"
    ROTH = "roth"
    MARGIN = "margin"
    PORTFOLIO_MARGIN = "portfolio_margin"
    CASH = "cash"
    CORPORATE = "corporate"


class AccountStatus(Enum):
    """Whether the broker lets it trade."""

    ACTIVE = "active"
    RESTRICTED = "restricted"
    CLOSED = "closed"


class Region(Enum):
    """Whose rules an account is under."""

    US = "us"
    EU = "eu"
    UK = "uk"
    AU = "au"
    JP = "jp"
    SG = "sg"
    CA = "ca"
    OTHER = "other"


class CredentialStatus(Enum):
    """Whether a login can be used."""

    ACTIVE = "active"
    ERROR = "error"
    EXPIRED = "expired"
    REVOKED = "revoked"
    PENDING_CONSENT = "pending_consent"


class SessionState(Enum):
    """Whether a connection is up."""

    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    DISCONNECTED = "disconnected"


class BreakerState(Enum):
    """Whether a connection takes new orders: open after repeated trouble, then on trial."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Owner(Struct, frozen=True, kw_only=True):
    """A person or firm, by pseudonym alone; the name is kept apart (COMPLIANCE.md 12)."""

    owner: str


class SyncSettings(Struct, frozen=True, kw_only=True):
    """What is fetched from the broker beside the order streams, and how often."""

    enabled: bool = True
    interval_s: int = 300
    positions: bool = True
    transactions: bool = True
    orders: bool = True


class Connection(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One login at one broker for one account; unique by all but id and label."""

    id: str
    owner: str
    broker: str
    environment: Environment
    broker_account_id: str
    label: str = ""
    credential: CredentialStatus = CredentialStatus.ACTIVE
    credential_expires_ns: int | None = None
    sync: SyncSettings = SyncSettings()


class ConnectionState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The session state of a connection, as told on the `connections` stream.

    While its breaker is not closed, cancels pass and new orders do not.
    """

    connection: str
    state: SessionState
    reason: str
    since_ns: int
    breaker: BreakerState = BreakerState.CLOSED


class BrokerAccount(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An account as the broker describes it. `leverage` is 1/margin rate, a ceiling."""

    account: str
    connection: str
    owner: str
    broker: str
    environment: Environment
    base_currency: str
    type: AccountType = AccountType.MARGIN
    hedging: bool = False
    name: str = ""
    status: AccountStatus = AccountStatus.ACTIVE
    region: Region = Region.US
    regime: str = "us_forex"
    leverage: Decimal | None = None
    can_trade_stocks: bool = False
    options_level: int = 0
    can_short: bool = False
    can_trade_margin: bool = False
    can_trade_crypto: bool = False
    can_trade_forex: bool = False
    can_trade_futures: bool = False
    opened_on: str | None = None
    last_sync_ns: int | None = None


class AccountBalances(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Money of an account in one currency. `equity` is cash plus unrealized P&L (NAV).

    `is_total` marks the sum over all currencies, stated in the base currency.
    """

    account: str
    currency: str
    cash: Decimal
    equity: Decimal
    available: Decimal | None = None
    withdrawable: Decimal | None = None
    buying_power: Decimal | None = None
    day_trading_buying_power: Decimal | None = None
    margin_used: Decimal | None = None
    margin_available: Decimal | None = None
    margin_maintenance: Decimal | None = None
    closeout_percent: Decimal | None = None
    market_value: Decimal | None = None
    realized_pnl: Decimal | None = None
    unrealized_pnl: Decimal | None = None
    day_pnl: Decimal | None = None
    total_pnl: Decimal | None = None
    open_positions: int | None = None
    pending_orders: int | None = None
    broker_ns: int | None = None
    is_total: bool = False


class AccountSnapshot(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the broker says an account holds, as of its transaction `cursor`.

    `balances` is the whole account; `by_currency` its parts where it holds more than one.
    """

    account: BrokerAccount
    balances: AccountBalances
    positions: tuple[Position, ...]
    cursor: str
    by_currency: tuple[AccountBalances, ...] = ()
