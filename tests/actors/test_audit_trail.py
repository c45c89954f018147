"""The audit trail follows a growing journal, and its heads leave on time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.audit import AuditTrail
from actors.clocks import SYSTEM_CLOCKS, Clocks
from bench.audit_copies import DEPLOYMENT, check
from ledger import audit_heads
from ledger.audit_heads import AuditSettings, read_heads
from ledger.audit_log import AuditLog
from ledger.audit_verification import verify
from ledger.journal import LocalJournal
from ledger.reader import JournalReader
from tests.ledger.journal_stories import make, open_journal

NS_PER_MS = 1_000_000


class World:
    """A journal, a clock by hand, and the trail's parts."""

    def __init__(self, home: Path, settings: AuditSettings | None = None) -> None:
        self.home = home
        self.journal: LocalJournal = open_journal(make(home / "journal"))
        self.now_ns = 0
        clocks = Clocks(lambda: self.now_ns, lambda: self.now_ns)
        self.reader = JournalReader(home / "journal")
        self.trail = AuditTrail(
            self.open_log, self.reader, self.heads, settings or AuditSettings(), clocks
        )

    @property
    def heads(self) -> Path:
        return self.home / "heads.jsonl"

    def open_log(self) -> AuditLog:
        return AuditLog(self.home / "audit", DEPLOYMENT)

    def grow(self, count: int) -> None:
        for _ in range(count):
            self.journal.append(check(self.journal.last + 1))
        self.journal.commit()

    def sizes(self) -> list[int]:
        return [head.size for head in read_heads(self.heads)[0]]


def test_a_head_leaves_each_second_that_something_happened(tmp_path: Path) -> None:
    world = World(tmp_path)
    log = world.open_log()
    tail = log.follow(world.reader)
    assert not world.trail.step(log, tail)
    for waited_ms, grown in ((1, 3), (500, 1), (499, 1), (400, 2), (600, 0), (5_000, 0)):
        world.now_ns += waited_ms * NS_PER_MS
        world.grow(grown)
        world.trail.step(log, tail)
    assert world.sizes() == [0, 5, 7]
    log.close()


def test_a_head_leaves_after_a_thousand_records_at_the_latest(tmp_path: Path) -> None:
    world = World(tmp_path, AuditSettings(head_records=10))
    log = world.open_log()
    tail = log.follow(world.reader)
    world.trail.step(log, tail)
    world.grow(34)
    while world.trail.step(log, tail):
        pass
    assert world.sizes() == [0, 10, 20, 30]
    log.close()


def test_a_place_that_cannot_be_reached_does_not_hold_the_other_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = tmp_path / "away"
    told: list[str] = []
    monkeypatch.setattr("actors.audit.log.error", lambda what, **_: told.append(what))
    world = World(tmp_path, AuditSettings(heads_file=str(away / "heads.jsonl"), head_records=1))
    log = world.open_log()
    tail = log.follow(world.reader)
    for _ in range(3):
        world.grow(1)
        world.trail.step(log, tail)
    away.mkdir()
    world.grow(1)
    world.trail.step(log, tail)
    assert world.sizes() == [1, 2, 3, 4]
    assert [head.size for head in read_heads(away / "heads.jsonl")[0]] == [4]
    assert len(told) == 1
    log.close()


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def _running(trail: AuditTrail):  # type: ignore[no-untyped-def]
    task = asyncio.create_task(trail.follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_it_runs_beside_the_writer_and_goes_on_after_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.audit.RETRY_S", 0.02)
    world = World(tmp_path)
    trail = AuditTrail(
        world.open_log, world.reader, world.heads, AuditSettings(head_ms=10), SYSTEM_CLOCKS
    )

    async def story() -> None:
        other = world.open_log()  # an older one still holds it
        async with _running(trail):
            await asyncio.sleep(0.1)
            other.close()
            world.grow(25)
            await _until(lambda: world.heads.exists() and 25 in world.sizes())
        world.grow(5)
        async with _running(trail):
            await _until(lambda: 30 in world.sizes())

    asyncio.run(story())
    world.journal.close()
    heads, faults = audit_heads.read_heads(world.heads)
    report = verify(tmp_path / "audit", heads)
    assert (faults, report.faults, report.entries) == ([], (), 30)
