"""Patterns that look like abuse: found beside the audit trail, written down once, and alarmed."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import deployment_in_process as whole
import pytest
from deployment_in_process import ACCOUNT, CONNECTION, WAIT_S, Deployment, deployment

from actors import messages as m
from actors.observer.judge import NS, Judge
from actors.paths import LEDGER_ROLE
from actors.router.figures import figures_of
from domain import commands as c
from domain.findings import FindingKind
from domain.market_facts import MarketFact
from domain.orders import CancelOrder, NewOrder, OrderType, Side, TimeInForce
from domain.streams import Notice, NoticeKind
from ledger.audit_log import AuditError
from ledger.audit_verification import read_entries

K = FindingKind
PATIENT = """
[compliance.suspicion]
window_ms = 600000
cancel_life_ms = 600000
layer_life_ms = 600000
wash_window_ms = 600000
"""
"""A busy machine takes its time."""


async def place(running: Deployment, name: str, **words: Any) -> None:
    plain: dict[str, Any] = {
        "instrument": "EUR/USD", "side": Side.BUY, "quantity": Decimal(100),
        "time_in_force": TimeInForce.FOK,
    }  # fmt: skip
    order = NewOrder(client_order_id=name, **(plain | words))
    async with asyncio.timeout(WAIT_S):
        while (
            error := (await running.edge.say(c.Place(order=order))).decided[0].error
        ) is not None:
            # A busy machine's disk: it says so, and may be asked again.
            assert error.code == "journal_unavailable", error
            await asyncio.sleep(0.1)


async def show_and_take_back(running: Deployment, instrument: str, prices: list[str]) -> None:
    """Large orders to buy, canceled at once, around a small sale."""
    name = instrument[:3]
    for number, price in enumerate(prices):
        await place(
            running, f"{name}-{number}", instrument=instrument, quantity=Decimal(1000),
            type=OrderType.LIMIT, limit_price=Decimal(price), time_in_force=TimeInForce.GTC,
        )  # fmt: skip
    await running.rest()
    await place(
        running, f"{name}-sale", instrument=instrument, side=Side.SELL, quantity=Decimal(10)
    )
    for number in range(len(prices)):
        cancel = CancelOrder(client_order_id=f"{name}-{number}")
        await running.edge.say(c.Cancel(cancel=cancel))
    await running.rest()


def suspicions(running: Deployment) -> dict[FindingKind, Notice]:
    """As the journal has them; none may be there twice."""
    found: dict[FindingKind, Notice] = {}
    for record in running.router.journal.replay():
        for update in record.updates:
            body = update.body
            if isinstance(body, Notice) and body.kind is NoticeKind.SUSPICION:
                assert body.finding is not None
                assert body.finding.kind not in found
                found[body.finding.kind] = body
    return found


def audited(running: Deployment) -> int:
    try:
        return sum(b'"suspicion"' in entry for entry in read_entries(running.paths.audit))
    except AuditError:
        return 0


@pytest.mark.asyncio
async def test_one_of_each_is_told_to_people_and_written_down_once_and_nothing_is_refused(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole, "SETTINGS", whole.SETTINGS + PATIENT)
    async with deployment(short_folder, monkeypatch) as running:
        ledger = running.start_role(LEDGER_ROLE)
        judge = Judge()
        assert judge.judge({"router": figures_of(running.router)}, 0) == []
        await show_and_take_back(running, "EUR/USD", ["1.08000"] * 5)
        await running.until(lambda: set(suspicions(running)) == {K.SPOOFING})

        await show_and_take_back(running, "GBP/USD", ["1.28000", "1.28100", "1.28200"])
        await running.until(lambda: K.LAYERING in suspicions(running))

        for number in range(10):
            side = (Side.BUY, Side.SELL)[number % 2]
            # At one price both ways, as nobody trades who has to cross a spread.
            middle = ("110.000", "110.020")[number % 2]
            monkeypatch.setitem(whole.MIDDLES, "USD_JPY", middle)
            running.move()
            await place(running, f"wash-{number}", instrument="USD/JPY", side=side)
            await running.rest()
        await running.until(lambda: K.WASH_TRADE in suspicions(running))

        closes_ns = time.time_ns() + 60 * 10**9
        told = MarketFact(
            instrument="GBP/USD", at_ns=1, day_volume=Decimal(1000), closes_ns=closes_ns
        )
        running.router.from_connection(CONNECTION, m.MarketFacts(facts=(told,)))
        await place(running, "late", instrument="GBP/USD", quantity=Decimal(101))
        await running.until(lambda: K.MARKING_THE_CLOSE in suspicions(running))

        found = suspicions(running)
        assert {notice.scope for notice in found.values()} == {f"account/{ACCOUNT}"}
        wash = found[K.WASH_TRADE].finding
        assert wash is not None
        assert len(wash.orders) == 10
        (stands,) = judge.judge({"router": figures_of(running.router)}, NS)
        assert (stands.id, stands.value) == ("suspicious_trading", 4)
        await running.until(lambda: audited(running) == 4)

        ledger.cancel()
        await asyncio.wait([ledger])
        running._tasks.remove(ledger)
        before = running.router.desk.books.number
        running.start_role(LEDGER_ROLE)
        await place(running, "after", instrument="USD/JPY")
        await running.rest()
        await asyncio.sleep(0.5)
        assert set(suspicions(running)) == set(found), "found again, and told once"
        assert running.router.desk.books.number > before
