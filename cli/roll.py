"""`fillgate roll`: replaces every process that trades, one by one, while orders flow."""

from __future__ import annotations

import os
import signal
import time

import msgspec
import typer

from actors.paths import Paths
from actors.rolling import Rolled
from cli.app import HomeOption, JsonOption, app, state_of
from cli.output import print_json, say
from cli.trouble import Trouble
from cli.up import read_running

ROLL_S_MAX = 600.0
LOOK_S = 0.1


@app.command("roll")
def roll(ctx: typer.Context, home: HomeOption = None, json: JsonOption = False) -> None:
    """Replace every process that trades, one by one, under orders: for a new release."""
    state = state_of(ctx, home, json)
    running = read_running(state.paths)
    if running is None:
        raise Trouble("nothing runs here", "start it with `fillgate up`", "home")
    state.paths.rolled.unlink(missing_ok=True)
    started = time.monotonic()
    try:
        os.kill(running.pid, signal.SIGUSR2)
    except ProcessLookupError:
        fix = "run `fillgate up`: it takes over what trades, then roll"
        raise Trouble("the supervisor is gone", fix, "supervisor") from None
    rolled = _wait(state.paths)
    took_s = round(time.monotonic() - started, 1)
    if rolled.trouble:
        fix = "trading goes on with the processes there are; see logs/ in the home, then roll again"
        raise Trouble(rolled.trouble, fix, "roll")
    if state.is_json:
        print_json({"rolled": True, "took_s": took_s})
    else:
        say(f"every process was replaced in {took_s} s", "bold green")


def _wait(paths: Paths) -> Rolled:
    deadline = time.monotonic() + ROLL_S_MAX
    while time.monotonic() < deadline:
        if paths.rolled.exists():
            return msgspec.json.decode(paths.rolled.read_bytes(), type=Rolled)
        time.sleep(LOOK_S)
    fix = "see logs/supervisor.log in the home"
    raise Trouble(f"no end of it within {ROLL_S_MAX:.0f} s", fix, "roll")
