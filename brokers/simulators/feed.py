"""The market's clock, and the player that feeds ticks at their pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Literal

from msgspec import Struct

from brokers.simulators.ticks import Tick

NS = 1_000_000_000
TICKS_A_TURN = 50


class FeedSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How quotes come in. `ticks` is a file or folder; without it a seeded market is made.

    `speed` multiplies the pace, 0 plays as fast as asked for. Longer silences than
    `gap_max_ms` are cut. `source` `none` leaves the market to `POST /sim/ticks`.
    """

    source: Literal["none", "generator", "files"] = "none"
    ticks: str | None = None
    speed: float = 1.0
    loop: bool = True
    gap_ms: int = 250
    gap_max_ms: int = 5_000

    def __post_init__(self) -> None:
        if not 0 <= self.speed <= 1_000_000:
            raise ValueError("speed: must be between 0 and 1,000,000")
        if self.source == "files" and not self.ticks:
            raise ValueError("ticks: name the file or folder to replay")


class MarketClock:
    """The market's time: the wall's, or the last tick's carried on at the pace of the replay."""

    def __init__(self, now_ns: Callable[[], int], by_ticks: bool) -> None:
        self.now_ns = now_ns
        self.by_ticks = by_ticks
        self.speed = 0.0
        self.pinned_ns: int | None = None
        self._tick_ns: int | None = None
        self._seen_ns = 0

    def market_ns(self) -> int:
        """Now, in the market."""
        if self.pinned_ns is not None:
            return self.pinned_ns
        if not self.by_ticks or self._tick_ns is None:
            return self.now_ns()
        return self._tick_ns + int((self.now_ns() - self._seen_ns) * self.speed)

    def saw(self, tick_ns: int) -> None:
        """A tick of that time has come in."""
        self._tick_ns = tick_ns
        self._seen_ns = self.now_ns()


class Feed:
    """Plays ticks into a sink until stopped or, not looping, until they end."""

    def __init__(
        self,
        settings: FeedSettings,
        source: Callable[[], Iterator[Tick]],
        sink: Callable[[Tick], None],
        clock: MarketClock,
    ) -> None:
        self._settings = settings
        self._source = source
        self._sink = sink
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self.speed = settings.speed
        self.has_begun = asyncio.Event()
        self.played = 0

    @property
    def is_running(self) -> bool:
        """True while ticks are being played."""
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        """Plays from the beginning."""
        if not self.is_running:
            self.has_begun.clear()
            self._task = asyncio.create_task(self._play())

    async def begin(self) -> None:
        """Starts, and waits for the first tick. Raises what the source raises before it."""
        self.start()
        assert self._task is not None
        first = asyncio.create_task(self.has_begun.wait())
        await asyncio.wait({first, self._task}, return_when=asyncio.FIRST_COMPLETED)
        first.cancel()
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Stops; the last quotes stay."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        self._clock.speed = 0.0

    async def _play(self) -> None:
        while True:
            await self._play_once()
            if not self._settings.loop:
                return
            await asyncio.sleep(0)

    async def _play_once(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        last_ns: int | None = None
        for tick in self._source():
            gap_ns = 0 if last_ns is None else tick.at_ns - last_ns
            last_ns = tick.at_ns
            gap_s = min(max(gap_ns, 0) / NS, self._settings.gap_max_ms / 1000)
            due = await self._keep_pace(loop, due, gap_s)
            self._sink(tick)
            self.played += 1
            self.has_begun.set()

    async def _keep_pace(self, loop: asyncio.AbstractEventLoop, due: float, gap_s: float) -> float:
        speed = self._clock.speed = self.speed
        if not speed:
            if self.played % TICKS_A_TURN == 0:
                await asyncio.sleep(0)
            return loop.time()
        due += gap_s / speed
        wait_s = due - loop.time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        elif self.played % TICKS_A_TURN == 0:
            await asyncio.sleep(0)
        # Late by more than a second: the pace is lost, not owed.
        return max(due, loop.time() - 1.0)
