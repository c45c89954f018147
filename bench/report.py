"""From runs to what is read: medians, a Markdown table, JSON, a picture."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from msgspec import Struct
from rich.console import Console
from rich.markdown import Markdown

from bench import plots
from bench.histogram import Histogram, median_of
from bench.machine import Machine
from bench.rivals import RIVALS
from bench.segments import DURABLE, SEGMENTS, Split, median_split
from domain.events import Canceled, Denied, Expired, Fill, Rejected
from domain.streams import OrderUpdate
from gateway import wire

SEQUENTIAL = "sequential"
OPEN_LOOP = "fillgate_open_loop"
NAMES = (*(rival.name for rival in RIVALS), "fillgate")
FACES = {rival.name: rival.faces for rival in RIVALS}
MUST_BE_ZERO = ("refused", "denied", "rejected", "lost", "doubled", "unknown", "differences")


class RunFigures(Struct, kw_only=True):
    """What one run measured. `processors` is us per order, `idle` ms per second."""

    histograms: dict[str, Histogram]
    segments: dict[str, dict[str, Split]]
    processors: dict[str, dict[str, float]]
    idle: dict[str, float]
    checks: dict[str, Any]


class Outcomes(Struct):
    """What became of the orders, by the client's log."""

    filled: set[str]
    denied: int = 0
    rejected: int = 0


def count_outcomes(events: Iterable[wire.Ev]) -> Outcomes:
    """Counts; an order the broker ended without a fill counts as rejected."""
    found = Outcomes(filled=set())
    for event in events:
        body = event.body
        if not isinstance(body, OrderUpdate):
            continue
        if isinstance(body.event, Fill):
            found.filled.add(body.client_order_id or "")
        elif isinstance(body.event, Denied):
            found.denied += 1
        elif isinstance(body.event, Rejected | Canceled | Expired):
            found.rejected += 1
    return found


def summarize(runs: list[RunFigures], rate: int, machine: Machine) -> dict[str, Any]:
    """The median of each number over the runs, and each run's own."""
    each = [{name: h.percentiles() for name, h in run.histograms.items() if h.n} for run in runs]
    middle = {name: median_of([one[name] for one in each]) for name in each[0]}
    result: dict[str, Any] = {name: msgspec.to_builtins(middle[name]) for name in NAMES}
    result[OPEN_LOOP] = {**msgspec.to_builtins(middle[OPEN_LOOP]), "rate": rate}
    floor = middle["raw_aiohttp"].p50_ms
    result["ratio_to_raw"] = {
        name: round(percentiles.p50_ms / floor, 2)
        for name, percentiles in middle.items()
        if FACES.get(name, FACES["raw_aiohttp"]) == FACES["raw_aiohttp"] and name != OPEN_LOOP
    }
    result["faces"] = FACES
    result["segments"] = {
        part: msgspec.to_builtins(median_split([run.segments[part] for run in runs]))
        for part in runs[0].segments
    }
    result["cpu_us_per_order"] = {
        part: _median_by_name([run.processors[part] for run in runs]) for part in runs[0].processors
    }
    result["cpu_ms_per_idle_second"] = _median_by_name([run.idle for run in runs])
    result["checks"] = judge([run.checks for run in runs])
    result["machine"] = msgspec.to_builtins(machine)
    result["runs"] = [{name: msgspec.to_builtins(p) for name, p in one.items()} for one in each]
    return result


def _median_by_name(rows: list[dict[str, float]]) -> dict[str, float]:
    names = sorted({name for row in rows for name in row})
    return {name: round(median(row.get(name, 0.0) for row in rows), 2) for name in names}


def judge(checks: list[dict[str, Any]]) -> dict[str, Any]:
    """All runs' counts added up; `passed` only where every order of every run was right."""
    counts = {name: sum(check[name] for check in checks) for name in checks[0] if name != "details"}
    passed = (
        counts["orders"] == counts["filled"]
        and counts["one_at_a_time"] == counts["two_records_each"]
        and not any(counts[name] for name in MUST_BE_ZERO)
    )
    details = [line for check in checks for line in check["details"]]
    return {"passed": passed, **counts, "details": details[:10]}


