"""Halts: checked by the router before it writes, and by the connection before it sends."""

from __future__ import annotations

from collections.abc import Iterable

from domain.orders import NewOrder
from domain.records import Halted, HaltScope


def is_halted(
    order: NewOrder, halts: Iterable[Halted], owner: str, place: tuple[str, str, str]
) -> bool:
    """True where a halt covers the order; `place` is its (connection, account, broker)."""
    connection, account, broker = place
    subjects = {
        HaltScope.ALL: "*",
        HaltScope.OWNER: owner,
        HaltScope.ACCOUNT: account,
        HaltScope.CONNECTION: connection,
        HaltScope.BROKER: broker,
        HaltScope.INSTRUMENT: order.instrument,
        HaltScope.TAG: order.tag,
    }
    return any(
        halt.scope is HaltScope.ALL or subjects[halt.scope] == halt.subject for halt in halts
    )
