"""The ledger follows a growing journal, answers from its rows, and leaves others to the router."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deployment_in_process import ACCOUNT, OWNER, deployment
from msgspec import msgpack
from msgspec.structs import replace

from actors import ledger as ledger_module
from actors import ledger_side as ledger_side_module
from actors import messages as m
from actors.edge import Edge, RouterSide
from actors.ledger import Ledger
from actors.ledger_reads import LedgerReads
from actors.ledger_side import LedgerSide
from actors.link import Hello, Link, dial
from actors.paths import LEDGER_ROLE
from actors.rows import limit_of
from actors.settings import ConnectionSettings
from domain import commands as c
from domain.commands import Query, ReadStream
from domain.orders import NewOrder, Side, TimeInForce
from domain.records import Record, Settled
from domain.rows import order_row
from domain.streams import Notice, NoticeKind, StreamUpdate
from gateway.passing import body_of
from ledger.projection import Books
from ledger.reader import JournalReader
from ledger.store import Store
from ledger.store_database import Database, find_url
from ledger.store_faults import StoreFailed
from ledger.store_opening import open_store
from ledger.store_rebuild import verify
from ledger.store_settings import StoreSettings
from tests.ledger.store_stories import DEPLOYMENT, a_life, append, write_journal

WAIT_S = 10
QUICK = StoreSettings(batch_records=50, gather_ms=1)
CONNECTIONS = (
    ConnectionSettings(
        id="oanda-1", owner="ann", broker="oanda", broker_account_id="1", account="oanda-1-account"
    ),
    ConnectionSettings(
        id="oanda-2", owner="bob", broker="oanda", broker_account_id="2", account="oanda-2-account"
    ),
)


def hello(role: str) -> Hello:
    return Hello(role=role, deployment=DEPLOYMENT, incarnation="i", pid=os.getpid())


class Running:
    """A ledger over a journal in a folder, and an edge that asks it."""

    def __init__(self, folder: Path, settings: StoreSettings) -> None:
        self.journal = folder / "journal"
        self.file = folder / "store.sqlite"
        self.opened = 0
        self.trouble: Exception | None = None
        self.ledger = Ledger(
            self._open, JournalReader(self.journal, DEPLOYMENT), LedgerReads(CONNECTIONS), settings
        )
        self.answers: asyncio.Queue[Any] = asyncio.Queue()
        self.left: asyncio.Queue[Any] = asyncio.Queue()
        self.side = LedgerSide(self.answers.put_nowait, self.left.put_nowait)
        self._refs = 0

    def _open(self) -> Store:
        self.opened += 1
        if self.trouble is not None:
            raise self.trouble
        return open_store(None, self.file, DEPLOYMENT)

    def ask(self, what: str, owner: str = "ann", at_least: int = 0, **args: Any) -> None:
        self._refs += 1
        query = Query(ref=self._refs, owner=owner, what=what, args=args, at_least=at_least)
        self.side.ask(query)

    async def answer(self) -> Any:
        return await asyncio.wait_for(self.answers.get(), WAIT_S)

    async def rows(self, what: str, **words: Any) -> Any:
        self.ask(what, **words)
        answer = await self.answer()
        assert answer.error is None
        return msgpack.decode(answer.body)

    async def refused(self, what: str, **words: Any) -> str:
        self.ask(what, **words)
        return str((await self.answer()).error.code)

    async def left_to_router(self) -> Any:
        return await asyncio.wait_for(self.left.get(), WAIT_S)

    async def until(self, is_true: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not is_true():
                await asyncio.sleep(0.002)

    def position(self) -> int:
        store = self.ledger._store
        return store.cursor.position if store is not None else -1


@asynccontextmanager
async def running(
    folder: Path, records: list[Record], settings: StoreSettings = QUICK
) -> AsyncIterator[Running]:
    made = Running(folder, settings)
    if not made.journal.exists():
        write_journal(made.journal, records)
    # Its lock would live as long as its process: each start plays a process of its own.
    path = folder / f"l{len(list(folder.glob('*.lock')))}.sock"
    tasks = [
        asyncio.create_task(made.ledger.run(path, hello("ledger"))),
        asyncio.create_task(
            dial(path, lambda: Link(hello("edge-0"), m.edge_from_ledger, made.side))
        ),
    ]
    try:
        await made.until(lambda: made.side._link is not None)
        await made.until(lambda: made.trouble is not None or made.ledger.is_ready())
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@pytest.mark.asyncio
async def test_it_follows_a_journal_that_grows_and_resumes_where_it_was(short_folder: Path) -> None:
    records = a_life(1, 300)
    half = len(records) // 2
    async with running(short_folder, records[:half]) as ledger:
        await ledger.until(lambda: ledger.position() == half)
        for at in range(half, len(records) - 10, 20):
            append(ledger.journal, records[at : min(at + 20, len(records) - 10)])
            await asyncio.sleep(0.003)
        await ledger.until(lambda: ledger.position() == len(records) - 10)
    async with running(short_folder, []) as ledger:
        append(ledger.journal, records[-10:])
        await ledger.until(lambda: ledger.position() == len(records))
        with closing(Database(find_url(None, ledger.file))) as database:
            found = verify(database, DEPLOYMENT, JournalReader(ledger.journal))
    assert found.position == len(records)
    assert found.differences == []


@pytest.mark.asyncio
async def test_its_rows_are_those_of_the_books_and_say_which_record_they_are_of(
    short_folder: Path,
) -> None:
    records = a_life(2, 200)
    books = Books()
    for record in records:
        books.apply(record)
    ours = [o for n in books.orders.all_ids() if (o := books.orders.get(n)) and o.owner == "ann"]
    ours.sort(key=lambda order: (order.received_ns, order.order_id), reverse=True)
    plain = [msgpack.decode(msgpack.encode(order_row(order))) for order in ours]
    async with running(short_folder, records) as ledger:
        ledger.ask("orders.list", at_least=len(records), status="all", limit=500)
        answer = await ledger.answer()
        assert answer.position == len(records)
        assert msgpack.decode(answer.body) == plain
        page = await ledger.rows("orders.list", status="all", limit=5)
        assert page == plain[:5]
        last = page[-1]["order_id"]
        assert await ledger.rows("orders.list", status="all", limit=5, before=last) == plain[5:10]
        assert await ledger.refused("orders.list", before="nobody's") == "unknown_order"
        fills = await ledger.rows("executions.since")
        assert {row["body"]["event"]["type"] for row in fills} == {"fill"}
        account = "oanda-1-account"
        (row,) = await ledger.rows("accounts.list")
        assert row["account"] == account
        found = await ledger.rows("account.get", account=account)
        assert found["balances"][0]["cash"] == "1000"
        assert await ledger.refused("account.get", account="oanda-2-account") == "unknown_account"
        moved = await ledger.rows("transactions.since", account=account, limit=3)
        assert [row["seq"] for row in moved] == sorted(row["seq"] for row in moved)
        assert moved[0]["transaction"]["account"] == account
        assert await ledger.refused("transactions.since", account="x") == "unknown_account"
        held = {p.instrument for k, p in books.positions.items() if k[0] == account and p.quantity}
        assert {row["instrument"] for row in await ledger.rows("positions.list")} == held


@pytest.mark.asyncio
async def test_a_long_replay_is_read_page_by_page(short_folder: Path) -> None:
    records = a_life(3, 200)
    told = [u for record in records for u in record.updates if u.stream == "orders/ann"]
    async with running(short_folder, records) as ledger:
        seen: list[Any] = []
        while len(seen) < len(told):
            after = seen[-1].seq if seen else 0
            ledger.side.ask(
                ReadStream(ref=after + 1, owner="ann", stream="orders/ann", after=after, limit=60)
            )
            page = await ledger.answer()
            assert (page.ref, page.head) == (after + 1, len(told))
            seen += page.updates
    assert [(u.stream, u.seq, u.at_ns, body_of(u)) for u in seen] == [
        (u.stream, u.seq, u.at_ns, u.body) for u in told
    ]


@pytest.mark.asyncio
async def test_a_read_waits_for_the_record_it_must_see(short_folder: Path) -> None:
    records = a_life(1, 90)
    slow = StoreSettings(gather_ms=1_000)
    async with running(short_folder, records[:-20], slow) as ledger:
        ledger.ask("orders.list", at_least=len(records), status="all", limit=500)
        await asyncio.sleep(0.05)
        assert ledger.answers.empty()
        append(ledger.journal, records[-20:])
        answer = await asyncio.wait_for(ledger.answers.get(), 0.4)
        assert answer.position == len(records)


@pytest.mark.asyncio
async def test_what_the_ledger_cannot_get_to_in_time_is_the_router_s(short_folder: Path) -> None:
    records = a_life(1, 30)
    async with running(short_folder, records) as ledger:
        ledger.ask("orders.list", at_least=len(records) + 1)
        left = await ledger.left_to_router()
        assert (left.what, left.at_least) == ("orders.list", len(records) + 1)
        assert ledger.ledger._waiting == {}


@pytest.mark.asyncio
async def test_a_ledger_that_is_behind_or_full_leaves_its_questions_to_the_router(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(short_folder, a_life(1, 30)) as ledger:
        for name, value in (("BEHIND_NS_MAX", -1), ("WAITING_MAX", 0)):
            with monkeypatch.context() as patch:
                patch.setattr(ledger_module, name, value)
                ledger.ask("positions.list")
                assert (await ledger.left_to_router()).what == "positions.list"
        assert await ledger.rows("orders.list", status="all")


@pytest.mark.asyncio
async def test_what_is_not_written_down_is_asked_of_the_router_at_once(short_folder: Path) -> None:
    async with running(short_folder, a_life(1, 30)) as ledger:
        for what in ("order.get", "quote.get", "connections.list", "instruments.list"):
            ledger.ask(what)
            assert ledger.left.get_nowait().what == what


@pytest.mark.asyncio
async def test_a_ledger_that_hangs_is_not_waited_for(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_side_module, "ANSWER_S_MAX", 0.05)
    monkeypatch.setattr(Ledger, "received", lambda *_: None)
    async with running(short_folder, a_life(1, 30)) as ledger:
        ledger.ask("orders.list")
        left = await ledger.left_to_router()
        assert left.what == "orders.list"
        ledger.side.received(None, c.QueryAnswer(ref=left.ref))  # type: ignore[arg-type]
        assert ledger.answers.empty()


@pytest.mark.asyncio
async def test_a_ledger_that_dies_owes_nothing(short_folder: Path) -> None:
    records = a_life(1, 30)
    async with running(short_folder, records) as ledger:
        ledger.ask("orders.list", at_least=len(records) + 1)
        ledger.ask("orders.list", at_least=len(records) + 1)
    assert [(await ledger.left_to_router()).ref for _ in range(2)] == [1, 2]
    ledger.ask("orders.list")
    assert (await ledger.left_to_router()).ref == 3
    ledger.side.received(None, c.QueryAnswer(ref=1))  # type: ignore[arg-type]
    assert ledger.answers.empty()


@pytest.mark.asyncio
async def test_a_store_that_will_not_open_is_tried_again(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "RETRY_S", 0.01)
    records = a_life(1, 30)
    async with running(short_folder, records) as ledger:
        ledger.trouble = StoreFailed("somewhere", "not now")
        with closing(Database(find_url(None, ledger.file))) as database, database.write() as sql:
            sql.exec_driver_sql("ALTER TABLE events RENAME TO gone")
        append(ledger.journal, _one_more(records))
        await ledger.until(lambda: ledger.opened > 3)
        ledger.ask("orders.list")
        assert (await ledger.left_to_router()).what == "orders.list"
        with closing(Database(find_url(None, ledger.file))) as database, database.write() as sql:
            sql.exec_driver_sql("ALTER TABLE gone RENAME TO events")
        ledger.trouble = None
        await ledger.until(lambda: ledger.position() == len(records) + 1)
        assert ledger.ledger.is_ready()


def _one_more(records: list[Record]) -> list[Record]:
    notice = Notice(kind=NoticeKind.BREAK, scope="account/x", message="look")
    update = StreamUpdate(stream="admin", seq=1, at_ns=1, body=notice)
    cause = Settled(why="more")
    return [replace(records[-1], number=len(records) + 1, cause=cause, updates=(update,))]


@pytest.mark.asyncio
async def test_a_read_that_fails_is_the_router_s(short_folder: Path) -> None:
    async with running(short_folder, a_life(1, 30)) as ledger:
        with closing(Database(find_url(None, ledger.file))) as database, database.write() as sql:
            sql.exec_driver_sql("ALTER TABLE positions RENAME TO gone")
        ledger.ask("positions.list")
        assert (await ledger.left_to_router()).what == "positions.list"


@pytest.mark.asyncio
async def test_a_store_the_journal_disowns_is_made_again(short_folder: Path) -> None:
    records = a_life(1, 60)
    store = open_store(None, short_folder / "store.sqlite", DEPLOYMENT)
    store.apply(records)
    store.close()
    async with running(short_folder, records[:-5]) as ledger:
        await ledger.until(lambda: ledger.position() == len(records) - 5)
        with closing(Database(find_url(None, ledger.file))) as database:
            assert verify(database, DEPLOYMENT, JournalReader(ledger.journal)).differences == []


def test_a_limit_is_kept_within_bounds() -> None:
    for asked, given in ((None, 100), (0, 100), (-5, 1), (7, 7), (10_000, 500)):
        query = Query(ref=1, owner="ann", what="orders.list", args={"limit": asked})
        assert limit_of(query) == given


# -- in a deployment


@pytest.mark.asyncio
async def test_an_order_is_in_the_ledger_s_list_as_soon_as_its_client_knows_of_it(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with deployment(short_folder, monkeypatch) as world:
        ledger = world.start_role(LEDGER_ROLE)
        edge, heard = await _edge(world)
        await world.until(lambda: edge.ledger._link is not None)
        for number in range(20):
            name = f"o-{number}"
            answer = await world.edge.say(c.Place(order=_market(name)))
            assert answer.decided[0].error is None
            await world.until(lambda: edge._position >= world.router.desk.books.number)
            edge.query(Query(ref=number, owner=OWNER, what="orders.list", args={"status": "all"}))
            rows = msgpack.decode((await asyncio.wait_for(heard.get(), WAIT_S)).body)
            assert name in {row["client_order_id"] for row in rows}
        await world.rest()
        edge.query(Query(ref=99, owner=OWNER, what="positions.list"))
        (held,) = msgpack.decode((await asyncio.wait_for(heard.get(), WAIT_S)).body)
        assert held["quantity"] == str(
            world.router.desk.books.positions[ACCOUNT, "EUR/USD"].quantity
        )
        world.router.desk.books.tail_max = 1
        await world.edge.say(c.Place(order=_market("last")))
        await world.rest()
        stream, seen = f"orders/{OWNER}", 0
        head = world.router.desk.books.heads[stream]
        for ref in range(100, 200):
            edge.read(ReadStream(ref=ref, owner=OWNER, stream=stream, after=seen, limit=7))
            page = await asyncio.wait_for(heard.get(), WAIT_S)
            assert page.head == head
            assert [u.seq for u in page.updates] == list(
                range(seen + 1, seen + 1 + len(page.updates))
            )
            seen += len(page.updates)
            if seen == head:
                break
            await asyncio.sleep(0 if page.updates else 0.05)
        assert seen == head
        ledger.cancel()
        await asyncio.wait([ledger])
        world._tasks.remove(ledger)
        with closing(Database(find_url(None, world.paths.store))) as database:
            journal = JournalReader(world.paths.journal)
            assert verify(database, "test", journal).differences == []


@pytest.mark.asyncio
async def test_without_a_ledger_the_router_answers_and_replays(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with deployment(short_folder, monkeypatch) as world:
        edge, heard = await _edge(world)
        await world.edge.say(c.Place(order=_market("o-1")))
        await world.rest()
        edge.query(Query(ref=1, owner=OWNER, what="orders.list", args={"status": "all"}))
        answer = await asyncio.wait_for(heard.get(), WAIT_S)
        assert msgpack.decode(answer.body)[0]["client_order_id"] == "o-1"
        world.router.desk.books.tail_max = 1
        await world.edge.say(c.Place(order=_market("o-2")))
        await world.rest()
        edge.read(ReadStream(ref=2, owner=OWNER, stream=f"orders/{OWNER}", after=0, limit=500))
        page = await asyncio.wait_for(heard.get(), WAIT_S)
        assert [update.seq for update in page.updates] == list(range(1, page.head + 1))


def _market(name: str) -> Any:
    return NewOrder(
        client_order_id=name, instrument="EUR/USD", side=Side.BUY, quantity=Decimal(100),
        time_in_force=TimeInForce.FOK,
    )  # fmt: skip


async def _edge(world: Any) -> tuple[Edge, asyncio.Queue[Any]]:
    """A real edge's links without its sockets; what it would tell a client is in the queue."""
    edge = Edge(world.stage("edge-7"))
    heard: asyncio.Queue[Any] = asyncio.Queue()

    def hear(message: Any) -> None:
        if isinstance(message, c.QueryAnswer | c.StreamPage):
            heard.put_nowait(message)

    edge.server.deliver = hear  # type: ignore[assignment,method-assign]
    edge.ledger._deliver = hear
    me, paths = edge._stage.hello, world.paths
    world.keep(dial(paths.socket("router"), lambda: Link(me, m.edge_from_router, RouterSide(edge))))
    world.keep(dial(paths.socket(LEDGER_ROLE), lambda: Link(me, m.edge_from_ledger, edge.ledger)))
    await world.until(lambda: edge._router is not None)
    return edge, heard
