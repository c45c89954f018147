"""Where a router runs: what a test gives it in place of a machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct

from actors.beacon import Beacon
from actors.clocks import Clocks
from actors.link import Hello


def _in_the_next_turn(call: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_soon(call)


class Place(Struct, frozen=True):
    """Where a router runs: its clocks, how it introduces itself, its sign of life.

    `later` runs what it is given in the next turn of the loop.
    """

    clocks: Clocks
    me: Hello
    boot_id: str
    beacon: Beacon | None = None
    later: Callable[[Callable[[], None]], object] = _in_the_next_turn
