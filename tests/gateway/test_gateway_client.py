"""The client: decided once, applied once, however often the line breaks."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gateway_world import (
    ACCOUNT,
    OWN,
    World,
    a_quote,
    a_world,
    an_order,
    an_update,
    until,
)
from msgspec.structs import replace

from domain.commands import Decided, Halt, Login, QueryAnswer, Resume, SetGuard, Submit
from domain.errors import Category, ErrorInfo, Outcome, Retry
from domain.events import Canceled
from domain.lifecycle import Status
from domain.orders import AmendOrder, CancelOrder
from domain.records import GuardKind, HaltScope
from gateway import wire
from gateway.client import Client, ClientOptions, ConnectionLostError, Refused
from gateway.client_book import FeedOverflowError, Orders, QuoteFeed, UpdateFeed
from gateway.client_terms import BACKOFF_MS_MAX, BACKOFF_MS_MIN, backoff_ms
from gateway.errors import refusal
from gateway.wire import CloseCode, Scope

FAST = {"heartbeat_ms": 60, "answer_timeout_ms": 2_000}


def a_client(world: World, seed: int = 1, **options: Any) -> Client:
    luck = random.Random(seed).random
    connect = {key: options.pop(key) for key in ("codec", "on_event", "resume") if key in options}
    token = options.pop("token", world.token)
    session = options.pop("session", "s1")
    return Client.connect(
        world.url, token, session, options=ClientOptions(luck=luck, **options), **connect
    )


class Heard:
    """What a client's `on_event` was told."""

    def __init__(self) -> None:
        self.seqs: list[int] = []

    def __call__(self, ev: wire.Ev) -> None:
        self.seqs.append(ev.seq)


@pytest.mark.asyncio
@pytest.mark.parametrize("codec", ["json", "msgpack"])
async def test_an_order_is_decided_and_its_outcome_awaited(tmp_path: Path, codec: str) -> None:
    async with a_world(tmp_path) as world, a_client(world, codec=codec) as client:
        decided = await client.place(an_order("a"))
        assert (decided.client_order_id, decided.dup) == ("a", False)
        update = await client.place_and_wait(an_order("b"))
        assert (update.client_order_id, update.status) == ("b", Status.LIVE)
        assert client.orders.get("b") == update
        assert client.cursors == {OWN: 4}


