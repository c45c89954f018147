"""How long orders of unknown outcome have stood so, whatever happens to the wall clock."""

from __future__ import annotations

from domain.lifecycle import Order

UNKNOWN_ALARM_NS = 30_000_000_000
SILENT_SENDING_NS = 5_000_000_000


class Ages:
    """Counts on the boot clock from the tick that sees an order as it is.

    What stood so at the start counts from its journaled time: no other clock lasts that long.
    """

    def __init__(self) -> None:
        self._since: dict[tuple[str, int], int] | None = None

    def of(self, orders: list[Order], now_ns: int, boot_ns: int) -> tuple[tuple[Order, int], ...]:
        """Each order with its age; those not named are forgotten."""
        known, since = self._since, {}
        for order in orders:
            key = (order.order_id, order.version)
            if known is None:
                since[key] = boot_ns - max(now_ns - order.updated_ns, 0)
            else:
                since[key] = known.get(key, boot_ns)
        self._since = since
        return tuple((o, boot_ns - since[o.order_id, o.version]) for o in orders)
