"""What a client may be told, how long it waits between two tries, and how it fails."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Mapping

from msgspec import Struct

from domain.commands import SetGuard
from domain.errors import ErrorInfo
from gateway import wire

BACKOFF_MS_MIN = 50
BACKOFF_MS_MAX = 5_000


def backoff_ms(attempt: int, luck: float) -> float:
    """The wait before dialling again; `luck` in [0, 1) spreads clients over half of it."""
    full = min(BACKOFF_MS_MAX, BACKOFF_MS_MIN << min(attempt, 20))
    return full * (0.5 + luck / 2)


class Refused(Exception):
    """The command or query was refused; `error` says why and what may have happened."""

    def __init__(self, error: ErrorInfo) -> None:
        super().__init__(f"{error.code}: {error.message}")
        self.error = error


class ConnectionLostError(Exception):
    """The client is closed, or may not connect again. Commands without an answer are in doubt."""


class ClientOptions(Struct, frozen=True, kw_only=True):
    """What rarely differs. `cursors` are those of an earlier life; `luck` is in [0, 1).

    `ca` is the file of who signed a wss server, where the system does not know; `server_name`
    whom its certificate is for, where that is not the host dialed; `tls` replaces both.
    """

    role: wire.Role = wire.Role.TRADE
    cursors: Mapping[str, int] = {}
    guard: SetGuard | None = None
    generation: int | None = None
    tls: ssl.SSLContext | None = None
    ca: str | None = None
    server_name: str | None = None
    dial_timeout_ms: int = 5_000
    utc_ns: Callable[[], int] = time.time_ns
    luck: Callable[[], float] = random.SystemRandom().random
