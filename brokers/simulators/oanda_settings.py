"""Every setting of the simulated OANDA, with safe defaults, refused at start where wrong."""

from __future__ import annotations

from msgspec import Struct

from brokers.simulators.server_settings import ServerSettings


class Login(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bearer token and the accounts it opens (none named: all). `name` shows in the book."""

    token: str = "paper-token"  # noqa: S105 - a simulator's
    name: str = "paper"
    accounts: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Login(name={self.name!r}, token=<secret>)"


class OandaSettings(ServerSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of the simulator."""

    logins: tuple[Login, ...] = (Login(),)
    heartbeat_ms: int = 5_000
    requests_per_s: int | None = None
    streams_max: int = 20
    candles: bool = True

    def __post_init__(self) -> None:
        if not self.logins or len({x.token for x in self.logins}) != len(self.logins):
            raise ValueError("logins: one at least, and no token twice")
        known = {x.id for x in self.engine.accounts}
        for login in self.logins:
            if unknown := set(login.accounts) - known:
                raise ValueError(f"logins: {login.name} names unknown accounts {sorted(unknown)}")
        if self.heartbeat_ms <= 0 or self.state_every_ms <= 0:
            raise ValueError("heartbeat_ms and state_every_ms: must be above zero")
        if self.requests_per_s is not None and self.requests_per_s <= 0:
            raise ValueError("requests_per_s: must be above zero, or absent")
