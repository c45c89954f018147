"""Origins and tickets: a page in a browser gets in by exactly one way, once, from its origin."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from gateway_world import OWNER, RawClient
from rest_world import ORIGIN, RestWorld, a_rest

from bench.origin_tricks import TRICKS
from gateway import wire
from gateway.authority import Principal
from gateway.rest_operations import PREFIX
from gateway.tickets import SUBPROTOCOL, TicketBox
from gateway.wire import Scope

TICKETS = f"{PREFIX}/tickets"
OTHER = "https://other.example"
WHO = Principal(token_id="t-1", owner=OWNER, scopes=frozenset({Scope.READ}))


@pytest_asyncio.fixture
async def rest(tmp_path: Path) -> AsyncIterator[RestWorld]:
    async with a_rest(tmp_path, origins=(ORIGIN, OTHER, "http://localhost:5173")) as world:
        yield world


# -- origins

GOOD = {ORIGIN, OTHER, "http://localhost:5173"}


def test_the_list_of_tricks_is_long_and_has_no_good_origin_in_it() -> None:
    assert len(TRICKS) >= 200
    assert not GOOD & set(TRICKS)


@pytest.mark.asyncio
async def test_a_foreign_origin_is_forbidden_everywhere(rest: RestWorld) -> None:
    for origin in TRICKS:
        reply = await rest.call("GET", f"{PREFIX}/orders", headers=[("Origin", origin)])
        assert (reply.status, reply.code) == (403, "foreign_origin"), origin
        assert "access-control-allow-origin" not in reply.headers
        assert not rest.router.asked, origin
        assert await _upgrade_status(rest, ("Origin", origin)) == 403, origin


async def _upgrade_status(rest: RestWorld, *headers: tuple[str, str]) -> int:
    """Of an upgrade whose headers are any bytes at all."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rest.world.port)
    lines = [
        "GET /ws HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol: fillgate.v1.json", f"Authorization: Bearer {rest.world.token}",
        *(f"{name}: {value}" for name, value in headers),
    ]  # fmt: skip
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
    line = await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    return int(line.split(b" ")[1])


@pytest.mark.asyncio
@pytest.mark.parametrize("path", ["/orders", "/openapi.json", "/docs", "/tickets", "/nothing"])
async def test_an_origin_is_looked_at_before_anything_else(rest: RestWorld, path: str) -> None:
    reply = await rest.call("POST", PREFIX + path, headers=[("Origin", "null")])
    assert (reply.status, reply.code) == (403, "foreign_origin")
    two = [("Origin", ORIGIN), ("Origin", OTHER)]
    assert (await rest.call("GET", PREFIX + path, headers=two)).status == 403
    assert (await rest.call("OPTIONS", PREFIX + path, headers=[("Origin", "null")])).status == 403


@pytest.mark.asyncio
async def test_a_program_without_an_origin_is_let_in_by_its_token(rest: RestWorld) -> None:
    assert (await rest.call("GET", f"{PREFIX}/positions")).status == 200
    assert await _upgrade_status(rest) == 101
    assert await _upgrade_status(rest, ("Origin", ORIGIN)) == 101


# -- tickets


async def a_ticket(rest: RestWorld, origin: str = ORIGIN, **options: Any) -> str:
    reply = await rest.call("POST", TICKETS, headers=[("Origin", origin)], **options)
    assert reply.status == 201, reply.body
    assert (reply.body["origin"], reply.body["valid_for_ms"]) == (origin, 30_000)
    return str(reply.body["ticket"])


