"""A router in memory, a server on loopback, raw sockets: what the gateway's tests stand on."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from domain import ids
from domain.commands import (
    Answer,
    Batch,
    Cancel,
    Decided,
    LoggedIn,
    Login,
    Logout,
    Place,
    Published,
    Query,
    QueryAnswer,
    ReadStream,
    Refusal,
    Refusals,
    StreamPage,
    Submit,
)
from domain.errors import ErrorInfo
from domain.events import Accepted, Sending
from domain.lifecycle import Status as OrderStatus
from domain.orders import NewOrder, Side
from domain.quotes import Quote
from domain.streams import OrderUpdate, StreamUpdate
from gateway import wire
from gateway.backend import Clocks, Status
from gateway.codec import JSON, MSGPACK, Codec
from gateway.passing import PassedFromRouter
from gateway.server import GatewayServer
from gateway.settings import GatewaySettings
from gateway.tokens import TokenBook, TokenStore, TokenTerms
from gateway.wire import Scope

OWNER = "alice"
ACCOUNT = "acc-1"
OWN = f"orders/{OWNER}"
_pass = msgspec.msgpack.Decoder(PassedFromRouter).decode
CLOCKS = Clocks(utc_ns=time.time_ns, boot_ns=time.monotonic_ns)


def an_order(name: str = "o1", **changes: Any) -> NewOrder:
    order = NewOrder(
        client_order_id=name, instrument="EUR/USD", side=Side.BUY, quantity=Decimal(1000)
    )
    return replace(order, **changes)


def an_update(seq: int, stream: str = OWN, name: str | None = None, event: Any = None) -> Any:
    body = OrderUpdate(
        order_id=f"id-{name or seq}",
        client_order_id=name or f"o{seq}",
        status=OrderStatus.LIVE,
        version=1,
        filled=Decimal(0),
        leaves=Decimal(1000),
        event=event or Accepted(at_ns=seq, broker_order_id=str(seq)),
    )
    return StreamUpdate(stream=stream, seq=seq, at_ns=seq, body=body)


def a_quote(update: int = 1, instrument: str = "EUR/USD", **changes: Any) -> Quote:
    quote = Quote(
        instrument=instrument,
        connection="c1",
        bid=Decimal("1.08"),
        ask=Decimal("1.09"),
        broker_ns=1,
        received_ns=2,
        update=update,
    )
    return replace(quote, **changes)


class FakeRouter:
    """Decides at once, remembers by id, numbers streams; can be cut off and come back."""

    def __init__(self) -> None:
        self.servers: list[GatewayServer] = []
        self.is_up = True
        self.is_silent = False
        self.streams: dict[str, list[StreamUpdate]] = {}
        self.orders: dict[str, Decided] = {}
        self.last_cseq: dict[str, int] = {}
        self.asked: list[Any] = []
        self.watched: list[str] = []
        self.quote_faults: dict[str, ErrorInfo] = {}
        self.accounts: tuple[str, ...] = (ACCOUNT,)
        self.answers: dict[str, QueryAnswer] = {}
        self.errors: dict[type, Any] = {}
        self.refused: list[Refusal] = []

    def accounts_of(self, owner: str) -> frozenset[str]:
        return frozenset(self.accounts if owner == OWNER else ())

    def status(self) -> Status:
        return Status(epoch=3, deployment="test", venues=("paper",), is_router_up=self.is_up)

    def _soon(self, message: Any) -> None:
        if isinstance(message, Published | StreamPage):
            # As an edge gets it over its link.
            message = _pass(msgspec.msgpack.encode(message))
        loop = asyncio.get_running_loop()
        for server in self.servers:
            loop.call_soon(server.deliver, message)

    def publish(self, *updates: StreamUpdate, tell: bool = True) -> None:
        for update in updates:
            held = self.streams.setdefault(update.stream, [])
            assert update.seq == len(held) + 1
            held.append(update)
        if tell:
            self._soon(Published(owner=OWNER, updates=updates))

    def head(self, stream: str = OWN) -> int:
        return len(self.streams.get(stream, ()))

    def submit(self, submit: Submit) -> None:
        self.asked.append(submit)
        if self.is_silent or not self.is_up:
            return
        error = self.errors.get(type(submit.command))
        if error is not None:
            self._soon(Answer(ref=submit.ref, error=error))
            return
        self.last_cseq[submit.session] = max(self.last_cseq.get(submit.session, 0), submit.cseq)
        match submit.command:
            case Place(dry_run=True):
                body = msgspec.Raw(msgspec.msgpack.encode({"verdicts": []}))
                self._soon(Answer(ref=submit.ref, body=body))
            case Place():
                self._soon(Answer(ref=submit.ref, decided=(self._place(submit.command.order),)))
            case Batch():
                decided = tuple(self._place(order) for order in submit.command.orders)
                self._soon(Answer(ref=submit.ref, decided=decided))
            case Cancel():
                self._soon(Answer(ref=submit.ref, decided=(Decided(status="live"),)))
            case _:
                self._soon(Answer(ref=submit.ref, decided=(Decided(),)))

    def _place(self, order: NewOrder) -> Decided:
        name = order.client_order_id
        if name in self.orders:
            return replace(self.orders[name], dup=True)
        order_id = ids.order_id(OWNER, name)
        decided = Decided(client_order_id=name, order_id=order_id, status="sending")
        self.orders[name] = decided
        sending = Sending(
            at_ns=1, connection="c", account=ACCOUNT, intent=1, attempt=1,
            venue_client_id="v", verdict="w",
        )  # fmt: skip
        head = self.head()
        sent = an_update(head + 1, name=name, event=sending)
        sent = replace(sent, body=replace(sent.body, status=OrderStatus.SENDING))
        self.publish(sent)
        self.publish(an_update(head + 2, name=name))
        return decided

    def login(self, login: Login) -> None:
        self.asked.append(login)
        if self.is_silent or not self.is_up:
            return
        told = LoggedIn(
            ref=login.ref,
            last_cseq=self.last_cseq.get(login.session, 0),
            heads={stream: len(held) for stream, held in self.streams.items()},
            accounts=self.accounts,
            error=self.errors.get(Login),
        )
        self._soon(told)

    def logout(self, logout: Logout) -> None:
        self.asked.append(logout)

    def note(self, refusals: Refusals) -> None:
        self.refused += refusals.refused

    def read(self, read: ReadStream) -> None:
        self.asked.append(read)
        if self.is_silent or not self.is_up:
            return
        held = self.streams.get(read.stream, [])
        updates = tuple(held[read.after : read.after + read.limit])
        page = StreamPage(ref=read.ref, stream=read.stream, head=len(held), updates=updates)
        self._soon(page)

    def query(self, query: Query) -> None:
        self.asked.append(query)
        if self.is_silent or not self.is_up:
            return
        answer = self.answers.get(query.what)
        if answer is None:
            body = msgspec.Raw(msgspec.msgpack.encode([query.what, query.args]))
            answer = QueryAnswer(ref=0, position=7, body=body)
        self._soon(replace(answer, ref=query.ref))

    def subscribe_quotes(self, instrument: str) -> None:
        self.watched.append(instrument)

    def unsubscribe_quotes(self, instrument: str) -> None:
        self.watched.remove(instrument)

    def find_quote_fault(self, instrument: str) -> ErrorInfo | None:
        return self.quote_faults.get(instrument)

    def lose(self) -> None:
        self.is_up = False
        for server in self.servers:
            server.router_lost()

    def find(self) -> None:
        self.is_up = True
        for server in self.servers:
            server.router_found()

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.asked if isinstance(message, kind)]


class World:
    """A server, its router, its tokens; `raw` opens a bare client."""

    def __init__(self, folder: Path, settings: GatewaySettings) -> None:
        self.router = FakeRouter()
        self.settings = settings
        self.store = TokenStore(folder / "tokens.json")
        self.path = folder / "tokens.json"
        self.tokens = {
            scope: self.mint(scope) for scope in (Scope.TRADE, Scope.READ, Scope.DROP_COPY)
        }
        self.admin = self.mint(Scope.TRADE, Scope.ADMIN)
        self.token = self.tokens[Scope.TRADE]
        self.server: GatewayServer
        self.port = 0

    def mint(self, *scopes: Scope, owner: str = OWNER, expires_ns: int | None = None) -> str:
        terms = TokenTerms(owner=owner, scopes=scopes, expires_ns=expires_ns)
        seed = str(self.store.list()).encode()
        return self.store.create(terms, 1, lambda n: hashlib.sha256(seed).digest()[:n])

    async def start(self) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self.port))
        self.port = sock.getsockname()[1]
        self.server = GatewayServer(self.router, TokenBook(self.path), CLOCKS, self.settings)
        self.router.servers = [self.server]
        await self.server.start([sock])

    async def kill(self) -> None:
        """Ends every socket at once, as a killed process would."""
        for connection in tuple(self.server._connections):
            connection.abort()
        await self.server.stop()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def raw(self, **options: Any) -> RawClient:
        client = RawClient(self, **options)
        await client.open()
        return client

    async def logged_in(self, **options: Any) -> RawClient:
        login = options.pop("login", {"session": "s1"})
        client = await self.raw(**options)
        assert isinstance(await client.next(), wire.Hello)
        client.send({"t": "login", **login})
        client.welcome = await client.next(wire.Welcome)
        return client


class RawClient:
    """Speaks WebSocket by hand: any frame, any bytes, any headers."""

    def __init__(
        self,
        world: World,
        codec: Codec = JSON,
        token: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        receive_buffer: int | None = None,
    ) -> None:
        self.world = world
        self.codec = codec
        self.welcome: Any = None
        self.response: Any = None
        self.close_code: int | None = None
        self.close_reason = ""
        self.frames: list[Frame] = []
        self._token = token or world.token
        self._headers = headers
        self._receive_buffer = receive_buffer
        self._buffered: list[Any] = []
        self.protocol = ClientProtocol(
            parse_uri(world.url), subprotocols=[codec.name], max_size=2**20
        )

    async def open(self) -> None:
        sock = socket.socket()
        if self._receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, ("127.0.0.1", self.world.port))
        self.reader, self.writer = await asyncio.open_connection(sock=sock, limit=2**16)
        request = self.protocol.connect()
        request.headers["Authorization"] = f"Bearer {self._token}"
        for name, value in self._headers:
            request.headers[name] = value
        self.protocol.send_request(request)
        self.flush()
        while self.response is None and await self.pump():
            pass

    def flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                self.writer.write(data)

    async def pump(self) -> bool:
        """Reads once; False at the end."""
        try:
            data = await asyncio.wait_for(self.reader.read(65536), 5)
        except ConnectionError:
            return False
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        for event in self.protocol.events_received():
            if isinstance(event, Frame):
                self.frames.append(event)
                if event.opcode in (Opcode.TEXT, Opcode.BINARY):
                    self._buffered.append(self.codec.decode_server(event.data))
            else:
                self.response = event
        self.flush()
        received = self.protocol.close_rcvd
        if received is not None:
            self.close_code, self.close_reason = received.code, received.reason
        return bool(data)

    def send(self, message: Any) -> None:
        """A struct, or plain objects, in the codec."""
        module = msgspec.json if self.codec is JSON else msgspec.msgpack
        is_struct = isinstance(message, msgspec.Struct)
        self.send_bytes(self.codec.encode(message) if is_struct else module.encode(message))

    def send_bytes(self, payload: bytes, opcode: Opcode | None = None) -> None:
        self.send_frame(Frame(opcode or self.codec.opcode, payload))

    def send_frame(self, frame: Frame) -> None:
        self.writer.write(frame.serialize(mask=True))

    async def next(self, *kinds: type) -> Any:
        """The next message (of the kinds); None at the end."""
        while True:
            while self._buffered:
                message = self._buffered.pop(0)
                is_wanted = isinstance(message, kinds) if kinds else True
                if is_wanted and (kinds or not isinstance(message, wire.Hb)):
                    return message
            if not await self.pump():
                return None

    async def ask(self, message: Any) -> Any:
        self.send(message)
        return await self.next(wire.Res)

    async def closed(self) -> int | None:
        """The close code, once the server has closed."""
        while await self.pump():
            pass
        return self.close_code

    def goaway(self) -> Any:
        return next(m for m in self._buffered if isinstance(m, wire.Goaway))

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def a_world(folder: Path, **settings: Any) -> AsyncIterator[World]:
    world = World(folder, GatewaySettings(**{"close_timeout_ms": 200, **settings}))
    await world.start()
    try:
        yield world
    finally:
        await world.kill()


async def until(condition: Any) -> None:
    """Waits for a condition by turns of the loop, at most 5 s."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


CODECS = [JSON, MSGPACK]
