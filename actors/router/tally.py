"""What the router counts and times on an order's way: additions on plain numbers, no more."""

from __future__ import annotations

from collections import Counter

from actors.beacon import Declared
from actors.figures import Latency
from domain.events import Event


class Tally:
    """Since the start of this router; `figures.py` says what is told of it."""

    def __init__(self) -> None:
        self.events: Counter[type[Event]] = Counter()
        self.refusals: Counter[str] = Counter()
        self.notices: Counter[str] = Counter()
        self.edge = Latency()
        self.compliance = Latency()
        self.router = Latency()
        self.outcome = Latency()
        self.commit = Latency()
        self._leaving_ns: list[int] = []

    def received(self, edge_ns: int, now_ns: int) -> None:
        """An order came from an edge that had it at `edge_ns`; a clock may have been stepped."""
        self.edge.observe(max(0, now_ns - edge_ns))

    def leaves(self, boot_ns: int) -> None:
        """An order is to leave with this batch; its verdict came at `boot_ns`."""
        self._leaving_ns.append(boot_ns)

    def state_ended(self, state: Declared, since_ns: int, now_ns: int) -> None:
        """The beacon's word: a commit is over, and what it held up leaves now."""
        if state is not Declared.COMMITTING:
            return
        self.commit.observe(now_ns - since_ns)
        for leaving_ns in self._leaving_ns:
            self.router.observe(now_ns - leaving_ns)
        self._leaving_ns.clear()
