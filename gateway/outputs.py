"""What a session wants done: payloads to send, streams to follow, a close; or a router request."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from domain.commands import Login, Query, ReadStream, Submit
from domain.errors import ErrorInfo
from domain.quotes import Quote
from domain.streams import StreamUpdate
from gateway import wire


class Send(Struct, frozen=True):
    """A payload for the client, in the session's codec."""

    payload: bytes


class SendUpdate(Struct, frozen=True):
    """A stream's entry for the client; encoded once for all that follow the stream."""

    update: StreamUpdate


class Follow(Struct, frozen=True):
    """From now on the session wants what is published on a stream."""

    stream: str


class Unfollow(Struct, frozen=True):
    """The session wants a stream no longer."""

    stream: str


class Watch(Struct, frozen=True):
    """The session wants the quotes of an instrument; `conflate` False: each, however slow."""

    instrument: str
    conflate: bool = True


class Unwatch(Struct, frozen=True):
    """The session wants the quotes of an instrument no longer."""

    instrument: str


class Close(Struct, frozen=True):
    """Ends the connection; the server says why in a `goaway`."""

    code: int
    error: ErrorInfo


ToBackend = Submit | Login | ReadStream | Query
Output = Send | SendUpdate | Follow | Unfollow | Watch | Unwatch | Close | ToBackend


class Pending(Struct):
    """A router request under way.

    `id` is the client's, empty for the session's own; `stream` is what is read.
    """

    id: str = ""
    asked_ns: int = 0
    is_command: bool = False
    stream: str | None = None


class Desk(Struct, frozen=True):
    """What the parts of a session share: registering a request, encoding a message, quotes."""

    ask: Callable[[Pending], int]
    send: Callable[[wire.ServerMessage], Send]
    latest_quotes: Callable[[str], tuple[Quote, ...]]
    find_quote_fault: Callable[[str], ErrorInfo | None]