@pytest.mark.asyncio
async def test_the_other_requests_reach_the_router(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        async with a_client(world, token=world.admin) as client:
            (canceled,) = await client.cancel(CancelOrder(all=True))
            assert canceled.status == "live"
            assert await client.amend(AmendOrder(client_order_id="a", quantity=Decimal(1)))
            await client.set_guard(SetGuard(kind=GuardKind.DEAD_MAN))
            await client.halt(Halt(scope=HaltScope.ALL, reason="x"))
            await client.resume_trading(Resume(scope=HaltScope.ALL))
            batch = await client.command(wire.OrderBatch, orders=(an_order("x"), an_order("y")))
            assert len(batch.decided) == 2
            rows = await client.query(wire.AccountGet, account=ACCOUNT)
            assert (rows.body, rows.position) == (["account.get", {"account": ACCOUNT}], 7)
            assert await client.ping() >= 0
            assert await client.ping() >= 0
        assert [submit.cseq for submit in world.router.of(Submit)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.asyncio
async def test_a_refusal_is_raised_with_its_error(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world, a_client(world) as client:
        with pytest.raises(Refused, match="invalid_order") as caught:
            await client.place(an_order(quantity=Decimal(-1)))
        assert caught.value.error.field == "order.quantity"
        with pytest.raises(Refused, match="invalid_order"):
            await client.place_and_wait(an_order(quantity=Decimal(-1)))
        world.router.orders["d"] = Decided(client_order_id="d", error=refusal("denied", "no"))
        with pytest.raises(Refused, match="denied"):
            await client.place(an_order("d"))


@pytest.mark.asyncio
async def test_the_same_order_again_returns_the_outcome_it_had(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world, a_client(world) as client:
        first = await client.place_and_wait(an_order("a"))
        assert await client.place_and_wait(an_order("a")) == first
        waits = Decided(client_order_id="w", status="sending")
        world.router.orders["w"] = waits
        waiting = asyncio.create_task(client.place_and_wait(an_order("w")))
        await until(lambda: len(world.router.of(Submit)) == 3)
        world.router.publish(an_update(3, name="w"))
        assert (await waiting).client_order_id == "w"
        world.router.orders["old"] = Decided(client_order_id="old", status="filled")
        with pytest.raises(Refused, match="outcome_before_resume"):
            await client.place_and_wait(an_order("old"))


@pytest.mark.asyncio
async def test_updates_are_iterated_once_and_in_order(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world, a_client(world) as client:
        updates = client.updates()
        world.router.publish(*(an_update(seq) for seq in range(1, 6)))
        assert [(await anext(updates)).seq for _ in range(5)] == [1, 2, 3, 4, 5]
        await updates.aclose()  # type: ignore[attr-defined]
        assert client._feeds == []


@pytest.mark.asyncio
async def test_quotes_are_iterated_conflated_and_ended(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world, a_client(world) as client:
        quotes = client.quotes("EUR/USD")
        first = asyncio.create_task(anext(quotes))
        await until(lambda: world.router.watched == ["EUR/USD"])
        world.server.quotes.deliver([a_quote(1)])
        assert (await first).update == 1
        for update in (2, 3):
            world.server.quotes.deliver([a_quote(update)])
        await client.ping()
        quote = await anext(quotes)
        assert (quote.update, quote.conflated) == (3, 2)
        await quotes.aclose()  # type: ignore[attr-defined]
        await until(lambda: world.router.watched == [])


@pytest.mark.asyncio
@pytest.mark.parametrize("codec", ["json", "msgpack"])
async def test_each_event_is_applied_once_though_the_server_dies_mid_stream(
    tmp_path: Path, codec: str
) -> None:
    heard = Heard()
    async with (
        a_world(tmp_path, **FAST) as world,
        a_client(world, codec=codec, on_event=heard) as client,
    ):
        feed = client.updates()
        for life in range(4):
            await until(lambda n=life: client._is_open and client.reconnects == n)
            for seq in range(life * 50 + 1, life * 50 + 51):
                world.router.publish(an_update(seq))
                if seq % 7 == life:
                    await asyncio.sleep(0)
            await world.kill()
            await world.start()
        world.router.publish(an_update(201))
        await until(lambda: client.cursors.get(OWN) == 201 and client._is_open)
        assert heard.seqs == list(range(1, 202))
        assert [(await anext(feed)).seq for _ in range(201)] == heard.seqs
        assert client.reconnects == 4
        generations = [login.generation for login in world.router.of(Login)]
        assert generations == sorted(set(generations))


@pytest.mark.asyncio
async def test_commands_without_an_answer_are_sent_again_unchanged(tmp_path: Path) -> None:
    async with a_world(tmp_path, **FAST) as world, a_client(world) as client:
        world.router.is_silent = True
        placing = [asyncio.create_task(client.place_and_wait(an_order(f"o{n}"))) for n in range(5)]
        await until(lambda: len(world.router.of(Submit)) == 5)
        await world.kill()
        world.router.is_silent = False
        await world.start()
        outcomes = await asyncio.gather(*placing)
        assert [update.client_order_id for update in outcomes] == [f"o{n}" for n in range(5)]
        first, again = world.router.of(Submit)[:5], world.router.of(Submit)[5:]
        told = [(s.cseq, s.request_id, s.command) for s in first]
        assert told == [(s.cseq, s.request_id, s.command) for s in again]
        assert len(world.router.orders) == 5


@pytest.mark.asyncio
async def test_a_lost_answer_is_asked_for_again_and_places_nothing_twice(tmp_path: Path) -> None:
    async with a_world(tmp_path, **FAST) as world, a_client(world) as client:
        deliver, world.server.deliver = world.server.deliver, lambda _: None  # type: ignore[method-assign]
        placing = asyncio.create_task(client.place_and_wait(an_order("a")))
        await until(lambda: world.router.orders)
        await world.kill()
        await world.start()
        assert (await placing).client_order_id == "a"
        assert world.router.head() == 2
        assert deliver is not None


@pytest.mark.asyncio
async def test_a_router_that_comes_back_is_asked_again_by_itself(tmp_path: Path) -> None:
    async with a_world(tmp_path, **FAST) as world, a_client(world) as client:
        world.router.is_silent = True
        placing = asyncio.create_task(client.place(an_order("a")))
        await until(lambda: world.router.of(Submit))
        world.router.lose()
        world.router.is_silent = False
        world.router.find()
        assert (await placing).client_order_id == "a"


@pytest.mark.asyncio
async def test_a_retry_under_way_is_not_sent_twice_after_a_reconnect(tmp_path: Path) -> None:
    async with a_world(tmp_path, **FAST) as world, a_client(world) as client:
        world.router.is_silent = True
        placing = asyncio.create_task(client.place(an_order("a")))
        await until(lambda: world.router.of(Submit))
        world.router.lose()
        await until(lambda: any(entry.again for entry in client._pending.values()))
        await world.kill()
        world.router.is_silent, world.router.is_up = False, True
        await world.start()
        assert (await placing).client_order_id == "a"
        assert len(world.router.of(Submit)) == 2


@pytest.mark.asyncio
async def test_a_lost_last_message_shows_within_the_heartbeats(tmp_path: Path) -> None:
    heard = Heard()
    async with a_world(tmp_path, **FAST) as world, a_client(world, on_event=heard) as client:
        world.router.publish(an_update(1))
        await until(lambda: heard.seqs == [1])
        (connection,) = world.server._connections
        world.router.publish(an_update(2), tell=False)
        session: Any = connection.session
        session.follows.cursors[OWN].offer(2)
        await until(lambda: heard.seqs == [1, 2])
        assert client.gaps == 1


@pytest.mark.asyncio
async def test_a_hole_is_read_again_and_what_is_old_is_dropped(tmp_path: Path) -> None:
    heard = Heard()
    async with a_world(tmp_path) as world, a_client(world, on_event=heard) as client:
        world.router.publish(*(an_update(seq) for seq in range(1, 4)), tell=False)
        hole = an_update(3)
        client._apply(wire.Ev(stream=OWN, seq=3, at_ns=1, body=hole.body))
        (connection,) = world.server._connections
        session: Any = connection.session
        session.follows.cursors[OWN].head = 3
        client._apply(wire.Ev(stream=OWN, seq=3, at_ns=1, body=hole.body))
        await until(lambda: heard.seqs == [1, 2, 3])
        client._apply(wire.Ev(stream=OWN, seq=2, at_ns=1, body=hole.body))
        assert (heard.seqs, client.duplicates) == ([1, 2, 3], 1) or client.duplicates > 1


@pytest.mark.asyncio
async def test_a_silent_server_is_left_for_a_new_connection(tmp_path: Path) -> None:
    async with a_world(tmp_path, **FAST) as world, a_client(world) as client:
        (connection,) = world.server._connections
        connection._push = lambda *_: None  # type: ignore[method-assign]
        connection.ping = lambda: None  # type: ignore[method-assign]
        await until(lambda: client.reconnects == 1 and client._is_open)
        await client.place(an_order("a"))


@pytest.mark.asyncio
async def test_streams_and_quotes_are_followed_again_after_a_reconnect(tmp_path: Path) -> None:
    heard: list[str] = []
    async with (
        a_world(tmp_path, **FAST) as world,
        a_client(world, on_event=lambda ev: heard.append(ev.stream)) as client,
    ):
        await client.follow("connections")
        await client.follow(f"account/{ACCOUNT}", after=0)
        quotes = client.quotes("EUR/USD")
        first = asyncio.create_task(anext(quotes))
        await until(lambda: world.router.watched == ["EUR/USD"])
        await world.kill()
        world.router.watched.clear()
        await world.start()
        await until(lambda: world.router.watched == ["EUR/USD"])
        world.server.quotes.deliver([a_quote(5)])
        assert (await first).update == 5
        world.router.publish(an_update(1, f"account/{ACCOUNT}"))
        world.router.publish(an_update(1, "connections"))
        await until(lambda: len(heard) == 2)
        assert sorted(heard) == [f"account/{ACCOUNT}", "connections"]
        await quotes.aclose()  # type: ignore[attr-defined]


@pytest.mark.asyncio
async def test_a_snapshot_is_taken_where_its_hash_holds(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world, a_client(world) as client:
        rows = msgspec.Raw(msgspec.msgpack.encode(["a"]))
        world.router.answers["snapshot"] = QueryAnswer(ref=0, position=0, body=rows)
        await client.follow(OWN, snapshot=True)
        assert client.snapshots[OWN].rows == ["a"]
        wrong = wire.Snap(stream="x", seq=5, hash=blake2b(b"", digest_size=16).hexdigest(), rows=1)
        client._snapped(wrong)
        assert "x" not in client.snapshots


@pytest.mark.asyncio
@pytest.mark.parametrize("scope", [Scope.READ, Scope.DROP_COPY])
async def test_a_client_the_server_forbids_gives_up_at_once(tmp_path: Path, scope: Scope) -> None:
    async with a_world(tmp_path) as world:
        with pytest.raises(Refused, match="forbidden"):
            await a_client(world, token=world.tokens[scope]).__aenter__()


@pytest.mark.asyncio
async def test_a_client_with_no_token_in_force_gives_up_at_once(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        with pytest.raises(Refused, match="unauthorized"):
            await a_client(world, token="fg_no").__aenter__()


@pytest.mark.asyncio
async def test_a_client_revoked_in_mid_session_ends(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world, a_client(world) as client:
        updates, quotes = client.updates(), client.quotes("EUR/USD")
        waiting = asyncio.create_task(anext(quotes))
        world.router.is_silent = True
        placing = asyncio.create_task(client.place(an_order("a")))
        await until(lambda: world.router.of(Submit))
        world.store.revoke(next(t.id for t in world.store.list() if t.scopes == (Scope.TRADE,)))
        with pytest.raises(ConnectionLostError, match="4401"):
            await placing
        for ended in (anext(updates), waiting, client.ping(), anext(client.updates())):
            with pytest.raises(ConnectionLostError):
                await ended
        assert client.last_goaway is not None
        assert client.last_goaway.code == CloseCode.UNAUTHORIZED


@pytest.mark.asyncio
async def test_without_resume_the_first_loss_is_the_end(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        async with a_client(world, resume=False) as client:
            world.router.is_silent = True
            placing = asyncio.create_task(client.place(an_order("a")))
            await until(lambda: world.router.of(Submit))
            world.router.lose()
            with pytest.raises(Refused, match="router_unavailable"):
                await placing
            await world.kill()
            await until(lambda: client._end is not None)
        with pytest.raises(ConnectionLostError):
            await a_client(world, resume=False).__aenter__()


@pytest.mark.asyncio
async def test_a_client_waits_for_a_server_that_is_not_there_yet(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.kill()
        entering = asyncio.create_task(a_client(world).__aenter__())
        await asyncio.sleep(0.02)
        await world.start()
        client = await entering
        await client.place(an_order("a"))
        await client.close()
        with pytest.raises(ConnectionLostError, match="was closed"):
            await client.place(an_order("b"))


@pytest.mark.asyncio
async def test_a_peer_that_speaks_no_websocket_is_not_a_server(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        writer.close()

    world = World(tmp_path, settings=FAST)  # type: ignore[arg-type]
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    world.port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConnectionLostError, match="HTTP 404"):
        await a_client(world).__aenter__()
    server.close()


@pytest.mark.asyncio
async def test_too_many_requests_without_an_answer_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.client_session.PENDING_MAX", 1)
    async with a_world(tmp_path) as world, a_client(world) as client:
        world.router.is_silent = True
        first = asyncio.create_task(client.place(an_order("a")))
        await until(lambda: client._pending)
        with pytest.raises(Refused, match="rate_limited"):
            await client.ping()
        first.cancel()
        late = wire.Res(id=next(iter(client._pending)), error=None)
        client._answered(late)
        client._answered(late)


@pytest.mark.asyncio
async def test_the_numbering_of_commands_goes_on_in_the_next_life(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        async with a_client(world) as client:
            await client.place(an_order("a"))
        async with a_client(world) as client:
            assert client.welcome is not None
            assert client.welcome.last_cseq == 1
            await client.place(an_order("b"))
        assert [submit.cseq for submit in world.router.of(Submit)] == [1, 2]
        ids = [submit.request_id for submit in world.router.of(Submit)]
        assert len(set(ids)) == 2


def test_the_wait_before_dialling_grows_to_a_bound_and_is_spread() -> None:
    assert backoff_ms(0, 0.0) == BACKOFF_MS_MIN / 2
    assert backoff_ms(0, 0.999) < BACKOFF_MS_MIN
    assert backoff_ms(3, 0.0) == BACKOFF_MS_MIN * 4
    assert backoff_ms(99, 0.5) == BACKOFF_MS_MAX * 0.75


def test_the_fold_of_orders_forgets_the_oldest_finished_first() -> None:
    orders = Orders(orders_max=2)
    done = an_update(1, name="done", event=Canceled(at_ns=1, reason="x")).body
    orders.apply(replace(done, status=Status.CANCELED, client_order_id=None))
    orders.apply(an_update(2, name="open").body)
    orders.apply(an_update(3, name="new").body)
    assert [order.client_order_id for order in orders] == ["open", "new"]
    assert (len(orders), len(orders.open())) == (2, 2)
    orders.apply(an_update(4, name="newest").body)
    assert orders.get("open") is None
    assert orders.by_order_id("id-newest") is not None
    assert orders.get("nothing") is None


@pytest.mark.asyncio
async def test_a_feed_nobody_takes_from_overflows_loudly() -> None:
    feed = UpdateFeed(updates_max=1)
    ev = wire.Ev(stream="s", seq=1, at_ns=1, body=an_update(1).body)
    for _ in range(3):
        feed.put(ev)
    assert await feed.take() == ev
    with pytest.raises(FeedOverflowError):
        await feed.take()


@pytest.mark.asyncio
async def test_a_feed_of_each_quote_keeps_them_in_order_up_to_its_bound() -> None:
    feed = QuoteFeed(conflate=False, quotes_max=2)
    for update in (1, 2, 3):
        feed.put(a_quote(update))
    feed.put(a_quote(4))
    assert [(await feed.take()).update for _ in range(2)] == [1, 2]
    with pytest.raises(FeedOverflowError):
        await feed.take()


@pytest.mark.asyncio
async def test_a_feed_keeps_the_quotes_of_two_connections_apart() -> None:
    feed = QuoteFeed()
    for quote in (a_quote(1), a_quote(1, connection="c2"), a_quote(2)):
        feed.put(quote)
    first, second = await feed.take(), await feed.take()
    assert (first.connection, first.update, first.conflated) == ("c1", 2, 2)
    assert (second.connection, second.conflated) == ("c2", 1)


@pytest.mark.asyncio
async def test_a_quote_feed_wakes_its_taker() -> None:
    feed = QuoteFeed()
    taking = asyncio.create_task(feed.take())
    await asyncio.sleep(0)
    feed.put(a_quote(1))
    feed.put(a_quote(2))
    assert (await taking).conflated == 2


@pytest.mark.asyncio
async def test_a_request_is_tried_again_so_often_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.client_session.TRIES_MAX", 2)
    async with a_world(tmp_path) as world, a_client(world) as client:
        again = ErrorInfo(
            code="busy", category=Category.SYSTEM, outcome=Outcome.NONE, retry=Retry.SAME_ID,
            retry_after_ms=1, message="busy",
        )  # fmt: skip
        world.router.answers["orders.list"] = QueryAnswer(ref=0, error=again)
        with pytest.raises(Refused, match="busy"):
            await client.query(wire.OrdersList)
        assert len(world.router.asked) >= 3
