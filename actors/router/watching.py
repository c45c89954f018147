"""Which prices the router needs of each connection: of what is open, held, or was just ordered."""

from __future__ import annotations

from actors.messages import WatchQuotes
from actors.router.desk import Desk

LOOK_EVERY_TICKS = 5
ORDERED_NS = 60_000_000_000
"""An instrument just ordered is priced so long, open or not: the next order finds a price."""


class Watching:
    """Compares what is needed with what was last said, a few times a second."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._said: dict[str, tuple[str, ...]] = {}
        self._turn = 0

    def tick(self) -> list[tuple[str, WatchQuotes]]:
        """What to say to which connection, where its needs changed."""
        self._turn += 1
        if self._turn % LOOK_EVERY_TICKS:
            return []
        self._forget_old()
        needs = self._needs()
        changed = [name for name, wanted in needs.items() if self._said.get(name, ()) != wanted]
        return [(name, self.say(name, needs[name])) for name in changed]

    def say(self, connection: str, needs: tuple[str, ...] | None = None) -> WatchQuotes:
        """All that is needed of a connection, as for one that was just attached."""
        self._said[connection] = self._needs()[connection] if needs is None else needs
        return WatchQuotes(instruments=self._said[connection])

    def _forget_old(self) -> None:
        since_ns = self._desk.boot_ns - ORDERED_NS
        old = [key for key, at_ns in self._desk.ordered_ns.items() if at_ns < since_ns]
        for key in old:
            del self._desk.ordered_ns[key]

    def _needs(self) -> dict[str, tuple[str, ...]]:
        desk = self._desk
        needs: dict[str, set[str]] = {name: set() for name in desk.venues}
        for connection, instrument in desk.ordered_ns:
            needs[connection].add(instrument)
        for order in desk.books.orders.open.values():
            if order.connection in needs:
                needs[order.connection].add(order.instrument)
        accounts = {venue.settings.account: name for name, venue in desk.venues.items()}
        for (account, instrument), position in desk.books.positions.items():
            if position.quantity and account in accounts:
                needs[accounts[account]].add(instrument)
        return {name: tuple(sorted(wanted)) for name, wanted in needs.items()}
