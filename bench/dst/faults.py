"""What goes wrong in a story: links clogged and unclogged in any order, cuts, deaths, bad brokers.

Swizzle: a random choice of ways between processes is clogged one by one, and unclogged again in
another order, so that every message may be early or late against every other.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from msgspec.structs import replace

from bench.dst.deployment import ROLES, Deployment
from bench.dst.storage import CRASHES
from bench.dst.trader import Trader
from bench.dst.venue import Badness
from brokers.simulators.hostility import Hostility

HOUR_NS = 3_600_000_000_000


class Faults:
    """Draws faults and does them; each ends by itself, and all at `calm`."""

    def __init__(self, deployment: Deployment, trader: Trader, luck: Random) -> None:
        self.deployment = deployment
        self.trader = trader
        self.luck = luck
        self.is_over = False
        self._kinds: tuple[tuple[int, Callable[[], None]], ...] = (
            (6, self.swizzle), (4, self.cut), (6, self.kill), (5, self.crash_in_a_commit),
            (6, self.bad_answers), (3, self.bad_reads), (3, self.bad_lines), (2, self.cut_streams),
            (2, self.take_the_venue_away), (1, self.cut_power), (2, self.kill_the_client),
            (1, self.step_the_clock), (1, self.snapshot), (2, self.loop_the_router),
        )  # fmt: skip
        self._weights = [weight for weight, _ in self._kinds]
        self._calls = [call for _, call in self._kinds]

    def step(self) -> None:
        """One fault."""
        (call,) = self.luck.choices(self._calls, self._weights)
        self.deployment.on_change("fault", call.__name__)
        call()

    def _pause_s(self) -> float:
        """How long something lasts: mostly short."""
        return self.luck.choice((0.0, 0.001, 0.005, 0.02, 0.06, 0.2, 0.6, 1.5))

    def _later(self, delay_s: float, deed: Callable[[], None]) -> None:
        self.deployment.loop.call_later(delay_s, self._unless_over, deed)

    def _unless_over(self, deed: Callable[[], None]) -> None:
        if not self.is_over:
            deed()

    # -- the network

    def swizzle(self) -> None:
        """Clogs some ways one by one, and unclogs them in another order."""
        network, luck = self.deployment.network, self.luck
        ways = network.ways()
        some = luck.sample(ways, luck.randint(1, len(ways))) if ways else []
        longest_s = self._pause_s()
        for way in some:
            begin_s = luck.random() * longest_s
            self._later(begin_s, lambda way=way: network.clog(way))  # type: ignore[misc]
            end_s = begin_s + luck.random() * longest_s
            self._later(end_s, lambda way=way: network.unclog(way))  # type: ignore[misc]

    def cut(self) -> None:
        """Breaks the links between two processes."""
        ways = self.deployment.network.ways()
        if ways:
            self.deployment.network.cut(self.luck.choice(ways))

    # -- processes

    def kill(self) -> None:
        """SIGKILL, and a new start after a while."""
        role = self.luck.choice(ROLES)
        self.deployment.kill(role)
        self._later(self._pause_s(), lambda: self.deployment.start(role))

    def crash_in_a_commit(self) -> None:
        """The router ends in its next commit."""
        self.deployment.disk.crash = self.luck.choice(CRASHES)
        self._later(self._pause_s() + 0.05, lambda: self.deployment.start("router"))

    def loop_the_router(self) -> None:
        """A router gone mad says everything twice to the connection."""
        network = self.deployment.network
        network.looped = ("router", "connection")
        self._later(self._pause_s(), lambda: setattr(network, "looped", None))

    def cut_power(self) -> None:
        """The machine goes down, and up again."""
        self.deployment.cut_power()
        self._later(self._pause_s(), self.deployment.start_all)

    def kill_the_client(self) -> None:
        """A strategy's process ends and comes back with its cursor."""
        self.trader.kill()
        self._later(self._pause_s(), self.trader.start)

    def step_the_clock(self) -> None:
        """UTC jumps by up to an hour, either way."""
        self.deployment.host.step_ns += self.luck.randint(-HOUR_NS, HOUR_NS)

    def snapshot(self) -> None:
        """The router writes its state down."""
        router = self.deployment.parts.get("router")
        if router is not None and router.journal.durable == router.desk.books.number:
            books = router.desk.books
            router.journal.write_snapshot(books.number, books.to_bytes())

    # -- the broker

    @property
    def _badness(self) -> Badness:
        return self.deployment.venue.badness

    def _set(self, **words: object) -> None:
        for name, value in words.items():
            setattr(self._badness, name, value)

    def bad_answers(self) -> None:
        """Orders, cancels and amends meet a bad line for a while."""
        self._set(write_fault=self.luck.choice((0.2, 0.5, 1.0)))
        self._later(self._pause_s() * 2, lambda: self._set(write_fault=0.0))

    def bad_reads(self) -> None:
        """Reads fail for a while."""
        self._set(read_fault=self.luck.choice((0.3, 0.7, 1.0)))
        self._later(self._pause_s(), lambda: self._set(read_fault=0.0))

    def bad_lines(self) -> None:
        """The stream repeats, swaps or loses lines, or falls silent, for a while."""
        kind = self.luck.choice(("repeated_event", "reordered_event", "silent", "lost_line"))
        chance = self.luck.choice((0.3, 0.8))
        if kind == "lost_line":
            self._set(lost_line=chance)
        else:
            value: object = True if kind == "silent" else chance
            self._set(lines=replace(self._badness.lines, **{kind: value}))
        self._later(self._pause_s(), lambda: self._set(lines=Hostility(), lost_line=0.0))

    def cut_streams(self) -> None:
        """Every stream ends."""
        self.deployment.venue.cut()

    def take_the_venue_away(self) -> None:
        """Nobody there for a while."""
        self._set(is_down=True)
        self.deployment.venue.cut()
        self._later(self._pause_s(), lambda: self._set(is_down=False))

    def calm(self) -> None:
        """All is well from now on, and everybody is up."""
        self.is_over = True
        deployment = self.deployment
        deployment.venue.badness = Badness()
        deployment.disk.crash = None
        deployment.network.looped = None
        for way in sorted(deployment.network.clogged):
            deployment.network.unclog(way)
        deployment.start_all()
        self.trader.start_if_down()
