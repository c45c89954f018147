"""Taking a role: one process has it, the others of its kind wait, ready to go on at once.

All processes of a role are alike. The kernel's lock says which of them has it, and frees it the
moment that one ends, however it ends. Who waits has everything loaded; a router that waits
has the journal read as well.
"""

from __future__ import annotations

import asyncio
import os

import structlog

from actors.link import PathLock
from actors.paths import Paths
from actors.settings import Settings, journal_place
from ledger.faults import JournalError
from ledger.places import reader_of
from ledger.shadow import Shadow

LOOK_S = 0.01
TROUBLE_PAUSE_S = 0.5
ROUTER = "router"

log = structlog.get_logger()


async def stand_by(role: str, paths: Paths, settings: Settings) -> Shadow | None:
    """Waits until the role is ours; what was read ahead for it."""
    place = PathLock(paths.place(role))
    shadow = Shadow(reader_of(journal_place(paths, settings))) if role == ROUTER else None
    if place.try_take():
        return shadow
    log.info("standing by", role=role)
    waiting = paths.waiting(role, os.getpid())
    while not place.try_take():
        pause_s = LOOK_S
        if shadow is not None and not catch_up(shadow):
            pause_s = TROUBLE_PAUSE_S
        else:
            waiting.touch()
        await asyncio.sleep(pause_s)
    waiting.unlink(missing_ok=True)
    return shadow


def catch_up(shadow: Shadow) -> bool:
    """Reads on to the journal's end; False where it cannot be read now."""
    try:
        while shadow.follow():
            pass
    except JournalError as trouble:
        log.warning("the journal cannot be read ahead", why=str(trouble))
        return False
    return True
