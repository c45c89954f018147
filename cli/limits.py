"""`fillgate limits`: shows the limits in force; changes them, two persons together."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Annotated

import typer

from actors.limit_store import CHANGEABLE, LimitChange, LimitRefused, LimitStore, Step
from actors.paths import Paths
from actors.settings import load
from cli.app import HomeOption, JsonOption, State, limits_app, state_of
from cli.dial import read_first_token
from cli.output import console, print_json, say, table, utc
from cli.trouble import Trouble
from gateway.authority import Principal
from gateway.tokens import TokenBook

TokenOption = Annotated[
    Path | None, typer.Option("--token-file", help="Your admin token [default: the first].")
]


@limits_app.command("show")
def show(ctx: typer.Context, home: HomeOption = None, json: JsonOption = False) -> None:
    """Show the limits in force and the changes, decided and waiting."""
    state = state_of(ctx, home, json)
    store, now_ns = _store(state), time.time_ns()
    settings, changes = store.in_force(now_ns), store.list()
    limits = {name: str(getattr(settings, name)) for name in CHANGEABLE}
    if state.is_json:
        print_json({"limits": limits, "changes": changes})
        return
    console().print(table("", ("limit", "in force"), list(limits.items())))
    if changes:
        columns = ("id", "change", "step", "by", "decided by", "proposed (UTC)", "reason")
        console().print(table("", columns, [_row(change, now_ns) for change in changes]))


@limits_app.command("propose")
def propose(
    ctx: typer.Context,
    changes: Annotated[list[str], typer.Argument(help="Such as max_quantity=50000.")],
    reason: Annotated[str, typer.Option(help="Why, for who decides and for the journal.")],
    token_file: TokenOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:  # fmt: skip
    """Propose new limits; somebody else approves them within a day."""
    state = state_of(ctx, home, json)
    pairs = [text.partition("=") for text in changes]
    new = {name: value for name, _, value in pairs}
    who = _who(state.paths, token_file)
    _tell(state, _propose(state, who, new, reason))


def _propose(state: State, who: Principal, new: dict[str, str], reason: str) -> LimitChange:
    try:
        return _store(state).propose(who, new, reason, time.time_ns(), secrets.token_bytes(4))
    except LimitRefused as refused:
        raise Trouble(str(refused), "see `fillgate limits show`", "limits") from None


@limits_app.command("approve")
def approve(
    ctx: typer.Context,
    change_id: str,
    token_file: TokenOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Approve a change that somebody else proposed."""
    _decide(state_of(ctx, home, json), change_id, Step.APPROVED, token_file)


@limits_app.command("reject")
def reject(
    ctx: typer.Context,
    change_id: str,
    token_file: TokenOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Reject a change, also one of your own."""
    _decide(state_of(ctx, home, json), change_id, Step.REJECTED, token_file)


def _decide(state: State, change_id: str, step: Step, token_file: Path | None) -> None:
    who = _who(state.paths, token_file)
    try:
        change = _store(state).decide(who, change_id, step, time.time_ns())
    except LimitRefused as refused:
        raise Trouble(str(refused), "see `fillgate limits show`", "limits") from None
    _tell(state, change)


def _store(state: State) -> LimitStore:
    return LimitStore(state.paths.limits, load(state.paths.settings).compliance)


def _who(paths: Paths, token_file: Path | None) -> Principal:
    """Whom the token speaks for. Raises Trouble."""
    try:
        text = token_file.read_text().strip() if token_file else read_first_token(paths)
    except OSError as trouble:
        raise Trouble(f"{token_file}: {trouble.strerror}", "name another file", "token") from None
    who = TokenBook(paths.tokens).find(text, time.time_ns())
    if who is None:
        fix = "make one with `fillgate token create --scopes admin`"
        raise Trouble("this token is not in force here", fix, "token")
    return who


def _tell(state: State, change: LimitChange) -> None:
    if state.is_json:
        print_json({"change": change})
        return
    words = ", ".join(f"{name} {change.old[name]} -> {value}" for name, value in change.new.items())
    say(f"{change.step.value} {change.id}: {words}")
    if change.step is Step.PROPOSED:
        say(f"another admin: fillgate limits approve {change.id} --token-file FILE", "dim")


def _row(change: LimitChange, now_ns: int) -> tuple[str, ...]:
    is_over = change.step is Step.PROPOSED and not change.is_open(now_ns)
    step = "ran out" if is_over else change.step.value
    words = ", ".join(f"{name} {change.old[name]} -> {value}" for name, value in change.new.items())
    made = utc(change.at_ns) or ""
    return (change.id, words, step, change.by, change.decided_by, made, change.reason)
