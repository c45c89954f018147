"""Every setting of the simulated Alpaca, with safe defaults, refused at start where wrong."""

from __future__ import annotations

from msgspec import Struct

from brokers.simulators.alpaca_listings import ENGINE
from brokers.simulators.server_settings import ServerSettings
from brokers.simulators.venue import EngineSettings


class AlpacaLogin(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key and the account it opens (none named: the first). `name` shows in the book."""

    key_id: str = "paper"
    secret: str = "paper"  # noqa: S105 - a simulator's
    name: str = "paper"
    account: str | None = None

    def __repr__(self) -> str:
        return f"AlpacaLogin(key_id={self.key_id!r}, secret=<secret>, account={self.account!r})"


class AlpacaSettings(ServerSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of the simulator.

    `requests_per_min` is Alpaca's 200, or absent: no limit. `venue_ms` is how long the venue
    takes over an order, a cancel and a replacement: 0 answers at once, without their pending
    states on the way. `feeds` are the stock feeds the keys may use, `channels_max` the symbols
    a data connection may follow, `wash_trades` lets an account trade with itself.
    """

    engine: EngineSettings = ENGINE
    logins: tuple[AlpacaLogin, ...] = (AlpacaLogin(),)
    requests_per_min: int | None = None
    venue_ms: int = 0
    feeds: tuple[str, ...] = ("iex", "sip")
    data_connections_max: int = 1
    trade_connections_max: int = 20
    channels_max: int = 1_000
    auth_timeout_ms: int = 10_000
    binary_frames: bool = True
    wash_trades: bool = False

    def __post_init__(self) -> None:
        if not self.logins or len({x.key_id for x in self.logins}) != len(self.logins):
            raise ValueError("logins: one at least, and no key_id twice")
        accounts = self.engine.accounts
        if not accounts or not all(x.netting and x.currency == "USD" for x in accounts):
            raise ValueError("engine.accounts: one at least; each with netting = true, in USD")
        known = {x.id for x in accounts} | {None}
        for login in self.logins:
            if login.account not in known:
                raise ValueError(f"logins: {login.key_id} names the unknown {login.account}")
        if self.requests_per_min is not None and self.requests_per_min <= 0:
            raise ValueError("requests_per_min: must be above zero, or absent")
        if self.venue_ms < 0 or self.state_every_ms <= 0:
            raise ValueError("venue_ms: zero or more; state_every_ms: above zero")
