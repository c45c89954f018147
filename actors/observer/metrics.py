"""Every metric there is, by name; and a node's figures in Prometheus' words.

To tell something new: `put` it in the figures of the process that knows it, and add a row here.
A name without a row is a bug that a test finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from actors.figures import BOUNDS_NS, Figures, Spread

NS = 1_000_000_000


class Row(Struct, frozen=True):
    """One metric: its name, what it says, and its label beside `role` where it has one."""

    name: str
    says: str
    label: str = ""

    @property
    def is_counter(self) -> bool:
        """A name that ends in `_total` only ever rises."""
        return self.name.endswith("_total")


ROWS = (
    # The router.
    Row("fillgate_trading", "1 where an order would get through"),
    Row("fillgate_orders", "Open orders by state", "state"),
    Row("fillgate_orders_known", "Client orders in the books, ended ones too"),
    Row("fillgate_order_unknown_oldest_seconds", "Age of the oldest order in state unknown"),
    Row("fillgate_order_events_total", "Facts about orders by kind", "event"),
    Row("fillgate_refusals_total", "Requests refused by us, by error code", "code"),
    Row("fillgate_notices_total", "Notices on the admin stream by kind", "kind"),
    Row("fillgate_halts", "Halts in force"),
    Row("fillgate_cancel_only", "1 while only cancels are taken"),
    Row("fillgate_ready_orders", "Orders that wait for a send credit", "connection"),
    Row("fillgate_orders_in_flight", "Orders sent and not yet answered", "connection"),
    Row("fillgate_send_credits", "Orders that may still be sent before an answer", "connection"),
    Row("fillgate_order_segment_seconds", "Time of an order's way by segment", "segment"),
    Row("fillgate_journal_commit_seconds", "Time of a journal commit"),
    Row("fillgate_journal_records_total", "Records in the journal"),
    # Compliance.
    Row("fillgate_compliance_loaded", "1 where compliance has a book and screens"),
    Row("fillgate_screens_total", "Orders screened"),
    # Broker connections.
    Row("fillgate_connection_up", "1 while in step with the broker"),
    Row("fillgate_breaker_open", "1 while the connection's breaker is open"),
    Row("fillgate_outbox_items", "Facts told and not yet durable"),
    Row("fillgate_broker_requests_in_flight", "Orders on their way to the broker"),
    Row("fillgate_instruments_listed", "Instruments the broker lists"),
    Row("fillgate_instruments_followed", "Instruments whose prices are followed"),
    Row("fillgate_quotes_in_total", "Price updates from the broker"),
    # Edges.
    Row("fillgate_gateway_connections", "Open sockets"),
    Row("fillgate_gateway_sessions", "Sockets past the upgrade"),
    Row("fillgate_gateway_messages_in_total", "Messages from clients"),
    Row("fillgate_gateway_replies_out_total", "Replies and other single messages to clients"),
    Row("fillgate_gateway_updates_out_total", "Entries of durable streams to clients"),
    Row("fillgate_gateway_quotes_out_total", "Quotes to clients"),
    Row("fillgate_gateway_quotes_conflated_total", "Quotes that newer ones replaced"),
    Row("fillgate_gateway_closes_total", "Closed sockets by close code; 4008 is a slow client",
        "code"),
    Row("fillgate_gateway_upgrades_refused_total", "Refused upgrades by HTTP status", "status"),
    # The ledger.
    Row("fillgate_ledger_current", "1 while reads are answered from the store"),
    Row("fillgate_ledger_records_total", "Journal records laid out in the store"),
    Row("fillgate_ledger_reads_waiting", "Reads not yet answered"),
    # The watchdog.
    Row("fillgate_watchdog_kills_total", "Processes killed for their silence", "killed"),
    # What the observer sees by itself.
    Row("fillgate_role_up", "1 while the role's process lives and tells its figures"),
    Row("fillgate_restarts_total", "New processes of a role since the observer started"),
    Row("fillgate_process_resident_bytes", "Memory of the role's process"),
    Row("fillgate_process_cpu_seconds_total", "Processor time of the role's process"),
    Row("fillgate_process_open_files", "Open file descriptors of the role's process"),
    Row("fillgate_journal_free_bytes", "Room on the journal's file system"),
    Row("fillgate_clock_synchronized", "1 where the kernel's clock is disciplined"),
    Row("fillgate_clock_offset_seconds", "The kernel's estimate of its clock's offset"),
    Row("fillgate_clock_error_max_seconds", "The kernel's bound on its clock's error"),
    Row("fillgate_ledger_behind_records", "Journal records not yet in the store"),
    Row("fillgate_alarms", "Alarms that stand, by severity", "severity"),
    Row("fillgate_notices_sent_total", "Notices to operators sent"),
    Row("fillgate_notices_failed_total", "Notices to operators that could not be sent"),
    Row("fillgate_observed_timestamp_seconds", "When this page was made"),
)  # fmt: skip
BY_NAME = {row.name: row for row in ROWS}
assert len(BY_NAME) == len(ROWS)

Node = dict[str, Figures]
"""A node's figures by role."""


class NodeCollector(Collector):
    """Shows a node's figures to a registry."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        """All families that anyone speaks of, in the table's order."""
        for row in ROWS:
            found = [
                (role, label, value)
                for role, figures in self._node.items()
                for label, value in figures.values.get(row.name, {}).items()
            ]
            timed = [
                (role, label, spread)
                for role, figures in self._node.items()
                for label, spread in figures.spreads.get(row.name, {}).items()
            ]
            if found:
                yield _family(row, found)
            elif timed:
                yield _histogram(row, timed)


def _labels(row: Row) -> list[str]:
    return ["role", row.label] if row.label else ["role"]


def _family(row: Row, found: Iterable[tuple[str, str, int | float]]) -> Metric:
    kind = CounterMetricFamily if row.is_counter else GaugeMetricFamily
    family = kind(row.name, row.says, labels=_labels(row))
    for role, label, value in found:
        family.add_metric([role, label] if row.label else [role], value)
    return family


def _histogram(row: Row, timed: Iterable[tuple[str, str, Spread]]) -> Metric:
    family = HistogramMetricFamily(row.name, row.says, labels=_labels(row))
    for role, label, spread in timed:
        buckets, total = [], 0
        for bound, count in zip((*BOUNDS_NS, None), spread.counts, strict=True):
            total += count
            buckets.append(("+Inf" if bound is None else str(bound / NS), float(total)))
        labels = [role, label] if row.label else [role]
        family.add_metric(labels, buckets, sum_value=spread.total_ns / NS)
    return family


def to_prometheus(node: Node) -> bytes:
    """The node's page for a scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(NodeCollector(node))
    return generate_latest(registry)
