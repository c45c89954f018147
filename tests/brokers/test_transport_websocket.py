"""WebSocket streams against a real server on loopback that can be as bad as brokers are."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from alpaca_builders import settings as alpaca_settings

from brokers import transport as module
from brokers import transport_websocket
from brokers.adapter import Answered, BrokerError, Host, SocketStream, Step
from brokers.alpaca import AlpacaAdapter
from brokers.transport import Transport, TransportSettings, find_url_fault

SECRET = "a-secret-token"
LOGIN = json.dumps({"action": "auth", "secret": SECRET}).encode()
LONG_MS = 20_000
SHORT_MS = 300

Talk = Callable[[web.WebSocketResponse, web.Request], Awaitable[None]]


def welcome(line: bytes) -> bool:
    if line == b"refused":
        raise BrokerError("the stream refuses")
    return line == b"welcome"


def lines_of(message: bytes) -> tuple[bytes, ...]:
    return tuple(message.split(b"|"))


STREAM = SocketStream(
    path="/stream?x=1%262",
    host=Host.REST,
    steps=(Step(None, welcome), Step(LOGIN, lambda line: line == b"in")),
    split=lines_of,
)


class Server:
    """Talks as it is told to everyone who connects; says what it heard."""

    def __init__(self, talk: Talk, **options: Any) -> None:
        self.talk = talk
        self.options = options
        self.heard: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        self.paths.append(request.path_qs)
        socket = web.WebSocketResponse(**self.options)
        await socket.prepare(request)
        await self.talk(socket, request)
        return socket


@asynccontextmanager
async def listening(handler: Any) -> AsyncIterator[str]:
    """The URL of a server in which the handler answers everything."""
    app = web.Application()
    app.router.add_get("/{any:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def served(talk: Talk, **options: Any) -> AsyncIterator[Server]:
    server = Server(talk, **options)
    async with listening(server.serve) as server.url:
        yield server


def carrier(rest_url: str, stream_url: str | None = None) -> Transport:
    settings = TransportSettings(rest_url=rest_url, stream_url=stream_url or rest_url)
    return Transport(settings, {"Authorization": SECRET})


async def log_in(socket: web.WebSocketResponse) -> str:
    await socket.send_str("welcome")
    said = await socket.receive_str()
    await socket.send_str("in")
    return said


async def stay(socket: web.WebSocketResponse) -> None:
    """Answers pings until the other side goes."""
    async for _ in socket:
        pass


async def open_then(socket: web.WebSocketResponse, *messages: str | bytes) -> None:
    await log_in(socket)
    for message in messages:
        if isinstance(message, bytes):
            await socket.send_bytes(message)
        else:
            await socket.send_str(message)
    await stay(socket)


async def read(url: str, count: int, silence_ms: int = LONG_MS) -> list[bytes]:
    """The first lines that are not only signs of life."""
    found: list[bytes] = []
    async with carrier(url) as line, line.open_lines(STREAM, silence_ms) as lines:
        async for one in lines:
            found += [one] if one else []
            if len(found) == count:
                return found
    return found


@pytest.mark.asyncio
async def test_a_stream_is_given_out_once_its_last_step_is_confirmed() -> None:
    confirmed = asyncio.Event()

    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        await socket.send_str("welcome")
        await socket.receive_str()
        await asyncio.sleep(0.05)
        confirmed.set()
        await socket.send_str("in")
        await socket.send_str("first")
        await stay(socket)

    async with (
        served(talk) as server,
        carrier(server.url) as line,
        line.open_lines(STREAM, LONG_MS) as lines,
    ):
        assert confirmed.is_set()
        assert await anext(lines) == b"first"
        assert server.paths == ["/stream?x=1%262"]


@pytest.mark.asyncio
async def test_text_and_binary_messages_are_cut_into_lines() -> None:
    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        await open_then(socket, "one|two", b"three", "vier \u00e4")

    async with served(talk) as server:
        assert await read(server.url, 4) == [b"one", b"two", b"three", "vier \u00e4".encode()]


@pytest.mark.asyncio
async def test_what_came_before_the_stream_was_open_is_not_lost() -> None:
    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        await socket.send_str("early|welcome|earlier")
        await socket.receive_str()
        await socket.send_str("one|in|two")
        await stay(socket)

    async with served(talk) as server:
        assert await read(server.url, 4) == [b"early", b"earlier", b"one", b"two"]


@pytest.mark.asyncio
async def test_the_login_is_said_and_no_secret_header_is_sent() -> None:
    said: list[str] = []

    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        said.append(await log_in(socket))
        await socket.send_str("x")
        await stay(socket)

    async with served(talk) as server:
        await read(server.url, 1)
        assert said == [LOGIN.decode()]
        assert "Authorization" not in server.headers[0]


@pytest.mark.asyncio
async def test_a_stream_is_opened_on_the_host_it_is_on() -> None:
    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        await open_then(socket)

    async with served(talk) as rest, served(talk) as streams:
        there = carrier(rest.url, streams.url.replace("http", "ws"))
        on_stream = SocketStream(path="/v2/iex", steps=STREAM.steps, split=lines_of)
        async with (
            there as line,
            line.open_lines(STREAM, LONG_MS),
            line.open_lines(on_stream, LONG_MS),
        ):
            assert (rest.paths, streams.paths) == (["/stream?x=1%262"], ["/v2/iex"])


@pytest.mark.asyncio
async def test_frames_can_be_said_on_an_open_stream() -> None:
    heard: list[str] = []

    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        await log_in(socket)
        heard.extend([await socket.receive_str() for _ in range(2)])
        await socket.send_str("heard")
        await stay(socket)

    async with (
        served(talk) as server,
        carrier(server.url) as line,
        line.open_lines(STREAM, LONG_MS) as lines,
    ):
        await lines.say(b'{"a":1}', b'{"b":2}')
        while not (one := await anext(lines)):
            pass
    assert (one, heard) == (b"heard", ['{"a":1}', '{"b":2}'])


@pytest.mark.asyncio
async def test_a_still_stream_lives_by_its_pongs_and_each_is_an_empty_line() -> None:
    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        await open_then(socket)

    async with (
        served(talk) as server,
        carrier(server.url) as line,
        line.open_lines(STREAM, SHORT_MS) as lines,
    ):
        began = asyncio.get_running_loop().time()
        assert [await anext(lines) for _ in range(6)] == [b""] * 6
        assert asyncio.get_running_loop().time() - began > SHORT_MS / 1_000


@pytest.mark.asyncio
async def test_the_broker_s_pings_are_answered() -> None:
    answered = asyncio.Event()

    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        await log_in(socket)
        await socket.ping(b"are you there")
        async for message in socket:
            if message.type is WSMsgType.PONG and message.data == b"are you there":
                answered.set()
                await socket.send_str("yes")

    async with served(talk, autoping=False) as server:
        assert await read(server.url, 1) == [b"yes"]
    assert answered.is_set()


@pytest.mark.asyncio
async def test_a_half_open_stream_is_silent_and_over() -> None:
    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        await log_in(socket)
        await asyncio.sleep(30)  # Reads nothing: no pong is sent.

    async with served(talk) as server:
        with pytest.raises(BrokerError, match=f"silent for {SHORT_MS} ms"):
            await read(server.url, 1, SHORT_MS)


@pytest.mark.asyncio
async def test_a_broker_that_refuses_a_step_is_not_open() -> None:
    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        await socket.send_str("refused")
        await stay(socket)

    async with served(talk) as server:
        with pytest.raises(BrokerError, match="refuses"):
            await read(server.url, 1)


@pytest.mark.asyncio
async def test_a_broker_that_never_confirms_is_given_up() -> None:
    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        await socket.send_str("welcome")
        await stay(socket)

    async with served(talk) as server:
        with pytest.raises(BrokerError, match="did not open within"):
            await read(server.url, 1, SHORT_MS)


@pytest.mark.asyncio
async def test_a_broker_that_only_talks_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_websocket, "HELD_LINES_MAX", 3)

    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        for _number in range(5):
            await socket.send_str("blah")
        await stay(socket)

    async with served(talk) as server:
        with pytest.raises(BrokerError, match="does not open"):
            await read(server.url, 1)


@pytest.mark.parametrize("status", [401, 404, 429])
@pytest.mark.asyncio
async def test_a_refused_upgrade_is_said_with_its_status(status: int) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, text="no")

    async with listening(refuse) as url:
        with pytest.raises(Answered) as caught:
            await read(url, 1)
    assert caught.value.status == status


@pytest.mark.asyncio
async def test_a_stream_the_broker_closes_says_its_code() -> None:
    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        await log_in(socket)
        await socket.close(code=4007)

    async with served(talk) as server:
        with pytest.raises(BrokerError, match="closed by the broker: 4007"):
            await read(server.url, 1)


@pytest.mark.asyncio
async def test_a_stream_that_is_cut_is_over() -> None:
    async def talk(socket: web.WebSocketResponse, request: web.Request) -> None:
        await log_in(socket)
        assert request.transport is not None
        request.transport.abort()

    async with served(talk) as server:
        with pytest.raises(BrokerError):
            await read(server.url, 1)


@pytest.mark.asyncio
async def test_a_message_beyond_its_bound_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINE_BYTES_MAX", 100)

    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        await open_then(socket, "x" * 101)

    async with served(talk) as server:
        with pytest.raises(BrokerError, match="closed by the broker"):
            await read(server.url, 1)


@pytest.mark.asyncio
async def test_a_message_that_cannot_be_cut_ends_the_stream() -> None:
    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        await socket.send_str("no array")
        await stay(socket)

    adapter = AlpacaAdapter(alpaca_settings())
    async with served(talk) as server, carrier(server.url) as line:
        with pytest.raises(BrokerError, match="cannot be read"):
            async with line.open_lines(adapter.price_stream(("AAPL",)), LONG_MS):
                pass


@pytest.mark.asyncio
async def test_nobody_there_is_a_broker_error() -> None:
    async with carrier("http://127.0.0.1:9") as line:
        with pytest.raises(BrokerError, match="did not open"):
            async with line.open_lines(STREAM, LONG_MS):
                pass


@pytest.mark.asyncio
async def test_saying_on_a_stream_that_is_gone_is_a_broker_error() -> None:
    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        await log_in(socket)
        await socket.close()

    async with (
        served(talk) as server,
        carrier(server.url) as line,
        line.open_lines(STREAM, LONG_MS) as lines,
    ):
        with pytest.raises(BrokerError):
            await anext(lines)
        with pytest.raises(BrokerError, match="broke off"):
            await lines.say(b"hello")


@pytest.mark.asyncio
async def test_no_error_and_no_log_shows_what_was_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def talk(socket: web.WebSocketResponse, _: web.Request) -> None:
        await socket.send_str("welcome")
        await socket.receive_str()
        await socket.close(code=1008)

    async with served(talk) as server:
        with pytest.raises(BrokerError) as caught:
            await read(server.url, 1)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert SECRET not in caplog.text
    assert SECRET not in repr(STREAM)


@pytest.mark.asyncio
async def test_alpaca_s_streams_open_against_a_server_that_speaks_as_alpaca_does() -> None:
    async def talk(socket: web.WebSocketResponse, request: web.Request) -> None:
        if request.path == "/stream":
            await socket.receive_json()
            granted = {"status": "authorized", "action": "authenticate"}
            await socket.send_bytes(
                json.dumps({"stream": "authorization", "data": granted}).encode()
            )
            asked = await socket.receive_json()
            assert asked["data"]["streams"] == ["trade_updates"]
            await socket.send_bytes(json.dumps({"stream": "listening", **asked}).encode())
            await socket.send_bytes(b'{"stream":"trade_updates","data":{}}')
        else:
            await socket.send_str('[{"T":"success","msg":"connected"}]')
            assert (await socket.receive_json())["key"] == "a-key-id"
            await socket.send_str('[{"T":"success","msg":"authenticated"}]')
            asked = await socket.receive_json()
            await socket.send_str(json.dumps([{"T": "subscription", "quotes": asked["quotes"]}]))
            await socket.send_str('[{"T":"q","S":"AAPL"},{"T":"q","S":"TSLA"}]')
        await stay(socket)

    adapter = AlpacaAdapter(alpaca_settings())
    async with served(talk) as server, carrier(server.url) as line:
        async with line.open_lines(adapter.event_stream(), LONG_MS) as events:
            assert await anext(events) == b'{"stream":"trade_updates","data":{}}'
        async with line.open_lines(adapter.price_stream(("AAPL", "TSLA")), LONG_MS) as prices:
            assert await anext(prices) == b'{"T":"q","S":"AAPL"}'
            assert await anext(prices) == b'{"T":"q","S":"TSLA"}'


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("wss://stream.example", None),
        ("ws://127.0.0.1:9", None),
        ("ws://stream.example", "ws is for loopback only; use https"),
        ("ftp://stream.example", "must be https://host or http://loopback"),
    ],
)
def test_a_socket_s_url_is_held_to_the_same_rules(url: str, fault: str | None) -> None:
    assert find_url_fault(url) == fault
