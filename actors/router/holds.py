"""Accounts that take no new risk, and how they come out of it: by being read again and agreeing."""

from __future__ import annotations

from actors import messages as m
from actors.router.desk import Desk

ASK_EVERY_NS = 1_000_000_000


class Holds:
    """Asks connections to read held accounts again, at most once a second each."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._asked_ns: dict[str, int] = {}

    def tick(self) -> None:
        """Asks for each held account whose broker can be asked."""
        desk = self._desk
        if not desk.books.held:
            self._asked_ns.clear()
            return
        for name, venue in desk.venues.items():
            if venue.settings.account not in desk.books.held or not venue.is_up:
                continue
            if desk.boot_ns - self._asked_ns.get(name, 0) >= ASK_EVERY_NS:
                self._asked_ns[name] = desk.boot_ns
                desk.to_connections.append((name, m.Resync(epoch=desk.epoch)))
