"""The settings every dialect's server has, with safe defaults."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from brokers.simulators.feed import FeedSettings
from brokers.simulators.hostility import Hostility
from brokers.simulators.venue import EngineSettings


class ServerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a simulator's server needs. `clock` says by whose time the hours are kept."""

    host: str = "127.0.0.1"
    port: int = 0
    engine: EngineSettings = EngineSettings()
    feed: FeedSettings = FeedSettings()
    hostility: Hostility = Hostility()
    clock: Literal["wall", "ticks"] = "wall"
    restamp: bool = True
    seed: int = 7
    requests_seen_max: int = 100_000
    client_ids_max: int = 1_000_000
    state: str | None = None
    state_every_ms: int = 1_000
