"""Requests that a venue of ours takes at once, and answers as it does those that are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from brokers.adapter import NotSent, OutcomeUnknown, Response
from brokers.transport_http1 import Heard


class Begun:
    """Requests under way; each is told what became of it."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[None]] = set()

    def begin(self, sending: Coroutine[Any, Any, Response], heard: Heard) -> None:
        """Sends beside the caller. What was begun has left, whatever is said of it."""
        task = asyncio.get_running_loop().create_task(_tell(sending, heard))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)


async def _tell(sending: Coroutine[Any, Any, Response], heard: Heard) -> None:
    try:
        outcome: Response | OutcomeUnknown = await sending
    except NotSent as trouble:
        outcome = OutcomeUnknown(str(trouble))
    except OutcomeUnknown as trouble:
        outcome = trouble
    heard(outcome)
