"""`fillgate up`: starts a deployment and keeps it alive until Ctrl-C. No Ray in this process."""

from __future__ import annotations

import asyncio

import msgspec
import typer

from actors.paths import Paths
from actors.settings import find_journal, journal_place, load
from actors.supervisor import Running, Supervisor
from cli.alarms import sender_of
from cli.app import HomeOption, JsonOption, State, app, command_of, program, state_of
from cli.init import make_deployment
from cli.output import console, print_json, say
from cli.trouble import Trouble
from ledger import places
from ledger.chain import holds_journal, read_chain


@app.command("up")
def up(ctx: typer.Context, home: HomeOption = None, json: JsonOption = False) -> None:
    """Start the gateway and keep it alive, until Ctrl-C."""
    state = state_of(ctx, home, json)
    paths = state.paths
    is_new = make_where_missing(paths)
    settings = load(paths.settings)
    sender_of(settings)
    # Said now, not by a router that tries again and again.
    places.check(journal_place(paths, settings))
    paths.make()
    progress = Progress(state)
    if is_new:
        progress(f"made a new deployment in {paths.home}")
    asyncio.run(Supervisor(paths, settings, progress).run())
    progress("stopped")


def make_where_missing(paths: Paths) -> bool:
    """True where there was nothing and a deployment was made. Raises Trouble.

    A journal alone, or settings alone that were used before, are never made whole by a guess.
    """
    if paths.settings.exists():
        if not paths.tokens.exists() and not places.is_made(find_journal(paths)):
            make_deployment(paths)
        return False
    if holds_journal(paths.journal):
        name = read_chain(paths.journal, None).deployment_id
        fix = f"restore fillgate.toml; the journal belongs to deployment {name}"
        raise Trouble(f"{paths.settings} is gone, the journal is there", fix, "settings")
    make_deployment(paths)
    return True


class Progress:
    """Tells the steps of a start as they come, and once what to do next."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._is_told = False

    def __call__(self, step: str) -> None:
        """One step."""
        running = None if self._is_told else read_running(self._state.paths)
        if running is not None:
            self._is_told = True
            self._tell_ready(running)
        elif self._state.is_json:
            print_json({"step": step})
        else:
            say(f"  {step}", "dim")

    def _tell_ready(self, running: Running) -> None:
        paths = self._state.paths
        if self._state.is_json:
            token_file = str(paths.first_token)
            print_json({"ready": running, "home": str(paths.home), "token_file": token_file})
            return
        say("ready to trade", "bold green")
        say(f"  clients  {running.url}")
        say(f"  REST     {running.rest_url}/api/v1/docs")
        say(f"  health   {running.health_url}/readyz")
        say(f"  token    {paths.first_token}")
        say("what to do next, in another terminal:", "bold")
        for command in next_commands(self._state):
            console().print(f"  {command}", markup=False)
        say("Ctrl-C stops everything.", "dim")


def next_commands(state: State) -> tuple[str, ...]:
    """Three commands to copy."""
    start = command_of(state)
    return (
        f"{start} order place EUR/USD buy 1000",
        f"{start} quotes EUR/USD USD/JPY",
        f"{program()} demo --orders 500",
    )


def read_running(paths: Paths) -> Running | None:
    """What a running deployment tells about itself; None where none does."""
    try:
        return msgspec.json.decode(paths.ready.read_bytes(), type=Running)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
