"""The streams and quotes a session follows, and the pages it reads to catch up."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

import msgspec

from domain.commands import LoggedIn, Query, QueryAnswer, ReadStream, StreamPage
from domain.errors import ErrorInfo
from domain.streams import StreamUpdate
from gateway import wire
from gateway.authority import Subject, may_follow
from gateway.codec import Codec
from gateway.cursors import PAGE_ENTRIES_MAX, Cursor
from gateway.errors import forbidden, refusal
from gateway.outputs import (
    Desk,
    Follow,
    Output,
    Pending,
    SendUpdate,
    Unfollow,
    Unwatch,
    Watch,
)
from gateway.settings import Limits

QUOTES_PREFIX = "quotes/"


class Follows:
    """One session's cursors and watched instruments.

    `is_paused` holds back the reading of pages while the client reads slowly; what is
    published live is never held back.
    """

    def __init__(self, owner: str, limits: Limits, desk: Desk) -> None:
        self.owner = owner
        self.cursors: dict[str, Cursor] = {}
        self.watched: dict[str, bool] = {}
        """Instruments, and whether their quotes may be conflated."""
        self.is_paused = False
        self._limits = limits
        self._desk = desk

    # -- the login's

    def start(
        self, cursors: Mapping[str, int], told: LoggedIn, subject: Subject
    ) -> ErrorInfo | None:
        """Sets the cursors of a login: the owner's orders always, from now where not named."""
        own = f"orders/{self.owner}"
        for stream, seq in {own: told.heads.get(own, 0), **cursors}.items():
            head = told.heads.get(stream)
            if stream.startswith(QUOTES_PREFIX) or not may_follow(subject, stream):
                return forbidden("not a stream you may follow", f"cursors.{stream}")
            if head is not None and seq > head:
                return _cursor_ahead(f"cursors.{stream}", head)
            self.cursors[stream] = cursor = Cursor(seq, head or 0)
            cursor.is_unsure = head is None
        return None

    def heads(self) -> dict[str, int]:
        """The last number known of each stream followed."""
        return {
            stream: cursor.head
            for stream, cursor in self.cursors.items()
            if cursor.next is not None
        }

    def resume(self) -> dict[str, int]:
        """After which number each stream goes on."""
        return {
            stream: cursor.read_after
            for stream, cursor in self.cursors.items()
            if cursor.next is not None
        }

    def meet(self, heads: Mapping[str, int]) -> list[Output]:
        """The router is back and told its heads: every stream is checked, and read on."""
        for stream, cursor in self.cursors.items():
            cursor.head = max(cursor.head, heads.get(stream, 0))
            # A stream the login does not speak of may have moved as well.
            cursor.is_unsure = cursor.is_unsure or stream not in heads
        return self.read_on()

    # -- what is published, and pages

    def published(self, update: StreamUpdate) -> list[Output]:
        """The entry, if it is the next; a page to read, if something is missing before it."""
        cursor = self.cursors.get(update.stream)
        if cursor is None:
            return []
        if cursor.offer(update.seq):
            return [SendUpdate(update)]
        return self._read(update.stream, cursor)

    def page(self, stream: str, page: StreamPage) -> list[Output]:
        """The page's entries that are next, and the next page if there is more."""
        cursor = self.cursors.get(stream)
        if cursor is None:
            return []
        outputs: list[Output] = [SendUpdate(update) for update in cursor.take_page(page)]
        # An empty page for a stream that has more is asked again at the next tick, not at once.
        return outputs + self._read(stream, cursor) if outputs else outputs

    def read_on(self) -> list[Output]:
        """Reads for each stream that is behind."""
        return [
            output
            for stream, cursor in self.cursors.items()
            for output in self._read(stream, cursor)
        ]

    def _read(self, stream: str, cursor: Cursor) -> list[Output]:
        if self.is_paused or not cursor.needs_page:
            return []
        cursor.is_reading = True
        ref = self._desk.ask(Pending(stream=stream))
        return [
            ReadStream(
                ref=ref,
                owner=self.owner,
                stream=stream,
                after=cursor.read_after,
                limit=PAGE_ENTRIES_MAX,
            )
        ]

    def forget_read(self, stream: str) -> None:
        """The page asked for will not come."""
        if (cursor := self.cursors.get(stream)) is not None:
            cursor.is_reading = False

    # -- requests

    def find_fault(self, request: wire.Sub) -> ErrorInfo | None:
        """Why these streams cannot be followed, or None."""
        for name, seq in request.streams.items():
            cursor = self.cursors.get(name)
            if name.startswith(QUOTES_PREFIX):
                if seq is not None:
                    return refusal("no_cursor", "quotes have no cursor", field=f"streams.{name}")
            elif cursor is not None and seq is not None and seq > cursor.head:
                return _cursor_ahead(f"streams.{name}", cursor.head)
        if request.snapshot and len(request.streams) > 1 and not self.is_of_quotes(request):
            words = "a snapshot is of one durable stream, or of quotes alone"
            return refusal("one_stream", words, field="snapshot")
        durable = {name for name in request.streams if not name.startswith(QUOTES_PREFIX)}
        quotes = instruments_of(request)
        if len(self.cursors.keys() | durable) > self._limits.streams_max:
            return refusal("too_many", "too many streams followed", field="streams")
        if len(self.watched.keys() | quotes.keys()) > self._limits.quotes_max:
            return refusal("too_many", "too many instruments watched", field="streams")
        faults = (self._desk.find_quote_fault(one) for one in quotes if one not in self.watched)
        return next((fault for fault in faults if fault is not None), None)

    def is_of_quotes(self, request: wire.Sub) -> bool:
        """True where it names no durable stream."""
        return all(name.startswith(QUOTES_PREFIX) for name in request.streams)

    def sub(self, request: wire.Sub) -> list[Output]:
        """Follows each stream named; a stream already followed starts again at its number."""
        outputs: list[Output] = []
        for name, seq in request.streams.items():
            if name.startswith(QUOTES_PREFIX):
                instrument = name.removeprefix(QUOTES_PREFIX)
                self.watched[instrument] = request.conflate
                outputs.append(Watch(instrument, request.conflate))
            elif name not in self.cursors or seq is not None:
                outputs += self._follow(name, seq)
        return outputs

    def _follow(self, stream: str, after: int | None) -> list[Output]:
        known = self.cursors.get(stream)
        cursor = Cursor(after, known.head if known is not None else 0)
        cursor.is_unsure = known is None
        self.cursors[stream] = cursor
        return [Follow(stream), *self._read(stream, cursor)]

    def tell_quotes(self, request: wire.Sub, codec: Codec) -> list[Output]:
        """The newest quotes of the instruments named: one `snap` each where asked for, else alone.

        Where nobody watched an instrument here before there is none yet, and its first follows.
        """
        found = [(one, self._desk.latest_quotes(one)) for one in instruments_of(request)]
        if not request.snapshot:
            each = (quote for _, quotes in found for quote in quotes)
            return [self._desk.send(wire.QuoteUpdate(quote=quote)) for quote in each]
        return [
            self._desk.send(
                _snap(
                    QUOTES_PREFIX + instrument,
                    max((quote.update for quote in quotes), default=0),
                    msgspec.msgpack.encode(quotes),
                    codec,
                )
            )
            for instrument, quotes in found
        ]

    def snapshot(self, request: wire.Sub, subject: Subject, asked_ns: int) -> list[Output]:
        """Asks for the stream's state; the `snap`, then the `res`, follow with the answer."""
        stream = next(iter(request.streams))
        pending = Pending(id=request.id, asked_ns=asked_ns, stream=stream)
        query = Query(
            ref=self._desk.ask(pending),
            owner=self.owner,
            what="snapshot",
            args={"stream": stream},
            by_admin=subject.is_admin,
        )
        return [query]

    def snapped(self, pending: Pending, answer: QueryAnswer, codec: Codec) -> list[Output]:
        """The state, and all that follows it."""
        stream = pending.stream
        if answer.error is not None or stream is None or answer.body is None:
            return [self._desk.send(wire.Res(id=pending.id, error=answer.error))]
        snap = self._desk.send(_snap(stream, answer.position, bytes(answer.body), codec))
        if len(snap.payload) > self._limits.message_bytes_out_max:
            error = refusal("answer_too_large", "follow without `snapshot` and read the rows")
            return [self._desk.send(wire.Res(id=pending.id, error=error))]
        res = wire.Res(id=pending.id, position=answer.position)
        return [snap, self._desk.send(res), *self._follow(stream, answer.position)]

    def unsub(self, request: wire.Unsub) -> list[Output]:
        """Forgets the streams; those not followed are no fault."""
        outputs: list[Output] = []
        for name in request.streams:
            instrument = name.removeprefix(QUOTES_PREFIX)
            if instrument != name and instrument in self.watched:
                del self.watched[instrument]
                outputs.append(Unwatch(instrument))
            elif self.cursors.pop(name, None) is not None:
                outputs.append(Unfollow(name))
        return outputs

    def ack(self, request: wire.Ack) -> ErrorInfo | None:
        """Notes what the client has applied; refuses a number never sent."""
        cursor = self.cursors.get(request.stream)
        if cursor is None:
            return refusal("not_followed", "the stream is not followed", field="stream")
        if cursor.next is None or request.seq >= cursor.next:
            return refusal("never_sent", "this number was not sent here", field="seq")
        cursor.acked = max(cursor.acked, request.seq)
        return None


def instruments_of(request: wire.Sub) -> dict[str, None]:
    """The instruments whose quotes are asked for, in that order."""
    streams = (name for name in request.streams if name.startswith(QUOTES_PREFIX))
    return {name.removeprefix(QUOTES_PREFIX): None for name in streams}


def _snap(stream: str, seq: int, body: bytes, codec: Codec) -> wire.Snap:
    digest = blake2b(body, digest_size=16).hexdigest()
    return wire.Snap(stream=stream, seq=seq, hash=digest, rows=codec.rows(body))


def _cursor_ahead(field: str, head: int) -> ErrorInfo:
    return refusal("cursor_ahead", f"the stream's last number is {head}", field=field)
