"""One picture of a race: latency up to the rare, where the time goes, whose processor it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from bench.histogram import Histogram
from bench.segments import SEGMENTS

INK, MUTED, GRID = "#1d2433", "#6b7486", "#e4e7ee"
STYLE: dict[str, dict[str, Any]] = {
    "raw_aiohttp": {"color": "#8a93a6", "label": "raw aiohttp"},
    "oandapyV20": {"color": "#e0a030", "label": "oandapyV20"},
    "alpaca_py": {"color": "#c77dba", "label": "alpaca-py (stub)"},
    "ccxt_async": {"color": "#4f9d8f", "label": "ccxt async (stub)"},
    "fillgate": {"color": "#2456d6", "label": "Fillgate", "linewidth": 2.6},
    "fillgate_open_loop": {
        "color": "#2456d6", "label": "Fillgate at {rate}/s", "linestyle": (0, (4, 2)),
    },
}  # fmt: skip
SEGMENT_WORDS = {
    "client_to_router": "client → router",
    "router_to_broker": "commit, → broker",
    "broker_to_router": "broker → router",
    "router_to_client": "commit, → client",
}
SEGMENT_COLORS = ("#2456d6", "#6f93ea", "#9ad0c5", "#4f9d8f")
PART_COLORS = {
    "client": "#9aa3b5", "edge": "#2456d6", "router": "#6f93ea", "compliance": "#b3c5f4",
    "connection": "#4f9d8f", "simulator": "#e0a030", "ray": "#c77dba",
    "ledger": "#8a6fd1",
}  # fmt: skip
SMALL = "#d5d9e3"
NINES = {0.5: "50 %", 0.1: "90 %", 0.01: "99 %", 0.001: "99.9 %", 0.0001: "99.99 %"}
LABEL_SHARE_MIN = 0.06

assert SEGMENT_WORDS.keys() == SEGMENTS.keys()


def draw(result: dict[str, Any], histograms: dict[str, Histogram], path: Path) -> None:
    """Draws and saves it as PNG."""
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 10, "text.color": INK}):
        figure = Figure(figsize=(12, 7.6), facecolor="white")
        grid = figure.add_gridspec(
            2, 1, height_ratios=(3.2, 1.35), left=0.075, right=0.965, top=0.84, bottom=0.06,
            hspace=0.36,
        )  # fmt: skip
        _draw_latency(figure.add_subplot(grid[0]), histograms, result)
        _draw_bars(figure.add_subplot(grid[1]), result)
        _title(figure, result)
        figure.savefig(path, dpi=150)


def _title(figure: Figure, result: dict[str, Any]) -> None:
    own, machine = result["fillgate"], result["machine"]
    figure.text(
        0.075, 0.94, "One order, from the client to the broker's outcome",
        fontsize=17, fontweight="bold",
    )  # fmt: skip
    ratio = result["ratio_to_raw"]["fillgate"]
    figure.text(
        0.075, 0.9,
        f"Fillgate p50 {own['p50_ms']:.2f} ms, p99 {own['p99_ms']:.2f} ms: {ratio:.1f} × bare "
        f"aiohttp, with compliance and two durable commits.   {machine['cpu']}, "
        f"{machine['cores']} cores, Python {machine['python']}; {len(result['runs'])} run(s)",
        fontsize=10, color=MUTED,
    )  # fmt: skip


def _draw_latency(axes: Axes, histograms: dict[str, Histogram], result: dict[str, Any]) -> None:
    rate = result["fillgate_open_loop"]["rate"]
    for name, style in STYLE.items():
        points = list(histograms[name].curve())
        rare = [max(1 - percentile / 100, 1e-7) for percentile, _ in points]
        look = {"linewidth": 1.7, **style, "label": style["label"].format(rate=rate)}
        axes.plot(rare, [ms for _, ms in points], solid_capstyle="round", **look)
    fewest = min(histogram.n for histogram in histograms.values() if histogram.n)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(1.0, max(1 / fewest, 1e-4))
    ticks = [share for share in NINES if share >= 1 / fewest]
    axes.set_xticks(ticks, [NINES[share] for share in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms:g} ms"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", length=0, colors=MUTED)
    axes.grid(which="major", color=GRID)
    axes.grid(which="minor", axis="y", color=GRID, linewidth=0.4)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.set_title("Round trip by percentile", loc="left", fontsize=11, color=INK, pad=8)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2, frameon=False,
        ncols=len(STYLE), labelcolor=INK, handlelength=2.0, columnspacing=1.4, fontsize=9,
    )  # fmt: skip


def _draw_bars(axes: Axes, result: dict[str, Any]) -> None:
    """Two bars: the median order's time by segment, and processor time by process."""
    segments = result["segments"]["sequential"]
    times = [
        (SEGMENT_WORDS[name], segments[name]["p50_us"], color)
        for name, color in zip(SEGMENTS, SEGMENT_COLORS, strict=True)
    ]
    use = {k: v for k, v in result["cpu_us_per_order"]["sequential"].items() if k != "total"}
    known = [(part, use.get(part, 0.0), color) for part, color in PART_COLORS.items()]
    rest = sum(us for part, us in use.items() if part not in PART_COLORS)
    _stack(axes, 1.0, times)
    _stack(axes, 0.0, [*known, ("rest", rest, SMALL)])
    axes.set_yticks([1.0, 0.0], ["time", "processor"])
    axes.set_ylim(-0.75, 1.6)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda us, _: f"{us:g} µs"))
    axes.tick_params(length=0, colors=MUTED)
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.set_title("Where one order's microseconds go (medians)", loc="left", fontsize=11, pad=8)


def _stack(axes: Axes, row: float, parts: list[tuple[str, float, str]]) -> None:
    whole = sum(us for _, us, _ in parts) or 1.0
    left = 0.0
    for word, us, color in parts:
        axes.barh(row, us, left=left, height=0.62, color=color, edgecolor="white", linewidth=1.2)
        if us / whole >= LABEL_SHARE_MIN:
            axes.text(
                left + us / 2, row, f"{word}\n{us:.0f}", ha="center", va="center",
                fontsize=8.5, color=_ink_on(color), linespacing=1.25,
            )  # fmt: skip
        left += us


def _ink_on(color: str) -> str:
    """Dark or white, whichever can be read."""
    red, green, blue = (int(color[at : at + 2], 16) for at in (1, 3, 5))
    return INK if 0.3 * red + 0.59 * green + 0.11 * blue > 140 else "white"
