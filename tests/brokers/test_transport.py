"""The transport against a real server on loopback that misbehaves in every way we know."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec
import pytest

from brokers import transport as module
from brokers.adapter import Answered, BrokerError, NotSent, OutcomeUnknown, Request
from brokers.transport import Transport, TransportSettings, find_url_fault

SECRET = "Bearer a-secret-token"
PUT = Request(method="PUT", path="/v3/orders/@a%2Fb/cancel?x=1%262")
POST = Request(method="POST", path="/v3/orders", body=b'{"order":{}}', headers={"X-Kind": "order"})
GET = Request(method="GET", path="/v3/accounts")
LONG_MS = 30_000
SHORT_MS = 150

Answer = Callable[["Conversation"], Awaitable[bool]]


class Conversation:
    """One request as it arrived, and the way back."""

    def __init__(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        self.head = head
        self.body = body
        self.writer = writer

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


class Server:
    """Hands each request to the next answer; the last one answers all that follow."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.seen: list[Conversation] = []
        self.has_seen_one = asyncio.Event()
        self.connections = 0
        self.url = ""
        self._tasks: set[asyncio.Task[Any]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._answer_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # The client left, or the test is over.
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for field in head.lower().split(b"\r\n"):
            if field.startswith(b"content-length:"):
                length = int(field.split(b":")[1])
        conversation = Conversation(head, await reader.readexactly(length), writer)
        self.seen.append(conversation)
        self.has_seen_one.set()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(conversation)

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()


def reply(body: bytes = b"{}", status: str = "200 OK", extra: bytes = b"") -> Answer:
    async def answer(conversation: Conversation) -> bool:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode()
        is_head = conversation.head.startswith(b"HEAD")
        await conversation.say(head + extra + b"\r\n" + (b"" if is_head else body))
        return True

    return answer


def raw(data: bytes) -> Answer:
    """Says the bytes and hangs up."""

    async def answer(conversation: Conversation) -> bool:
        await conversation.say(data)
        return False

    return answer


async def never(_: Conversation) -> bool:
    await asyncio.Event().wait()
    return False


def stream(*parts: bytes, then_silent: bool = False, ended: bool = True) -> Answer:
    async def answer(conversation: Conversation) -> bool:
        await conversation.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in parts:
            await conversation.say(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        if then_silent:
            await asyncio.Event().wait()
        if ended:
            await conversation.say(b"0\r\n\r\n")
        return False

    return answer


def settings(url: str, **given: Any) -> TransportSettings:
    return TransportSettings(rest_url=url, stream_url=url, **given)


@asynccontextmanager
async def talking(*answers: Answer, **given: Any) -> AsyncIterator[tuple[Transport, Server]]:
    server = Server(*answers)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, limit=2**26)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"http://127.0.0.1:{port}"
    try:
        async with Transport(settings(server.url, **given), {"Authorization": SECRET}) as carrier:
            yield carrier, server
    finally:
        listening.close()
        server.stop()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.asyncio
async def test_a_request_arrives_as_built_and_its_answer_comes_back_whole():
    async with talking(reply(b'{"ok":1}', "201 Created", b"RequestID: 7\r\n")) as (carrier, server):
        response = await carrier.send(POST, LONG_MS)
    assert (response.status, response.body) == (201, b'{"ok":1}')
    assert response.headers["requestid"] == "7"
    (seen,) = server.seen
    assert seen.head.startswith(b"POST /v3/orders HTTP/1.1\r\n")
    assert seen.body == POST.body
    assert b"X-Kind: order" in seen.head
    assert f"Authorization: {SECRET}".encode() in seen.head


@pytest.mark.asyncio
async def test_an_encoded_path_is_sent_untouched():
    async with talking(reply()) as (carrier, server):
        await carrier.send(PUT, LONG_MS)
    assert server.seen[0].head.startswith(b"PUT /v3/orders/@a%2Fb/cancel?x=1%262 HTTP/1.1")


@pytest.mark.asyncio
async def test_no_compression_is_asked_for_and_none_is_undone():
    async with talking(reply(b"zipped", extra=b"Content-Encoding: gzip\r\n")) as (carrier, server):
        response = await carrier.send(GET, LONG_MS)
    assert response.body == b"zipped"
    assert b"Accept-Encoding: identity" in server.seen[0].head


@pytest.mark.asyncio
async def test_a_connection_is_kept_and_used_again():
    async with talking(reply()) as (carrier, server):
        for _ in range(3):
            await carrier.send(POST, LONG_MS)
    assert (len(server.seen), server.connections) == (3, 1)


@pytest.mark.asyncio
@pytest.mark.parametrize("status", ["400 Bad Request", "503 Unavailable", "429 Too Many"])
async def test_an_error_status_is_an_answer(status: str):
    async with talking(reply(b"why", status)) as (carrier, _):
        response = await carrier.send(POST, LONG_MS)
    assert (response.status, response.body) == (int(status[:3]), b"why")


@pytest.mark.asyncio
async def test_a_redirect_is_not_followed():
    moved = reply(b"", "307 Moved", b"Location: /elsewhere\r\n")
    async with talking(moved) as (carrier, server):
        response = await carrier.send(POST, LONG_MS)
    assert (response.status, len(server.seen)) == (307, 1)


@pytest.mark.asyncio
async def test_a_refused_connection_is_proof_that_nothing_was_sent():
    url = f"http://127.0.0.1:{free_port()}"
    async with Transport(settings(url), {}) as carrier:
        with pytest.raises(NotSent):
            await carrier.send(POST, LONG_MS)


@pytest.mark.asyncio
async def test_no_free_connection_in_time_is_proof_that_nothing_was_sent():
    async with talking(never, connections_max=1, warm_connections=0) as (carrier, server):
        first = asyncio.create_task(carrier.send(POST, LONG_MS))
        await server.has_seen_one.wait()
        with pytest.raises(NotSent):
            await carrier.send(POST, SHORT_MS)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    assert len(server.seen) == 1


@pytest.mark.asyncio
async def test_what_the_last_look_raises_keeps_every_byte_here_and_the_connection_free():
    def shut() -> None:
        raise NotSent("halted")

    async with talking(reply()) as (carrier, server):
        await carrier.send(POST, LONG_MS)
        with pytest.raises(NotSent, match="halted"):
            await carrier.send(POST, LONG_MS, shut)
        await carrier.send(POST, LONG_MS, lambda: None)
        assert (len(server.seen), server.connections) == (2, 1)


@pytest.mark.asyncio
async def test_no_answer_in_time_is_unknown():
    async with talking(never) as (carrier, server):
        with pytest.raises(OutcomeUnknown, match=f"{SHORT_MS} ms"):
            await carrier.send(POST, SHORT_MS)
    assert len(server.seen) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 201 Cre",
        b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{half",
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    ],
)
async def test_a_close_before_the_end_of_the_answer_is_unknown(said: bytes):
    async with talking(raw(said)) as (carrier, server):
        with pytest.raises(OutcomeUnknown):
            await carrier.send(POST, LONG_MS)
    assert len(server.seen) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("request_", [POST, PUT, GET])
