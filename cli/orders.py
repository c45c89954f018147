"""`fillgate orders`: what is working, or what was; `--watch` keeps the view alive."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from actors.paths import Paths
from cli.app import HomeOption, JsonOption, State, app, state_of
from cli.dial import dialed, run
from cli.output import console, number, print_json, status_text, table, utc
from cli.quotes import symbol_of
from domain.lifecycle import Status
from gateway import wire
from gateway.client import Client
from gateway.wire_bounds import ROWS_MAX

WORDS = ("open", "all", *(status.value for status in Status))
REFRESH_PER_S = 4
Filters = dict[str, Any]


def check_status(word: str) -> str:
    """One of the words a list can be asked by. Raises BadParameter."""
    if word not in WORDS:
        raise typer.BadParameter(f"{word!r}: say one of {', '.join(WORDS)}")
    return word


@app.command("orders")
def orders(
    ctx: typer.Context,
    status: Annotated[
        str, typer.Option(callback=check_status, help="open, all, or a state such as filled.")
    ] = "open",
    instrument: Annotated[str | None, typer.Option(help="Only of this instrument.")] = None,
    account: Annotated[str | None, typer.Option(help="Only of this account.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only with this tag.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=ROWS_MAX, help="At most so many.")] = 50,
    watch: Annotated[bool, typer.Option("--watch", help="Keep the view alive.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List orders, the newest first."""
    state = state_of(ctx, home, json)
    symbol = symbol_of(instrument) if instrument else None
    asked = {"status": status, "instrument": symbol, "account": account, "tag": tag}
    filters: Filters = {name: value for name, value in asked.items() if value is not None}
    filters["limit"] = limit
    if watch:
        with contextlib.suppress(KeyboardInterrupt):
            run(_watch(state, filters))
        return
    rows = run(_list(state.paths, filters))
    if state.is_json:
        print_json({"orders": rows})
    else:
        console().print(order_table(rows))


async def _list(paths: Paths, filters: Filters) -> list[dict[str, Any]]:
    async with dialed(paths) as client:
        return await list_orders(client, filters)


async def list_orders(client: Client, filters: Filters) -> list[dict[str, Any]]:
    """Rows of orders.list. Raises Refused."""
    res = await client.query(wire.OrdersList, **filters)
    return list(res.body or ())


async def _watch(state: State, filters: Filters) -> None:
    """Lists again after every entry of the owner's stream; JSON gives the entries themselves."""
    async with dialed(state.paths) as client:
        assert client.welcome is not None
        updates = client.updates()
        await client.follow(f"orders/{client.welcome.owner}")
        if state.is_json:
            async for update in updates:
                print_json(update)
            return
        first = order_table(await list_orders(client, filters))
        with Live(first, console=console(), refresh_per_second=REFRESH_PER_S) as live:
            async for _ in updates:
                live.update(order_table(await list_orders(client, filters)))


def order_table(rows: list[dict[str, Any]]) -> Table:
    """Orders for people."""
    columns = (
        "client order id", "status", "instrument", "side", ">quantity", ">filled", ">average",
        "type", "account", "tag", "updated (UTC)",
    )  # fmt: skip
    shown = table("", columns, [_row(row) for row in rows])
    if not rows:
        shown.caption = "no orders"
    return shown


def _row(row: dict[str, Any]) -> tuple[Any, ...]:
    terms = row.get("terms") or {}
    status = status_text(str(row["status"]))
    if row.get("pending"):
        status.append(f" ({row['pending']} pending)", style="yellow")
    return (
        str(row.get("client_order_id") or row["order_id"]),
        status,
        str(row["instrument"]),
        str(row["side"]),
        number(row["quantity"]),
        number(row["filled"]),
        number(row.get("average_price")),
        str(terms.get("type") or "market"),
        str(row.get("account") or ""),
        str(terms.get("tag") or ""),
        utc(row.get("updated_ns")),
    )
