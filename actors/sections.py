"""The sections of the settings file, as decoded: what can be said, and the bounds of each value.

What has a folder of its own (`[gateway]`, `[journal]`, `[compliance]` ...) declares its section
there; here are the deployment's own.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from actors.tracing import TraceSettings
from compliance.settings import ComplianceSettings
from domain.accounts import AccountType, Environment, Region
from domain.signals import SignalRule
from gateway.settings import GatewaySettings
from gateway.tls import TlsSettings
from ledger.audit_heads import AuditSettings
from ledger.journal import JournalSettings
from ledger.store_settings import StoreSettings

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]*$")]
Port = Annotated[int, Meta(ge=0, le=65535)]

SESSIONS_LEFT_PART = 8
"""One session in so many is left to cancels and reads, one at least."""

REQUESTS_PER_MINUTE_MIN = 10
"""Below this the lanes of orders, cancels and reads could not each have their part."""


class DeploymentSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deployment this is. `id` ties the journal, the sockets and the processes together.

    `plaintext` lets a host beyond loopback be served without TLS: tokens can then be read on the
    way, so the network must be a private one. `standbys` processes wait for each role; one
    restarted more than `restarts_max` times within a minute is put in quarantine.
    """

    id: Name
    host: str = "127.0.0.1"
    port: Port = 8765
    health_port: Port = 8766
    rest_port: Port = 8767
    edges: Annotated[int, Meta(ge=1, le=16)] = 1
    tls: TlsSettings | None = None
    plaintext: bool = False
    standbys: Annotated[int, Meta(ge=0, le=3)] = 0
    restarts_max: Annotated[int, Meta(ge=1, le=1000)] = 5
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class OwnerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An owner, by the pseudonym the journal knows."""

    id: Name


class ConnectionSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One login at one broker.

    The token is a secret: it is read from the environment variable `token_env` or the file
    `token_file`, never from here (Alpaca: KEY_ID:SECRET). `api_url` and `stream_url` default to
    the broker's own, `feed` to the first of its data feeds (Alpaca: iex, or sip). After
    `breaker_failures` troubles in a row it takes no new orders for `breaker_open_ms`.
    `requests_per_minute` replaces the broker's published rate limit; 0 keeps none.
    """

    id: Name
    owner: Name
    broker: str
    broker_account_id: str
    account: Name
    environment: Environment = Environment.PAPER
    account_type: AccountType = AccountType.MARGIN
    region: Region = Region.US
    regime: str = "us_forex"
    currency: str = "USD"
    label: str = ""
    token_env: str | None = None
    token_file: str | None = None
    api_url: str | None = None
    stream_url: str | None = None
    simulator: str | None = None
    feed: str = ""
    instruments: tuple[str, ...] = ()
    credits: Annotated[int, Meta(ge=1, le=1000)] = 64
    sessions: Annotated[int, Meta(ge=1, le=64)] = 64
    answer_timeout_ms: Annotated[int, Meta(ge=50, le=60_000)] = 2_000
    visibility_horizon_ms: Annotated[int, Meta(ge=0, le=60_000)] = 2_000
    breaker_failures: Annotated[int, Meta(ge=1, le=1_000_000)] = 5
    breaker_open_ms: Annotated[int, Meta(ge=100, le=3_600_000)] = 60_000
    requests_per_minute: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None

    @property
    def order_credits(self) -> int:
        """Orders in flight at most: some sessions are left to cancels."""
        left = max(1, self.sessions // SESSIONS_LEFT_PART)
        return max(1, min(self.credits, self.sessions - left))


class SimulatorSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A paper broker run beside the gateway: `ticks` replays files, else a seeded generator.

    `accounts` are opened beside those of the connections: for others to trade. `hours`
    `market` keeps the broker's own: the forex week, or those of the New York Stock Exchange.
    `limits` refuses requests as the broker does, and has our connections keep below.
    """

    id: Name
    broker: Literal["oanda", "alpaca"] = "oanda"
    port: Port = 0
    seed: int = 7
    ticks: str | None = None
    speed: Annotated[float, Meta(ge=0, le=100_000)] = 1.0
    balance: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 100_000
    accounts: tuple[str, ...] = ()
    hours: Literal["always", "market"] = "always"
    limits: bool = False


class AlarmSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is told of alarms, and how often again while one stands; 0 tells it once.

    Addresses are secrets: one a line (`json://host/path` is a webhook, `mailto://user:pass@host`
    an e-mail; Apprise knows a hundred more), in the environment variable `urls_env` or the file
    `urls_file`. Without either, alarms stand in `fillgate top` and `/metrics` alone.
    """

    urls_env: str | None = None
    urls_file: str | None = None
    repeat_critical_s: Annotated[int, Meta(ge=0, le=604_800)] = 900
    repeat_warning_s: Annotated[int, Meta(ge=0, le=604_800)] = 14_400


class RaySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How Ray is run. It holds no order; these bound what it takes.

    All of Ray's ports are `first_port` and the next 199, so that a firewall can close them; with 0
    they are any free ones.
    """

    object_store_mib: Annotated[int, Meta(ge=75, le=65_536)] = 80
    cpus: Annotated[int, Meta(ge=1, le=1024)] = 16
    first_port: Annotated[int, Meta(ge=0, le=65_336)] = 0
    address: str | None = None


class NodeSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One machine of several, and where its bridge listens for the others."""

    id: Name
    host: str
    port: Annotated[int, Meta(ge=1, le=65535)] = 8770


class ClusterSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of [[nodes]] this home is for, and the keys by which nodes know each other."""

    node: str = ""
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    ray_token_file: str | None = None


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything, as decoded from one TOML file."""

    deployment: DeploymentSettings
    owners: tuple[OwnerSettings, ...]
    connections: tuple[ConnectionSettings, ...]
    simulators: tuple[SimulatorSettings, ...] = ()
    gateway: GatewaySettings = GatewaySettings()
    journal: JournalSettings = JournalSettings()
    compliance: ComplianceSettings = ComplianceSettings()
    ray: RaySettings = RaySettings()
    store: StoreSettings = StoreSettings()
    audit: AuditSettings = AuditSettings()
    signals: tuple[SignalRule, ...] = ()
    alarms: AlarmSettings = AlarmSettings()
    traces: TraceSettings = TraceSettings()
    nodes: tuple[NodeSettings, ...] = ()
    cluster: ClusterSettings = ClusterSettings()