async def test_a_kept_connection_that_is_closed_is_never_sent_on_twice(request_: Request):
    async with talking(reply(), raw(b""), reply()) as (carrier, server):
        await carrier.send(GET, LONG_MS)
        with pytest.raises(OutcomeUnknown):
            await carrier.send(request_, LONG_MS)
        assert (len(server.seen), server.connections) == (2, 1)


@pytest.mark.asyncio
async def test_a_reset_connection_is_unknown():
    async def reset(conversation: Conversation) -> bool:
        conversation.writer.transport.abort()
        return False

    async with talking(reset) as (carrier, server):
        with pytest.raises(OutcomeUnknown):
            await carrier.send(PUT, LONG_MS)
    assert len(server.seen) == 1


@pytest.mark.asyncio
async def test_an_answer_over_the_limit_is_unknown(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "BODY_BYTES_MAX", 1_000)
    async with talking(reply(b"x" * 1_001)) as (carrier, _):
        with pytest.raises(OutcomeUnknown, match="over 1000 bytes"):
            await carrier.send(POST, LONG_MS)


@pytest.mark.asyncio
async def test_a_read_gives_the_answer_whatever_its_status():
    async with talking(reply(b"no", "404 Not Found")) as (carrier, _):
        response = await carrier.read(GET, LONG_MS)
    assert (response.status, response.body) == (404, b"no")


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", [raw(b""), never])
async def test_a_read_that_fails_is_a_broker_error_and_no_outcome(answer: Answer):
    async with talking(answer) as (carrier, _):
        with pytest.raises(BrokerError) as caught:
            await carrier.read(GET, SHORT_MS)
    assert type(caught.value) is BrokerError


