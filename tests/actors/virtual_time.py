"""An event loop whose clock jumps: seconds of waiting cost nothing, and a run is repeatable."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

from actors.clocks import Clocks

UTC_START_NS = 1_790_000_000_000_000_000
BOOT_START_NS = 5_000_000_000_000
NS = 1_000_000_000


class _JumpingSelector(selectors.SelectSelector):
    """Never waits: tells the loop that the time asked for has passed."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found:
            if timeout is None:
                raise RuntimeError("nothing will ever happen: everybody waits for somebody")
            self.passed_s += max(timeout, 0.0)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` moves only when everybody waits, and then at once to the next timer."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.passed_s


def virtual_clocks(loop: asyncio.AbstractEventLoop) -> Clocks:
    """The two clocks of an actor, driven by the loop's."""
    return Clocks(
        lambda: UTC_START_NS + int(loop.time() * NS),
        lambda: BOOT_START_NS + int(loop.time() * NS),
    )


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Runs an async test on a loop of its own whose clock jumps."""

    @functools.wraps(test)
    def run(*args: Any, **words: Any) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **words))

    return run
