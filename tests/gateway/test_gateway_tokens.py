"""Tokens: hashes on disk, one writer, edges that notice."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gateway.authority import Principal
from gateway.tokens import TokenBook, TokenError, TokenStore, TokenTerms, read_tokens
from gateway.wire import Scope

TERMS = TokenTerms(owner="alice", scopes=(Scope.TRADE,), expires_ns=100, label="desk")


def make(store: TokenStore, terms: TokenTerms = TERMS, luck: bytes = b"x") -> str:
    return store.create(terms, 7, lambda count: luck * count)


def test_a_token_is_shown_once_and_stored_as_a_hash(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    text = make(TokenStore(path))
    assert text.startswith("fg_")
    assert text not in path.read_text()
    (token,) = read_tokens(path)
    assert (token.owner, token.scopes, token.created_ns, token.label) == (
        "alice", (Scope.TRADE,), 7, "desk",
    )  # fmt: skip
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_token_is_found_until_it_expires(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    text = make(TokenStore(path))
    book = TokenBook(path)
    found = book.find(text, 99)
    assert found is not None
    assert (found.owner, found.scopes) == ("alice", frozenset({Scope.TRADE}))
    assert book.find(text, 100) is None
    assert not book.is_in_force(found, 100)


@pytest.mark.parametrize("text", ["", "fg_", "fg_nope", "xx_abc", "fg_" + "a" * 200, "fg_é"])
def test_what_is_not_a_token_is_not_found(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens.json"
    make(TokenStore(path))
    assert TokenBook(path).find(text, 1) is None


def test_a_revoked_token_ends_at_the_next_refresh(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    store = TokenStore(path)
    text = make(store)
    kept = make(store, luck=b"y")
    book = TokenBook(path)
    found = book.find(text, 1)
    assert found is not None
    assert book.is_in_force(found, 1)
    store.revoke(store.list()[0].id)
    assert book.refresh()
    assert not book.refresh()
    assert book.find(text, 1) is None
    assert book.find(kept, 1) is not None
    assert not book.is_in_force(found, 1)


def test_a_session_does_not_outlive_a_scope(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    make(TokenStore(path))
    (token,) = read_tokens(path)
    wider = Principal(
        token_id=token.sha256, owner="alice", scopes=frozenset({Scope.TRADE, Scope.ADMIN})
    )
    assert not TokenBook(path).is_in_force(wider, 1)


def test_an_unknown_token_cannot_be_revoked(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="list them"):
        TokenStore(tmp_path / "tokens.json").revoke("nope")


def test_a_file_that_is_gone_revokes_everything(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    text = make(TokenStore(path))
    book = TokenBook(path)
    path.unlink()
    assert book.refresh()
    assert book.find(text, 1) is None


@pytest.mark.parametrize("data", [b"{", b"\xff", b'{"tokens":[{"id":1}]}'])
def test_a_file_that_cannot_be_read_leaves_the_last_good_one(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "tokens.json"
    text = make(TokenStore(path))
    book = TokenBook(path)
    path.write_bytes(data)
    os.utime(path, ns=(5, 5))
    assert not book.refresh()
    assert book.find(text, 1) is not None
    with pytest.raises(TokenError, match=r"tokens\.json"):
        read_tokens(path)


def test_there_is_a_most_of_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.tokens.TOKENS_MAX", 1)
    store = TokenStore(tmp_path / "tokens.json")
    make(store)
    with pytest.raises(TokenError, match="exist"):
        make(store, luck=b"y")
