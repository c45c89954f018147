"""The alarm catalogue: what wakes a person, and why it should.

One row an alarm. The observer judges the rows on the node; `fillgate alarms rules` writes the
same rows as Prometheus' alert rules (deploy/alerts.yml). Each has a section of its id in
docs/operating/runbooks.md: what you see, what happened to the orders, what to do, how you know
that it is over. A new row without one fails the tests.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

MIB = 1024 * 1024
MINUTE_S = 60


class Severity(Enum):
    """Critical: money may be at risk, now. Warning: it will be, if nobody looks today."""

    CRITICAL = "critical"
    WARNING = "warning"


class Beyond(Enum):
    """How a metric is held against the limit."""

    ABOVE = "above"
    BELOW = "below"
    RISES_BY = "rises_by"
    """By more than the limit within `within_s`; for counters."""


class Alarm(Struct, frozen=True, kw_only=True):
    """A condition on one metric, for each of its series by itself.

    `label` narrows the metric to one value of its own label; the condition must hold for
    `for_s` before the alarm stands. `says` is for the notice, `money` for its reader's purse.
    """

    id: str
    severity: Severity
    metric: str
    when: Beyond
    limit: float
    says: str
    money: str
    label: str | None = None
    for_s: int = 0
    within_s: int = 0

    @property
    def runbook(self) -> str:
        """Where its runbook is."""
        return f"docs/operating/runbooks.md#{self.id}"


CRITICAL, WARNING = Severity.CRITICAL, Severity.WARNING

ALARMS = (
    Alarm(
        id="unknown_order",
        severity=CRITICAL,
        metric="fillgate_order_unknown_oldest_seconds",
        when=Beyond.ABOVE,
        limit=30,
        says="an order's outcome has been unknown for more than 30 s",
        money="it may be live at the broker, or not; its whole risk stays reserved",
    ),
    Alarm(
        id="break_found",
        severity=CRITICAL,
        metric="fillgate_notices_total",
        label="break",
        when=Beyond.RISES_BY,
        limit=0,
        within_s=10 * MINUTE_S,
        says="the broker said something that cannot be",
        money="our books and the broker's may differ until the account is reconciled",
    ),
    Alarm(
        id="late_fill",
        severity=CRITICAL,
        metric="fillgate_notices_total",
        label="late_fill",
        when=Beyond.RISES_BY,
        limit=0,
        within_s=10 * MINUTE_S,
        says="an order was filled after its end, or beyond its quantity",
        money="a position is larger than its strategy believes; it is counted here",
    ),
    Alarm(
        id="not_trading",
        severity=CRITICAL,
        metric="fillgate_trading",
        when=Beyond.BELOW,
        limit=1,
        for_s=10,
        says="no order gets through: no connection is up, or compliance is away",
        money="new orders are refused; what works at the brokers goes on working",
    ),
    Alarm(
        id="connection_down",
        severity=CRITICAL,
        metric="fillgate_connection_up",
        when=Beyond.BELOW,
        limit=1,
        for_s=15,
        says="a broker connection is down",
        money="its orders can be neither placed nor canceled here; fills are told afterwards",
    ),
    Alarm(
        id="breaker_open",
        severity=CRITICAL,
        metric="fillgate_breaker_open",
        when=Beyond.ABOVE,
        limit=0,
        says="a connection's breaker is open: the broker failed again and again",
        money="only cancels are sent there until it closes",
    ),
    Alarm(
        id="cancel_only",
        severity=CRITICAL,
        metric="fillgate_cancel_only",
        when=Beyond.ABOVE,
        limit=0,
        says="the journal takes cancels alone: its disk is full or failing",
        money="new orders are refused; cancels still reach the brokers",
    ),
    Alarm(
        id="halted",
        severity=WARNING,
        metric="fillgate_halts",
        when=Beyond.ABOVE,
        limit=0,
        says="a halt is in force",
        money="new orders in its scope are refused until somebody resumes",
    ),
    Alarm(
        id="guard_fired",
        severity=WARNING,
        metric="fillgate_notices_total",
        label="guard_fired",
        when=Beyond.RISES_BY,
        limit=0,
        within_s=10 * MINUTE_S,
        says="a guard fired: a client fell silent and its orders are canceled",
        money="its working orders are gone; its positions are not",
    ),
    Alarm(
        id="compliance_finding",
        severity=WARNING,
        metric="fillgate_notices_total",
        label="finding",
        when=Beyond.RISES_BY,
        limit=0,
        within_s=10 * MINUTE_S,
        says="compliance found something after a trade",
        money="a call, a deficit or a violation that may restrict the account",
    ),
    Alarm(
        id="suspicious_trading",
        severity=WARNING,
        metric="fillgate_notices_total",
        label="suspicion",
        when=Beyond.RISES_BY,
        limit=0,
        within_s=10 * MINUTE_S,
        says="trading looked like spoofing, layering, wash trades or marking the close",
        money="nothing was refused; a broker or regulator may ask, and may freeze the account",
    ),
    Alarm(
        id="many_rejections",
        severity=WARNING,
        metric="fillgate_order_events_total",
        label="rejected",
        when=Beyond.RISES_BY,
        limit=20,
        within_s=5 * MINUTE_S,
        says="the broker rejected more than 20 orders in 5 minutes",
        money="a strategy trades on the belief that it has orders it has not",
    ),
    Alarm(
        id="many_denials",
        severity=WARNING,
        metric="fillgate_order_events_total",
        label="denied",
        when=Beyond.RISES_BY,
        limit=20,
        within_s=5 * MINUTE_S,
        says="compliance denied more than 20 orders in 5 minutes",
        money="nothing was sent; a strategy runs against its limits",
    ),
    Alarm(
        id="orders_wait",
        severity=WARNING,
        metric="fillgate_ready_orders",
        when=Beyond.ABOVE,
        limit=100,
        for_s=10,
        says="more than 100 orders wait for a send credit",
        money="they reach the broker late, or never: prices move on meanwhile",
    ),
    Alarm(
        id="events_wait",
        severity=WARNING,
        metric="fillgate_outbox_items",
        when=Beyond.ABOVE,
        limit=1_000,
        for_s=10,
        says="more than 1,000 facts from a broker wait for the router",
        money="clients hear of fills late; nothing is lost",
    ),
    Alarm(
        id="role_down",
        severity=CRITICAL,
        metric="fillgate_role_up",
        when=Beyond.BELOW,
        limit=1,
        for_s=15,
        says="a process is away, or tells nothing of itself",
        money="depends on the process: the runbook has a line for each",
    ),
    Alarm(
        id="role_restarts",
        severity=WARNING,
        metric="fillgate_restarts_total",
        when=Beyond.RISES_BY,
        limit=3,
        within_s=5 * MINUTE_S,
        says="a process was started anew more than 3 times in 5 minutes",
        money="each restart is a pause; in-flight orders are looked up at the broker",
    ),
    Alarm(
        id="killed_for_silence",
        severity=WARNING,
        metric="fillgate_watchdog_kills_total",
        when=Beyond.RISES_BY,
        limit=0,
        within_s=10 * MINUTE_S,
        says="the watchdog killed a process that hung",
        money="a pause of a second or two; in-flight orders are looked up at the broker",
    ),
    Alarm(
        id="journal_disk_low",
        severity=WARNING,
        metric="fillgate_journal_free_bytes",
        when=Beyond.BELOW,
        limit=2_048 * MIB,
        for_s=30,
        says="less than 2 GiB are free where the journal is",
        money="none yet: once it is full, new orders are refused",
    ),
    Alarm(
        id="journal_disk_full",
        severity=CRITICAL,
        metric="fillgate_journal_free_bytes",
        when=Beyond.BELOW,
        limit=256 * MIB,
        says="less than 256 MiB are free where the journal is",
        money="new orders will be refused within the hour; cancels have a reserve",
    ),
    Alarm(
        id="ledger_behind",
        severity=WARNING,
        metric="fillgate_ledger_behind_records",
        when=Beyond.ABOVE,
        limit=10_000,
        for_s=30,
        says="the store is more than 10,000 records behind the journal",
        money="none: lists and reports are old, orders are not",
    ),
    Alarm(
        id="slow_clients",
        severity=WARNING,
        metric="fillgate_gateway_closes_total",
        label="4008",
        when=Beyond.RISES_BY,
        limit=0,
        within_s=5 * MINUTE_S,
        says="a client that read too slowly was cut off",
        money="it trades blind until it is back; it then gets all it missed",
    ),
    Alarm(
        id="clock_unsynchronized",
        severity=WARNING,
        metric="fillgate_clock_synchronized",
        when=Beyond.BELOW,
        limit=1,
        for_s=10 * MINUTE_S,
        says="nothing disciplines this machine's clock",
        money="none at once: deadlines use another clock; records carry wrong times",
    ),
    Alarm(
        id="clock_error",
        severity=CRITICAL,
        metric="fillgate_clock_offset_seconds",
        when=Beyond.ABOVE,
        limit=0.5,
        for_s=30,
        says="this machine's clock is more than half a second off",
        money="quotes may be judged stale or fresh wrongly; records carry wrong times",
    ),
    Alarm(
        id="notices_fail",
        severity=WARNING,
        metric="fillgate_notices_failed_total",
        when=Beyond.RISES_BY,
        limit=0,
        within_s=15 * MINUTE_S,
        says="a notice to operators could not be sent",
        money="the next alarm may reach nobody",
    ),
)
BY_ID = {alarm.id: alarm for alarm in ALARMS}
assert len(BY_ID) == len(ALARMS)
