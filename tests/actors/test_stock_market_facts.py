"""Halts, bands and restrictions from the broker's stream to the screen, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import deployment_in_process as whole
import pytest
from deployment_in_process import (
    WAIT_S,
    Deployment,
    settings_text,
)

from actors import roles
from actors.calendars import build_calendar
from actors.replay import Replay, Table
from brokers.registry import PAPER_TOKEN
from brokers.simulators.alpaca import AlpacaLogin, AlpacaSettings, AlpacaSimulator
from brokers.simulators.ticks import Tick
from cli.rules import is_reproduced
from compliance.luld import CLOSES_S
from compliance.rules import luld_band
from compliance.trading_terms import HOME_CALENDAR
from domain import commands as c
from domain.orders import CancelOrder, NewOrder, OrderType, Side, TimeInForce
from domain.records import MarketTold

SETTINGS = (
    settings_text("alpaca", "PA0000000001", "us_stocks")
    + """\
collar_percent = "20"

[[compliance.market.securities]]
symbol = "AAPL"
easy_to_borrow = true
"""
)
MIDDLES = {"AAPL": "230.00", "MSFT": "425.00", "SPY": "590.00"}


class StockDeployment(Deployment):
    """The same with the simulated Alpaca, under the rules for US stocks."""

    def __init__(self, folder: Path, simulator: AlpacaSimulator) -> None:
        super().__init__(folder, simulator)  # type: ignore[arg-type]
        self.orders = 0

    def prepare(self) -> None:
        super().prepare()
        self.paths.settings.write_text(SETTINGS)

    def move(self, **middles: str) -> None:
        for symbol, middle in (MIDDLES | middles).items():
            price, half = Decimal(middle), Decimal("0.01")
            at_ns = self.simulator.clock.now_ns()
            self.simulator.feed(
                Tick(at_ns=at_ns, instrument=symbol, bid=price - half, ask=price + half)
            )

    async def market(self, path: str, **body: Any) -> None:
        """A control of the simulator."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.simulator.url}/sim/{path}", json=body) as answer,
        ):
            assert answer.status == 200, await answer.text()

    def order(self, side: Side = Side.BUY, price: str = "230.00") -> NewOrder:
        self.orders += 1
        return NewOrder(
            client_order_id=f"o-{self.orders}", instrument="AAPL", side=side, quantity=Decimal(1),
            type=OrderType.LIMIT, time_in_force=TimeInForce.DAY, limit_price=Decimal(price),
        )  # fmt: skip

    async def code(self, side: Side = Side.BUY, price: str = "200.00") -> str:
        """What an order is refused with, or `pass`."""
        while True:
            answer = await self.edge.say(c.Place(order=self.order(side, price)))
            error = answer.decided[0].error
            if error is None or error.code != "journal_unavailable":
                return "pass" if error is None else error.code
            await asyncio.sleep(0.1)  # a busy machine's disk

    async def until_code(self, code: str, side: Side = Side.BUY, price: str = "200.00") -> None:
        async with asyncio.timeout(WAIT_S):
            while await self.code(side, price) != code:
                await asyncio.sleep(0.02)

    def told(self) -> list[MarketTold]:
        causes = [record.cause for record in self.router.journal.replay()]
        return [cause for cause in causes if isinstance(cause, MarketTold)]


@asynccontextmanager
async def stocks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StockDeployment]:
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setattr(roles, "LEDGER_NICENESS", 0)
    monkeypatch.setattr(whole, "MIDDLES", MIDDLES)
    # The exchange of this test never closes, and its day is the wall clock's.
    monkeypatch.setattr(luld_band, "CLOSES_S", 10 * CLOSES_S)
    login = AlpacaLogin(key_id="PA0000000001", secret=PAPER_TOKEN)
    settings = AlpacaSettings(logins=(login,))
    async with AlpacaSimulator(settings) as simulator:
        running = StockDeployment(folder, simulator)
        whole._remember(monkeypatch, "Router", running.routers)
        whole._remember(monkeypatch, "Transport", running.transports)
        running.prepare()
        await running.start()
        try:
            yield running
        finally:
            await running.stop()


@pytest.mark.asyncio
async def test_a_halt_a_band_and_a_restriction_reach_the_screen_and_are_replayed(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with stocks(short_folder, monkeypatch) as running:
        assert await running.code() == "pass"
        await _halt(running)
        await _band(running)
        await _restrict(running)
        await running.rest()
        records = list(running.router.journal.replay())
        written = len(running.told())
        running.move()
        await asyncio.sleep(0.3)
        assert len(running.told()) == written, "prices alone are no facts"
    days = {HOME_CALENDAR: build_calendar(HOME_CALENDAR, datetime.now(tz=UTC).date())}
    found = list(Replay((Table(),), days).run(records))
    codes = {v.violation.code for screened in found for v in screened.then if v.violation}
    assert codes == {"luld_paused", "luld_band", "short_restricted"}
    assert all(is_reproduced(screened) for screened in found)


async def _halt(running: StockDeployment) -> None:
    """Refused while it lasts, in the rule's words; a cancel passes; over when it is over."""
    resting = running.order()
    answer = await running.edge.say(c.Place(order=resting))
    assert answer.decided[0].error is None
    await running.market("halts", symbol="AAPL")
    await running.until_code("luld_paused")
    answer = await running.edge.say(c.Place(order=running.order()))
    error = answer.decided[0].error
    assert error is not None
    assert "trading in AAPL is paused" in error.message
    cancel = CancelOrder(client_order_id=resting.client_order_id)
    assert (await running.edge.say(c.Cancel(cancel=cancel))).error is None
    await _forget_compliance(running)
    assert await running.code() == "luld_paused"
    await running.market("halts", symbol="AAPL", halted=False)
    await running.until_code("pass")


async def _forget_compliance(running: StockDeployment) -> None:
    """Compliance loses its router, and with it all it knows; then it is told anew."""
    link = running.router.teller.compliance
    assert link is not None
    link.close()
    await running.until(lambda: running.router.teller.compliance not in (None, link))
    await running.until(lambda: running.router.orders.compliance is not None)


async def _band(running: StockDeployment) -> None:
    await running.market("bands", symbol="AAPL", low="225.00", high="231.00")
    await running.until_code("luld_band", price="231.50")
    answer = await running.edge.say(c.Place(order=running.order(price="231.01")))
    error = answer.decided[0].error
    assert error is not None
    assert error.code == "luld_band"
    assert "225 to 231" in error.message
    assert await running.code(price="231.00") == "pass"


async def _restrict(running: StockDeployment) -> None:
    assert (await running.edge.say(c.Cancel(cancel=CancelOrder(all=True)))).error is None
    await running.rest()
    await running.market("restrictions", symbol="AAPL")
    await running.until_code("short_restricted", Side.SELL_SHORT, "229.50")
    assert await running.code(Side.SELL_SHORT, "230.50") == "pass"
