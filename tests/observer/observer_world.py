"""A node that only seems to run: pages as its processes would lay them, an observer that looks."""

from __future__ import annotations

import os
import time
from pathlib import Path

from actors.figures import FigurePage, Figures, Latency
from actors.observer.main import Observer
from actors.paths import LEDGER_ROLE, Paths, connection_role
from actors.roles import edge_roles, roles
from actors.settings import Settings, load
from tests.cli.cli_world import CONNECTION, make_home

MS = 1_000_000


def make_node(folder: Path, alarms: str = "") -> tuple[Paths, Settings]:
    paths = make_home(folder)
    text = paths.settings.read_text()
    assert "\n[alarms]\n" in text
    paths.settings.write_text(text.replace("\n[alarms]\n", f"\n[alarms]\n{alarms}\n"))
    (paths.runtime / "supervisor.lock").write_text(str(os.getpid()))
    return paths, load(paths.settings)


def lay_pages(paths: Paths, settings: Settings, **router: float) -> None:
    """A healthy node's pages; `router` changes what the router tells."""
    pages = {role: Figures() for role in [*roles(settings), *edge_roles(settings), "watchdog"]}
    told = pages["router"]
    plain = {"trading": 1, "halts": 0, "journal_records_total": 12, **router}
    for name, value in plain.items():
        told.put(f"fillgate_{name}", value)
    told.put_all("fillgate_orders", {"live": 3, "unknown": 1})
    told.put_all("fillgate_order_events_total", {"sending": 4, "fill": 2})
    told.put("fillgate_ready_orders", 0, CONNECTION)
    latency = Latency()
    latency.observe(3 * MS)
    told.put_latency("fillgate_order_segment_seconds", latency, "outcome")
    told.put_latency("fillgate_journal_commit_seconds", latency)
    pages[connection_role(CONNECTION)].put("fillgate_connection_up", 1)
    pages[connection_role(CONNECTION)].put_latency(
        "fillgate_order_segment_seconds", latency, "broker"
    )
    pages[LEDGER_ROLE].put("fillgate_ledger_records_total", 10)
    pages["edge-0"].put("fillgate_gateway_sessions", 2)
    for role, figures in pages.items():
        FigurePage(paths.figures(role)).write(figures)


def observer_of(paths: Paths, settings: Settings) -> Observer:
    """One whose time of quiet is over."""
    return Observer(paths, settings, time.time_ns() - 3_600 * 10**9)
