"""An edge asks for what its clients watch, and knows what cannot be had."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from router_world import FakeLink, connection_settings, quote

from actors import messages as m
from actors.clocks import SYSTEM_CLOCKS
from actors.edge import Edge, QuoteSide
from actors.tracing import TraceSettings
from gateway.settings import GatewaySettings


class Stood:
    """An edge, and connections played by hand."""

    def __init__(self, folder: Path, *connections: str) -> None:
        settings = SimpleNamespace(
            deployment=SimpleNamespace(id="d", tls=None, plaintext=False),
            gateway=GatewaySettings(),
            traces=TraceSettings(),
            connections=[connection_settings(id=name) for name in connections or ("c1",)],
            owners=(),
        )
        paths = SimpleNamespace(tokens=folder / "tokens.json", tickets=folder / "tickets")
        stage: Any = SimpleNamespace(
            paths=paths, clocks=SYSTEM_CLOCKS, settings=settings, incarnation="i", role="edge-0"
        )
        self.edge = Edge(stage)
        self.effects: list[tuple[str, Any]] = []
        self.side = QuoteSide(self.edge)

    def connect(self, name: str = "c1") -> Any:
        link = FakeLink(name, "connection", self.effects)
        self.side.link_up(link)  # type: ignore[arg-type]
        return link

    def offer(self, *instruments: str, name: str = "c1", is_full: bool = False) -> None:
        told = m.PriceOffer(connection=name, instruments=instruments, is_full=is_full)
        self.side.received(FakeLink(name, "edge", []), told)  # type: ignore[arg-type]

    def asked(self) -> list[tuple[str, ...]]:
        return [said.instruments for _, said in self.effects]


@pytest.mark.asyncio
async def test_many_subscriptions_of_one_turn_are_asked_for_once(tmp_path: Path) -> None:
    stood = Stood(tmp_path)
    link = stood.connect()
    for name in ("A", "B", "C"):
        stood.edge.subscribe_quotes(name)
    stood.edge.unsubscribe_quotes("B")
    await asyncio.sleep(0)
    assert stood.asked() == [(), ("A", "C")]
    stood.connect("c2")
    assert stood.effects[-1] == ("c2", m.WatchQuotes(instruments=("A", "C")))
    stood.side.link_down(link)
    stood.edge.subscribe_quotes("D")
    await asyncio.sleep(0)
    assert [name for name, _ in stood.effects] == ["c1", "c1", "c2", "c2"]


@pytest.mark.asyncio
async def test_an_instrument_is_unknown_only_once_every_connection_has_told(
    tmp_path: Path,
) -> None:
    stood = Stood(tmp_path, "c1", "c2")
    stood.offer("EUR/USD")
    assert stood.edge.find_quote_fault("AAPL") is None
    stood.offer("BTC/USD", name="c2")
    assert stood.edge.find_quote_fault("EUR/USD") is None
    assert stood.edge.find_quote_fault("BTC/USD") is None
    fault = stood.edge.find_quote_fault("AAPL")
    assert fault is not None
    assert (fault.code, fault.field) == ("unknown_instrument", "streams.quotes/AAPL")


@pytest.mark.asyncio
async def test_a_full_connection_takes_no_more_and_says_so(tmp_path: Path) -> None:
    stood = Stood(tmp_path)
    stood.offer("EUR/USD", is_full=True)
    assert stood.edge.find_quote_fault("EUR/USD") is None
    fault = stood.edge.find_quote_fault("USD/JPY")
    assert fault is not None
    assert (fault.code, fault.field) == ("too_many", "streams.quotes/USD/JPY")


@pytest.mark.asyncio
async def test_quotes_of_a_link_go_to_the_server_together(tmp_path: Path) -> None:
    stood = Stood(tmp_path)
    came: list[Any] = []
    stood.edge.server.quotes.deliver = came.append  # type: ignore[method-assign,assignment]
    link = stood.connect()
    stood.side.received(link, m.Quotes(quotes=(quote(), quote("USD/JPY"))))
    assert [[q.instrument for q in batch] for batch in came] == [["EUR/USD", "USD/JPY"]]
