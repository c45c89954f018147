"""Says what is durable, to whom it matters, and nothing before.

A batch that takes long to commit is under way beside the loop: what tells of it waits in one
place, what was decided since in another, and only what adds no risk leaves early (early.py).
"""

from __future__ import annotations

from typing import Any

from actors import messages as m
from actors.link import Link
from actors.router.desk import Desk, Durable
from actors.router.early import take_early
from actors.router.writer import Writer
from domain.records import Halted


class Teller:
    """The router's links, and what is to be said on them."""

    def __init__(self, desk: Desk, writer: Writer) -> None:
        self.edges: set[Link[Any]] = set()
        self.connections: dict[str, Link[Any]] = {}
        self.compliance: Link[Any] | None = None
        self._desk = desk
        self._writer = writer
        self._durable = Durable()
        self._next = Durable()
        self._halts: tuple[Halted, ...] | None = desk.halts()

    def flush(self) -> None:
        """Commits the batch, then says what waited for it: an order to its broker first.

        A write reaches its socket at once, so the order of saying is the order of leaving.
        """
        desk, writer = self._desk, self._writer
        if writer.is_busy:
            if not writer.finish():
                self._wait()
                return
            self._say()
            self._durable.take(self._next)
        records, desk.records = desk.records, []
        self._durable.take(desk)
        if not records or writer.write(records):
            self._say()
        else:
            self._say_early(self._durable)

    def say_the_news(self) -> None:
        """Tells what nobody waited for."""
        if self._writer.is_busy:
            return
        self._say_to_compliance()
        freed, self._durable.freed = self._durable.freed, {}
        for name, message in freed.items():
            self._say_to_connection(name, [message])

    def forget_compliance(self) -> None:
        """Drops what compliance was still to be told: it gets the whole book."""
        for waiting in (self._durable, self._next, self._desk):
            waiting.to_compliance.clear()

    def _wait(self) -> None:
        """A batch is under way: what was decided since goes with the next one."""
        self._say_early(self._desk)
        self._next.take(self._desk)

    def _say_early(self, source: Desk | Durable) -> None:
        to_connections, to_edges, halts = take_early(source, self._halts)
        for name, message in to_connections:
            self._say_to_connection(name, [message])
        for edge, answer in to_edges:
            edge.send(answer)
        self._halts = halts

    def _say(self) -> None:
        self._say_to_connections()
        self._say_to_edges()
        if self._durable.is_compliance_waited_for():
            self._say_to_compliance()

    def _say_to_compliance(self) -> None:
        messages, self._durable.to_compliance = self._durable.to_compliance, []
        if self.compliance is not None:
            self.compliance.send_all(messages)

    def _say_to_connections(self) -> None:
        durable = self._durable
        messages, durable.to_connections = durable.to_connections, []
        by_name: dict[str, list[Any]] = {}
        for name, message in messages:
            told = by_name.get(name)
            if told is None:
                freed = durable.freed.pop(name, None) if name in self.connections else None
                told = by_name[name] = [] if freed is None else [freed]
            told.append(message)
        for name, told in by_name.items():
            self._say_to_connection(name, told)

    def _say_to_connection(self, name: str, messages: list[Any]) -> None:
        for message in messages:
            if type(message) is m.SetHalts:
                self._halts = message.halts
        link = self.connections.get(name)
        if link is not None:
            link.send_all(messages)

    def _say_to_edges(self) -> None:
        durable = self._durable
        if not durable.to_edges and not durable.to_all_edges:
            return
        answers, durable.to_edges = durable.to_edges, []
        published, durable.to_all_edges = durable.to_all_edges, []
        for edge in self.edges:
            edge.send_all([answer for to, answer in answers if to is edge] + published)
