"""Wakes an event loop at a nanosecond, not at the next millisecond as its own timers do."""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from types import TracebackType
from typing import Self

TFD_TIMER_ABSTIME = 1
NS = 1_000_000_000
_LIBC = ctypes.CDLL(None, use_errno=True)


class _When(ctypes.Structure):
    """C's itimerspec: the interval (never used here), then the moment."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("s", ctypes.c_long),
        ("ns", ctypes.c_long),
    )


class Pacer:
    """A timerfd in the running loop. Raises OSError where the kernel has none."""

    def __init__(self) -> None:
        self._timer = _LIBC.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._timer < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._due: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        """Watches the timer."""
        asyncio.get_running_loop().add_reader(self._timer, self._wake)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Gives the timer back."""
        asyncio.get_running_loop().remove_reader(self._timer)
        os.close(self._timer)

    async def until(self, due_ns: int) -> None:
        """Returns at `due_ns` of time.monotonic_ns(), at once where that is past."""
        if due_ns <= time.monotonic_ns():
            return
        self._due = asyncio.get_running_loop().create_future()
        when = _When(0, 0, due_ns // NS, due_ns % NS)
        _LIBC.timerfd_settime(self._timer, TFD_TIMER_ABSTIME, ctypes.byref(when), None)
        await self._due

    def _wake(self) -> None:
        os.read(self._timer, 8)
        if self._due is not None and not self._due.done():
            self._due.set_result(None)
