"""What the router counts and times on an order's way: additions on plain numbers, no more."""

from __future__ import annotations

from collections import Counter

from actors.beacon import Declared
from actors.figures import Latency
from actors.router.screening import Screening
from actors.tracing import Tracer, utc_less_boot_ns
from domain.commands import Submit
from domain.events import Event
from domain.lifecycle import Order

TRACED_MAX = 10_000


class Tally:
    """Since the start of this router; `figures.py` says what is told of it."""

    def __init__(self) -> None:
        self.events: Counter[type[Event]] = Counter()
        self.refusals: Counter[str] = Counter()
        self.notices: Counter[str] = Counter()
        self.edge = Latency()
        self.compliance = Latency()
        self.router = Latency()
        self.outcome = Latency()
        self.commit = Latency()
        self._leaving_ns: list[int] = []

    def received(self, submit: Submit, order_id: str, now_ns: int) -> None:
        """An order came from an edge."""
        self.edge.observe(now_ns - submit.received_ns)

    def screened(self, screening: Screening, boot_ns: int) -> None:
        """Its verdict came."""
        self.compliance.observe(boot_ns - screening.asked_ns)

    def leaves(self, order_id: str, boot_ns: int) -> None:
        """It is to leave with this batch; its verdict came at `boot_ns`."""
        self._leaving_ns.append(boot_ns)

    def ended(self, order: Order, now_ns: int) -> None:
        """The broker's word on it is drafted."""
        self.outcome.observe(now_ns - order.received_ns)

    def trace_of(self, order_id: str) -> str | None:
        """The name of its trace, where it has one."""
        return None

    def state_ended(self, state: Declared, since_ns: int, now_ns: int) -> None:
        """The beacon's word: a commit is over, and what it held up leaves now."""
        if state is not Declared.COMMITTING:
            return
        self.commit.observe(now_ns - since_ns)
        for leaving_ns in self._leaving_ns:
            self.router.observe(now_ns - leaving_ns)
        self._leaving_ns.clear()


class TracedTally(Tally):
    """The same, and the router's spans of orders that are traced."""

    def __init__(self, tracer: Tracer) -> None:
        super().__init__()
        self._tracer = tracer
        self._traces: dict[str, str] = {}
        self._leaving: list[tuple[str, str, int]] = []

    def received(self, submit: Submit, order_id: str, now_ns: int) -> None:
        """Remembers its trace and tells of the way from the edge."""
        super().received(submit, order_id, now_ns)
        if submit.trace is None:
            return
        self._traces[order_id] = submit.trace
        if len(self._traces) > TRACED_MAX:
            del self._traces[next(iter(self._traces))]
        self._tracer.span("edge to router", submit.trace, submit.received_ns, now_ns)

    def screened(self, screening: Screening, boot_ns: int) -> None:
        """The whole way to compliance and back."""
        super().screened(screening, boot_ns)
        trace = screening.submit.trace
        if trace is not None:
            self._span("screen", trace, screening.asked_ns, boot_ns, screening.order_id)

    def leaves(self, order_id: str, boot_ns: int) -> None:
        """Its commit is told when it is over."""
        super().leaves(order_id, boot_ns)
        trace = self._traces.get(order_id)
        if trace is not None:
            self._leaving.append((order_id, trace, boot_ns))

    def state_ended(self, state: Declared, since_ns: int, now_ns: int) -> None:
        """From the verdict to durable."""
        super().state_ended(state, since_ns, now_ns)
        leaving, self._leaving = self._leaving, []
        for order_id, trace, leaving_ns in leaving:
            self._span("write down and send", trace, leaving_ns, now_ns, order_id)

    def ended(self, order: Order, now_ns: int) -> None:
        """All of it, from the edge to the broker's word."""
        super().ended(order, now_ns)
        trace = self._traces.pop(order.order_id, None)
        if trace is not None:
            words = {"fillgate.order": order.order_id}
            self._tracer.span("to the outcome", trace, order.received_ns, now_ns, **words)

    def trace_of(self, order_id: str) -> str | None:
        """The name of its trace, where it has one."""
        return self._traces.get(order_id)

    def _span(self, name: str, trace: str, start_ns: int, end_ns: int, order_id: str) -> None:
        shift_ns = utc_less_boot_ns()
        words = {"fillgate.order": order_id}
        self._tracer.span(name, trace, start_ns + shift_ns, end_ns + shift_ns, **words)
