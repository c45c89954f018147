"""`fillgate init`: makes a deployment. The only thing that ever makes a journal."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

import typer
from msgspec import Struct

from actors.paths import Paths
from actors.settings import Settings, find_journal, journal_place, load
from cli.app import HomeOption, JsonOption, app, command_of, state_of
from cli.output import print_json, say
from cli.template import Names, render
from cli.trouble import Trouble
from gateway.tokens import TokenStore, TokenTerms
from gateway.wire import Scope
from ledger import places

ID_BYTES = 6
FIRST_SCOPES = (Scope.TRADE, Scope.READ, Scope.ADMIN)


class Made(Struct, frozen=True, kw_only=True):
    """What `init` made, and where."""

    home: str
    settings: str
    journal: str
    deployment: str
    owner: str
    token_file: str


@app.command("init")
def init(ctx: typer.Context, home: HomeOption = None, json: JsonOption = False) -> None:
    """Make a deployment: settings, journal, and a first token."""
    state = state_of(ctx, home, json)
    made = make_deployment(state.paths)
    if state.is_json:
        print_json(made)
        return
    say(f"made a deployment in {made.home}", "bold green")
    say(f"  settings  {made.settings}   (paper trading; every key is explained)")
    say(f"  journal   {made.journal}")
    say(f"  token     {made.token_file}   (trade, read, admin; keep it secret)")
    start = command_of(state)
    say("next:", "bold")
    say(f"  {start} doctor    check everything")
    say(f"  {start} up        start it")


def make_deployment(paths: Paths, text: str | None = None) -> Made:
    """Makes what is missing; settings already there are kept. Raises Trouble, SettingsError."""
    if places.is_made(find_journal(paths)):
        message = f"{paths.home} already holds a deployment with its journal"
        raise Trouble(message, "start it with `fillgate up`, or choose another --home", "exists")
    paths.make()
    if not paths.settings.exists():
        write_private(paths.settings, text or render(_new_names()))
    settings = load(paths.settings)
    owner = first_owner(settings)
    if not paths.first_token.exists():
        terms = TokenTerms(owner=owner, scopes=FIRST_SCOPES, label="first")
        token = TokenStore(paths.tokens).create(terms, time.time_ns(), secrets.token_bytes)
        write_private(paths.first_token, token + "\n")
    # Last: while there is no journal, init can be run again.
    place = journal_place(paths, settings)
    places.init(place)
    return Made(
        home=str(paths.home),
        settings=str(paths.settings),
        journal=place.where,
        deployment=settings.deployment.id,
        owner=owner,
        token_file=str(paths.first_token),
    )


def first_owner(settings: Settings) -> str:
    """The owner the first token is for. Raises Trouble."""
    if not settings.owners:
        raise Trouble("the settings name no owner", "add an [[owners]] section", "settings")
    return settings.owners[0].id


def _new_names() -> Names:
    return Names(
        deployment=f"d-{secrets.token_hex(ID_BYTES)}", owner=f"o-{secrets.token_hex(ID_BYTES)}"
    )


def write_private(path: Path, text: str) -> None:
    """Writes a new file, readable by this user alone. Raises FileExistsError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "w") as file:
        file.write(text)
