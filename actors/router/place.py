"""Where a router runs: what a test gives it in place of a machine."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from actors.beacon import Beacon
from actors.clocks import Clocks
from actors.link import Hello


def _take_none(_number: int) -> None:
    """A start replays everything."""


class Place(Struct, frozen=True):
    """Where a router runs: its clocks, how it introduces itself, its sign of life.

    `take_snapshot` has one made of the books as of a durable record, and returns at once.
    """

    clocks: Clocks
    me: Hello
    boot_id: str
    beacon: Beacon | None = None
    take_snapshot: Callable[[int], None] = _take_none
