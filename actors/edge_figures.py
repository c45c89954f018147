"""What an edge tells of itself once a second, and the page its `/metrics` shows."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from actors.figures import Figures
from gateway.metrics import Counts
from gateway.wire import CloseCode

OLD_S_MAX = 10.0
"""An observer's page older than that is no longer shown; the edge then speaks for itself."""
COUNTERS = ("messages_in", "replies_out", "updates_out", "quotes_out", "quotes_conflated")
GAUGES = ("connections", "sessions")


def figures_of(counts: Counts) -> Figures:
    """The edge as it stands."""
    told = Figures()
    for name in COUNTERS:
        told.put(f"fillgate_gateway_{name}_total", getattr(counts, name))
    for name in GAUGES:
        told.put(f"fillgate_gateway_{name}", getattr(counts, name))
    # Slow clients at zero too: what first appears at one has not risen, to who reads rises.
    slow = CloseCode.SLOW_CONSUMER
    closes = {str(int(code)): count for code, count in {slow: 0, **counts.closes}.items()}
    refused = {str(status): count for status, count in counts.refused.items()}
    told.put_all("fillgate_gateway_closes_total", closes)
    told.put_all("fillgate_gateway_upgrades_refused_total", refused)
    return told


def node_metrics(page: Path, own: CollectorRegistry) -> Callable[[], bytes]:
    """All processes of the node as the observer wrote them; this edge alone while it is away."""

    def read() -> bytes:
        try:
            if time.time() - page.stat().st_mtime <= OLD_S_MAX:
                return page.read_bytes()
        except FileNotFoundError:
            pass
        return generate_latest(own)

    return read
