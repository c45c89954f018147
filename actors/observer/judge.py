"""Judges the alarms: from a node's figures, second by second, to those that stand. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from msgspec import Struct

from actors.observer.alarms import ALARMS, Alarm, Beyond, Severity
from actors.observer.metrics import Node

NS = 1_000_000_000
SAMPLES_MAX = 1_000
"""Of one counter; where more came within its time the oldest goes, so a rise is never made up."""


class Standing(Struct, frozen=True, kw_only=True):
    """An alarm that stands: which, whose, since when (UTC), and what its metric says."""

    id: str
    role: str
    label: str
    severity: Severity
    since_ns: int
    value: float

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it one alarm, however often it is judged."""
        return (self.id, self.role, self.label)


Key = tuple[str, str, str]


class Judge:
    """Remembers since when each condition holds, and how counters rose."""

    def __init__(self, alarms: Iterable[Alarm] = ALARMS, standing: Iterable[Standing] = ()) -> None:
        """`standing` is what an earlier judge left: its conditions held before."""
        self._alarms = tuple(alarms)
        self._held_since: dict[Key, int] = {one.key: one.since_ns for one in standing}
        self._rises: dict[Key, _Rise] = {}

    def judge(self, node: Node, now_ns: int) -> list[Standing]:
        """Those that stand now, the gravest first."""
        found = []
        seen: set[Key] = set()
        for alarm in self._alarms:
            for role, label, value in _series(alarm, node):
                key = (alarm.id, role, label)
                seen.add(key)
                measured = self._measure(alarm, key, value, now_ns)
                standing = self._stand(alarm, key, measured, now_ns)
                if standing is not None:
                    found.append(standing)
        self._forget(seen, now_ns)
        return sorted(found, key=lambda one: (one.severity is not Severity.CRITICAL, one.since_ns))

    def _measure(self, alarm: Alarm, key: Key, value: float, now_ns: int) -> float:
        """The value to hold against the limit: a counter's rise within its time."""
        if alarm.when is not Beyond.RISES_BY:
            return value
        rise = self._rises.setdefault(key, _Rise(alarm.within_s * NS))
        return rise.take(value, now_ns)

    def _stand(self, alarm: Alarm, key: Key, value: float, now_ns: int) -> Standing | None:
        is_beyond = value < alarm.limit if alarm.when is Beyond.BELOW else value > alarm.limit
        if not is_beyond:
            self._held_since.pop(key, None)
            return None
        since_ns = self._held_since.setdefault(key, now_ns)
        if now_ns - since_ns < alarm.for_s * NS:
            return None
        name, role, label = key
        return Standing(
            id=name, role=role, label=label, severity=alarm.severity, since_ns=since_ns, value=value
        )

    def _forget(self, seen: set[Key], now_ns: int) -> None:
        """A level that nobody tells any more holds no more; a rise is remembered for its time."""
        for key in self._held_since.keys() - seen:
            del self._held_since[key]
        for key in [k for k, rise in self._rises.items() if k not in seen and rise.is_old(now_ns)]:
            del self._rises[key]


class _Rise:
    """How much a counter rose lately; one that starts anew rose by what it shows."""

    def __init__(self, within_ns: int) -> None:
        self._within_ns = within_ns
        self._last: float | None = None
        self._last_ns = 0
        self._steps: deque[tuple[int, float]] = deque(maxlen=SAMPLES_MAX)

    def take(self, value: float, now_ns: int) -> float:
        """The rise within the time that ends now."""
        if self._last is not None and value != self._last:
            step = value - self._last if value > self._last else value
            self._steps.append((now_ns, step))
        self._last, self._last_ns = value, now_ns
        while self._steps and now_ns - self._steps[0][0] > self._within_ns:
            self._steps.popleft()
        return sum(step for _, step in self._steps)

    def is_old(self, now_ns: int) -> bool:
        return now_ns - self._last_ns > self._within_ns


def _series(alarm: Alarm, node: Node) -> Iterator[tuple[str, str, float]]:
    """The metric's numbers by role and label."""
    for role, figures in node.items():
        for label, value in figures.values.get(alarm.metric, {}).items():
            if alarm.label is None or alarm.label == label:
                yield role, label, value
