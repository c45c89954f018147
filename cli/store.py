"""`fillgate store`: the relational store, which the journal can always make again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import closing

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from actors.link import PathLock
from actors.paths import LEDGER_ROLE, Paths
from actors.settings import Settings, journal_place, load, read_store_url
from cli.app import HomeOption, JsonOption, State, state_of, store_app
from cli.output import console, print_json, say
from cli.trouble import FAILED, Trouble
from ledger import store_rebuild
from ledger.places import reader_of
from ledger.store import check_owner, read_cursor
from ledger.store_database import Database, find_url
from ledger.store_faults import StoreOld
from ledger.store_opening import open_store
from ledger.store_schema import NEWEST, find_revision, migrate


@store_app.command("status")
def status(ctx: typer.Context, home: HomeOption = None, json: JsonOption = False) -> None:
    """Say where the store is, how far it has come, and what is in it."""
    state = state_of(ctx, home, json)
    settings = load(state.paths.settings)
    with _database(state.paths, settings) as database, database.read() as connection:
        revision = find_revision(connection, database.place)
        if revision != NEWEST:
            raise StoreOld(database.place, revision)
        check_owner(connection, database.place, settings.deployment.id)
        cursor = read_cursor(connection)
        rows = store_rebuild.count_rows(connection)
    last = _last_record(state.paths, settings)
    if state.is_json:
        told = {"place": database.place, "revision": revision, "position": cursor.position}
        print_json({**told, "journal": last, "rows": rows})
        return
    say(f"{database.place}, revision {revision}")
    say(f"at record {cursor.position} of {last}", "green" if cursor.position == last else "yellow")
    say(", ".join(f"{count} {name}" for name, count in rows.items()))


@store_app.command("migrate")
def migrate_tables(ctx: typer.Context, home: HomeOption = None, json: JsonOption = False) -> None:
    """Bring the tables to this release. `fillgate up` does this by itself."""
    state = state_of(ctx, home, json)
    with _database(state.paths, load(state.paths.settings)) as database:
        before, after = migrate(database)
    if state.is_json:
        print_json({"before": before, "after": after})
    elif before == after:
        say(f"{database.place} is at revision {after} already", "green")
    else:
        say(f"{database.place}: from {before or 'nothing'} to revision {after}", "green")


@store_app.command("rebuild")
def rebuild(ctx: typer.Context, home: HomeOption = None, json: JsonOption = False) -> None:
    """Empty the store and make it again from the journal. Not while the deployment runs."""
    state = state_of(ctx, home, json)
    settings = load(state.paths.settings)
    deployment = settings.deployment.id
    url = read_store_url(settings.store)
    journal = reader_of(journal_place(state.paths, settings))
    with (
        _alone(state.paths),
        closing(open_store(url, state.paths.store, deployment)) as store,
        _progress(state, "making the store", _last_record(state.paths, settings)) as told,
    ):
        store_rebuild.rebuild(store, journal, told)
        position = store.cursor.position
    if state.is_json:
        print_json({"position": position})
    else:
        say(f"made again from {position} records", "green")


@store_app.command("verify")
def verify(ctx: typer.Context, home: HomeOption = None, json: JsonOption = False) -> None:
    """Make a second store from the journal and compare the two, row for row."""
    state = state_of(ctx, home, json)
    settings = load(state.paths.settings)
    deployment = settings.deployment.id
    journal = reader_of(journal_place(state.paths, settings))
    with (
        _database(state.paths, settings) as database,
        _progress(state, "comparing", _last_record(state.paths, settings)) as told,
    ):
        found = store_rebuild.verify(database, deployment, journal, told)
    if state.is_json:
        print_json(found)
    else:
        _tell(found)
    if found.differences:
        raise typer.Exit(FAILED)


def _tell(found: store_rebuild.Comparison) -> None:
    for difference in found.differences:
        say(f"difference: {difference}", "bold red")
    if found.differences:
        say("the store is not what the journal says; run `fillgate store rebuild`", "bold red")
        return
    rows = sum(found.rows.values())
    say(f"the same, row for row: {rows} rows from {found.position} records", "green")


@contextlib.contextmanager
def _database(paths: Paths, settings: Settings) -> Iterator[Database]:
    database = Database(find_url(read_store_url(settings.store), paths.store))
    with closing(database):
        yield database


def _last_record(paths: Paths, settings: Settings) -> int:
    return reader_of(journal_place(paths, settings)).last()


@contextlib.contextmanager
def _alone(paths: Paths) -> Iterator[None]:
    """No ledger runs, and none starts meanwhile."""
    paths.make()
    lock = PathLock(paths.socket(LEDGER_ROLE).with_suffix(".lock"))
    try:
        if not lock.try_take():
            fix = "stop the deployment first; `fillgate store verify` works while it runs"
            raise Trouble("a ledger writes to the store", fix, "store_in_use")
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _progress(state: State, what: str, last: int) -> Iterator[store_rebuild.Progress]:
    out = console(is_error=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    is_quiet = state.is_json or not out.is_terminal
    with Progress(*columns, console=out, transient=True, disable=is_quiet) as bar:
        task = bar.add_task(what, total=last)
        yield lambda position: bar.update(task, completed=position)
