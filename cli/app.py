"""The app, its groups, and the options that every command has."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec import Struct
from typer.core import TyperGroup
from typer.exceptions import TyperException

from actors.paths import Paths
from cli.output import say_trouble
from cli.trouble import FAILED, explain, write_down


class State(Struct):
    """What the options common to all commands said."""

    home: Path
    is_json: bool = False

    @property
    def paths(self) -> Paths:
        """Where this deployment keeps its things."""
        return Paths(self.home.absolute())


class SafeGroup(TyperGroup):
    """Runs commands; an exception becomes a sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the chosen command."""
        try:
            return super().invoke(ctx)
        except (TyperException, typer.Exit, typer.Abort):
            raise
        except Exception as trouble:
            state: State = ctx.obj
            known = explain(trouble) or write_down(trouble, state.paths.logs / "cli.log")
            say_trouble(known, state.is_json)
            raise typer.Exit(FAILED) from None


DEFAULT_HOME = Path(".fillgate")
HOME_HELP = "The deployment's folder [default: $FILLGATE_HOME or ./.fillgate]."
JSON_HELP = "Answer as JSON, for programs."

HomeOption = Annotated[Path | None, typer.Option("--home", help=HOME_HELP, show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help=JSON_HELP)]

app = typer.Typer(
    name="fillgate",
    cls=SafeGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Fillgate: a self-hosted execution gateway. Start with [bold]fillgate up[/bold].",
)
limits_app = typer.Typer(no_args_is_help=True, help="Show limits; change them, two together.")
token_app = typer.Typer(no_args_is_help=True, help="Make, list and revoke client tokens.")
order_app = typer.Typer(
    no_args_is_help=True, help="Place, cancel, amend, explain or resolve an order."
)
journal_app = typer.Typer(no_args_is_help=True, help="Read and verify the journal.")
store_app = typer.Typer(
    no_args_is_help=True, help="Look at the relational store, or make it again."
)
audit_app = typer.Typer(
    no_args_is_help=True, help="Verify, export and explain the audit log of all checks and acts."
)
breaker_app = typer.Typer(no_args_is_help=True, help="A broker connection's circuit breaker.")
rules_app = typer.Typer(
    no_args_is_help=True, help="Look at the rule book, and at what another would have changed."
)
app.add_typer(token_app, name="token")
app.add_typer(breaker_app, name="breaker")
app.add_typer(limits_app, name="limits")
app.add_typer(order_app, name="order")
app.add_typer(journal_app, name="journal")
app.add_typer(store_app, name="store")
app.add_typer(audit_app, name="audit")
app.add_typer(rules_app, name="rules")


@app.callback()
def set_state(
    ctx: typer.Context,
    home: Annotated[
        Path, typer.Option("--home", envvar="FILLGATE_HOME", help="The deployment's folder.")
    ] = DEFAULT_HOME,
    json: JsonOption = False,
) -> None:
    """Remembers the common options, given before the command."""
    ctx.obj = State(home=home, is_json=json)


def state_of(ctx: typer.Context, home: Path | None, is_json: bool) -> State:
    """The common options, given before or after the command."""
    state: State = ctx.obj
    state.home = home or state.home
    state.is_json = is_json or state.is_json
    return state


def command_of(state: State) -> str:
    """How to call us for this deployment."""
    is_default = state.home == DEFAULT_HOME or os.environ.get("FILLGATE_HOME") == str(state.home)
    return program() if is_default else f"{program()} --home {state.home}"


def program() -> str:
    """What to type: the bare name where the shell finds it, else the way to it from here."""
    beside = Path(sys.executable).parent / "fillgate"
    if shutil.which("fillgate") is not None or not beside.exists():
        return "fillgate"
    return os.path.relpath(beside)
