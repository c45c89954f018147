"""Bearer tokens: stored as hashes, read again when the file changes.

A token is shown once, when it is made. The file holds its SHA-256 (a token has 256 random
bits, so a slow hash would add nothing), owner, scopes and times; it is replaced whole, mode
0600. A file that is gone revokes everything; one that cannot be read leaves the last good one
in force and is reported, for a typing error must not stop trading.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from gateway.authority import TOKEN_ID_CHARS, Principal
from gateway.private_file import locked, replace_whole
from gateway.wire import Scope

PREFIX = "fg_"
SECRET_BYTES = 32
TOKEN_CHARS_MAX = 100
TOKENS_MAX = 10_000

log = structlog.get_logger()


class Token(Struct, frozen=True, kw_only=True):
    """A token as stored; `id` names it in lists and logs, `by` the system user who made it."""

    id: str
    sha256: str
    owner: str
    scopes: tuple[Scope, ...]
    created_ns: int
    expires_ns: int | None = None
    revoked: bool = False
    label: str = ""
    by: str = ""
    revoked_by: str = ""


class TokenTerms(Struct, frozen=True, kw_only=True):
    """What a new token shall allow."""

    owner: str
    scopes: tuple[Scope, ...]
    expires_ns: int | None = None
    label: str = ""
    by: str = ""


class TokenFile(Struct, frozen=True, kw_only=True):
    """The file's content."""

    tokens: tuple[Token, ...] = ()
    version: int = 1


class TokenError(Exception):
    """The file cannot be read or the change cannot be made; the text says the fix."""


def digest(text: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(text.encode()).hexdigest()


class TokenStore:
    """Makes, lists and revokes tokens in a file; one writer at a time holds its lock."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self, terms: TokenTerms, now_ns: int, luck: Callable[[int], bytes]) -> str:
        """The new token's text, which is stored nowhere."""
        text = PREFIX + urlsafe_b64encode(luck(SECRET_BYTES)).decode().rstrip("=")
        hashed = digest(text)
        token = Token(
            id=hashed[:TOKEN_ID_CHARS],
            sha256=hashed,
            owner=terms.owner,
            scopes=terms.scopes,
            created_ns=now_ns,
            expires_ns=terms.expires_ns,
            label=terms.label,
            by=terms.by,
        )
        with locked(self._path):
            tokens = self.list()
            if len(tokens) >= TOKENS_MAX:
                raise TokenError(f"{TOKENS_MAX} tokens exist; remove revoked ones from the file")
            self._write((*tokens, token))
        return text

    def list(self) -> tuple[Token, ...]:
        """All tokens, the oldest first."""
        return read_tokens(self._path)

    def revoke(self, token_id: str, by: str = "") -> None:
        """Ends a token; edges close its sessions within a second."""
        with locked(self._path):
            tokens = self.list()
            if all(token.id != token_id for token in tokens):
                raise TokenError(f"no token {token_id}; list them to see the ids")
            self._write(
                tuple(
                    replace(token, revoked=True, revoked_by=by) if token.id == token_id else token
                    for token in tokens
                )
            )

    def _write(self, tokens: tuple[Token, ...]) -> None:
        data = msgspec.json.format(msgspec.json.encode(TokenFile(tokens=tokens)))
        replace_whole(self._path, data)


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The file's tokens; none where there is no file. Raises TokenError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=TokenFile).tokens
    except FileNotFoundError:
        return ()
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
        raise TokenError(f"{path.name} cannot be read: {error}") from error


class TokenBook:
    """The tokens an edge goes by; `refresh` reads the file again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._by_digest: dict[str, Token] = {}
        self.refresh()

    def refresh(self) -> bool:
        """True where the tokens in force may have changed."""
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            tokens = read_tokens(self._path)
        except TokenError as fault:
            log.error("tokens unreadable, the last good ones stay in force", why=str(fault))
            return False
        self._by_digest = {token.sha256: token for token in tokens}
        return True

    def _read_stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return (found.st_mtime_ns, found.st_ino, found.st_size)

    def find(self, text: str, now_ns: int) -> Principal | None:
        """Whom the token speaks for; None where it is unknown, expired or revoked."""
        if not text.startswith(PREFIX) or len(text) > TOKEN_CHARS_MAX or not text.isascii():
            return None
        token = self._by_digest.get(digest(text))
        if token is None or not _is_in_force(token, now_ns):
            return None
        return Principal(
            token_id=token.sha256,
            owner=token.owner,
            scopes=frozenset(token.scopes),
            expires_ns=token.expires_ns,
        )

    def is_in_force(self, principal: Principal, now_ns: int) -> bool:
        """False once the token behind a session has ended, or lost a scope it had."""
        token = self._by_digest.get(principal.token_id)
        return (
            token is not None
            and _is_in_force(token, now_ns)
            and principal.scopes <= frozenset(token.scopes)
        )


def _is_in_force(token: Token, now_ns: int) -> bool:
    return not token.revoked and (token.expires_ns is None or now_ns < token.expires_ns)