async def read_all(carrier: Transport, silence_ms: int) -> tuple[list[bytes], BrokerError]:
    """The lines, and the error that ended the stream."""
    lines: list[bytes] = []

    async def collect() -> None:
        async with aclosing(carrier.lines(GET, silence_ms)) as stream_:
            async for line in stream_:
                lines.append(line)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(BrokerError) as caught:
        await collect()
    return lines, caught.value


@pytest.mark.asyncio
async def test_a_stream_gives_its_lines_however_they_were_cut_and_says_when_it_is_closed():
    parts = (b'{"a":', b"1}\n\n", b'{"b":2}\r\n{"c":3}\n{"half', b'":')
    async with talking(stream(*parts)) as (carrier, _):
        lines, error = await read_all(carrier, LONG_MS)
    assert lines == [b'{"a":1}', b'{"b":2}', b'{"c":3}']
    assert "closed" in str(error)


@pytest.mark.asyncio
async def test_a_stream_that_breaks_off_is_a_broker_error():
    async with talking(stream(b"one\n", ended=False)) as (carrier, _):
        lines, error = await read_all(carrier, LONG_MS)
    assert lines == [b"one"]
    assert "broke off" in str(error)


@pytest.mark.asyncio
async def test_a_stream_ends_with_an_error_when_the_transport_is_closed_under_it():
    async with talking(stream(b"one\n", then_silent=True)) as (carrier, _):
        stream_ = carrier.lines(GET, LONG_MS)
        assert await anext(stream_) == b"one"
        await carrier.close()
        with pytest.raises(BrokerError):
            await anext(stream_)


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [TimeoutError("mine"), OSError("disk full"), NotSent("mine")])
async def test_the_readers_own_errors_are_not_taken_for_the_streams(error: Exception):
    async with talking(stream(b"one\n", then_silent=True)) as (carrier, _):
        with pytest.raises(type(error)) as caught:
            async with carrier.open_lines(GET, LONG_MS):
                raise error
    assert caught.value is error


@pytest.mark.asyncio
async def test_what_comes_after_a_stream_was_opened_is_not_missed():
    async with (
        talking(stream(b"one\n", then_silent=True)) as (carrier, server),
        carrier.open_lines(GET, LONG_MS) as lines,
    ):
        assert len(server.seen) == 1
        assert await anext(lines) == b"one"


@pytest.mark.asyncio
async def test_a_stream_to_nobody_is_a_broker_error():
    async with Transport(settings(f"http://127.0.0.1:{free_port()}"), {}) as carrier:
        _, error = await read_all(carrier, LONG_MS)
    assert "did not open" in str(error)


@pytest.mark.asyncio
async def test_a_silent_stream_is_given_up():
    async with talking(stream(b"one\n", then_silent=True)) as (carrier, _):
        lines, error = await read_all(carrier, SHORT_MS)
    assert lines == [b"one"]
    assert f"silent for {SHORT_MS} ms" in str(error)


@pytest.mark.asyncio
async def test_a_stream_that_never_opens_is_given_up():
    async with talking(never) as (carrier, _):
        lines, error = await read_all(carrier, SHORT_MS)
    assert lines == []
    assert type(error) is BrokerError


@pytest.mark.asyncio
async def test_a_stream_the_broker_refuses_says_its_status():
    async with talking(reply(b"who are you", "401 Unauthorized")) as (carrier, _):
        _, error = await read_all(carrier, LONG_MS)
    assert isinstance(error, Answered)
    assert (error.status, error.body) == (401, b"who are you")


