"""What a login may ask of its broker: one budget for data, orders and cancels, under the limit.

The budget is exact over every window of the broker's length, wherever it counts from. Each lane
has a part that the others leave it; a cancel may use whatever is left, so it never waits behind
orders. Orders are granted to the router ahead of their use: what is granted is held for them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from enum import Enum
from fractions import Fraction

from actors.settings import ConnectionSettings
from brokers.adapter import Pace

MS = 1_000_000
ARRIVAL_MS = 50
"""Requests may arrive closer to each other than they left: the window is taken that much longer."""
GRANT_PART = Fraction(1, 4)
"""Of the budget, at most so much is granted ahead and not yet used."""


class Lane(Enum):
    """What a request is for."""

    CANCEL = "cancel"
    ORDER = "order"
    READ = "read"


RESERVED = {Lane.CANCEL: Fraction(1, 5), Lane.ORDER: Fraction(1, 2), Lane.READ: Fraction(1, 10)}
assert RESERVED.keys() == set(Lane)
assert sum(RESERVED.values()) < 1


def pace_of(settings: ConnectionSettings, broker: Pace, has_limits: bool) -> Pace | None:
    """The settings' own pace, or the broker's published one; None where nobody counts."""
    if settings.requests_per_minute is not None:
        per_minute = settings.requests_per_minute
        return Pace(requests=per_minute, per_ms=60_000) if per_minute else None
    return broker if has_limits else None


class Budget:
    """One login's. Times are of the boot clock (ns)."""

    def __init__(self, pace: Pace, boot_ns: Callable[[], int]) -> None:
        self._boot_ns = boot_ns
        self._window_ns = (pace.per_ms + ARRIVAL_MS) * MS
        self._limit = pace.requests
        self._reserved = {lane: max(1, int(pace.requests * RESERVED[lane])) for lane in Lane}
        self._used: deque[tuple[int, Lane]] = deque()
        self._count: Counter[Lane] = Counter()
        self._paused_ns = 0
        self._ahead_max = max(1, int(pace.requests * GRANT_PART))
        orders = pace.requests - self._reserved[Lane.CANCEL] - self._reserved[Lane.READ]
        self.per_order_us = pace.per_ms * 1_000 // orders
        """How long each order takes, where orders use all that they may."""
        self.granted = 0
        self.spent = 0

    def wait_ms(self, lane: Lane) -> int:
        """0 where the lane may be used now; else when to ask again."""
        now = self._boot_ns()
        self._forget(now)
        if now < self._paused_ns:
            return _ms(self._paused_ns - now)
        return self._wait_ms(len(self._used) + self._held_from(lane) + 1 - self._limit, now)

    def _wait_ms(self, too_many: int, now: int) -> int:
        """Until so many of those used are out of the window."""
        if too_many <= 0:
            return 0
        # What is in the way may be what others are left, which no time gives back.
        last = self._used[min(too_many, len(self._used)) - 1][0] if self._used else now
        return _ms(max(last + self._window_ns - now, MS))

    def take(self, lane: Lane) -> None:
        """One request leaves."""
        now = self._boot_ns()
        self._forget(now)
        self._used.append((now, lane))
        self._count[lane] += 1

    def _forget(self, now: int) -> None:
        oldest = now - self._window_ns
        while self._used and self._used[0][0] <= oldest:
            self._count[self._used.popleft()[1]] -= 1

    def _held_from(self, lane: Lane) -> int:
        """What other lanes are left; a cancel asks nobody but those whose leave is given."""
        if lane is Lane.CANCEL:
            return self._ahead
        orders = max(self._ahead, self._left(Lane.ORDER))
        return self._left(Lane.CANCEL) + (orders if lane is Lane.READ else self._left(Lane.READ))

    def _left(self, lane: Lane) -> int:
        return max(0, self._reserved[lane] - self._count[lane])

    # -- orders

    @property
    def _ahead(self) -> int:
        return max(0, self.granted - self.spent)

    def begin(self) -> None:
        """A router attaches: what was granted before is void."""
        self.granted = self.spent = 0
        self.grant()

    def grant(self) -> bool:
        """Grants what is free; True where the router has something new to use."""
        now = self._boot_ns()
        self._forget(now)
        if now < self._paused_ns:
            return False
        more = min(self._free(), self._ahead_max - self._ahead)
        self.granted += max(0, more)
        return more > 0

    def _free(self) -> int:
        return self._limit - len(self._used) - self._held_from(Lane.ORDER) - self._ahead

    def grant_wait_ms(self) -> int:
        """When to grant again; 0 for now."""
        now = self._boot_ns()
        self._forget(now)
        return self._wait_ms(1 - self._free(), now) or _ms_left(self._paused_ns - now)

    @property
    def is_low(self) -> bool:
        """True where the router should hear of more before it runs out."""
        return 2 * self._ahead <= self._ahead_max

    @property
    def is_used_up(self) -> bool:
        """True where the router has nothing left to use."""
        return self.spent >= self.granted

    def spend(self) -> bool:
        """An order uses its grant; False where it has none (any more)."""
        if self.is_used_up:
            return False
        self.spent += 1
        self.take(Lane.ORDER)
        return True

    # -- what the broker says

    def pause(self, pause_ms: int) -> None:
        """The broker refuses for so long: nothing leaves, and what was granted is taken back."""
        self._paused_ns = max(self._paused_ns, self._boot_ns() + pause_ms * MS)
        self.granted = self.spent

    def see_remaining(self, remaining: int) -> None:
        """The broker's own count: where it is lower than ours, others use the login as well."""
        own = self._limit - len(self._used)
        for _ in range(min(own, self._limit) - max(0, remaining)):
            self.take(Lane.READ)


def _ms_left(ns: int) -> int:
    return _ms(ns) if ns > 0 else 0


def _ms(ns: int) -> int:
    return max(1, -(-ns // MS))
