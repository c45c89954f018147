"""`fillgate top`: the whole node at a glance, alive in the terminal; no client, no token needed."""

from __future__ import annotations

import contextlib
import select
import sys
import termios
import time
import tty
from collections import deque
from collections.abc import Iterator
from typing import Annotated

import typer
from rich.live import Live

from actors.observer.main import Observed, read_observed
from actors.paths import Paths
from actors.settings import load
from cli.app import HomeOption, JsonOption, app, command_of, state_of
from cli.output import console, print_json
from cli.top_frame import frame
from cli.top_view import View, view_of
from cli.trouble import Trouble

LOOK_S = 0.5
WINDOW = 20
"""Looks back over which rates and latencies are told: ten seconds."""
ONCE_S = 1.2
KEYS = "q quit"


@app.command("top")
def top(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="One frame, for scripts.")] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Watch orders, connections, processes and alarms, live; q ends it."""
    state = state_of(ctx, home, json)
    looks = Looks(state.paths, f"start it with `{command_of(state)} up`")
    deployment = load(state.paths.settings).deployment.id
    looks.take()
    if once or state.is_json or not sys.stdin.isatty() or not sys.stdout.isatty():
        time.sleep(ONCE_S)
        looks.take()
        if state.is_json:
            print_json(looks.view())
        else:
            console().print(frame(looks.view(), deployment))
        return
    with contextlib.suppress(KeyboardInterrupt):
        _watch(looks, deployment)


class Looks:
    """The observer's last looks."""

    def __init__(self, paths: Paths, fix: str) -> None:
        self._paths = paths
        self._fix = fix
        self._kept: deque[Observed] = deque(maxlen=WINDOW)

    def take(self) -> None:
        """One more, where there is a new one. Raises Trouble where there never was one."""
        seen = read_observed(self._paths.observed)
        if seen is None and not self._kept:
            raise Trouble("nothing runs here, or its observer has yet to look", self._fix, "down")
        if seen is not None and (not self._kept or seen.at_ns != self._kept[-1].at_ns):
            self._kept.append(seen)

    def view(self) -> View:
        """What to show now."""
        return view_of(self._kept[0], self._kept[-1], time.time_ns())


def _watch(looks: Looks, deployment: str) -> None:
    with _keys(), Live(console=console(), screen=True, auto_refresh=False) as live:
        while True:
            looks.take()
            live.update(frame(looks.view(), deployment, KEYS), refresh=True)
            if _pressed() in ("q", "Q", "\x03", "\x1b"):
                return


@contextlib.contextmanager
def _keys() -> Iterator[None]:
    """Single keys, unechoed, until the end."""
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _pressed() -> str:
    """The key pressed within one look's time, or none."""
    ready, _, _ = select.select([sys.stdin], [], [], LOOK_S)
    return sys.stdin.read(1) if ready else ""
