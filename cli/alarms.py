"""`fillgate alarms`: the catalogue and what stands, a test of the notices, Prometheus' rules."""

from __future__ import annotations

import asyncio
import sys

import typer
from rich.text import Text

from actors.observer.alarms import ALARMS, Severity
from actors.observer.judge import Standing
from actors.observer.main import read_observed
from actors.observer.rules import to_rules
from actors.observer.sending import BadAddress, Sender
from actors.settings import Settings, load, read_notice_urls
from cli.app import HomeOption, JsonOption, app, state_of
from cli.output import console, print_json, say, table
from cli.trouble import Trouble

STYLE = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow"}
assert STYLE.keys() == set(Severity)
alarms_app = typer.Typer(no_args_is_help=True, help="List alarms, test the notices.")
app.add_typer(alarms_app, name="alarms")


@alarms_app.command("list")
def list_alarms(ctx: typer.Context, home: HomeOption = None, json: JsonOption = False) -> None:
    """Every alarm there is, what it means, and which of them stand now."""
    state = state_of(ctx, home, json)
    seen = read_observed(state.paths.observed)
    standing = seen.standing if seen is not None else []
    if state.is_json:
        print_json({"standing": standing, "alarms": ALARMS})
        return
    rows = []
    for alarm in ALARMS:
        places = [_place(one) for one in standing if one.id == alarm.id]
        state_of_it = Text(", ".join(places) or "–", style=STYLE[alarm.severity] if places else "")
        grade = Text(alarm.severity.value, style=STYLE[alarm.severity])
        rows.append((alarm.id, grade, state_of_it, alarm.says, alarm.money))
    console().print(table("", ("alarm", "severity", "stands at", "says", "your money"), rows))


def _place(one: Standing) -> str:
    return f"{one.role} {one.label}".strip()


@alarms_app.command("test")
def send_test(ctx: typer.Context, home: HomeOption = None, json: JsonOption = False) -> None:
    """Send a notice to every address of the settings; fails where one does not take it."""
    state = state_of(ctx, home, json)
    settings = load(state.paths.settings)
    sender = sender_of(settings)
    if not sender.has_addresses:
        fix = "name `urls_file` or `urls_env` in [alarms] of fillgate.toml"
        raise Trouble("no addresses for notices are set", fix, "settings")
    title = f"Fillgate {settings.deployment.id}: a test"
    body = "This is a test of the notices to operators. Nothing is wrong."
    if not asyncio.run(sender.send_text(title, body)):
        fix = "look at each address: host, port, user, password; the service's own log says more"
        raise Trouble("at least one address did not take the notice", fix, "notices")
    if state.is_json:
        print_json({"sent": True})
    else:
        say("every address took it", "green")


def sender_of(settings: Settings) -> Sender:
    """Raises Trouble where an address is not understood."""
    try:
        return Sender(read_notice_urls(settings.alarms), settings.deployment.id)
    except BadAddress as trouble:
        fix = "write json://host/path for a webhook, mailto://user:password@host for an e-mail"
        raise Trouble(str(trouble), fix, "settings") from None


@alarms_app.command("rules")
def rules() -> None:
    """The catalogue as Prometheus' alert rules."""
    sys.stdout.write(to_rules())
