"""An event loop in virtual time whose callbacks belong to processes that can die.

Time is an integer and moves only when nothing is left to do at the moment. What a dead process
left behind is never run again, not even its `finally`: that is what SIGKILL means.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
from typing import Any

NS = 1_000_000_000
STEPS_MAX = 2_000_000


class Process:
    """One simulated process: its callbacks run in its context while it lives."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_alive = True
        self.context: Context = copy_context()
        self.context.run(PROCESS.set, self)


PROCESS: ContextVar[Process | None] = ContextVar("PROCESS", default=None)


class StuckError(AssertionError):
    """Nothing will ever happen, or without an end at one moment."""


class SimHandle:
    """What is to run, when, and for whom."""

    __slots__ = ("args", "callback", "context", "is_canceled", "when_ns")

    def __init__(
        self, callback: Callable[..., Any], args: tuple[Any, ...], context: Context, when_ns: int
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.when_ns = when_ns
        self.is_canceled = False

    def cancel(self) -> None:
        """It will not run."""
        self.is_canceled = True

    def cancelled(self) -> bool:
        """True where it will not run."""
        return self.is_canceled

    def when(self) -> float:
        """Its time on the loop's clock."""
        return self.when_ns / NS


class SimLoop(asyncio.AbstractEventLoop):
    """`time()` is virtual. Sockets and servers are what `network` makes of them."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.steps = 0
        self.network: Any = None
        self.on_trouble: Callable[[Process | None, BaseException | str], None] | None = None
        self._ready: deque[SimHandle] = deque()
        self._timers: list[tuple[int, int, SimHandle]] = []
        self._number = 0
        self._tasks: list[asyncio.Task[Any]] = []

    # -- time

    def time(self) -> float:
        """Seconds since the start."""
        return self.now_ns / NS

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> SimHandle:
        """Runs it in this moment, after what waits already."""
        handle = SimHandle(callback, args, context or copy_context(), self.now_ns)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> SimHandle:
        """Runs it after seconds."""
        return self.call_at_ns(self.now_ns + round(delay * NS), callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> SimHandle:
        """Runs it at a time of the loop's clock."""
        return self.call_at_ns(round(when * NS), callback, *args, context=context)

    def call_at_ns(
        self,
        when_ns: int,
        callback: Callable[..., Any],
        *args: Any,
        context: Context | None = None,
    ) -> SimHandle:
        """Runs it at a nanosecond."""
        handle = SimHandle(callback, args, context or copy_context(), when_ns)
        self._number += 1
        heappush(self._timers, (when_ns, self._number, handle))
        return handle

    # -- running

    def run_until(self, until_ns: int) -> None:
        """Lets things happen up to a moment, that one included."""
        with self._running():
            while self._run_moment(until_ns):
                pass

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        """This loop is the running one, in whatever loop its caller runs.

        Generators begun here are none of that loop's to close, and what a dead process left
        of one is not run.
        """
        outer, hooks = events._get_running_loop(), sys.get_asyncgen_hooks()
        events._set_running_loop(self)
        sys.set_asyncgen_hooks(None, lambda _generator: None)
        try:
            yield
        finally:
            sys.set_asyncgen_hooks(*hooks)
            events._set_running_loop(outer)

    def _run_moment(self, until_ns: int) -> bool:
        """All that happens now, then moves the clock; False where the time is over."""
        ready, timers = self._ready, self._timers
        while ready:
            self._run_one(ready.popleft())
        while timers and timers[0][2].is_canceled:
            heappop(timers)
        if not timers or timers[0][0] > until_ns:
            self.now_ns = until_ns
            return False
        self.now_ns = now = max(self.now_ns, timers[0][0])
        while timers and timers[0][0] <= now:
            ready.append(heappop(timers)[2])
        return True

    def _run_one(self, handle: SimHandle) -> None:
        if handle.is_canceled:
            return
        process = handle.context.get(PROCESS)
        if process is not None and not process.is_alive:
            return
        self.steps += 1
        if self.steps > STEPS_MAX:
            raise StuckError(f"more than {STEPS_MAX} steps by {self.time():.3f} s")
        try:
            handle.context.run(handle.callback, *handle.args)
        except Exception as trouble:
            self._trouble(process, trouble)

    def _trouble(self, process: Process | None, trouble: BaseException | str) -> None:
        if self.on_trouble is None:
            raise StuckError(f"{process and process.name}: {trouble!r}")
        self.on_trouble(process, trouble)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """A bug that no one awaits: its process dies of it."""
        self._trouble(PROCESS.get(), context.get("exception") or context["message"])

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """The same."""
        self.call_exception_handler(context)

    def is_running(self) -> bool:
        """For asyncio."""
        return True

    def is_closed(self) -> bool:
        """For asyncio."""
        return False

    def get_debug(self) -> bool:
        """For asyncio."""
        return False

    # -- what asyncio makes of it

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[Any]:
        """A task in the caller's process; kept to the end, so that no collector meddles."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name or "t", context=context)
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks.append(task)
        return task

    def start(self, process: Process, work: Coroutine[Any, Any, Any]) -> None:
        """Runs a process's main; whatever escapes it is a trouble of the process."""
        self.call_soon(self._start, process, work, context=process.context)

    def _start(self, process: Process, work: Coroutine[Any, Any, Any]) -> None:
        self.create_task(self._main(process, work))

    async def _main(self, process: Process, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except Exception as trouble:
            self._trouble(process, trouble)

    def run_in_executor(  # type: ignore[override]
        self, _executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """A thread's work, done a moment later."""
        future = self.create_future()
        self.call_soon(lambda: future.set_result(func(*args)))
        return future

    # -- sockets

    async def create_connection(self, factory: Any, host: Any = None, port: Any = None, **_: Any):  # type: ignore[no-untyped-def, override]
        """Dials a server of the network."""
        return await self.network.connect(f"{host}:{port}", factory)

    async def create_unix_connection(self, factory: Any, path: Any = None, **_: Any):  # type: ignore[no-untyped-def, override]
        """Dials a path of the network."""
        return await self.network.connect(path, factory)

    async def create_server(self, factory: Any, *_: Any, sock: Any = None, **__: Any):  # type: ignore[no-untyped-def, override]
        """Serves an address of the network."""
        return self.network.serve(sock.address, factory)

    async def create_unix_server(self, factory: Any, path: Any = None, **_: Any):  # type: ignore[no-untyped-def, override]
        """Serves a path of the network."""
        return self.network.serve(path, factory)

    def end(self) -> None:
        """Closes all that was under way; what it then says is heard by nobody."""
        self._ready.clear()
        self._timers.clear()
        self.on_trouble = lambda _process, _trouble: None
        with self._running():
            for task in reversed([task for task in self._tasks if not task.done()]):
                with contextlib.suppress(BaseException):
                    task.get_coro().close()
        self._tasks.clear()
        self._ready.clear()
        self._timers.clear()
