"""What `fillgate top` shows, worked out from two looks of the observer's. Pure."""

from __future__ import annotations

from msgspec import Struct

from actors.figures import Figures, Spread
from actors.observer.alarms import BY_ID
from actors.observer.judge import Standing
from actors.observer.main import Observed
from actors.paths import connection_role

NS = 1_000_000_000
SEGMENTS = ("edge", "compliance", "router", "connection", "broker", "outcome")
OUTCOMES = ("accepted", "fill", "canceled", "rejected", "denied", "expired")


class OrdersView(Struct, frozen=True):
    """Open orders by state, what became of others since the router's start, and how fast."""

    open: dict[str, int]
    since_start: dict[str, int]
    placed_per_s: float
    unknown_oldest_s: float


class SegmentView(Struct, frozen=True):
    """How long one part of an order's way took lately, where any order went it."""

    name: str
    count: int
    p50_us: int | None
    p99_us: int | None


class ConnectionView(Struct, frozen=True):
    """One broker connection."""

    id: str
    is_up: bool
    in_flight: int
    ready: int
    credits: int
    outbox: int
    quotes_per_s: float
    p50_us: int | None
    p99_us: int | None


class ProcessView(Struct, frozen=True):
    """One process."""

    role: str
    is_up: bool
    restarts: int
    resident_mib: float
    cpu_percent: float
    open_files: int


class AlarmView(Struct, frozen=True):
    """One alarm that stands."""

    id: str
    severity: str
    place: str
    since_s: float
    says: str
    runbook: str


class View(Struct, frozen=True, kw_only=True):
    """One frame."""

    at_ns: int
    age_s: float
    is_trading: bool
    halts: int
    breaks: int
    sessions: int
    slow_clients: int
    messages_per_s: float
    quotes_out_per_s: float
    records: int
    commit_p50_us: int | None
    commit_p99_us: int | None
    free_gib: float | None
    ledger_behind: int
    orders: OrdersView
    segments: list[SegmentView]
    connections: list[ConnectionView]
    processes: list[ProcessView]
    alarms: list[AlarmView]


class _Look:
    """Two looks: what is, and how fast it changes."""

    def __init__(self, before: Observed, now: Observed) -> None:
        self._before, self._now = before, now
        self._seconds = max((now.at_ns - before.at_ns) / NS, 1.0)

    def get(self, role: str, name: str, label: str = "") -> float:
        """A number of a role's; 0 where it tells none."""
        return _value(self._now, role, name, label)

    def rate(self, role: str, name: str, label: str = "") -> float:
        """By how much it rose in a second."""
        rise = self.get(role, name, label) - _value(self._before, role, name, label)
        return max(rise, 0) / self._seconds

    def total(self, name: str, label: str = "") -> float:
        """The sum over all roles."""
        return sum(self.get(role, name, label) for role in self._now.node)

    def total_rate(self, name: str) -> float:
        """How fast the sum rises."""
        return sum(self.rate(role, name) for role in self._now.node)

    def lately(self, role: str, name: str, label: str = "") -> Spread | None:
        """A latency between the two looks; the whole of it where nothing happened between."""
        now = _spread(self._now, role, name, label)
        if now is None:
            return None
        fresh = now.since(_spread(self._before, role, name, label))
        return fresh if sum(fresh.counts) else now


def _figures(look: Observed, role: str) -> Figures:
    return look.node.get(role) or Figures()


def _value(look: Observed, role: str, name: str, label: str) -> float:
    return _figures(look, role).values.get(name, {}).get(label, 0)


def _spread(look: Observed, role: str, name: str, label: str) -> Spread | None:
    return _figures(look, role).spreads.get(name, {}).get(label)


