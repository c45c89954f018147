"""`fillgate doctor`: looks at everything a deployment needs, and says the fix."""

from __future__ import annotations

from collections.abc import Iterator

import typer
from rich.text import Text

from actors.paths import Paths
from actors.settings import RaySettings, journal_place
from cli import checks as machine
from cli import checks_deployment as deployment
from cli.app import HomeOption, JsonOption, app, state_of
from cli.checks import Check, Level
from cli.checks_ray import check_ray_ports
from cli.checks_store import check_store
from cli.output import console, print_json, say, table
from cli.trouble import FAILED
from cli.up import read_running
from ledger.journal import JournalSettings
from ledger.places import Place

STYLE = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}
assert STYLE.keys() == set(Level)


@app.command("doctor")
def doctor(ctx: typer.Context, home: HomeOption = None, json: JsonOption = False) -> None:
    """Check every dependency and setting, and say the fix."""
    state = state_of(ctx, home, json)
    checks = list(examine(state.paths))
    worst = worst_of(checks)
    if state.is_json:
        print_json({"level": worst, "checks": checks})
    else:
        _tell(checks, worst)
    if worst is Level.FAIL:
        raise typer.Exit(FAILED)


def examine(paths: Paths) -> Iterator[Check]:
    """Every check, in the order in which a fault would hide the next."""
    yield from machine.check_python()
    yield from machine.check_packages()
    settings, found = deployment.check_settings(paths)
    yield from found
    ray = settings.ray if settings is not None else RaySettings()
    yield from machine.check_limits(ray.object_store_mib)
    if not paths.home.is_dir():
        yield machine.fail("home", f"{paths.home} does not exist", "run `fillgate init`")
        return
    yield from deployment.check_home(paths)
    journal = settings.journal if settings is not None else JournalSettings()
    yield from machine.check_disk(paths.home, journal.segment_bytes)
    place = (
        journal_place(paths, settings) if settings is not None else Place(directory=paths.journal)
    )
    last_ns, found = deployment.check_journal(place)
    yield from found
    yield from machine.check_clock(last_ns)
    yield from deployment.check_tokens(paths)
    running = read_running(paths)
    yield from deployment.check_ray(paths, running)
    yield from check_ray_ports(paths, ray, running)
    yield from deployment.check_health(running)
    if settings is not None:
        yield from deployment.check_ports(settings, running)
        yield from deployment.check_connections(paths, settings)
        yield from check_store(paths, settings, is_running=running is not None)


def worst_of(checks: list[Check]) -> Level:
    """The worst level found."""
    levels = {check.level for check in checks}
    return next(
        (level for level in (Level.FAIL, Level.WARN) if level in levels),
        Level.OK,
    )


def _tell(checks: list[Check], worst: Level) -> None:
    rows = [
        (Text(check.level.value, style=STYLE[check.level]), check.name, check.found, check.fix)
        for check in checks
    ]
    console().print(table("", ("", "check", "found", "fix"), rows))
    failed = sum(check.level is Level.FAIL for check in checks)
    warned = sum(check.level is Level.WARN for check in checks)
    if worst is Level.FAIL:
        say(f"{failed} must be fixed, {warned} could be better", STYLE[worst])
    elif worst is Level.WARN:
        say(f"ready; {warned} could be better", STYLE[worst])
    else:
        say("all well", STYLE[worst])
