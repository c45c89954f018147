"""`fillgate quotes`: prices as they come, in a table that lives, or as JSON lines."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from actors.paths import Paths
from cli.app import HomeOption, JsonOption, app, state_of
from cli.dial import dialed, run
from cli.output import NS, console, number, print_json, table
from domain.quotes import Quote, spread_pips, stream_age_ns, tick_age_ns
from gateway import wire
from gateway.client import Client

REFRESH_PER_S = 8
MINUTE_S = 60
DEAD_NS = 12 * NS
"""Brokers give a sign of life every few seconds: a stream unheard for longer is a dead line."""
Take = Callable[[Quote], bool]
"""Takes a quote; False ends the view."""


@app.command("quotes")
def quotes(
    ctx: typer.Context,
    instruments: Annotated[list[str], typer.Argument(help="Such as EUR/USD USD/JPY.")],
    count: Annotated[int, typer.Option(min=0, help="End after so many quotes; 0: never.")] = 0,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Watch prices, until Ctrl-C."""
    state = state_of(ctx, home, json)
    symbols = tuple(dict.fromkeys(symbol_of(name) for name in instruments))
    with contextlib.suppress(KeyboardInterrupt):
        if state.is_json:
            run(_follow(state.paths, symbols, _Lines(count)))
            return
        board = Board(symbols, count)
        # The board is drawn anew as time passes, not only as quotes come: ages show a dead line.
        with Live(get_renderable=board.table, console=console(), refresh_per_second=REFRESH_PER_S):
            run(_follow(state.paths, symbols, board))


def symbol_of(name: str) -> str:
    """The instrument as we say it: eur_usd is EUR/USD."""
    return name.strip().upper().replace("_", "/")


class _Lines:
    """Prints each quote as a JSON line."""

    def __init__(self, count: int) -> None:
        self._left = count or -1

    def __call__(self, quote: Quote) -> bool:
        print_json(quote)
        self._left -= 1
        return self._left != 0


class Board:
    """The newest quote of each instrument at each connection, how old it is, which way it moved.

    A tick ages while its market is still; a stream ages only where the line is dead.
    """

    def __init__(
        self, symbols: tuple[str, ...], count: int = 0, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._symbols = symbols
        self._quotes: dict[tuple[str, str], Quote] = {}
        self._moves: dict[tuple[str, str], Decimal] = {}
        self._left = count or -1
        self._now_ns = now_ns
        self.pips: dict[str, Decimal] = {}

    def __call__(self, quote: Quote) -> bool:
        """Takes a quote."""
        key = (quote.instrument, quote.connection)
        before = self._quotes.get(key)
        if before is not None and before.mid != quote.mid:
            self._moves[key] = quote.mid - before.mid
        self._quotes[key] = quote
        self._left -= 1
        return self._left != 0

    def table(self) -> Table:
        """The board as it stands."""
        columns = (
            "instrument", ">bid", ">ask", ">pips", "", ">tick age", ">stream age", ">stands for",
            "from",
        )  # fmt: skip
        return table("", columns, [row for name in self._symbols for row in self._rows(name)])

    def _rows(self, name: str) -> list[tuple[str | Text, ...]]:
        found = [self._row(key, quote) for key, quote in self._quotes.items() if key[0] == name]
        waiting = (name, "", "", "", Text("waiting", style="dim"), "", "", "", "")
        return found or [waiting]

    def _row(self, key: tuple[str, str], quote: Quote) -> tuple[str | Text, ...]:
        move = self._moves.get(key, Decimal(0))
        now_ns = self._now_ns()
        heard_ns = stream_age_ns(quote, now_ns)
        is_dead = quote.tradeable and heard_ns > DEAD_NS
        style = "dim" if is_dead or not quote.tradeable else _style_of(move)
        pip = self.pips.get(quote.instrument)
        spread = quote.ask - quote.bid if pip is None else spread_pips(quote, pip)
        note = Text("▲" if move > 0 else "▼" if move < 0 else " ", style=style)
        if not quote.tradeable:
            note = Text("closed", style="yellow")
        elif is_dead:
            note = Text("no word", style="bold red")
        return (
            quote.instrument,
            Text(f"{quote.bid:f}", style=style),
            Text(f"{quote.ask:f}", style=style),
            number(spread),
            note,
            _age(tick_age_ns(quote, now_ns)),
            Text(_age(heard_ns), style="bold red" if is_dead else ""),
            str(quote.conflated) if quote.conflated > 1 else "",
            quote.connection,
        )


def _style_of(move: Decimal) -> str:
    return "green" if move > 0 else "red" if move < 0 else ""


def _age(ns: int) -> str:
    """To the tenth of a second, and of a long one no more than its whole part."""
    seconds = max(ns, 0) / NS
    if seconds < MINUTE_S:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), MINUTE_S)
    hours, minutes = divmod(minutes, MINUTE_S)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


async def _follow(paths: Paths, symbols: tuple[str, ...], take: Take) -> None:
    async with dialed(paths) as client:
        if isinstance(take, Board):
            rows = (await client.query(wire.InstrumentsList)).body or ()
            take.pips = {row["symbol"]: Decimal(row["pip"]) for row in rows}
        tasks = [asyncio.create_task(_take_all(client, name, take)) for name in symbols]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Ctrl-C as well: no task may outlive the session it reads from.
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()


async def _take_all(client: Client, instrument: str, take: Take) -> None:
    async for quote in client.quotes(instrument):
        if not take(quote):
            return
