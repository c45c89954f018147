"""Send credits: how many orders the router may have sent, told ahead of their use.

Where the broker counts requests, the router gets leave for so many orders since it attached, and
more as the budget allows; without leave its orders wait with it, where they can still be canceled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from actors import messages as m
from actors.line import Line


class Granting:
    """Grants orders out of a line's budget; without one there is nothing to grant."""

    def __init__(self, connection: str, line: Line, send: Callable[[Any], None]) -> None:
        self._connection = connection
        self._budget = line.budget
        self._send = send
        self._epoch = 0
        self._timer: asyncio.TimerHandle | None = None
        line.paused = self._tell

    @property
    def granted(self) -> int | None:
        """Orders since the attach; None where nobody counts."""
        return self._budget.granted if self._budget is not None else None

    @property
    def per_order_us(self) -> int:
        """How long each order takes, where they come as fast as they may."""
        return self._budget.per_order_us if self._budget is not None else 0

    def begin(self, epoch: int) -> None:
        """A router attached: it starts to count anew."""
        self._epoch = epoch
        if self._budget is not None:
            self._budget.begin()
            self._tell_later()

    def spend(self) -> bool:
        """An order uses its leave; False where it has none."""
        return self._budget is None or self._budget.spend()

    def go_on(self) -> None:
        """Grants more where the router is about to run out."""
        budget = self._budget
        if budget is None or not budget.is_low:
            return
        if budget.grant() or budget.is_used_up:
            self._tell()
        self._tell_later()

    def _tell(self) -> None:
        assert self._budget is not None
        told = m.Credits(
            connection=self._connection,
            epoch=self._epoch,
            granted=self._budget.granted,
            wait_ms=self._budget.grant_wait_ms(),
        )
        self._send(told)
        self._tell_later()

    def _tell_later(self) -> None:
        """Looks again when more may be free."""
        assert self._budget is not None
        if self._timer is None and self._budget.is_low:
            wait_ms = max(1, self._budget.grant_wait_ms())
            self._timer = asyncio.get_running_loop().call_later(wait_ms / 1_000, self._look)

    def _look(self) -> None:
        self._timer = None
        assert self._budget is not None
        if self._budget.grant():
            self._tell()
        else:
            self._tell_later()

    def stop(self) -> None:
        """Looks no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
