"""Counts of what the gateway does; plain ints on the way, Prometheus' words at the scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Counts:
    """What was counted since the start; written by the server's loop alone."""

    def __init__(self) -> None:
        self.messages_in = 0
        self.replies_out = 0
        self.updates_out = 0
        self.quotes_out = 0
        self.quotes_conflated = 0
        self.sessions = 0
        self.connections = 0
        self.closes: Counter[int] = Counter()
        self.refused: Counter[int] = Counter()


class GatewayCollector(Collector):
    """Shows the counts to a registry; a count costs an addition, not a lock."""

    def __init__(self, counts: Counts, is_router_up: Callable[[], bool]) -> None:
        self._counts = counts
        self._is_router_up = is_router_up

    def collect(self) -> Iterator[Metric]:
        """All families, once for each scrape."""
        counts = self._counts
        for name, value, text in (
            ("messages_in", counts.messages_in, "Messages from clients"),
            ("replies_out", counts.replies_out, "Replies and other single messages to clients"),
            ("updates_out", counts.updates_out, "Entries of durable streams to clients"),
            ("quotes_out", counts.quotes_out, "Quotes to clients"),
            ("quotes_conflated", counts.quotes_conflated, "Quotes that newer ones replaced"),
        ):
            yield CounterMetricFamily(f"fillgate_gateway_{name}", text, value=value)
        for name, value, text in (
            ("connections", counts.connections, "Open sockets"),
            ("sessions", counts.sessions, "Sockets past the upgrade"),
            ("router_up", int(self._is_router_up()), "1 where the router answers"),
        ):
            yield GaugeMetricFamily(f"fillgate_gateway_{name}", text, value=value)
        for name, found, label in (
            ("closes", counts.closes, "code"),
            ("upgrades_refused", counts.refused, "status"),
        ):
            family = CounterMetricFamily(f"fillgate_gateway_{name}", name, labels=[label])
            for key, value in found.items():
                family.add_metric([str(key)], value)
            yield family
