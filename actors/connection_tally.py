"""What a broker connection counts and times, and what it tells of itself once a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from actors.figures import Figures, Latency
from actors.messages import Dispatch
from actors.tracing import Tracer, utc_less_boot_ns
from domain.accounts import BreakerState, SessionState

if TYPE_CHECKING:
    from actors.connection import BrokerConnection
    from actors.prices import Prices


class ConnectionTally:
    """Times an order's way through the connection: to its first byte, then to the answer."""

    def __init__(self, boot_ns: Callable[[], int]) -> None:
        self._boot_ns = boot_ns
        self.tracer: Tracer | None = None
        self.connection = Latency()
        self.broker = Latency()

    def leaves(self, dispatch: Dispatch, taken_ns: int) -> int:
        """What was taken then is handed to the transport; returns when."""
        now_ns = self._boot_ns()
        self.connection.observe(now_ns - taken_ns)
        if dispatch.trace is not None:
            self._span("connection", dispatch, taken_ns, now_ns)
        return now_ns

    def answered(self, dispatch: Dispatch, left_ns: int) -> None:
        """The broker's answer is here, whole."""
        now_ns = self._boot_ns()
        self.broker.observe(now_ns - left_ns)
        if dispatch.trace is not None:
            self._span("broker", dispatch, left_ns, now_ns)

    def _span(self, name: str, dispatch: Dispatch, start_ns: int, end_ns: int) -> None:
        if self.tracer is not None and dispatch.trace is not None:
            shift_ns = utc_less_boot_ns()
            words = {"fillgate.order": dispatch.order_id}
            start_ns, end_ns = start_ns + shift_ns, end_ns + shift_ns
            self.tracer.span(name, dispatch.trace, start_ns, end_ns, **words)


def figures_of(connection: BrokerConnection, prices: Prices) -> Figures:
    """The connection as it stands."""
    told = Figures()
    told.put("fillgate_connection_up", int(connection.state is SessionState.CONNECTED))
    is_open = connection.breaker.state is not BreakerState.CLOSED
    told.put("fillgate_breaker_open", int(is_open))
    told.put("fillgate_outbox_items", len(connection.telling.outbox.held))
    told.put("fillgate_broker_requests_in_flight", len(connection.in_flight))
    told.put("fillgate_instruments_listed", len(connection.instruments))
    told.put("fillgate_instruments_followed", prices.followed)
    told.put("fillgate_quotes_in_total", prices.updates_taken)
    for segment in ("connection", "broker"):
        latency = getattr(connection.tally, segment)
        told.put_latency("fillgate_order_segment_seconds", latency, segment)
    return told
