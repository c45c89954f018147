"""`fillgate token`: makes, lists and revokes the tokens of clients."""

from __future__ import annotations

import getpass
import re
import secrets
import time
from typing import Annotated

import typer

from actors.settings import load
from cli.app import HomeOption, JsonOption, state_of, token_app
from cli.init import first_owner
from cli.output import console as make_console
from cli.output import print_json, say, table, utc
from cli.trouble import Trouble
from gateway.tokens import Token, TokenStore, TokenTerms
from gateway.wire import Scope

UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
EXPIRY_S_MAX = 10 * 365 * 86_400
NS = 1_000_000_000


@token_app.command("create")
def create(
    ctx: typer.Context,
    owner: Annotated[str | None, typer.Option(help="Whose orders [default: the first].")] = None,
    scopes: Annotated[str, typer.Option(help="Of trade, read, admin, drop_copy.")] = "trade,read",
    expires: Annotated[str, typer.Option(help="Such as 12h or 30d; `never` for no end.")] = "30d",
    label: Annotated[str, typer.Option(help="A name for people.")] = "",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make a token. It is shown once and stored as a hash."""
    state = state_of(ctx, home, json)
    settings = load(state.paths.settings)
    names = [known.id for known in settings.owners]
    whose = owner or first_owner(settings)
    if whose not in names:
        raise Trouble(f"there is no owner {whose}", f"known owners: {', '.join(names)}", "owner")
    now_ns = time.time_ns()
    span_s = parse_span(expires)
    terms = TokenTerms(
        owner=whose,
        scopes=parse_scopes(scopes),
        expires_ns=None if span_s is None else now_ns + span_s * NS,
        label=label,
        by=getpass.getuser(),
    )
    text = TokenStore(state.paths.tokens).create(terms, now_ns, secrets.token_bytes)
    if state.is_json:
        print_json({"token": text, "terms": terms})
        return
    make_console().print(text, markup=False)
    words = ", ".join(scope.value for scope in terms.scopes)
    end = utc(terms.expires_ns) or "never"
    make_console(is_error=True).print(f"for {whose}; {words}; expires {end}; shown only now")


@token_app.command("list")
def list_tokens(ctx: typer.Context, home: HomeOption = None, json: JsonOption = False) -> None:
    """List the tokens; their text is not stored."""
    state = state_of(ctx, home, json)
    tokens = TokenStore(state.paths.tokens).list()
    if state.is_json:
        print_json({"tokens": [_public(token) for token in tokens]})
        return
    now_ns = time.time_ns()
    rows = [
        (
            token.id,
            token.owner,
            ",".join(scope.value for scope in token.scopes),
            standing(token, now_ns),
            utc(token.created_ns),
            utc(token.expires_ns) or "never",
            token.label,
        )
        for token in tokens
    ]
    columns = ("id", "owner", "scopes", "standing", "created (UTC)", "expires", "label")
    make_console().print(table("", columns, rows))


@token_app.command("revoke")
def revoke(
    ctx: typer.Context, token_id: str, home: HomeOption = None, json: JsonOption = False
) -> None:
    """End a token; its sessions are closed within a second."""
    state = state_of(ctx, home, json)
    TokenStore(state.paths.tokens).revoke(token_id, getpass.getuser())
    if state.is_json:
        print_json({"revoked": token_id})
    else:
        say(f"revoked {token_id}")


def standing(token: Token, now_ns: int) -> str:
    """Whether the token opens anything now."""
    if token.revoked:
        return "revoked"
    is_over = token.expires_ns is not None and now_ns >= token.expires_ns
    return "expired" if is_over else "in force"


def parse_span(text: str) -> int | None:
    """Seconds of a span such as 12h or 30d; None for `never`. Raises BadParameter."""
    if text == "never":
        return None
    match = re.fullmatch(r"([0-9]{1,9})([smhdw])", text)
    seconds = int(match[1]) * UNITS_S[match[2]] if match else 0
    if not 0 < seconds <= EXPIRY_S_MAX:
        raise typer.BadParameter(f"{text!r} is no span; say 45m, 12h, 30d, 8w or never")
    return seconds


def parse_scopes(text: str) -> tuple[Scope, ...]:
    """The scopes of a comma-separated list, once each. Raises BadParameter."""
    words = dict.fromkeys(word.strip() for word in text.split(",") if word.strip())
    known = {scope.value: scope for scope in Scope}
    unknown = [word for word in words if word not in known]
    if unknown or not words:
        raise typer.BadParameter(f"{text!r}: scopes are {', '.join(known)}")
    return tuple(known[word] for word in words)


def _public(token: Token) -> dict[str, object]:
    """A token without its hash."""
    fields = ("id", "owner", "scopes", "created_ns", "expires_ns", "revoked", "label")
    return {name: getattr(token, name) for name in fields}
