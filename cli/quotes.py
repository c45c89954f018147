"""`fillgate quotes`: prices as they come, in a table that lives, or as JSON lines."""

from __future__ import annotations

import asyncio
import contextlib
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
from cli.output import console, number, print_json, table, utc
from domain.quotes import Quote
from gateway.client import Client

REFRESH_PER_S = 8
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
        with Live(board.table(), console=console(), refresh_per_second=REFRESH_PER_S) as live:
            board.on_change = live.update
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
    """The newest quote of each instrument, and which way it moved."""

    def __init__(self, symbols: tuple[str, ...], count: int = 0) -> None:
        self._quotes: dict[str, Quote | None] = dict.fromkeys(symbols)
        self._moves: dict[str, Decimal] = {}
        self._left = count or -1
        self.on_change: Callable[[Table], None] = lambda _: None

    def __call__(self, quote: Quote) -> bool:
        """Takes a quote."""
        before = self._quotes.get(quote.instrument)
        if before is not None and before.mid != quote.mid:
            self._moves[quote.instrument] = quote.mid - before.mid
        self._quotes[quote.instrument] = quote
        self.on_change(self.table())
        self._left -= 1
        return self._left != 0

    def table(self) -> Table:
        """The board as it stands."""
        columns = ("instrument", ">bid", ">ask", ">spread", "", "time (UTC)", "from")
        return table("", columns, [self._row(name, q) for name, q in self._quotes.items()])

    def _row(self, name: str, quote: Quote | None) -> tuple[str | Text, ...]:
        if quote is None:
            return (name, "", "", "", Text("waiting", style="dim"), "", "")
        move = self._moves.get(name, Decimal(0))
        style = "green" if move > 0 else "red" if move < 0 else ""
        arrow = "▲" if move > 0 else "▼" if move < 0 else " "
        note = Text(arrow, style=style) if quote.tradeable else Text("closed", style="yellow")
        return (
            name,
            Text(f"{quote.bid:f}", style=style),
            Text(f"{quote.ask:f}", style=style),
            number(quote.ask - quote.bid),
            note,
            utc(quote.received_ns),
            quote.connection,
        )


async def _follow(paths: Paths, symbols: tuple[str, ...], take: Take) -> None:
    async with dialed(paths) as client:
        tasks = [asyncio.create_task(_take_all(client, name, take)) for name in symbols]
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        for task in done:
            task.result()


async def _take_all(client: Client, instrument: str, take: Take) -> None:
    async for quote in client.quotes(instrument):
        if not take(quote):
            return
