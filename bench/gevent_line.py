"""A client's session for Locust: its greenlets stand in for threads, so blocking calls are right.

The client library is asyncio's and cannot run there. This one speaks the same messages, built from
the same types, in JSON; it resumes nothing, for a user that loses its line has failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent
from gevent.event import AsyncResult
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from domain.errors import ErrorInfo
from domain.lifecycle import TERMINAL
from domain.orders import NewOrder
from domain.streams import OrderUpdate
from gateway import wire
from gateway.codec import JSON

ANSWER_S = 10.0
OPEN_S = 10.0
Heard = Callable[[wire.QuoteUpdate], None]


class LineLost(Exception):
    """The session is over; what was asked has no answer."""


class RequestRefused(Exception):
    """The gateway's own word why not."""

    def __init__(self, error: ErrorInfo) -> None:
        super().__init__(f"{error.code}: {error.message}")


class Line:
    """One logged-in session. Every waiting call ends within ten seconds or raises."""

    def __init__(self, url: str, token: str, session: str, heard: Heard | None = None) -> None:
        self._socket = connect(
            url,
            subprotocols=[JSON.name],  # type: ignore[list-item]
            additional_headers={"Authorization": f"Bearer {token}"},
            compression=None, proxy=None, max_queue=None, open_timeout=OPEN_S,
        )  # fmt: skip
        self._heard = heard
        self._cseq = 0
        self._asked = 0
        self._answers: dict[str, AsyncResult] = {}
        self._ends: dict[str, AsyncResult] = {}
        self._welcome: AsyncResult = AsyncResult()
        self._reader = gevent.spawn(self._read)
        self._say(wire.Login(session=session))
        self.owner: str = self._welcome.get(timeout=ANSWER_S).owner

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()
        self._reader.join(timeout=ANSWER_S)

    def follow(self, *streams: str) -> None:
        """From now on what is told there is heard here."""
        self._ask(wire.Sub(id=self._next_id(), streams=dict.fromkeys(streams)))

    def place(self, order: NewOrder) -> OrderUpdate:
        """How the order ended. Raises RequestRefused, LineLost, gevent.Timeout."""
        self._cseq += 1
        end = self._ends[order.client_order_id] = AsyncResult()
        try:
            res = self._ask(wire.OrderNew(id=self._next_id(), cseq=self._cseq, order=order))
            if res.decided[0].error is not None:
                raise RequestRefused(res.decided[0].error)
            update: OrderUpdate = end.get(timeout=ANSWER_S)
            return update
        finally:
            del self._ends[order.client_order_id]

    def _next_id(self) -> str:
        self._asked += 1
        return f"r{self._asked}"

    def _ask(self, request: wire.Request) -> wire.Res:
        answer = self._answers[request.id] = AsyncResult()
        try:
            self._say(request)
            res: wire.Res = answer.get(timeout=ANSWER_S)
        finally:
            del self._answers[request.id]
        if res.error is not None:
            raise RequestRefused(res.error)
        return res

    def _say(self, message: wire.ClientMessage) -> None:
        try:
            self._socket.send(JSON.encode(message).decode())
        except ConnectionClosed as closed:
            raise LineLost(str(closed)) from closed

    def _read(self) -> None:
        why = "closed"
        try:
            for frame in self._socket:
                self._take(JSON.decode_server(frame.encode() if isinstance(frame, str) else frame))
        except ConnectionClosed as closed:
            why = str(closed)
        for waiting in (self._welcome, *self._answers.values(), *self._ends.values()):
            if not waiting.ready():
                waiting.set_exception(LineLost(why))

    def _take(self, message: wire.ServerMessage) -> None:
        match message:
            case wire.Welcome():
                self._welcome.set(message)
            case wire.Res() if message.id in self._answers:
                self._answers[message.id].set(message)
            case wire.Ev(body=OrderUpdate() as update) if update.status in TERMINAL:
                waiting = self._ends.get(update.client_order_id or "")
                if waiting is not None:
                    waiting.set(update)
            case wire.QuoteUpdate() if self._heard is not None:
                self._heard(message)


def age_ms(message: wire.QuoteUpdate) -> float:
    """How long ago the gateway received it."""
    return (time.time_ns() - message.quote.received_ns) / 1e6