class Browser(RawClient):
    """Offers subprotocols, and sends no token."""

    def __init__(self, rest: RestWorld, origin: str | None, *offered: str, token: str = "") -> None:
        headers = (("Origin", origin),) if origin is not None else ()
        super().__init__(rest.world, headers=headers, token=token or "none")
        self._has_token = bool(token)
        self.protocol.available_subprotocols = list(offered)  # type: ignore[arg-type]

    async def enter(self) -> int:
        connect = self.protocol.connect

        def without_token() -> Any:
            request = connect()
            if not self._has_token:
                request.headers = _WithoutToken(request.headers)  # type: ignore[assignment]
            return request

        self.protocol.connect = without_token  # type: ignore[method-assign]
        await self.open()
        status: int = self.response.status_code
        return status


class _WithoutToken:
    """The headers of a request, into which no token can be put."""

    def __init__(self, headers: Any) -> None:
        self._headers = headers

    def __setitem__(self, name: str, value: str) -> None:
        if name != "Authorization":
            self._headers[name] = value

    def __getattr__(self, name: str) -> Any:
        return getattr(self._headers, name)

    def serialize(self) -> bytes:
        return bytes(self._headers.serialize())


async def enter(rest: RestWorld, ticket: str, origin: str | None = ORIGIN) -> int:
    browser = Browser(rest, origin, "fillgate.v1.json", SUBPROTOCOL + ticket)
    status = await browser.enter()
    await browser.close()
    return status


@pytest.mark.asyncio
async def test_a_ticket_opens_one_websocket_from_its_origin(rest: RestWorld) -> None:
    ticket = await a_ticket(rest)
    browser = Browser(rest, ORIGIN, SUBPROTOCOL + ticket, "fillgate.v1.json")
    assert await browser.enter() == 101
    assert browser.response.headers["Sec-WebSocket-Protocol"] == "fillgate.v1.json"
    assert isinstance(await browser.next(), wire.Hello)
    browser.send({"t": "login", "session": "page"})
    assert (await browser.next(wire.Welcome)).owner == OWNER
    await browser.close()
    assert await enter(rest, ticket) == 401


@pytest.mark.asyncio
@pytest.mark.parametrize("origin", [OTHER, "http://localhost:5173", None])
async def test_a_ticket_is_worth_nothing_elsewhere_and_then_nowhere(
    rest: RestWorld, origin: str | None
) -> None:
    ticket = await a_ticket(rest)
    assert await enter(rest, ticket, origin) == 401
    # Shown from a wrong origin it is used up; without any origin it was not even looked at.
    assert await enter(rest, ticket) == (101 if origin is None else 401)


