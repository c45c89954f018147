"""Which machine the shard is on: the one whose router has the journal, and with it a file lock.

With several machines each runs every role. The router that gets the journal's lease takes this
lock; compliance and broker connections of its machine go on then, those of others wait. A
connection whose router lost the journal, and which no router of its machine has got back, leaves.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from pathlib import Path

from actors.link import PathLock

LOOK_S = 0.02
GONE_S = 3.0


def is_here(shard: Path) -> bool:
    """Whether a router of this machine has the journal now."""
    try:
        descriptor = os.open(shard, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


async def take(shard: Path) -> PathLock:
    """Says that it is here, for as long as this process lives."""
    lock = PathLock(shard)
    while not lock.try_take():  # somebody looks just now, or the router before is dying
        await asyncio.sleep(LOOK_S / 4)
    return lock


async def until_here(shard: Path) -> None:
    """Waits for it."""
    while not is_here(shard):
        await asyncio.sleep(LOOK_S)


async def until_gone(shard: Path) -> None:
    """Waits until it has been away for a while; a router that restarts is back before."""
    loop = asyncio.get_running_loop()
    seen = loop.time()
    while loop.time() - seen < GONE_S:
        await asyncio.sleep(GONE_S / 30)
        if is_here(shard):
            seen = loop.time()
