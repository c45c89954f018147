"""One broker connection between a paper venue and a router played by hand."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from paper_venue import PaperAdapter, PaperTransport, PaperVenue
from router_world import BOOT_NS, FakeLink, connection_settings, new_order, over_the_wire
from virtual_time import virtual_clocks

from actors import messages as m
from actors.connection import BrokerConnection, Login
from actors.gate import sealed
from actors.marks import Marks
from brokers.adapter import Pace
from domain import ids
from domain.orders import NewOrder
from domain.records import Halted

FAR_NS = BOOT_NS * 1000


class Wired:
    """A connection, its venue, and the link on which a router would listen."""

    def __init__(self, folder: Path, venue: PaperVenue | None = None, **settings: Any) -> None:
        self.pace: Pace | None = settings.pop("pace", None)
        self.exits_pass_halts: bool = settings.pop("exits_pass_halts", False)
        plain = {"visibility_horizon_ms": 500, "answer_timeout_ms": 1000}
        self.settings = connection_settings(**(plain | settings))
        self.venue = venue or PaperVenue(self.settings)
        self.transport = PaperTransport(self.venue)
        self.effects: list[tuple[str, Any]] = []
        self.clocks = virtual_clocks(asyncio.get_running_loop())
        self._folder = folder
        self._starts = 0
        self._tasks: list[asyncio.Task[None]] = []
        self.start()

    def start(self) -> None:
        self._starts += 1
        self.marks = Marks(self._folder / "paper.marks")
        login = Login(
            self.settings,
            PaperAdapter(),
            self.transport,  # type: ignore[arg-type]
            pace=self.pace,
            exits_pass_halts=self.exits_pass_halts,
        )
        self.connection = BrokerConnection(login, self.marks, f"c{self._starts}", self.clocks)
        self._tasks = [asyncio.create_task(self.connection.run())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.connection.close()
        self.marks.close()

    def link(self, name: str = "router") -> FakeLink:
        return FakeLink(name, "router-from-connection", self.effects)

    def attach(self, link: FakeLink | None = None, epoch: int = 1, **words: Any) -> FakeLink:
        plain: dict[str, Any] = {"incarnation": "", "last": 0, "last_intent": 0, "cursor": None}
        link = link or self.link()
        self.hear(link, m.Attach(**(plain | words), epoch=epoch))
        return link

    def hear(self, link: FakeLink, message: Any) -> None:
        heard = over_the_wire(message, "connection")
        self.connection.received(link, heard)  # type: ignore[arg-type]

    async def up(self, **words: Any) -> FakeLink:
        """Attached, and in step with the broker."""
        link = self.attach(**words)
        await asyncio.sleep(0.1)
        assert self.connection.is_ready()
        return link

    def dispatch(
        self, intent: int = 1, order: NewOrder | None = None, *, epoch: int = 1, **words: Any
    ) -> m.Dispatch:
        order = order or new_order(f"o-{intent}")
        plain: dict[str, Any] = {
            "attempt": 1,
            "order_id": ids.order_id("alice", order.client_order_id),
            "order": order,
            "venue_client_id": ids.venue_client_id("alice", order.client_order_id, "0", 1),
            "verdict": "v-1",
            "send_by_ns": FAR_NS,
        }
        made = m.Dispatch(**(plain | words), epoch=epoch, intent=intent)
        return made if "digest" in words else sealed(made)

    def cancel(self, intent: int = 1, *, epoch: int = 1, **words: Any) -> m.SendCancel:
        of = self.dispatch(intent)
        plain: dict[str, Any] = {"broker_order_id": "b1", "venue_client_id": of.venue_client_id}
        return m.SendCancel(epoch=epoch, order_id=of.order_id, order=of.order, **(plain | words))

    def halt(self, halts: tuple[Halted, ...], number: int = 1, epoch: int = 1) -> m.SetHalts:
        return m.SetHalts(epoch=epoch, number=number, halts=halts)

    # -- looking

    def told(self, kind: Any = object, name: str = "router") -> list[Any]:
        return [e for n, e in self.effects if n == name and isinstance(e, kind)]

    def items(self, kind: Any = object, name: str = "router") -> list[Any]:
        return [
            item
            for message in self.told(m.Items, name)
            for item in message.items
            if isinstance(item, kind)
        ]

    def events(self, name: str = "router") -> list[Any]:
        return [event for item in self.items(m.Told, name) for event in item.events]

    def placed(self) -> list[str]:
        """The client ids that reached the venue as orders."""
        return [
            asked.order.venue_client_id
            for asked in self.venue.requests
            if asked.what == "place" and asked.order is not None
        ]
