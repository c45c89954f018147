"""Tickets: a browser cannot send a token at the upgrade, so it trades one for a one-use ticket.

A ticket is a file in the runtime folder, which all edges of a node share, named by the ticket's
hash. Whoever unlinks it has used it: of any number of processes exactly one succeeds, also
across a restart, and nothing has to be remembered (docs/decisions/0011). The text itself is
stored nowhere and travels in the `Sec-WebSocket-Protocol` header, never in an address.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from gateway.authority import Principal
from gateway.tokens import digest

SUBPROTOCOL = "fillgate.ticket."
VALID_MS = 30_000
SECRET_BYTES = 24
TICKET_CHARS_MAX = 64
OF_TOKEN_MAX = 100
OUTSTANDING_MAX = 10_000
NS_PER_MS = 1_000_000


class Ticket(Struct, frozen=True, kw_only=True):
    """What the file says; `boot_ns` is when it ends, on the clock that all processes share."""

    principal: Principal
    origin: str
    boot_ns: int


class TicketBox:
    """Makes and takes tickets; `luck` gives random bytes, `boot_ns` the time."""

    def __init__(
        self, folder: Path, boot_ns: Callable[[], int], luck: Callable[[int], bytes]
    ) -> None:
        self._folder = folder
        self._boot_ns = boot_ns
        self._luck = luck
        self._made: deque[tuple[int, Path, str]] = deque()
        self._per_token: Counter[str] = Counter()

    def make(self, principal: Principal, origin: str) -> str | None:
        """A new ticket's text; None where too many wait to be used."""
        self.sweep()
        of_token = self._per_token[principal.token_id]
        if len(self._made) >= OUTSTANDING_MAX or of_token >= OF_TOKEN_MAX:
            return None
        text = urlsafe_b64encode(self._luck(SECRET_BYTES)).decode()
        until_ns = self._boot_ns() + VALID_MS * NS_PER_MS
        ticket = Ticket(principal=principal, origin=origin, boot_ns=until_ns)
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._path(text)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(msgspec.json.encode(ticket))
        self._made.append((until_ns, path, principal.token_id))
        self._per_token[principal.token_id] += 1
        return text

    def _path(self, text: str) -> Path:
        return self._folder / digest(text)

    def take(self, text: str, origin: str) -> Principal | None:
        """Whom the ticket speaks for, once; a try from another origin uses it up as well."""
        if len(text) > TICKET_CHARS_MAX or not text.isascii():
            return None
        path = self._path(text)
        try:
            ticket = msgspec.json.decode(path.read_bytes(), type=Ticket)
            path.unlink()
        except (OSError, msgspec.MsgspecError):
            # Unknown, or another process was first.
            return None
        is_good = ticket.origin == origin and self._boot_ns() < ticket.boot_ns
        return ticket.principal if is_good else None

    def sweep(self) -> None:
        """Forgets those of ours whose time is over."""
        now_ns = self._boot_ns()
        while self._made and self._made[0][0] <= now_ns:
            _, path, token_id = self._made.popleft()
            path.unlink(missing_ok=True)
            self._per_token[token_id] -= 1
            self._per_token += Counter()

    def clear(self) -> None:
        """Removes what earlier processes left behind: all that has ended, or cannot be read."""
        for path in self._folder.glob("*"):
            try:
                ticket = msgspec.json.decode(path.read_bytes(), type=Ticket)
            except (OSError, msgspec.MsgspecError):
                continue
            if ticket.boot_ns <= self._boot_ns():
                path.unlink(missing_ok=True)
