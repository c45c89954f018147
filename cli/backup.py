"""`fillgate backup` and `fillgate restore`: a copy while it runs, and a deployment made of one."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from actors import backups
from actors.backups import Manifest
from cli.app import HomeOption, JsonOption, State, app, command_of, state_of
from cli.init import ID_BYTES
from cli.output import console, print_json, say, utc
from ledger.backup import Progress as Told


@app.command("backup")
def back_up(
    ctx: typer.Context,
    to: Annotated[Path, typer.Argument(help="A directory that is not there yet.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Copy the deployment, also while it runs, and read the copy back."""
    state = state_of(ctx, home, json)
    with _progress(state, "copying") as told:
        manifest = backups.back_up(state.paths, to.absolute(), time.time_ns(), told)
    _tell(state, to, manifest)


@app.command("restore")
def restore(
    ctx: typer.Context,
    backup: Annotated[Path, typer.Argument(help="What `fillgate backup` made.")],
    home: HomeOption = None,
    json: JsonOption = False,
    verify_only: Annotated[
        bool, typer.Option("--verify", help="Read the backup and make nothing.")
    ] = False,
) -> None:
    """Make a new deployment of a backup, halted until you say otherwise."""
    state = state_of(ctx, home, json)
    if verify_only:
        _tell(state, backup, backups.check(backup.absolute()))
        return
    name = f"d-{secrets.token_hex(ID_BYTES)}"
    with _progress(state, "restoring") as told:
        made = backups.bring_back(backup.absolute(), state.paths, name, time.time_ns(), told)
    if state.is_json:
        print_json(made)
        return
    say(f"made deployment {made.deployment} in {made.home}", "bold green")
    say(f"  as {made.backup_of} was, halted; its journal is at record {made.record}")
    if made.unknown_orders:
        say(f"  {made.unknown_orders} orders of unknown outcome will be looked up", "yellow")
    say("next:", "bold")
    say("  make sure that the first deployment is gone and stays so")
    say(f"  {command_of(state)} up        start it; cancels pass, new orders are refused")
    say("  compare positions and orders with the brokers, then lift the halt (docs/operating.md)")


def _tell(state: State, where: Path, manifest: Manifest) -> None:
    if state.is_json:
        print_json(manifest)
        return
    size = sum(file.bytes for file in manifest.files.values())
    say(f"{where}: whole, {len(manifest.files)} files, {size} bytes", "green")
    say(f"  deployment {manifest.deployment} up to record {manifest.record}")
    say(f"  taken {utc(manifest.taken_ns)}")


@contextlib.contextmanager
def _progress(state: State, what: str) -> Iterator[Told]:
    out = console(is_error=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeElapsedColumn(),
    )  # fmt: skip
    is_quiet = state.is_json or not out.is_terminal
    with Progress(*columns, console=out, transient=True, disable=is_quiet) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
