"""`fillgate token`: made, listed, revoked."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from cli.token import NS, parse_scopes, parse_span, standing
from gateway.tokens import Token, TokenBook
from gateway.wire import Scope
from tests.cli.cli_world import call, call_json, make_home


def a_token(**words: object) -> Token:
    plain: dict[str, object] = {
        "id": "t", "sha256": "s", "owner": "o", "scopes": (Scope.READ,), "created_ns": 0,
    }  # fmt: skip
    return Token(**(plain | words))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "seconds"), [("45m", 2700), ("12h", 43200), ("30d", 2592000), ("never", None)]
)
def test_a_span_is_a_number_and_a_unit(text: str, seconds: int | None) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "0d", "1y", "99999999w"])
def test_a_span_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_span(text)


def test_scopes_are_taken_once_each_and_in_order() -> None:
    assert parse_scopes("read, trade,read") == (Scope.READ, Scope.TRADE)


@pytest.mark.parametrize("text", ["", "root", "trade,root"])
def test_an_unknown_scope_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_scopes(text)


def test_a_token_is_in_force_until_it_expires_or_is_revoked() -> None:
    assert standing(a_token(), 10) == "in force"
    assert standing(a_token(expires_ns=10), 10) == "expired"
    assert standing(a_token(revoked=True), 10) == "revoked"


def test_a_made_token_opens_the_door_for_its_owner(tmp_path: Path) -> None:
    paths = make_home(tmp_path)
    made = call_json(paths.home, "token", "create", "--scopes", "read", "--expires", "1h")
    principal = TokenBook(paths.tokens).find(made["token"], made["terms"]["expires_ns"] - NS)
    assert principal is not None
    assert principal.owner == "o-test"
    assert principal.scopes == frozenset({Scope.READ})


def test_the_token_alone_is_on_stdout(tmp_path: Path) -> None:
    result = call(make_home(tmp_path).home, "token", "create")
    assert result.stdout.strip().startswith("fg_")
    assert len(result.stdout.strip().splitlines()) == 1


def test_a_token_for_an_unknown_owner_is_refused(tmp_path: Path) -> None:
    result = call(make_home(tmp_path).home, "token", "create", "--owner", "nobody")
    assert result.exit_code == 1
    assert "there is no owner nobody" in result.stderr


def test_a_list_shows_no_hash_and_no_token(tmp_path: Path) -> None:
    paths = make_home(tmp_path)
    listed = call_json(paths.home, "token", "list")["tokens"]
    assert [token["label"] for token in listed] == ["first"]
    assert "sha256" not in listed[0]
    shown = call(paths.home, "token", "list").stdout
    assert "in force" in shown
    assert paths.first_token.read_text().strip() not in shown


def test_a_revoked_token_is_listed_as_such(tmp_path: Path) -> None:
    home = make_home(tmp_path).home
    (token,) = call_json(home, "token", "list")["tokens"]
    assert call(home, "token", "revoke", token["id"]).exit_code == 0
    assert call_json(home, "token", "list")["tokens"][0]["revoked"]


def test_revoking_what_is_not_there_says_so(tmp_path: Path) -> None:
    result = call(make_home(tmp_path).home, "token", "revoke", "nothing")
    assert result.exit_code == 1
    assert "nothing" in result.stderr
