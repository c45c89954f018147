"""The order's round trip as a section: Fillgate beside bare HTTP and beside the libraries."""

from __future__ import annotations

from typing import Any

from bench.report import OPEN_LOOP, SEQUENTIAL
from bench.section import Figure, Section
from bench.segments import SEGMENTS

FOREIGN = ("client", "simulator", "total")
"""Whose processor time is none of the gateway's."""
RIVALS = {
    "raw_aiohttp": "raw aiohttp",
    "oandapyV20": "oandapyV20, calling the broker directly",
    "alpaca_py": "alpaca-py, calling an idle stub directly",
    "ccxt_async": "ccxt, calling an idle stub directly",
}


def section_of(section: Section, result: dict[str, Any]) -> Section:
    """The section, filled with what a race's report says."""
    own, at_rate = result["fillgate"], result[OPEN_LOOP]
    rate = f"Fillgate at {at_rate['rate']} orders/s, from when due"
    use = result["cpu_us_per_order"][SEQUENTIAL]
    section.figures = [
        _ms("Fillgate, one at a time, p50", own["p50_ms"], 0.95),
        _ms("Fillgate, one at a time, p99", own["p99_ms"], 2.5),
        _ms("Fillgate, one at a time, p99.9", own["p999_ms"]),
        _ratio("Fillgate's p50 as a multiple of raw aiohttp's", result["ratio_to_raw"]["fillgate"]),
        *(_ms(f"{words}, p50", result[name]["p50_ms"]) for name, words in RIVALS.items()),
        _ms(f"{rate}, p50", at_rate["p50_ms"]),
        _ms(f"{rate}, p99", at_rate["p99_ms"]),
        Figure(
            name="Fillgate's processor time, one order at a time",
            value=round(sum(us for part, us in use.items() if part not in FOREIGN), 1),
            unit="µs/order",
        ),
    ]
    checks = result["checks"]
    section.faults = [] if checks["passed"] else [f"checks: {checks}"]
    section.notes = _notes(result)
    return section


def _ms(name: str, value: float, bar: float | None = None) -> Figure:
    return Figure(name=name, value=value, unit="ms", bar=bar)


def _ratio(name: str, value: float) -> Figure:
    return Figure(name=name, value=value, unit="×", bar=3.8, is_time=False)


def _notes(result: dict[str, Any]) -> list[str]:
    own = result["fillgate"]["p50_ms"]
    beside = [
        f"{result[name]['p50_ms'] / own:.2f} × Fillgate's ({RIVALS[name]})"
        for name in ("oandapyV20", "alpaca_py")
    ]
    split = result["segments"][SEQUENTIAL]
    parts = [f"{words} {split[name]['p50_us']:.0f}" for name, words in SEGMENTS.items()]
    use = result["cpu_us_per_order"][SEQUENTIAL]
    shares = [f"{part} {us:.0f}" for part, us in sorted(use.items(), key=lambda row: -row[1])]
    checks = result["checks"]
    return [
        f"p50 without the gateway: {'; '.join(beside)}",
        f"where the time goes, p50 µs: {'; '.join(parts)}",
        f"processor time, µs/order: {', '.join(shares)}",
        f"checked: {checks['orders']} orders, {checks['filled']} filled; of "
        f"{checks['one_at_a_time']} sent alone {checks['two_records_each']} took exactly two "
        f"records; {checks['differences']} differences between client, journal and broker",
    ]