@pytest.mark.asyncio
@pytest.mark.parametrize("ending", [b"", b"\n"])
async def test_a_line_over_the_limit_ends_the_stream(
    ending: bytes, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "LINE_BYTES_MAX", 1_000)
    parts = (b"one\n", b"x" * 700, b"x" * 700 + ending)
    async with talking(stream(*parts, then_silent=True)) as (carrier, _):
        lines, error = await read_all(carrier, LONG_MS)
    assert lines == [b"one"]
    assert "over 1000 bytes" in str(error)


@pytest.mark.asyncio
async def test_a_reader_that_leaves_a_stream_closes_its_connection():
    async with talking(stream(b"one\ntwo\n", then_silent=True), streams_max=1) as (carrier, server):
        for _ in range(2):
            async with aclosing(carrier.lines(GET, LONG_MS)) as lines:
                assert await anext(lines) == b"one"
        assert server.connections == 2


@pytest.mark.asyncio
async def test_streams_take_no_connection_from_orders():
    held = stream(b"one\n", then_silent=True)
    async with (
        talking(held, reply(), connections_max=1, warm_connections=1) as (carrier, _),
        aclosing(carrier.lines(GET, LONG_MS)) as lines,
    ):
        assert await anext(lines) == b"one"
        assert (await carrier.send(POST, LONG_MS)).status == 200


@pytest.mark.asyncio
async def test_warming_up_opens_the_connections_that_orders_then_use():
    async with talking(reply(b"", "404 Not Found"), warm_connections=3) as (carrier, server):
        await carrier.warm_up()
        assert server.connections == 3
        await carrier.send(POST, LONG_MS)
        assert server.connections == 3


@pytest.mark.asyncio
async def test_warming_up_tells_when_there_is_nobody():
    async with Transport(settings(f"http://127.0.0.1:{free_port()}"), {}) as carrier:
        with pytest.raises(BrokerError):
            await carrier.warm_up()


@pytest.mark.asyncio
async def test_small_requests_are_not_held_back_by_nagle():
    async with talking(reply()) as (carrier, _):
        await carrier.send(GET, LONG_MS)
        assert carrier._rest is not None
        (connection,) = carrier._rest._idle
        assert connection._transport is not None
        sock = connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.asyncio
async def test_the_secret_is_in_no_repr_error_or_log(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    errors: list[BrokerError] = []
    for answer in (raw(b""), never, raw(b"garbage\r\n\r\n")):
        async with talking(answer) as (carrier, _):
            with pytest.raises(BrokerError) as caught:
                await carrier.send(POST, SHORT_MS)
            errors.append(caught.value)
            assert SECRET not in repr(carrier)
    assert SECRET not in "".join(repr(error) + str(error) for error in errors)
    assert SECRET not in caplog.text


@pytest.mark.asyncio
async def test_a_transport_that_is_not_open_is_a_bug_of_ours():
    carrier = Transport(settings("http://127.0.0.1:1"), {})
    with pytest.raises(AssertionError):
        await carrier.send(POST, LONG_MS)
    await carrier.close()


@pytest.mark.parametrize(
    "url",
    ["https://api.example.com", "http://127.0.0.1:9000", "http://localhost/", "http://[::1]:80"],
)
def test_https_anywhere_and_http_on_loopback_can_be_spoken_to(url: str):
    assert find_url_fault(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "ftp://api.example.com",
        "https://",
        "http://api.example.com",
        "http://10.0.0.1",
        "https://api.example.com/v3",
        "https://user:word@api.example.com",
        "https://api.example.com?x=1",
        "http://[::1",
    ],
)
def test_a_url_that_would_show_the_secret_or_bend_the_path_is_refused(url: str):
    assert find_url_fault(url) is not None
    with pytest.raises(ValueError, match="rest_url"):
        settings(url)


def test_more_warm_connections_than_the_pool_has_are_refused():
    with pytest.raises(ValueError, match="warm_connections"):
        settings("https://api.example.com", connections_max=1, warm_connections=2)


@pytest.mark.parametrize(
    "field", ["connections_max", "streams_max", "connect_timeout_ms", "keepalive_s", "dns_ttl_s"]
)
@pytest.mark.parametrize("value", [0, 10**9])
def test_every_setting_has_bounds(field: str, value: int):
    url = "https://api.example.com"
    given = {"rest_url": url, "stream_url": url, field: value}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(given, TransportSettings)
