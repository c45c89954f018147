"""What the router knows of one connection while it runs, and whether an order could leave by it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from msgspec import Struct, field

from actors.gate import is_halted
from actors.settings import ConnectionSettings
from brokers.adapter import Adapter
from domain.accounts import BreakerState, SessionState
from domain.instruments import Instrument
from domain.orders import NewOrder
from domain.records import Halted

MS = 1_000_000


class Venue(Struct, kw_only=True):
    """One connection: how it stands, what it lists, and its send credits. None of it is durable.

    An order needs a credit: one of `credits` in flight, and, where the broker counts requests,
    one of those `granted` since the attach.
    """

    settings: ConnectionSettings
    adapter: Adapter
    exits_pass_halts: bool = False
    state: SessionState = SessionState.DISCONNECTED
    breaker: BreakerState = BreakerState.CLOSED
    is_attached: bool = False
    credits: int = 0
    granted: int | None = None
    spent: int = 0
    per_order_us: int = 0
    next_grant_ns: int = 0
    instruments: dict[str, Instrument] = {}
    in_flight: set[int] = set()
    # msgspec shares an empty deque given as a default: each venue must make its own.
    ready: deque[str] = field(default_factory=deque)

    @property
    def is_up(self) -> bool:
        """True where the broker can be asked: cancels pass."""
        return self.is_attached and self.state is SessionState.CONNECTED

    @property
    def takes_orders(self) -> bool:
        """True where an order could leave, once it has a credit."""
        return self.is_up and self.breaker is BreakerState.CLOSED

    @property
    def has_credit(self) -> bool:
        """True where an order may leave now."""
        has_grant = self.granted is None or self.spent < self.granted
        return self.takes_orders and has_grant and len(self.in_flight) < self.credits

    def wait_ms(self, boot_ns: int) -> int:
        """How long a new order would wait for the broker's rate limit."""
        if self.granted is None or (self.spent < self.granted and not self.ready):
            return 0
        until_next = max(0, self.next_grant_ns - boot_ns) // MS
        return until_next + len(self.ready) * self.per_order_us // 1_000

    def is_halted(self, order: NewOrder, halts: Iterable[Halted]) -> bool:
        """True where a halt covers the order here."""
        return is_halted(order, halts, self.settings, self.exits_pass_halts)
