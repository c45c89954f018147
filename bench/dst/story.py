"""One story from one seed: a deployment, what it is asked, what goes wrong, and the verdict."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from hashlib import blake2b
from random import Random
from typing import Any

import structlog
from msgspec import Struct

from bench.dst.deployment import Deployment, simulated_locks
from bench.dst.faults import Faults
from bench.dst.judge import find_unrest, judge
from bench.dst.loop import SimLoop
from bench.dst.trader import Trader
from bench.dst.venue import MIDDLES
from bench.dst.workload import Workload

NS = 1_000_000_000
START_S = 0.4
LOOK_NS = 60_000_000
LOOKS = 3
"""What is told with a tick alone has been told between two looks."""
CALM_S_MAX = 75.0
MARKET_S = 0.5

Tell = Callable[[str], None]


class Verdict(Struct, kw_only=True):
    """What became of a story; `trace` is the hash of all that happened in it, in order."""

    seed: int
    violations: list[str]
    trace: str
    steps: int
    virtual_ms: int
    commands: int
    faults: int
    orders: int
    fills: int


class Story:
    """Runs one seed."""

    def __init__(self, seed: int, tell: Tell | None = None) -> None:
        self.seed = seed
        self.luck = luck = Random(seed)
        self.loop = SimLoop()  # type: ignore[abstract]  # what it lacks nobody calls
        self.deployment = Deployment(self.loop, Random(luck.random()))
        self._trace = blake2b(digest_size=16)
        self._tell = tell
        self._watch()
        self.trader: Trader
        self.commands = luck.randint(5, 30)
        self.faults = luck.choice((0, 1, 2, 3, 4, 6, 8))

    def tell(self) -> list[str]:
        """The story up to its rest; why there is none, where there is none."""
        deployment, loop, luck = self.deployment, self.loop, self.luck
        self.begin()
        trader = self.trader
        workload = Workload(deployment, trader, Random(luck.random()))
        faults = Faults(deployment, trader, Random(luck.random()))
        length_s = luck.choice((0.3, 1.0, 2.0, 4.0))
        for _ in range(self.commands):
            loop.call_later(START_S + luck.random() * length_s, workload.step)
        for _ in range(self.faults):
            loop.call_later(START_S * luck.random() + luck.random() * length_s, faults.step)
        self.pass_s(START_S + length_s)
        self._note("calm")
        faults.calm()
        return self.come_to_rest()

    def begin(self) -> None:
        """Everybody starts, and the market quotes."""
        self._quote_for_ever()
        self.deployment.start_all()
        self.trader = Trader(self.deployment)

    def pass_s(self, seconds: float) -> None:
        """Lets what happens in a while happen."""
        self.loop.run_until(self.loop.now_ns + round(seconds * NS))

    def _quote_for_ever(self) -> None:
        for symbol in MIDDLES:
            self.deployment.venue.move(symbol, 0)
        self.loop.call_later(MARKET_S, self._quote_for_ever)

    def come_to_rest(self) -> list[str]:
        """Waits until nothing is under way and nothing changes, or for too long; why not calm."""
        loop, looks, before = self.loop, 0, -1
        limit_ns = loop.now_ns + round(CALM_S_MAX * NS)
        unrest: list[str] = []
        while looks < LOOKS and loop.now_ns < limit_ns:
            loop.run_until(loop.now_ns + LOOK_NS)
            unrest = find_unrest(self.deployment, self.trader)
            records = len(self.deployment.disk.records)
            looks = 0 if unrest or records != before else looks + 1
            before = records
        return [f"not calm: {what}" for what in unrest]

    def judge(self, unrest: list[str]) -> Verdict:
        """The verdict, once all is told."""
        deployment = self.deployment
        violations = [*unrest, *judge(deployment, self.trader)]
        book = deployment.venue.book()
        return Verdict(
            seed=self.seed,
            violations=violations,
            trace=self._trace.hexdigest(),
            steps=self.loop.steps,
            virtual_ms=self.loop.now_ns // 1_000_000,
            commands=len(self.trader.asked),
            faults=self.faults,
            orders=len(book.orders),
            fills=len(book.fills),
        )

    # -- the trace

    def _watch(self) -> None:
        deployment = self.deployment
        deployment.on_change = lambda what, who: self._note(f"{what} {who}")
        deployment.network.on_bytes = self._heard
        deployment.venue.on_request = self._requested

    def _note(self, line: str) -> None:
        self._trace.update(b"%d %s" % (self.loop.now_ns, line.encode()))
        if self._tell is not None:
            self._tell(f"{self.loop.now_ns / 1e6:10.3f} ms  {line}")

    def _heard(self, sender: str, reader: str, parts: list[bytes]) -> None:
        data = b"".join(parts)
        self._trace.update(b"%d %s %s " % (self.loop.now_ns, sender.encode(), reader.encode()))
        # The WebSocket library draws its own keys and masks: there the lengths must do.
        is_masked = "client" in (sender, reader)
        self._trace.update(b"%d" % len(data) if is_masked else data)
        if self._tell is not None:
            from bench.dst.tracing import describe

            for line in describe(sender, reader, data):
                self._tell(f"{self.loop.now_ns / 1e6:10.3f} ms  {sender} > {reader}  {line}")

    def _requested(self, what: str, body: bytes | None, fate: str) -> None:
        self._trace.update(b"%d %s " % (self.loop.now_ns, what.encode()) + (body or b""))
        if self._tell is not None:
            text = (body or b"").decode()
            self._tell(f"{self.loop.now_ns / 1e6:10.3f} ms  > broker ({fate})  {what} {text}")


@contextmanager
def quiet(tell: Tell | None = None) -> Iterator[None]:
    """Logs go to the trace, or nowhere; the collector stands still."""
    before = structlog.get_config()

    def log(_logger: Any, level: str, event: MutableMapping[str, Any]) -> str:
        if tell is not None:
            tell(f"{'':14}log {level}: {event}")
        raise structlog.DropEvent

    level = logging.DEBUG if tell is not None else logging.CRITICAL
    structlog.configure(
        processors=[log],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    gc.disable()
    try:
        yield
    finally:
        structlog.configure(**before)
        gc.enable()


@contextmanager
def a_story(seed: int, tell: Tell | None = None) -> Iterator[Story]:
    """A story that has yet to begin; gone without a trace afterwards."""
    with quiet(tell):
        story = Story(seed, tell)
        with simulated_locks(story.deployment):
            try:
                yield story
            finally:
                story.loop.end()


@contextmanager
def at_rest(seed: int, tell: Tell | None = None) -> Iterator[tuple[Story, list[str]]]:
    """The deployment of a story that has come to rest, and why not, where it has not."""
    with a_story(seed, tell) as story:
        yield story, story.tell()


def run_story(seed: int, tell: Tell | None = None) -> Verdict:
    """The verdict on one seed."""
    with at_rest(seed, tell) as (story, unrest):
        return story.judge(unrest)
