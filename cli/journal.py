"""`fillgate journal`: what is written down, and that it is whole. Works with the gateway down."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from actors.settings import find_journal
from cli.app import HomeOption, JsonOption, State, journal_app, state_of
from cli.explain import follow_name, touches
from cli.output import console, print_json, say, utc
from cli.story import describe_cause, describe_update
from cli.trouble import FAILED
from domain.records import Record
from ledger.places import Reader, reader_of
from ledger.verification import JournalReport

POLL_S = 0.2


@journal_app.command("show")
def show(
    ctx: typer.Context,
    first: Annotated[int, typer.Option("--from", min=1, help="The first record.")] = 1,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0: all.")] = 0,
    order: Annotated[str | None, typer.Option(help="Only of this order (any id).")] = None,
    stream: Annotated[str | None, typer.Option(help="Only with entries of this stream.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on as it grows.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show records."""
    state = state_of(ctx, home, json)
    reader = reader_of(find_journal(state.paths))
    names = follow_name(reader.replay(), order) if order else frozenset()
    shown = 0
    with contextlib.suppress(KeyboardInterrupt):
        for record in _records(reader, first - 1, follow):
            if order and not touches(record, names):
                continue
            if stream and all(update.stream != stream for update in record.updates):
                continue
            _tell(state, record)
            shown += 1
            if shown == limit:
                return


def _records(reader: Reader, after: int, follow: bool) -> Iterator[Record]:
    if not follow:
        yield from reader.replay(after)
        return
    follower = reader.follow(after)
    try:
        while True:
            records = follower.read()
            yield from records
            if not records:
                time.sleep(POLL_S)
    finally:
        follower.close()


def _tell(state: State, record: Record) -> None:
    if state.is_json:
        print_json(record)
        return
    out = console()
    head = f"#{record.number}  {utc(record.at_ns)}  epoch {record.epoch}"
    out.print(f"[bold]{head}[/bold]  ", end="")
    out.print(describe_cause(record), markup=False)
    for update in record.updates:
        text = f"    {update.stream} {update.seq}: {describe_update(update)}"
        out.print(text, markup=False, style="dim")


@journal_app.command("verify")
def verify(ctx: typer.Context, home: HomeOption = None, json: JsonOption = False) -> None:
    """Read every byte and say what is wrong."""
    state = state_of(ctx, home, json)
    reader = reader_of(find_journal(state.paths))
    out = console(is_error=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        progress.add_task("reading the journal")
        report = reader.verify()
    if state.is_json:
        print_json(report)
    else:
        _tell_report(report)
    if report.faults:
        raise typer.Exit(FAILED)


def _tell_report(report: JournalReport) -> None:
    if report.deployment_id is not None:
        where = f" in {report.segments} segments" if report.segments else ""
        size = f"{report.bytes} bytes, deployment {report.deployment_id}"
        say(f"{report.records} records{where}, {size}")
    if report.torn_bytes:
        say(f"{report.torn_bytes} bytes of an unfinished last commit: promised to nobody", "yellow")
    for fault in report.faults:
        say(f"fault: {fault}", "bold red")
    if not report.faults:
        say("whole: every record is there, readable and in its place", "green")
