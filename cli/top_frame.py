"""Draws a frame of `fillgate top`."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.output import status_text, utc
from cli.top_view import View

OLD_S = 5.0
MINUTE_S, HOUR_S = 60, 3_600
GOOD, BAD, DIM = "green", "bold red", "dim"


def frame(view: View, deployment: str, keys: str = "") -> RenderableType:
    """The whole picture; `keys` says what may be pressed."""
    upper = _side_by_side(_orders(view), _way(view))
    parts: list[RenderableType] = [_head(view, deployment), upper, _connections(view)]
    parts += [_alarms(view), _processes(view)]
    if keys:
        parts.append(Text(f" {keys}", style=DIM))
    return Group(*parts)


def _head(view: View, deployment: str) -> Table:
    state = Text("● trading", style=GOOD) if view.is_trading else Text("● not trading", style=BAD)
    if view.age_s > OLD_S:
        state = Text(f"● the observer has been silent for {span(view.age_s)}", style=BAD)
    words = Text(f"sessions {view.sessions}   in {view.messages_per_s:g}/s   ")
    words.append(f"quotes out {view.quotes_out_per_s:g}/s   ")
    words.append(f"halts {view.halts}", style=BAD if view.halts else "")
    words.append("   ")
    words.append(f"breaks {view.breaks}", style=BAD if view.breaks else "")
    made = Table.grid(expand=True, padding=(0, 1))
    made.add_column()
    made.add_column(justify="right")
    made.add_row(
        Text.assemble((" Fillgate ", "bold reverse"), f" {deployment}  ", state),
        Text(f"{utc(view.at_ns)} UTC "),
    )
    made.add_row(Text.assemble(" ", words), _journal(view))
    return made


def _journal(view: View) -> Text:
    room = "" if view.free_gib is None else f" · {view.free_gib:,.0f} GiB free"
    return Text(f"journal {view.records:,} · commit ≤ {us(view.commit_p99_us)}{room} ")


def _side_by_side(left: RenderableType, right: RenderableType) -> Table:
    made = Table.grid(expand=True)
    made.add_column(ratio=1)
    made.add_column(ratio=1)
    made.add_row(left, right)
    return made


def _panel(title: str, body: RenderableType, style: str = DIM) -> Panel:
    heading = Text(title, style="bold")
    return Panel(
        body, title=heading, title_align="left", box=box.ROUNDED, border_style=style, padding=(0, 1)
    )


def _table(*columns: str) -> Table:
    made = Table(box=None, expand=True, pad_edge=False, header_style=DIM)
    for name in columns:
        right = name.startswith(">")
        made.add_column(name.lstrip(">"), justify="right" if right else "left", no_wrap=True)
    return made


def _orders(view: View) -> Panel:
    orders = view.orders
    made = _table("open", ">", "since start", ">")
    opened = list(orders.open.items())
    ended = list(orders.since_start.items())
    for number in range(max(len(opened), len(ended))):
        row: list[Text] = []
        for pairs in (opened, ended):
            name, count = pairs[number] if number < len(pairs) else ("", None)
            style = "" if count else DIM
            label = status_text(name) if count and pairs is opened else Text(name, style=style)
            row += [label, Text("" if count is None else f"{count:,}", style=style)]
        made.add_row(*row)
    note = f"orders · {orders.placed_per_s:g}/s"
    if orders.open.get("unknown"):
        note += f" · oldest unknown {span(orders.unknown_oldest_s)}"
    return _panel(note, made, "red" if orders.open.get("unknown") else DIM)


def _way(view: View) -> Panel:
    made = _table("segment", ">orders", ">p50 ≤", ">p99 ≤")
    for one in view.segments:
        style = "bold" if one.name == "outcome" else "" if one.count else DIM
        cells = (one.name, f"{one.count:,}", us(one.p50_us), us(one.p99_us))
        made.add_row(*(Text(cell, style=style) for cell in cells))
    return _panel("an order's way", made)


def _connections(view: View) -> Panel:
    made = _table(
        "connection", "state", ">in flight", ">ready", ">credits", ">outbox", ">quotes/s",
        ">broker p50 ≤", ">p99 ≤",
    )  # fmt: skip
    for one in view.connections:
        state = Text("● up", style=GOOD) if one.is_up else Text("● down", style=BAD)
        numbers = (one.in_flight, one.ready, one.credits, one.outbox)
        cells = [f"{number:,}" for number in numbers]
        cells += [f"{one.quotes_per_s:g}", us(one.p50_us), us(one.p99_us)]
        made.add_row(Text(one.id), state, *cells)
    return _panel("connections", made)


def _alarms(view: View) -> Panel:
    if not view.alarms:
        return _panel("alarms", Text("none", style=GOOD))
    made = _table("", "alarm", "at", ">for", "says")
    for one in view.alarms:
        grave = one.severity == "critical"
        style = BAD if grave else "yellow"
        mark = Text("▲" if grave else "△", style=style)
        made.add_row(mark, Text(one.id, style=style), one.place, span(one.since_s), one.says)
    return _panel(f"alarms · {len(view.alarms)}", made, "red")


def _processes(view: View) -> Panel:
    made = _table("process", "state", ">cpu %", ">MiB", ">files", ">restarts")
    for one in view.processes:
        state = Text("● up", style=GOOD) if one.is_up else Text("● down", style=BAD)
        numbers = (f"{one.cpu_percent:g}", f"{one.resident_mib:,.0f}", str(one.open_files))
        restarts = Text(str(one.restarts), style="yellow" if one.restarts else DIM)
        made.add_row(Text(one.role), state, *numbers, restarts)
    return _panel("processes", made)


def us(value: int | None) -> str:
    """Microseconds as people say them."""
    if value is None:
        return "–"
    if value < 1_000:
        return f"{value} µs"
    return f"{value / 1_000:g} ms" if value < 1_000_000 else f"{value / 1_000_000:g} s"


def span(seconds: float) -> str:
    """A time that passed, in its two largest units at most."""
    whole = int(seconds)
    if whole < MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return f"{whole // MINUTE_S} min {whole % MINUTE_S} s"
    return f"{whole // HOUR_S} h {whole % HOUR_S // MINUTE_S} min"