def view_of(before: Observed, now: Observed, now_ns: int) -> View:
    """The frame; rates and latencies are those since `before`."""
    look = _Look(before, now)
    commit = look.lately("router", "fillgate_journal_commit_seconds")
    told = _figures(now, "observer").values
    free = told.get("fillgate_journal_free_bytes", {}).get("")
    return View(
        at_ns=now.at_ns,
        age_s=round(max(0, now_ns - now.at_ns) / NS, 1),
        is_trading=bool(look.get("router", "fillgate_trading")),
        halts=int(look.get("router", "fillgate_halts")),
        breaks=int(look.get("router", "fillgate_notices_total", "break")),
        sessions=int(look.total("fillgate_gateway_sessions")),
        slow_clients=int(look.total("fillgate_gateway_closes_total", "4008")),
        messages_per_s=round(look.total_rate("fillgate_gateway_messages_in_total"), 1),
        quotes_out_per_s=round(look.total_rate("fillgate_gateway_quotes_out_total"), 1),
        records=int(look.get("router", "fillgate_journal_records_total")),
        commit_p50_us=_us(commit, 0.5),
        commit_p99_us=_us(commit, 0.99),
        free_gib=None if free is None else round(free / 2**30, 1),
        ledger_behind=int(look.get("observer", "fillgate_ledger_behind_records")),
        orders=_orders(look, now),
        segments=[_segment(look, now, name) for name in SEGMENTS],
        connections=[_connection(look, role) for role in now.node if _is_connection(role)],
        processes=[_process(look, role) for role in now.node],
        alarms=[_alarm(one, now.at_ns) for one in now.standing],
    )


def _us(spread: Spread | None, share: float) -> int | None:
    ns = spread.quantile_ns(share) if spread is not None else None
    return None if ns is None else ns // 1_000


def _orders(look: _Look, now: Observed) -> OrdersView:
    states = _figures(now, "router").values.get("fillgate_orders", {})
    events = "fillgate_order_events_total"
    return OrdersView(
        open={state: int(count) for state, count in sorted(states.items())},
        since_start={name: int(look.get("router", events, name)) for name in OUTCOMES},
        placed_per_s=round(look.rate("router", events, "sending"), 1),
        unknown_oldest_s=round(look.get("router", "fillgate_order_unknown_oldest_seconds"), 1),
    )


def _segment(look: _Look, now: Observed, name: str) -> SegmentView:
    """Of all connections together, where it is theirs."""
    found: list[Spread] = []
    for role in now.node:
        spread = look.lately(role, "fillgate_order_segment_seconds", name)
        if spread is not None:
            found.append(spread)
    columns = zip(*(spread.counts for spread in found), strict=True)
    whole = Spread(tuple(sum(column) for column in columns), 0)
    return SegmentView(name, sum(whole.counts), _us(whole, 0.5), _us(whole, 0.99))


def _is_connection(role: str) -> bool:
    return role.startswith(connection_role(""))


def _connection(look: _Look, role: str) -> ConnectionView:
    name = role.removeprefix(connection_role(""))
    broker = look.lately(role, "fillgate_order_segment_seconds", "broker")
    return ConnectionView(
        id=name,
        is_up=bool(look.get(role, "fillgate_connection_up")),
        in_flight=int(look.get("router", "fillgate_orders_in_flight", name)),
        ready=int(look.get("router", "fillgate_ready_orders", name)),
        credits=int(look.get("router", "fillgate_send_credits", name)),
        outbox=int(look.get(role, "fillgate_outbox_items")),
        quotes_per_s=round(look.rate(role, "fillgate_quotes_in_total"), 1),
        p50_us=_us(broker, 0.5),
        p99_us=_us(broker, 0.99),
    )


def _process(look: _Look, role: str) -> ProcessView:
    return ProcessView(
        role=role,
        is_up=role == "observer" or bool(look.get(role, "fillgate_role_up")),
        restarts=int(look.get(role, "fillgate_restarts_total")),
        resident_mib=round(look.get(role, "fillgate_process_resident_bytes") / 2**20, 1),
        cpu_percent=round(look.rate(role, "fillgate_process_cpu_seconds_total") * 100, 1),
        open_files=int(look.get(role, "fillgate_process_open_files")),
    )


def _alarm(one: Standing, now_ns: int) -> AlarmView:
    alarm = BY_ID[one.id]
    return AlarmView(
        id=one.id,
        severity=one.severity.value,
        place=f"{one.role} {one.label}".strip(),
        since_s=round((now_ns - one.since_ns) / NS, 0),
        says=alarm.says,
        runbook=alarm.runbook,
    )
