"""What an order's progress means beside the reservation: counts, losses, repeated executions."""

from __future__ import annotations

from compliance.holding import AccountExposure, Holding, OpenOrder
from compliance.limits import MarketSettings
from domain.events import CancelRequested, Fill
from domain.lifecycle import Status
from domain.portfolio import ZERO
from domain.records import Halted, HaltScope
from domain.streams import OrderUpdate

_NS_PER_MS = 1_000_000
BY = "compliance"
"""Who asks for a halt that no person asked for."""


def note_message(account: AccountExposure, update: OrderUpdate) -> None:
    """Counts a cancel: it goes to the market though nobody screens it."""
    if isinstance(update.event, CancelRequested):
        account.activity.message(update.event.at_ns)


def note_progress(
    account: AccountExposure,
    known: OpenOrder,
    update: OrderUpdate,
    market: MarketSettings,
    loss_sales: dict[tuple[str, str], int],
) -> Halted | None:
    """Counts what filled; the halt it calls for where a strategy repeats itself too often.

    `loss_sales` remembers when an owner last sold an instrument at a loss.
    """
    filled = update.filled - known.filled
    at_ns = update.event.at_ns
    if filled > 0 and known.is_short:
        account.activity.sold_short(known.instrument, filled, at_ns)
    if isinstance(update.event, Fill) and _is_loss(
        account.holding(known.instrument), known, update
    ):
        loss_sales[account.account.owner, known.instrument] = at_ns
    if update.status is not Status.FILLED or not market.repeats_max:
        return None
    key = (known.tag, known.instrument, known.sign)
    times = account.activity.repeat(key, at_ns, market.repeats_window_ms * _NS_PER_MS)
    if times < market.repeats_max:
        return None
    scope, subject = HaltScope.ACCOUNT, known.account
    if known.tag is not None:
        scope, subject = HaltScope.TAG, known.tag
    what = f"{times} executions in {known.instrument} within {market.repeats_window_ms} ms"
    return Halted(scope=scope, subject=subject, by=BY, reason=f"repeated execution: {what}")


def _is_loss(holding: Holding, known: OpenOrder, update: OrderUpdate) -> bool:
    """True for a fill that closes below cost, by the broker's figure or by the average cost."""
    fill = update.event
    assert isinstance(fill, Fill)
    if fill.realized_pnl is not None:
        return fill.realized_pnl < ZERO
    # The position may be told before the fill that closed it.
    was_closed = not holding.quantity and known.sign < 0 and not known.is_short
    if holding.cost is None or not (holding.quantity * known.sign < 0 or was_closed):
        return False
    return (fill.price - holding.cost) * known.sign > 0
