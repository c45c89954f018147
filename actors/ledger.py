"""The ledger actor: follows the journal into the relational store, and answers from it.

It reads the journal where that is kept, never over the router's link: the router does nothing
for it and loses nothing with it. A batch and the position after it are one transaction, so
killed anywhere it reads on where its rows end. SQL runs in threads; the loop only answers.

An edge asks for rows at least as new as what it has told its clients (`Query.at_least`); the
ledger waits a moment to get there. Where it cannot, the edge asks the router instead
(`AskRouter`), so nobody sees that the ledger is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog

from actors import messages as m
from actors.beacon import boot_ns
from actors.figures import Figures
from actors.ledger_reads import LedgerReads
from actors.link import Hello, Link, LinkOwner, listen
from domain.commands import Query, QueryAnswer, ReadStream, StreamPage
from domain.errors import ErrorInfo
from gateway.strict import encode_rows
from ledger.faults import JournalError
from ledger.following import Followable, Tail, read_batch
from ledger.store import Store, read_cursor
from ledger.store_database import READERS_MAX
from ledger.store_faults import StoreAstray, StoreError
from ledger.store_rebuild import read_on
from ledger.store_settings import StoreSettings

BEHIND_NS_MAX = 2_000_000_000
"""A ledger that was not at the journal's end for so long leaves its questions to the router."""
WAIT_S_MAX = 0.5
"""How long a read waits for the record it must see."""
WAITING_MAX = 1_000
RETRY_S = 1.0
HURRY_S = 0.002

log = structlog.get_logger()

OpenStore = Callable[[], Store]
Asked = Query | ReadStream


class Waiting:
    """A read that must see a record the store has not got yet."""

    def __init__(self, link: Link[Any], query: Query) -> None:
        self.link = link
        self.query = query


class Ledger(LinkOwner[Any]):
    """A plain class: the actor host gives it a loop."""

    def __init__(
        self,
        open_store: OpenStore,
        journal: Followable,
        reads: LedgerReads,
        settings: StoreSettings,
    ) -> None:
        self._open_store = open_store
        self._journal = journal
        self._reads = reads
        self._settings = settings
        self._store: Store | None = None
        self._at_end_ns = 0
        self._waiting: dict[Waiting, asyncio.TimerHandle] = {}
        self._hurry = asyncio.Event()
        self._under_way = 0
        self._writer = ThreadPoolExecutor(1, "ledger-writer")
        self._readers = ThreadPoolExecutor(READERS_MAX, "ledger-reader")

    async def run(self, path: Path, me: Hello) -> None:
        """Serves reads and follows the journal, for ever."""
        server, _lock = await listen(path, lambda: Link(me, m.ledger_inbox, self))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve_forever())
            tasks.create_task(self.follow())

    # -- following

    async def follow(self) -> None:
        """Follows the journal for ever; what goes wrong is logged, and tried again."""
        while True:
            try:
                await self._follow()
            except (StoreError, JournalError) as trouble:
                log.error("the ledger stands still", why=str(trouble))
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        store = await self._in_writer(self._open_store)
        tail: Tail | None = None
        try:
            tail = await self._in_writer(self._begin, store)
            self._store = store
            log.info("ledger", position=store.cursor.position, place=store.database.place)
            while True:
                is_at_end = await self._in_writer(self._step, store, tail)
                self._reached(store.cursor.position, is_at_end)
                if is_at_end:
                    await self._rest()
        finally:
            self._store, self._at_end_ns = None, 0
            if tail is not None:
                tail.close()
            store.close()

    def _begin(self, store: Store) -> Tail:
        """A cursor in the journal; a store that the journal disowns is made again."""
        try:
            return read_on(self._journal, store.cursor)
        except StoreAstray as trouble:
            log.error("the store is made again from the journal", why=str(trouble))
            store.clear()
            return read_on(self._journal, store.cursor)

    def _step(self, store: Store, tail: Tail) -> bool:
        """Applies one batch; True where the journal has no more now."""
        records = read_batch(tail, self._settings.batch_records)
        store.apply(records)
        return len(records) < self._settings.batch_records

    async def _rest(self) -> None:
        """Gathers what comes, unless somebody waits for it."""
        pause_s = HURRY_S if self._waiting else self._settings.gather_ms / 1000
        self._hurry.clear()
        try:
            async with asyncio.timeout(pause_s):
                await self._hurry.wait()
        except TimeoutError:
            pass

    async def _in_writer(self, work: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work, *args)

    def _reached(self, position: int, is_at_end: bool) -> None:
        if is_at_end:
            self._at_end_ns = boot_ns()
        for waiting in [w for w in self._waiting if w.query.at_least <= position]:
            self._waiting.pop(waiting).cancel()
            self._answer(waiting.link, waiting.query)

    # -- answering

    def received(self, link: Link[Any], message: Any) -> None:
        """An edge asks."""
        if self._store is None or not self._is_current() or self._is_full():
            link.send(m.AskRouter(ref=message.ref))
        elif isinstance(message, Query) and message.at_least > self._store.cursor.position:
            self._wait(link, message)
        else:
            self._answer(link, message)

    def _is_current(self) -> bool:
        return boot_ns() - self._at_end_ns <= BEHIND_NS_MAX

    def _is_full(self) -> bool:
        return len(self._waiting) + self._under_way >= WAITING_MAX

    def _wait(self, link: Link[Any], query: Query) -> None:
        waiting = Waiting(link, query)
        loop = asyncio.get_running_loop()
        self._waiting[waiting] = loop.call_later(WAIT_S_MAX, self._give_up, waiting)
        self._hurry.set()

    def _give_up(self, waiting: Waiting) -> None:
        self._waiting.pop(waiting)
        waiting.link.send(m.AskRouter(ref=waiting.query.ref))

    def _answer(self, link: Link[Any], asked: Asked) -> None:
        store = self._store
        assert store is not None
        self._under_way += 1
        work = asyncio.get_running_loop().run_in_executor(self._readers, self._read, store, asked)
        work.add_done_callback(lambda done: self._answered(link, done.result()))

    def _answered(self, link: Link[Any], answer: Any) -> None:
        self._under_way -= 1
        link.send(answer)

    def _read(self, store: Store, asked: Asked) -> QueryAnswer | StreamPage | m.AskRouter:
        """One moment of the store; the position is that moment's."""
        try:
            with store.database.read() as connection:
                if isinstance(asked, ReadStream):
                    return self._reads.page(connection, asked)
                position = read_cursor(connection).position
                rows = self._reads.rows(connection, asked)
        except StoreError as trouble:
            log.error("a read failed", why=str(trouble))
            return m.AskRouter(ref=asked.ref)
        if isinstance(rows, ErrorInfo):
            return QueryAnswer(ref=asked.ref, error=rows)
        return QueryAnswer(ref=asked.ref, position=position, body=encode_rows(rows))

    def is_ready(self) -> bool:
        """What a Pong says: reads are answered here."""
        return self._store is not None and self._is_current()

    def figures(self) -> Figures:
        """What it tells of itself once a second."""
        told = Figures()
        position = self._store.cursor.position if self._store is not None else 0
        told.put("fillgate_ledger_current", int(self.is_ready()))
        told.put("fillgate_ledger_records_total", position)
        told.put("fillgate_ledger_reads_waiting", len(self._waiting) + self._under_way)
        return told
