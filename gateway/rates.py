"""Token buckets: how often a session may ask."""

from __future__ import annotations

from domain.errors import ErrorInfo
from gateway import wire
from gateway.errors import rate_limited
from gateway.settings import Limits

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Bucket:
    """Holds at most `burst` permits and gains `rate_per_s` of them a second."""

    __slots__ = ("_burst_ns", "_cost_ns", "_full_at_ns")

    def __init__(self, rate_per_s: int, burst: int) -> None:
        self._cost_ns = NS_PER_S // rate_per_s
        self._burst_ns = burst * self._cost_ns
        # The time at which the bucket will be full again says all (GCRA).
        self._full_at_ns = 0

    def take(self, count: int, now_ns: int) -> int:
        """Takes permits and returns 0, or takes none and returns the wait in ms, at least 1."""
        # A request larger than the whole bucket waits for a full one, not for ever.
        cost_ns = min(count * self._cost_ns, self._burst_ns)
        full_at = max(self._full_at_ns, now_ns) + cost_ns
        over_ns = full_at - now_ns - self._burst_ns
        if over_ns > 0:
            return -(-over_ns // NS_PER_MS)
        self._full_at_ns = full_at
        return 0


class Rates:
    """A session's three buckets: cancels have their own, so that orders cannot starve them."""

    def __init__(self, limits: Limits) -> None:
        self._commands = Bucket(limits.commands_per_s, limits.commands_burst)
        self._cancels = Bucket(limits.cancels_per_s, limits.cancels_burst)
        self._requests = Bucket(limits.requests_per_s, limits.requests_burst)

    def find_fault(self, request: wire.Request, now_ns: int) -> ErrorInfo | None:
        """Takes the request's permits, or says how long to wait."""
        if isinstance(request, wire.OrderCancel):
            wait_ms, what = self._cancels.take(1, now_ns), "cancels"
        elif isinstance(request, wire.NumberedRequest):
            count = len(request.orders) if isinstance(request, wire.OrderBatch) else 1
            wait_ms, what = self._commands.take(count, now_ns), "commands"
        else:
            wait_ms, what = self._requests.take(1, now_ns), "requests"
        return rate_limited(what, wait_ms) if wait_ms else None