# ---------------------------------------------------------------- what is read


def write(result: dict[str, Any], runs: list[RunFigures], out: Path) -> None:
    """`order_round_trip.json`, `.md` and `.png` in a folder."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "order_round_trip.json").write_text(json.dumps(result, indent=2) + "\n")
    (out / "order_round_trip.md").write_text(markdown(result))
    merged: dict[str, Histogram] = {}
    for run in runs:
        for name, histogram in run.histograms.items():
            merged.setdefault(name, Histogram()).merge(histogram)
    plots.draw(result, merged, out / "order_round_trip.png")


def show(result: dict[str, Any], out: Path) -> None:
    """The table on the terminal."""
    console = Console()
    console.print(Markdown(markdown(result)))
    console.print(f"picture and numbers: {out / 'order_round_trip.png'} .md .json", style="dim")


def markdown(result: dict[str, Any]) -> str:
    """Everything, as tables."""
    return "\n".join(
        [
            "# Order round trip",
            "",
            *_latency_table(result),
            "",
            *_segment_table(result["segments"]),
            "",
            *_processor_table(result["cpu_us_per_order"], result["cpu_ms_per_idle_second"]),
            "",
            *_foot(result),
            "",
        ]
    )


def _latency_table(result: dict[str, Any]) -> list[str]:
    lines = [
        "| one order at a time | p50 ms | p99 ms | p99.9 ms | n | × raw | answered by |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for name in NAMES:
        ratio = result["ratio_to_raw"].get(name)
        cells = [name, *_numbers(result[name]), "" if ratio is None else f"{ratio:.2f}"]
        lines.append(f"| {' | '.join(cells)} | {FACES.get(name, FACES['raw_aiohttp'])} |")
    at_rate = result[OPEN_LOOP]
    label = f"fillgate at {at_rate['rate']} orders/s"
    lines.append(f"| {' | '.join([label, *_numbers(at_rate), ''])} | from when it was due |")
    return lines


def _numbers(row: dict[str, Any]) -> list[str]:
    times = [f"{row[name]:.3f}" for name in ("p50_ms", "p99_ms", "p999_ms")]
    return [*times, str(row["n"])]


def _segment_table(segments: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    lines = [
        "| where the time goes | p50 µs | p99 µs | p50 µs at rate | p99 µs at rate |",
        "|---|---:|---:|---:|---:|",
    ]
    words = {**SEGMENTS, DURABLE: "(client sends → is told it is durable)"}
    for name, label in words.items():
        cells = [
            f"{segments[part][name][number]:.0f}"
            for part in (SEQUENTIAL, OPEN_LOOP)
            for number in ("p50_us", "p99_us")
        ]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return lines


def _processor_table(use: dict[str, dict[str, float]], idle: dict[str, float]) -> list[str]:
    lines = [
        "| processor time | µs per order | µs per order at rate | ms per idle second |",
        "|---|---:|---:|---:|",
    ]
    parts = sorted(use[SEQUENTIAL], key=lambda part: (part == "total", -use[SEQUENTIAL][part]))
    for part in parts:
        at_rest = idle.get(part)
        cells = [
            f"{use[SEQUENTIAL][part]:.0f}",
            f"{use[OPEN_LOOP].get(part, 0.0):.0f}",
            "" if at_rest is None else f"{at_rest:.1f}",
        ]
        lines.append(f"| {part} | {' | '.join(cells)} |")
    return lines


def _foot(result: dict[str, Any]) -> list[str]:
    machine, checks = result["machine"], result["checks"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    verdict = "passed" if checks["passed"] else f"FAILED: {checks}"
    return [
        f"Median of {len(result['runs'])} run(s). Checks {verdict}: {checks['orders']} orders, "
        f"{checks['filled']} filled; of {checks['one_at_a_time']} sent alone "
        f"{checks['two_records_each']} took exactly two records; {checks['differences']} "
        "differences between client, journal and the broker's book. "
        f"Journal: {result.get('journal', 'local')}.",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux "
        f"{machine['kernel']}, {machine['filesystem']}, Python {machine['python']}; load before "
        f"{machine['load_before']}; {packages}.",
    ]
