"""Replacing processes one by one: the next one is ready before the one before leaves.

Who waits for a role says so in a file, and takes it the moment the kernel frees its lock. The
one that leaves ends what is under way first. This half needs no Ray: edges, and what both share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct

from actors.beacon import read_beacon
from actors.keeping import Keeper
from actors.paths import Paths

TAKE_OVER_S = 30.0
LOOK_S = 0.02


class Rolled(Struct, frozen=True, kw_only=True):
    """How a rolling replacement went: by which supervisor, and what went wrong if anything."""

    pid: int
    trouble: str = ""


async def replace_edge(keeper: Keeper, paths: Paths) -> None:
    """Starts a second process of the edge, and lets the first go once that one waits.

    Raises TimeoutError; then the first one serves on.
    """
    role = keeper.wanted.role
    fresh = keeper.start()
    try:
        await until(lambda: paths.waiting(role, fresh.pid).exists())
    except TimeoutError:
        keeper.give_up(fresh)
        raise
    keeper.swap(fresh)
    await until(lambda: holder_pid(paths, role) == fresh.pid)


async def until(is_true: Callable[[], bool]) -> None:
    """Waits for what another process does. Raises TimeoutError."""
    async with asyncio.timeout(TAKE_OVER_S):
        while not is_true():
            await asyncio.sleep(LOOK_S)


def holder_pid(paths: Paths, role: str) -> int | None:
    """The process that has the role, by its sign of life."""
    reading = read_beacon(paths.beacon(role))
    return reading.pid if reading is not None else None
