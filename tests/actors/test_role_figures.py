"""What the roles tell of themselves while they trade, as it reaches their pages."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from deployment_in_process import CONNECTION, WAIT_S, Deployment, deployment
from msgspec.structs import replace
from test_whole_in_process import an_order

from actors.figures import Figures, read_figures
from actors.paths import connection_role
from domain import commands as c


def _page(running: Deployment, role: str) -> Figures:
    found = read_figures(running.paths.figures(role))
    return found.figures if found is not None else Figures()


@pytest.mark.asyncio
async def test_trading_shows_in_the_figures_of_every_role(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with deployment(short_folder, monkeypatch) as running:
        await running.edge.say(c.Place(order=an_order("o-1", "market", 0)))
        await running.edge.say(c.Place(order=an_order("o-2", "resting limit", 0)))
        off_the_grid = replace(an_order("o-3", "market", 0), quantity=Decimal("0.5"))
        await running.edge.say(c.Place(order=off_the_grid))
        await running.rest()
        async with asyncio.timeout(WAIT_S):
            while _page(running, "router").values.get("fillgate_orders", {}).get("live") != 1:
                await asyncio.sleep(0.05)
        router = _page(running, "router")
        events = router.values["fillgate_order_events_total"]
        assert (events["sending"], events["fill"], events["rejected"]) == (2, 1, 0)
        assert router.values["fillgate_refusals_total"] == {"invalid_order": 1}
        assert router.values["fillgate_trading"] == {"": 1}
        assert router.values["fillgate_journal_records_total"][""] > 2
        assert router.values["fillgate_order_unknown_oldest_seconds"] == {"": 0}
        segments = router.spreads["fillgate_order_segment_seconds"]
        for name in ("compliance", "router", "outcome"):
            assert sum(segments[name].counts) == 2, name
        commits = router.spreads["fillgate_journal_commit_seconds"][""]
        assert sum(commits.counts) >= 4
        connection = _page(running, connection_role(CONNECTION))
        assert connection.values["fillgate_connection_up"] == {"": 1}
        assert connection.values["fillgate_quotes_in_total"][""] > 0
        broker = connection.spreads["fillgate_order_segment_seconds"]["broker"]
        assert sum(broker.counts) == 2
        compliance = _page(running, "compliance")
        assert compliance.values == {
            "fillgate_compliance_loaded": {"": 1}, "fillgate_screens_total": {"": 2}
        }  # fmt: skip