@pytest.mark.asyncio
async def test_a_ticket_ends_after_half_a_minute(
    rest: RestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticket = await a_ticket(rest)
    box = rest.tickets
    now = box._boot_ns()
    monkeypatch.setattr(box, "_boot_ns", lambda: now + 30_000_000_001)
    assert await enter(rest, ticket) == 401


@pytest.mark.asyncio
async def test_a_ticket_of_a_token_that_was_revoked_opens_nothing(rest: RestWorld) -> None:
    token = rest.world.mint(Scope.READ)
    rest.world.server._tokens.refresh()
    ticket = await a_ticket(rest, token=token)
    rest.world.store.revoke(rest.world.store.list()[-1].id)
    rest.world.server._tokens.refresh()
    assert await enter(rest, ticket) == 401


@pytest.mark.asyncio
@pytest.mark.parametrize("ticket", ["", "x", "A" * 32, "../../etc/passwd", "A" * 4000])
async def test_a_made_up_ticket_opens_nothing(rest: RestWorld, ticket: str) -> None:
    assert await enter(rest, ticket) in (400, 401)


@pytest.mark.asyncio
async def test_a_ticket_and_a_token_or_two_tickets_are_one_too_many(rest: RestWorld) -> None:
    first, second = await a_ticket(rest), await a_ticket(rest)
    names = ("fillgate.v1.json", SUBPROTOCOL + first, SUBPROTOCOL + second)
    assert await Browser(rest, ORIGIN, *names).enter() == 401
    both = Browser(rest, ORIGIN, *names[:2], token=rest.world.token)
    assert await both.enter() == 401
    assert await enter(rest, first) == 101


@pytest.mark.asyncio
async def test_a_ticket_takes_its_token_s_scopes_along(rest: RestWorld) -> None:
    token = rest.world.mint(Scope.READ)
    rest.world.server._tokens.refresh()
    browser = Browser(
        rest, ORIGIN, "fillgate.v1.json", SUBPROTOCOL + await a_ticket(rest, token=token)
    )
    assert await browser.enter() == 101
    browser.send({"t": "login", "session": "page", "role": "trade"})
    assert await browser.closed() == 4403
    await browser.close()


@pytest.mark.asyncio
async def test_a_program_gets_no_ticket(rest: RestWorld) -> None:
    reply = await rest.call("POST", TICKETS)
    assert (reply.status, reply.code, reply.body["field"]) == (422, "invalid_request", "Origin")


@pytest.mark.asyncio
async def test_tickets_have_a_rate_and_a_maximum(
    rest: RestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.tickets.OF_TOKEN_MAX", 2)
    await a_ticket(rest)
    await a_ticket(rest)
    reply = await rest.call("POST", TICKETS, headers=[("Origin", ORIGIN)])
    assert (reply.status, reply.code) == (429, "rate_limited")
    rest.rest.desk._callers.clear()
    monkeypatch.setattr("gateway.rates.Bucket.take", lambda *_: 5)
    assert (await rest.call("POST", TICKETS, headers=[("Origin", ORIGIN)])).status == 429


# -- the box, across processes


def a_box(folder: Path, now: list[int] | None = None) -> TicketBox:
    return TicketBox(folder, lambda: (now or [0])[0], os.urandom)


def test_a_ticket_s_text_is_stored_nowhere(tmp_path: Path) -> None:
    text = a_box(tmp_path / "t").make(WHO, ORIGIN)
    assert text is not None
    (path,) = (tmp_path / "t").iterdir()
    assert text not in path.name
    assert text.encode() not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600


def test_another_process_and_a_restarted_one_know_a_ticket(tmp_path: Path) -> None:
    text = a_box(tmp_path / "t").make(WHO, ORIGIN)
    assert text is not None
    restarted = a_box(tmp_path / "t")
    restarted.clear()
    assert restarted.take(text, ORIGIN) == WHO
    assert a_box(tmp_path / "t").take(text, ORIGIN) is None


def test_what_ended_is_swept_by_its_maker_or_the_next_process(tmp_path: Path) -> None:
    now = [0]
    box = a_box(tmp_path / "t", now)
    box.make(WHO, ORIGIN)
    now[0] = 31_000_000_000
    box.make(WHO, ORIGIN)
    assert len(list((tmp_path / "t").iterdir())) == 1
    now[0] = 62_000_000_000
    (tmp_path / "t" / "garbage").write_bytes(b"{")
    a_box(tmp_path / "t", now).clear()
    assert [path.name for path in (tmp_path / "t").iterdir()] == ["garbage"]


def _race(folder: str, text: str, gate: Any, wins: Any) -> None:
    box = a_box(Path(folder))
    gate.wait()
    if box.take(text, ORIGIN) is not None:
        with wins.get_lock():
            wins.value += 1


def test_of_many_processes_exactly_one_uses_a_ticket(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for _ in range(20):
        text = a_box(tmp_path / "t").make(WHO, ORIGIN)
        gate, wins = context.Barrier(4), context.Value("i", 0)
        racers = [
            context.Process(target=_race, args=(str(tmp_path / "t"), text, gate, wins))
            for _ in range(4)
        ]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        assert wins.value == 1


@pytest.mark.asyncio
async def test_a_server_without_a_box_takes_no_ticket(rest: RestWorld) -> None:
    ticket = await a_ticket(rest)
    rest.world.server.tickets = None
    assert await enter(rest, ticket) == 401
    await asyncio.sleep(0)
