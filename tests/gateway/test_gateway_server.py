"""The server on real sockets: bad input, slow readers, tokens, origins; nobody else is touched."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer
from gateway_world import (
    CLOCKS,
    OWN,
    RawClient,
    World,
    a_quote,
    a_world,
    an_order,
    an_update,
    until,
)
from prometheus_client import CollectorRegistry, generate_latest
from websockets.frames import Frame, Opcode

from domain.commands import Answer, Decided, Login, Logout, SessionReplaced, Submit
from domain.errors import ErrorInfo
from gateway import liveness, wire
from gateway.codec import JSON, MSGPACK
from gateway.health import health_app
from gateway.metrics import GatewayCollector
from gateway.server import GatewayServer
from gateway.session import State
from gateway.settings import GatewaySettings, Limits
from gateway.tokens import TokenBook
from gateway.wire import CloseCode, Scope

FAST = {"heartbeat_ms": 100, "close_timeout_ms": 300, "open_timeout_ms": 300}
NEW = {"t": "order.new", "id": "r1", "cseq": 1}
ORDER = {"client_order_id": "o1", "instrument": "EUR/USD", "side": "buy", "quantity": "1"}


def no_traceback(caplog: pytest.LogCaptureFixture) -> bool:
    return all(r.exc_info is None and r.levelno < logging.ERROR for r in caplog.records)


async def still_served(client: RawClient) -> bool:
    res = await client.ask({"t": "ping", "id": "still"})
    return res is not None and res.error is None


def error_of(response: Any) -> ErrorInfo:
    return msgspec.convert(msgspec.json.decode(response.body)["error"], ErrorInfo)


BAD_MESSAGES = [
    ({**NEW, "order": ORDER, "colour": 1}, "unknown_field", "colour"),
    ({**NEW, "order": {**ORDER, "side": 5}}, "wrong_type", "order.side"),
    ({**NEW, "order": {**ORDER, "quantity": "1", "limit_price": 1.5}}, "wrong_type",
     "order.limit_price"),
    ({**NEW, "order": {**ORDER, "quantity": "-1"}}, "invalid_order", "order.quantity"),
    ({**NEW, "t": "order.nothing"}, "unknown_request", "t"),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize("codec", [JSON, MSGPACK], ids=["json", "msgpack"])
async def test_a_bad_message_gets_the_error_object_and_the_session_lives(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, codec: Any
) -> None:
    async with a_world(tmp_path) as world:
        client = await world.logged_in(codec=codec)
        for message, code, field in BAD_MESSAGES:
            res = await client.ask(message)
            assert (res.id, res.error.code, res.error.field) == ("r1", code, field)
        assert await still_served(client)
    assert no_traceback(caplog)


FATAL = [
    ("garbage", Frame(Opcode.TEXT, b"\x00garbage"), CloseCode.MALFORMED),
    ("no id", Frame(Opcode.TEXT, b'{"t":"ping"}'), CloseCode.MALFORMED),
    ("not utf-8", Frame(Opcode.TEXT, b'{"t":"ping","id":"\xff"}'), CloseCode.INVALID_DATA),
    ("binary on json", Frame(Opcode.BINARY, b"{}"), CloseCode.UNSUPPORTED_DATA),
    ("65 KiB", Frame(Opcode.TEXT, b" " * 65 * 1024), 1009),
    ("lone continuation", Frame(Opcode.CONT, b"{}"), 1002),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("frame", "code"), [case[1:] for case in FATAL], ids=[c[0] for c in FATAL])
async def test_a_bad_frame_closes_its_own_connection_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, frame: Frame, code: int
) -> None:
    async with a_world(tmp_path) as world:
        other = await world.logged_in(login={"session": "other"})
        client = await world.logged_in()
        client.send_frame(frame)
        assert await client.closed() == code
        assert await still_served(other)
        await until(lambda: world.server.counts.closes[code] == 1)
    assert no_traceback(caplog)


@pytest.mark.asyncio
async def test_text_on_the_msgpack_subprotocol_is_closed_with_a_reason(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        client = await world.logged_in(codec=MSGPACK)
        client.send_bytes(b"{}", Opcode.TEXT)
        assert await client.closed() == CloseCode.UNSUPPORTED_DATA
        assert client.goaway().error.code == "wrong_frame"


@pytest.mark.asyncio
async def test_a_message_in_fragments_is_one_message(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        client = await world.logged_in()
        for opcode, data, fin in (
            (Opcode.TEXT, b'{"t":"pi', False),
            (Opcode.CONT, b'ng","id":', False),
            (Opcode.CONT, b'"p"}', True),
        ):
            client.send_frame(Frame(opcode, data, fin=fin))
        assert (await client.next(wire.Res)).id == "p"
        client.send_frame(Frame(Opcode.TEXT, b"", fin=False))
        for _ in range(200):
            client.send_frame(Frame(Opcode.CONT, b"", fin=False))
        assert await client.closed() == CloseCode.POLICY


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "data", [b"garbage\r\n\r\n", b"\x16\x03\x01\x00\xa5", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 300]
)
async def test_garbage_before_the_upgrade_is_answered_and_ended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    async with a_world(tmp_path, **FAST) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(data)
        writer.write_eof()
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 4")
        writer.close()
    assert no_traceback(caplog)


@pytest.mark.asyncio
async def test_half_a_handshake_is_ended_by_its_timeout(tmp_path: Path) -> None:
    async with a_world(tmp_path, **FAST) as world:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\n")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"upgrade_timeout" in answer
        writer.close()
        await until(lambda: world.server.counts.connections == 0)


@pytest.mark.asyncio
async def test_a_client_that_goes_away_before_its_upgrade_leaves_nothing(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        _, writer = await asyncio.open_connection("127.0.0.1", world.port)
        await until(lambda: world.server.counts.connections == 1)
        writer.transport.abort()
        await until(lambda: world.server.counts.connections == 0)


GOOD_ORIGIN = "https://desk.example"
TRICKS = [
    "https://evil.example",
    "https://desk.example.evil.example",
    "https://desk.example:444",
    "http://desk.example",
    "https://desk.example.",
    "https://desk.example/",
    "https://DESK.example",
    "https://evil.example@desk.example",
    "https://sub.desk.example",
    "https://desk-example",
    "null",
    "file:",
    "*",
    "https://desk.example https://evil.example",
]


@pytest.mark.asyncio
@pytest.mark.parametrize("origin", TRICKS)
async def test_a_foreign_origin_is_forbidden(tmp_path: Path, origin: str) -> None:
    async with a_world(tmp_path, origins=(GOOD_ORIGIN,)) as world:
        client = await world.raw(headers=(("Origin", origin),))
        assert client.response.status_code == 403
        assert error_of(client.response).code == "foreign_origin"


@pytest.mark.asyncio
async def test_two_origins_are_forbidden_though_one_is_good(tmp_path: Path) -> None:
    async with a_world(tmp_path, origins=(GOOD_ORIGIN,)) as world:
        two = (("Origin", GOOD_ORIGIN), ("Origin", "https://evil.example"))
        assert (await world.raw(headers=two)).response.status_code == 403
        good = await world.raw(headers=(("Origin", GOOD_ORIGIN),))
        assert good.response.status_code == 101


@pytest.mark.asyncio
async def test_a_token_that_is_not_in_force_is_refused(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        expired = world.mint(Scope.TRADE, expires_ns=5)
        revoked = world.mint(Scope.TRADE)
        world.store.revoke(world.store.list()[-1].id)
        world.server._tokens.refresh()
        for token in (expired, revoked, "fg_unknown", "fg_", world.token + "x"):
            client = await world.raw(token=token)
            assert client.response.status_code == 401
            assert client.response.headers["WWW-Authenticate"] == "Bearer"
            assert error_of(client.response).code == "unauthorized"
        two = await world.raw(headers=(("Authorization", f"Bearer {world.token}"),))
        assert two.response.status_code == 401


@pytest.mark.asyncio
async def test_a_revoked_token_ends_its_sessions(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        token = world.mint(Scope.TRADE)
        world.server._tokens.refresh()
        client = await world.logged_in(token=token)
        other = await world.logged_in(login={"session": "other"})
        world.store.revoke(world.store.list()[-1].id)
        assert await client.closed() == CloseCode.UNAUTHORIZED
        assert await still_served(other)


@pytest.mark.asyncio
async def test_no_common_subprotocol_is_a_bad_request(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        client = RawClient(world)
        client.protocol.available_subprotocols = ["fillgate.v9.xml"]
        await client.open()
        assert client.response.status_code == 400
        assert error_of(client.response).code == "no_common_subprotocol"


@pytest.mark.asyncio
async def test_the_clients_first_subprotocol_wins(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        client = RawClient(world)
        client.protocol.available_subprotocols = [JSON.name, MSGPACK.name]
        await client.open()
        assert client.protocol.subprotocol == JSON.name
        assert not client.protocol.extensions


@pytest.mark.asyncio
async def test_plain_http_and_other_paths_are_refused_in_words(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world, aiohttp.ClientSession() as http:
        where = f"http://127.0.0.1:{world.port}"
        async with http.get(f"{where}/admin") as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (404, "not_found")
        sure = {
            "Authorization": f"Bearer {world.token}",
            "Sec-WebSocket-Protocol": JSON.name,
        }
        async with http.get(f"{where}/ws", headers=sure) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (426, "bad_upgrade")
        assert world.server.counts.refused[404] == 1


@pytest.mark.asyncio
async def test_a_token_has_so_many_connections_and_no_more(tmp_path: Path) -> None:
    async with a_world(tmp_path, connections_per_token_max=1, **FAST) as world:
        first = await world.logged_in()
        second = await world.raw()
        assert second.response.status_code == 429
        assert error_of(second.response).retry_after_ms
        await first.close()
        await until(lambda: world.server.counts.connections == 0)
        assert (await world.raw()).response.status_code == 101


@pytest.mark.asyncio
async def test_a_full_server_takes_no_more(tmp_path: Path) -> None:
    async with a_world(tmp_path, connections_max=1) as world:
        first = await world.logged_in()
        reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
        got = b""
        with contextlib.suppress(ConnectionError):
            got = await reader.read()
        assert got == b""
        assert world.server.counts.connections == 1
        writer.close()
        assert await still_served(first)


async def flood(world: World, count: int) -> None:
    """Publishes entries and gives the loop a turn."""
    head = world.router.head()
    for seq in range(head + 1, head + count + 1):
        world.router.publish(an_update(seq, name="n" * 60 + str(seq)))
    await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_a_slow_reader_is_closed_with_the_last_number_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    limits = Limits(unsent_bytes_max=200_000)
    async with a_world(tmp_path, limits=limits, **{**FAST, "close_timeout_ms": 3_000}) as world:
        other = await world.logged_in(login={"session": "other"})
        slow = await world.logged_in(receive_buffer=4_096)
        slow.writer.transport.pause_reading()
        slow_connection = tuple(world.server._connections)[1]
        for _ in range(300):
            if slow_connection.session.state is State.CLOSED:
                break
            await flood(world, 200)
            while (await other.next(wire.Ev)).seq < world.router.head():
                pass
        await flood(world, 200)
        assert (await other.next(wire.Ev)).seq == world.router.head() - 199
        slow.writer.transport.resume_reading()
        assert await slow.closed() == CloseCode.SLOW_CONSUMER
        got = [m.seq for m in slow._buffered if isinstance(m, wire.Ev)]
        goaway = slow.goaway()
        assert got == list(range(1, len(got) + 1))
        assert goaway.sent == {OWN: got[-1]}
        assert slow.close_reason == f"slow_consumer; sent {OWN} {got[-1]}"
        again = await world.logged_in(login={"session": "s1", "cursors": {OWN: got[-1]}})
        assert (await again.next(wire.Ev)).seq == got[-1] + 1


@pytest.mark.asyncio
async def test_a_reader_that_lags_is_told_and_its_quotes_are_conflated(tmp_path: Path) -> None:
    async with a_world(tmp_path, limits=Limits(unsent_bytes_max=1_000_000)) as world:
        slow = await world.logged_in(receive_buffer=4_096)
        await slow.ask({"t": "sub", "id": "s", "streams": {"quotes/EUR/USD": None}})
        slow.writer.transport.pause_reading()
        (connection,) = world.server._connections
        seq = 0
        while not connection._has_lagged:
            seq += 1
            world.router.publish(an_update(seq, name="n" * 60 + str(seq)))
            if seq % 100 == 0:
                await asyncio.sleep(0)
        for update in range(1, 6):
            world.server.quotes.deliver([a_quote(update)])
        assert world.server.counts.quotes_conflated == 4
        slow.writer.transport.resume_reading()
        quote = (await slow.next(wire.QuoteUpdate)).quote
        assert (quote.update, quote.conflated) == (5, 5)
        assert not connection.session.follows.is_paused


@pytest.mark.asyncio
async def test_who_pings_and_does_not_read_is_cut_off(tmp_path: Path) -> None:
    limits = Limits(unsent_bytes_max=50_000)
    async with a_world(tmp_path, limits=limits) as world:
        client = await world.logged_in(receive_buffer=4_096)
        client.writer.transport.pause_reading()
        for _ in range(200_000):
            if not world.server.counts.connections or client.writer.transport.is_closing():
                break
            client.send_frame(Frame(Opcode.PING, b"x" * 100))
            await asyncio.sleep(0)
        await until(lambda: world.server.counts.connections == 0)


@pytest.mark.asyncio
async def test_quotes_go_to_those_who_watch_and_the_last_one_ends_it(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        one = await world.logged_in()
        two = await world.logged_in(login={"session": "s2"}, codec=MSGPACK)
        for client in (one, two):
            await client.ask({"t": "sub", "id": "s", "streams": {"quotes/EUR/USD": None}})
        assert world.router.watched == ["EUR/USD"]
        world.server.quotes.deliver([a_quote(3)])
        assert (await one.next(wire.QuoteUpdate)).quote == a_quote(3)
        assert (await two.next(wire.QuoteUpdate)).quote == a_quote(3)
        await one.ask({"t": "unsub", "id": "u", "streams": ["quotes/EUR/USD", OWN]})
        assert world.router.watched == ["EUR/USD"]
        await two.close()
        await until(lambda: world.router.watched == [])
        world.server.quotes.deliver([a_quote(4)])
        world.server.quotes.unwatch(next(iter(world.server._connections)), "EUR/USD")


@pytest.mark.asyncio
async def test_an_idle_connection_hears_the_heads(tmp_path: Path) -> None:
    async with a_world(tmp_path, **FAST) as world:
        world.router.publish(an_update(1))
        client = await world.logged_in()
        assert (await client.next(wire.Hb)).heads == {OWN: 1}


@pytest.mark.asyncio
async def test_the_server_pings_and_ends_who_never_answers(tmp_path: Path) -> None:
    async with a_world(tmp_path, heartbeat_ms=100, ping_ms=50, silence_ms_max=300) as world:
        client = await world.logged_in()
        await client.next(wire.Hb)
        await client.next(wire.Hb)
        assert any(frame.opcode is Opcode.PING for frame in client.frames)
        client.writer.transport.pause_reading()
        await until(lambda: world.server.counts.connections == 0)


@pytest.mark.asyncio
async def test_a_newer_generation_closes_the_older_socket(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        older = await world.logged_in(login={"session": "s1", "generation": 1})
        newer = await world.logged_in(login={"session": "s1", "generation": 2})
        waiting = await world.raw()
        world.server.deliver(SessionReplaced(owner="alice", session="s1", generation=2))
        assert await older.closed() == CloseCode.REPLACED
        assert await still_served(newer)
        assert waiting.response.status_code == 101
        await until(lambda: world.router.of(Logout))
        (logout,) = world.router.of(Logout)
        assert (logout.session, logout.generation) == ("s1", 1)


@pytest.mark.asyncio
async def test_sessions_live_through_the_loss_of_the_router(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        client = await world.logged_in()
        await world.raw()
        world.router.is_silent = True
        client.send(wire.OrderNew(id="a", cseq=1, order=an_order()))
        await until(lambda: world.router.of(Submit))
        world.router.lose()
        res = await client.next(wire.Res)
        assert (res.id, res.error.code, res.error.outcome.value) == (
            "a", "router_unavailable", "unknown",
        )  # fmt: skip
        world.router.is_silent = False
        world.router.publish(an_update(1), tell=False)
        world.router.find()
        assert (await client.next(wire.Ev)).seq == 1
        assert len(world.router.of(Login)) == 2


@pytest.mark.asyncio
async def test_refs_of_requests_given_up_are_forgotten(tmp_path: Path) -> None:
    settings = {"heartbeat_ms": 20, "ping_ms": 20, "answer_timeout_ms": 50}
    async with a_world(tmp_path, **settings) as world:
        client = await world.logged_in()
        world.router.is_silent = True
        res = await client.ask({"t": "orders.list", "id": "q"})
        assert res.error.code == "no_answer"
        await until(lambda: not world.server._by_ref)


@pytest.mark.asyncio
async def test_a_stopping_server_says_so(tmp_path: Path) -> None:
    async with a_world(tmp_path, **FAST) as world:
        client = await world.logged_in()
        _, half_open = await asyncio.open_connection("127.0.0.1", world.port)
        await until(lambda: world.server.counts.connections == 2)
        stopping = asyncio.create_task(world.server.stop())
        assert await client.closed() == CloseCode.GOING_AWAY
        assert client.goaway().error.code == "going_away"
        await stopping
        half_open.close()


@pytest.mark.asyncio
async def test_a_stop_does_not_wait_for_ever(tmp_path: Path) -> None:
    async with a_world(tmp_path, **{**FAST, "close_timeout_ms": 50}) as world:
        client = await world.logged_in()
        client.writer.transport.pause_reading()
        await world.server.stop()
        await until(lambda: world.server.counts.connections == 0)


@pytest.mark.asyncio
async def test_without_a_certificate_only_loopback_is_served(tmp_path: Path) -> None:
    world = World(tmp_path, GatewaySettings())
    server = GatewayServer(world.router, TokenBook(world.path), CLOCKS, world.settings)
    with socket.socket() as sock:
        sock.bind(("0.0.0.0", 0))
        with pytest.raises(ValueError, match="loopback"):
            await server.start([sock])


@pytest.mark.asyncio
async def test_a_unix_socket_is_served_too(tmp_path: Path) -> None:
    world = World(tmp_path, GatewaySettings())
    server = GatewayServer(world.router, TokenBook(world.path), CLOCKS, world.settings)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / "edge.sock"))
    await server.start([sock])
    _, writer = await asyncio.open_unix_connection(str(tmp_path / "edge.sock"))
    await until(lambda: server.counts.connections == 1)
    writer.close()
    await server.stop()


@pytest.mark.asyncio
async def test_health_readiness_and_metrics_tell_the_truth(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        client = await world.logged_in()
        await still_served(client)
        assert (await world.raw(token="fg_no")).response.status_code == 401
        registry = CollectorRegistry()
        registry.register(
            GatewayCollector(world.server.counts, lambda: world.router.status().is_router_up)
        )
        app = health_app(world.router.status, lambda: generate_latest(registry))
        async with TestClient(TestServer(app)) as http:
            assert (await http.get("/healthz")).status == 200
            ready = await http.get("/readyz")
            assert (ready.status, (await ready.json())["deployment"]) == (200, "test")
            page = await (await http.get("/metrics")).text()
            assert "fillgate_gateway_sessions 1.0" in page
            assert 'fillgate_gateway_upgrades_refused_total{status="401"} 1.0' in page
            assert "fillgate_gateway_router_up 1.0" in page
            world.router.lose()
            assert (await http.get("/readyz")).status == 503


@pytest.mark.asyncio
async def test_a_stopping_server_answers_what_is_under_way_before_it_goes(tmp_path: Path) -> None:
    async with a_world(tmp_path, **FAST) as world:
        idle, busy = await world.logged_in(), await world.logged_in(login={"session": "s2"})
        world.router.is_silent = True
        busy.send(wire.OrderNew(id="a", cseq=1, order=an_order()))
        await until(lambda: world.router.of(Submit))
        stopping = asyncio.create_task(world.server.stop())
        assert await idle.closed() == CloseCode.GOING_AWAY
        (submit,) = world.router.of(Submit)
        world.server.deliver(Answer(ref=submit.ref, decided=(Decided(order_id="x"),)))
        assert (await busy.next(wire.Res)).decided[0].order_id == "x"
        assert await busy.closed() == CloseCode.GOING_AWAY
        waits = [one.goaway().error.retry_after_ms for one in (idle, busy)]
        assert waits == [0, 1]
        await stopping
        assert all(logout.is_moving for logout in world.router.of(Logout))


@pytest.mark.asyncio
async def test_a_stop_waits_for_no_answer_beyond_its_limit(tmp_path: Path) -> None:
    async with a_world(tmp_path, **{**FAST, "drain_ms_max": 50}) as world:
        client = await world.logged_in()
        world.router.is_silent = True
        client.send(wire.OrderNew(id="a", cseq=1, order=an_order()))
        await until(lambda: world.router.of(Submit))
        await asyncio.wait_for(world.server.stop(), 2)
        assert await client.closed() == CloseCode.GOING_AWAY


@pytest.mark.asyncio
async def test_a_reader_that_stands_still_is_told_so_like_a_slow_one(tmp_path: Path) -> None:
    settings = {"heartbeat_ms": 100, "ping_ms": 50, "silence_ms_max": 200, "stopped_ms_max": 500}
    async with a_world(tmp_path, **settings) as world:
        client = await world.logged_in(receive_buffer=4_096)
        client.writer.transport.pause_reading()
        (connection,) = world.server._connections
        while not connection.outbox.is_paused:
            await flood(world, 200)
        began = asyncio.get_running_loop().time()
        await until(lambda: world.server.counts.connections == 0)
        assert asyncio.get_running_loop().time() - began >= 0.4
        assert world.server.counts.closes == {CloseCode.SLOW_CONSUMER: 1}


def test_a_line_whose_bytes_nobody_confirms_is_dead_however_much_waits_in_it() -> None:
    class Line:
        family = socket.AF_INET
        unconfirmed = 0

        def fileno(self) -> int:
            return left.fileno()

        def getsockopt(self, *_: int) -> bytes:
            return bytes((1, 0, self.unconfirmed, 0))

    class Transport:
        def get_extra_info(self, _: str) -> Line:
            return line

        def get_write_buffer_size(self) -> int:
            return 1

    left, right = socket.socketpair()
    line, settings = Line(), GatewaySettings()
    ways = {"transport": Transport(), "is_paused": False, "settings": settings}
    silent_ms = settings.silence_ms_max + 1
    assert liveness.judge(**ways, silent_ms=silent_ms - 1) is liveness.Fate.STAYS  # type: ignore[arg-type]
    assert liveness.judge(**ways, silent_ms=silent_ms) is liveness.Fate.STAYS  # type: ignore[arg-type]
    line.unconfirmed = 2
    assert liveness.judge(**ways, silent_ms=silent_ms) is liveness.Fate.GONE  # type: ignore[arg-type]
    left.close()
    right.close()
