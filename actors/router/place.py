"""Where a router runs: what a test gives it in place of a machine."""

from __future__ import annotations

from msgspec import Struct

from actors.beacon import Beacon
from actors.clocks import Clocks
from actors.link import Hello


class Place(Struct, frozen=True):
    """Where a router runs: its clocks, how it introduces itself, its sign of life."""

    clocks: Clocks
    me: Hello
    boot_id: str
    beacon: Beacon | None = None
