"""What the router publishes, as an edge passes it on: addressed, and not read.

An entry's body goes to a client as it came; where it has to be read, `body_of` does. Most of what
a link brings concerns streams that nobody here follows, and of the rest each body would be made
into objects only to be written again.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw

from domain.commands import Answer, LoggedIn, Published, QueryAnswer, SessionReplaced, StreamPage
from domain.streams import StreamUpdate, UpdateBody

_read = msgspec.msgpack.Decoder(UpdateBody).decode


class PassedUpdate(StreamUpdate, frozen=True, kw_only=True, omit_defaults=True):
    """An entry whose body is msgpack still."""

    body: Raw  # type: ignore[assignment]


class PassedOn(Published, frozen=True, kw_only=True, omit_defaults=True, tag="published"):
    """Published, and not read."""

    updates: tuple[PassedUpdate, ...]


class PassedPage(StreamPage, frozen=True, kw_only=True, omit_defaults=True, tag="page"):
    """A page, not read."""

    updates: tuple[PassedUpdate, ...] = ()


PassedFromRouter = Answer | LoggedIn | PassedOn | PassedPage | QueryAnswer | SessionReplaced


def body_of(update: StreamUpdate) -> UpdateBody:
    """The entry's body, read where nobody has."""
    return _read(update.body) if isinstance(update, PassedUpdate) else update.body
