"""Where an order's time goes, from what is written down anyway: no clock was added to its way.

All processes share one host, so one clock (UTC). A record's time is taken when the router
decides, just before the commit that makes it durable; `durable` is when the client was told.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from msgspec import Struct

from bench.contender import Stamps
from bench.histogram import Histogram
from domain.events import Fill
from domain.records import Ordered, Record, Reported
from domain.streams import OrderUpdate

NS_PER_US = 1_000
SEGMENTS = {
    "client_to_router": "client sends → router decides (edge, screen)",
    "router_to_broker": "→ commit 1, connection → broker books",
    "broker_to_router": "→ connection → router believes",
    "router_to_client": "→ commit 2, edge → client has the outcome",
}
DURABLE = "client_to_durable"


class Trail(Struct):
    """What the journal says of one order: how many records, and when they were decided."""

    ordered_ns: int = 0
    reported_ns: int = 0
    broker_ns: int = 0
    ordered: int = 0
    reported: int = 0
    settled: int = 0


def trails(records: Iterable[Record]) -> dict[str, Trail]:
    """Each client order's trail through the journal."""
    found: dict[str, Trail] = {}
    for record in records:
        if isinstance(record.cause, Ordered):
            trail = found.setdefault(record.cause.command.client_order_id, Trail())
            trail.ordered += 1
            trail.ordered_ns = record.at_ns
            continue
        for name in {_name_of(update.body) for update in record.updates} - {None}:
            assert name is not None
            _count(found.setdefault(name, Trail()), record)
        for update in record.updates:
            body = update.body
            if isinstance(body, OrderUpdate) and isinstance(body.event, Fill):
                found[body.client_order_id or ""].broker_ns = body.event.at_ns
    return found


def _name_of(body: object) -> str | None:
    return body.client_order_id if isinstance(body, OrderUpdate) else None


def _count(trail: Trail, record: Record) -> None:
    if isinstance(record.cause, Reported):
        trail.reported += 1
        trail.reported_ns = trail.reported_ns or record.at_ns
    else:
        trail.settled += 1


class Split(Struct, frozen=True, kw_only=True):
    """One segment's time."""

    p50_us: float
    p99_us: float


def split(stamps: Iterable[Stamps], ways: Iterable[Trail]) -> dict[str, Split]:
    """The segments of many orders; each is its own distribution, so they need not add up."""
    columns: dict[str, list[int]] = {name: [] for name in (*SEGMENTS, DURABLE)}
    for client, way in zip(stamps, ways, strict=True):
        columns["client_to_router"].append(way.ordered_ns - client.sent_ns)
        columns["router_to_broker"].append(way.broker_ns - way.ordered_ns)
        columns["broker_to_router"].append(way.reported_ns - way.broker_ns)
        columns["router_to_client"].append(client.outcome_ns - way.reported_ns)
        columns[DURABLE].append(client.durable_ns - client.sent_ns)
    return {name: _split(durations) for name, durations in columns.items()}


def _split(durations_ns: list[int]) -> Split:
    histogram = Histogram(durations_ns)
    return Split(
        p50_us=round(histogram.at_ms(50) * 1000, 1), p99_us=round(histogram.at_ms(99) * 1000, 1)
    )


def median_split(runs: list[dict[str, Split]]) -> dict[str, Split]:
    """Each number's own median over the runs."""
    return {
        name: Split(
            p50_us=median(run[name].p50_us for run in runs),
            p99_us=median(run[name].p99_us for run in runs),
        )
        for name in runs[0]
    }
