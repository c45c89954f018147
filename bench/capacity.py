"""What a node carries, by the suite's figures: a page, written anew with them.

What is measured is said to be measured; the rest is a model: processor time for one of a thing,
against a core's million microseconds a second.
"""

from __future__ import annotations

from pathlib import Path

from bench.many_orders import PARTS
from bench.results import Results

CORE_US = 1_000_000
BUSY = 0.6
"""So much of a core may be used before waiting makes the rare cases slow."""

EDGE_CONNECTIONS_MAX = 1_000

PAGE = Path(__file__).with_name("capacity_page.md")


def page(results: Results) -> str | None:
    """The page; None where a section that it rests on is not there."""
    try:
        return PAGE.read_text().format(**_facts(results))
    except StopIteration:
        return None


def _facts(results: Results) -> dict[str, object]:
    def find(section: str, words: str) -> float:
        figures = next(one.figures for one in results.sections if one.name == section)
        return next(figure.value for figure in figures if words in figure.name)

    saturation = find("many_orders", "saturation,")
    one_core = find("one_core", "saturation,")
    costs = {part: find("many_orders", f"at saturation: {part}") for part in PARTS}
    own = sum(costs.values())
    quotes = find("quotes_50", "one core")
    client_kib = find("life", "per idle client")
    bound = BUSY * CORE_US / max(costs.values())
    cores = results.machine.cores
    return {
        "date": results.date,
        "commit": results.commit,
        "cpu": results.machine.cpu,
        "cores": cores,
        "saturation": saturation,
        "one_core": one_core,
        "scaling": _scaling(saturation, one_core, cores),
        "at_rate": find("many_orders", "from when due, p99"),
        "at_once": find("many_orders", "the last one durable"),
        "quotes": quotes,
        "client_kib": client_kib,
        "client_mib": client_kib * EDGE_CONNECTIONS_MAX / 1024,
        "memory": find("life", "all of Fillgate and Ray"),
        "percent": BUSY * 100,
        "rows": "\n".join(_row(part, us) for part, us in costs.items()),
        "own": own,
        "node": min(bound, cores * BUSY * CORE_US / own),
        "four": min(bound, 4 * BUSY * CORE_US / own),
        "connections": EDGE_CONNECTIONS_MAX,
        "per_edge": BUSY * quotes,
        "q50": BUSY * quotes / 50,
        "q500": BUSY * quotes / 500,
    }


GROWS = {
    "edge": "one for each core, up to 16 on a node",
    "router": "none: one for a deployment",
    "compliance": "none: one for a deployment",
    "connection": "one for each broker account",
    "ledger": "none; it may fall behind for a while, lists are then older",
}


def _row(part: str, us: float) -> str:
    return f"| {part} | {us:,.0f} | {BUSY * CORE_US / us:,.0f} | {GROWS[part]} |"


def _scaling(all_cores: float, one_core: float, cores: int) -> str:
    if cores == 1 or not one_core:
        return "The machine has one core: what another one brings was not measured."
    more = (all_cores / one_core - 1) / (cores - 1)
    return f"Each core after the first brought {more:.0%} of what one core alone carries."
