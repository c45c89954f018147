"""What a connection tells its router: numbered facts, each once, held until they are durable."""

from __future__ import annotations

import asyncio
from typing import Any

from actors import messages as m
from actors.link import Link
from actors.outbox import Outbox, SeenEvents, Waiting
from brokers.adapter import Report
from domain import events as ev
from domain.accounts import AccountSnapshot


class Telling:
    """The connection's voice: its outbox, what it told before, and the broker's cursor."""

    def __init__(self, connection: str, incarnation: str) -> None:
        self.outbox = Outbox(connection, incarnation)
        self.waiting = Waiting()
        self.cursor: str | None = None
        self.router: Link[Any] | None = None
        self._seen = SeenEvents()
        self._unsent: list[m.Items] = []

    def tell(self, item: m.Item) -> None:
        """Numbers a fact and tells it; it is held until durable.

        Where other answers are under way, what one turn of the loop brings is one write.
        """
        self._unsent.append(self.outbox.add(item, self.waiting.cursor(self.cursor)))
        if not self.waiting.is_expecting:
            self._send_unsent()
        elif len(self._unsent) == 1:
            asyncio.get_running_loop().call_soon(self._send_unsent)

    def _send_unsent(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self.router is not None:
            self.router.send_all(unsent)

    def tell_again(self) -> None:
        """Everything that is not durable yet, to a router that has just come."""
        assert self.router is not None
        self._unsent.clear()
        self.router.send_all(self.outbox.again())

    def tell_events(self, events: tuple[ev.VenueEvent, ...], intent: int | None = None) -> None:
        """What of it is new; an intent's outcome is told whatever was known of it."""
        fresh = self._seen.new_of(events)
        if fresh or intent is not None:
            self.tell(m.Told(events=fresh, intent=intent))

    def tell_unread(self, unread: tuple[str, ...]) -> None:
        """Words of the broker's that nobody here knows, once each."""
        for what in unread:
            if self._seen.is_new_word(what):
                self.tell(m.Unread(what=what))

    def tell_account(self, snapshot: AccountSnapshot, working: Report) -> None:
        """The account at rest, after everything that it counts already."""
        self.cursor = snapshot.cursor
        orders = tuple(e for e in working.events if isinstance(e, ev.External))
        # What the account counts already must be told before it, awaited or not.
        self.tell_events(self.waiting.release())
        self.tell_events(tuple(e for e in working.events if not isinstance(e, ev.External)))
        self.tell_unread(working.unread)
        self.tell(m.SyncedAccount(snapshot=snapshot, open_orders=orders))
