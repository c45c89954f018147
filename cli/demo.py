"""`fillgate demo`: trades over replayed ticks, then compares all books."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from random import Random
from typing import Annotated, Any

import typer
from msgspec import Struct
from msgspec.structs import replace
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from actors.paths import Paths
from actors.settings import Settings, load
from cli.app import HomeOption, JsonOption, app, state_of
from cli.demo_report import Report, make_report, store_differences, tell
from cli.demo_trade import ClientLog, Trader
from cli.demo_world import PaperBrokers, Ticks, load_ticks, paper_brokers, throw_away, wanted
from cli.dial import find_running, options_for, read_first_token, run
from cli.output import console, print_json
from cli.strategy import Strategy
from cli.trouble import FAILED, Trouble
from domain.accounts import Environment
from gateway.client import Client

SETTLE_S = 2.0

Tell = Callable[[str, int], None]


class Plan(Struct, frozen=True, kw_only=True):
    """What the demo is to do."""

    orders: int
    seed: int
    ticks: Ticks | None = None
    attach: Paths | None = None


@app.command("demo")
def demo(
    ctx: typer.Context,
    orders: Annotated[int, typer.Option(min=1, max=100_000, help="Orders to place.")] = 500,
    ticks: Annotated[Path | None, typer.Option(help="A CSV of ticks, or a folder.")] = None,
    seed: Annotated[int, typer.Option(help="Of the strategy and the generated market.")] = 7,
    attach: Annotated[
        bool, typer.Option("--attach", help="Use the running deployment of --home.")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Trade in a throw-away deployment; compare client log, journal, store and broker's book."""
    state = state_of(ctx, home, json)
    plan = Plan(
        orders=orders,
        seed=seed,
        ticks=load_ticks(ticks) if ticks is not None else None,
        attach=state.paths if attach or home is not None else None,
    )
    with _progress(orders, is_quiet=state.is_json) as steps:
        report = run(_until_told(play(plan, steps)))
    if state.is_json:
        print_json(report)
    else:
        tell(report)
    if report.differences:
        raise typer.Exit(FAILED)


@contextlib.contextmanager
def _progress(orders: int, is_quiet: bool) -> Iterator[Tell]:
    """A bar on a terminal; nothing elsewhere."""
    out = console(is_error=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    is_off = is_quiet or not out.is_terminal
    with Progress(*columns, console=out, transient=True, disable=is_off) as bar:
        task = bar.add_task("starting", total=orders)
        yield lambda step, done: bar.update(task, description=step, completed=done)


async def _until_told(work: Coroutine[Any, Any, Report]) -> Report:
    """Runs the work; SIGTERM ends it as Ctrl-C does, so that nothing is left running."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    told: list[bool] = []

    def end() -> None:
        told.append(task.cancel())

    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        return await task
    except asyncio.CancelledError:
        if told:
            raise Trouble("the demo was ended before it could compare", code="ended") from None
        raise


@contextlib.asynccontextmanager
async def _in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """The work goes on beside the block and ends with it; its trouble ends the block."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work)
        yield
        task.cancel()


@contextlib.asynccontextmanager
async def _deployment(plan: Plan, found: list[Report]) -> AsyncIterator[Paths]:
    if plan.attach is not None:
        refuse_live(load(plan.attach.settings))
        yield plan.attach
        return

    # What cannot be explained must be looked at: with a difference, the home stays.
    def is_kept() -> bool:
        return any(report.differences for report in found)

    async with throw_away(plan.ticks, plan.seed, is_kept) as paths:
        yield paths


def refuse_live(settings: Settings) -> None:
    """The demo means nothing by its orders: none of them may cost money. Raises Trouble."""
    if any(connection.environment is Environment.LIVE for connection in settings.connections):
        fix = "leave out --attach: the demo makes a paper deployment of its own"
        raise Trouble("this deployment trades real money", fix, "live")


async def play(plan: Plan, steps: Tell) -> Report:
    """The whole demo. Raises Trouble."""
    steps("starting a deployment", 0)
    found: list[Report] = []
    async with _deployment(plan, found) as paths:
        running = find_running(paths)
        session = f"demo-{time.time_ns():x}"
        async with (
            paper_brokers(running) as brokers,
            Client.connect(
                running.url, read_first_token(paths), session, options=options_for(running)
            ) as client,
        ):
            assert client.welcome is not None
            log = ClientLog(f"orders/{client.welcome.owner}")
            client.on_event = log.take
            await client.follow(log.stream)
            trader = Trader(client, log, Strategy(session, Random(plan.seed)))  # noqa: S311
            await trader.prepare(wanted(plan.ticks))
            seconds = await _trade(plan, trader, brokers, steps)
            steps("comparing the books", plan.orders)
            book = await brokers.book()
        report = await asyncio.to_thread(make_report, paths, log, trader, book, seconds)
        differences = await asyncio.to_thread(store_differences, paths)
        found.append(replace(report, differences=report.differences + differences))
    return found[0]


async def _trade(plan: Plan, trader: Trader, brokers: PaperBrokers, steps: Tell) -> float:
    """Trades while the market moves; how long it took, in seconds."""
    started = time.monotonic()
    market = brokers.replay(plan.ticks) if plan.ticks is not None else asyncio.sleep(0)
    async with _in_background(trader.watch()), _in_background(market):
        await trader.trade(plan.orders, lambda done: steps("trading", done))
        await asyncio.sleep(SETTLE_S)
        steps("waiting until all is quiet", plan.orders)
        await trader.finish()
    return time.monotonic() - started
