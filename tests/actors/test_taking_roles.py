"""Roles: taken, waited for, left on request, and put in quarantine where they start too often."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from connection_world import Wired
from deployment_in_process import SETTINGS
from router_world import PAPER, World, market_order, new_order
from virtual_time import in_virtual_time

from actors import host as host_module
from actors import messages as m
from actors.clocks import Clocks
from actors.draining import drain
from actors.host import Leaving, Stage, sit_out
from actors.link import Hello, PathLock
from actors.paths import Paths, connection_role
from actors.router.sides import ComplianceSide, ConnectionSide
from actors.settings import load
from actors.standing_by import stand_by
from actors.starts import note_start
from domain.records import EpochStarted, Halted, HaltScope, Record
from domain.streams import Notice
from ledger.journal import JournalSettings, LocalJournal, init

SOON_S = 0.05
SEGMENT = JournalSettings(
    segment_bytes=1024 * 1024, reserve_bytes=65_536, prepare_in_background=False
)


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    paths = Paths(tmp_path / "home")
    paths.make()
    paths.settings.write_text(SETTINGS)
    init(paths.journal, "test", SEGMENT)
    return paths


def stage_of(paths: Paths, role: str = "compliance") -> Stage:
    stage = Stage(role, paths.home)
    stage.beacon.stop()
    return stage


# -- waiting


@pytest.mark.asyncio
async def test_a_role_that_nobody_has_is_taken_at_once(paths: Paths) -> None:
    assert await stand_by("compliance", paths, load(paths.settings)) is None
    assert not PathLock(paths.place("compliance")).try_take()
    assert not list(paths.runtime.glob("compliance.waiting.*"))


@pytest.mark.asyncio
async def test_who_waits_says_so_and_takes_the_role_when_it_is_free(paths: Paths) -> None:
    holder = PathLock(paths.place("compliance"))
    assert holder.try_take()
    waiting = asyncio.create_task(stand_by("compliance", paths, load(paths.settings)))
    await asyncio.sleep(SOON_S)
    assert not waiting.done()
    assert paths.waiting("compliance", os.getpid()).exists()
    holder.release()
    await asyncio.wait_for(waiting, 5)
    assert not paths.waiting("compliance", os.getpid()).exists()


@pytest.mark.asyncio
async def test_a_router_that_waits_has_read_the_journal_before_its_turn(paths: Paths) -> None:
    holder = PathLock(paths.place("router"))
    assert holder.try_take()
    journal = LocalJournal(paths.journal, "test", SEGMENT)
    waiting = asyncio.create_task(stand_by("router", paths, load(paths.settings)))
    await asyncio.sleep(SOON_S)
    cause = EpochStarted(boot_id="b", incarnation="i")
    journal.append(Record(number=1, epoch=1, at_ns=1, cause=cause, updates=()))
    journal.commit()
    await asyncio.sleep(SOON_S)
    holder.release()
    shadow = await asyncio.wait_for(waiting, 5)
    assert shadow is not None
    assert shadow._books is not None
    assert shadow._books.number == 1
    journal.close()


@pytest.mark.asyncio
async def test_a_journal_that_cannot_be_read_ahead_keeps_nobody_from_waiting(paths: Paths) -> None:
    holder = PathLock(paths.place("router"))
    assert holder.try_take()
    for segment in paths.journal.iterdir():
        segment.unlink()
    waiting = asyncio.create_task(stand_by("router", paths, load(paths.settings)))
    await asyncio.sleep(SOON_S)
    assert not list(paths.runtime.glob("router.waiting.*"))  # not ready to take over quickly
    holder.release()
    assert await asyncio.wait_for(waiting, 5) is not None


# -- leaving


@pytest.mark.asyncio
async def test_who_is_asked_to_leave_ends_what_is_under_way_once_then_goes(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[Any] = []
    monkeypatch.setattr(host_module.os, "_exit", steps.append)
    stage = stage_of(paths)

    async def retire() -> None:
        steps.append("retired")

    stage.retire = retire
    leaving = Leaving(stage)
    for _ in range(2):
        leaving.received(None, m.Leave())  # type: ignore[arg-type]
    await asyncio.sleep(SOON_S)
    assert steps == ["retired", 0]
    assert note_start(paths.starts("compliance"), stage.clocks.boot_ns()) == 0  # no crash


@pytest.mark.asyncio
async def test_what_does_not_end_in_time_is_not_waited_for(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(host_module.os, "_exit", codes.append)
    monkeypatch.setattr(host_module, "RETIRE_S_MAX", 0.01)
    stage = stage_of(paths)
    stage.retire = asyncio.Event().wait  # type: ignore[assignment]
    Leaving(stage).received(None, m.Leave())  # type: ignore[arg-type]
    await asyncio.sleep(SOON_S)
    assert codes == [0]


@in_virtual_time
async def test_a_connection_leaves_when_its_orders_have_their_answers(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.hear(link, wired.dispatch(1, market_order("o-1")))
    wired.connection.telling.router = link  # type: ignore[assignment]
    leaving = asyncio.create_task(drain(wired.connection))
    await asyncio.sleep(0)
    assert wired.told(m.Attached)[-1].credits == 0
    await asyncio.sleep(SOON_S)
    assert len(wired.placed()) == 1
    assert not leaving.done()  # the outcome is not durable yet
    held = wired.connection.telling.outbox
    wired.hear(link, m.Freed(incarnation=held.incarnation, last=held.next - 1))
    await asyncio.sleep(SOON_S)
    assert leaving.done()
    await wired.stop()


# -- quarantine


def crash(paths: Paths, role: str, times: int) -> Stage:
    for _ in range(times):
        stage = stage_of(paths, role)
    return stage


def test_more_restarts_than_allowed_are_quarantine_for_a_minute(paths: Paths) -> None:
    role = connection_role("paper-1")
    assert not crash(paths, role, 6).hello.is_quarantined  # a start and five restarts
    stage = crash(paths, role, 1)
    assert stage.hello.is_quarantined
    stage.clocks = Clocks(stage.clocks.utc_ns, lambda: stage._calm_ns)
    assert not stage.hello.is_quarantined


@pytest.mark.asyncio
async def test_a_role_in_quarantine_waits_before_it_starts(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_module, "QUARANTINE_PAUSE_S", SOON_S)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await sit_out(crash(paths, "ledger", 1))
    assert loop.time() - began < SOON_S
    await sit_out(crash(paths, "ledger", 7))
    assert loop.time() - began >= SOON_S


def in_quarantine(role: str) -> Hello:
    return Hello(role=role, deployment="test", incarnation="i", pid=1, is_quarantined=True)


def halts(world: World) -> list[Halted]:
    return list(world.router.desk.halts())


def test_the_accounts_of_a_connection_in_quarantine_may_only_cancel() -> None:
    world = World().open()
    resting = world.place(new_order("rests"))
    assert resting.error is None
    link = world.links[PAPER]
    link.peer = in_quarantine(connection_role(PAPER))
    ConnectionSide(world.router, PAPER).link_up(link)  # type: ignore[arg-type]
    (halt,) = halts(world)
    assert (halt.scope, halt.subject, halt.by) == (HaltScope.CONNECTION, PAPER, "fillgate")
    refused = world.place(new_order("new"))
    assert refused.error is not None
    assert refused.error.code == "halted"
    assert world.cancel("rests").error is None
    told = [
        update.body
        for record in world.journal.records()
        for update in record.updates
        if isinstance(update.body, Notice)
    ]
    assert any("quarantine" in notice.message for notice in told)


def test_compliance_in_quarantine_halts_everything_once() -> None:
    world = World().open()
    link = world.links["compliance"]
    link.peer = in_quarantine("compliance")
    for _ in range(2):
        ComplianceSide(world.router).link_up(link)  # type: ignore[arg-type]
    (halt,) = halts(world)
    assert halt.scope is HaltScope.ALL


# -- a process of its own


def test_the_kernel_gives_a_role_on_the_moment_its_process_is_killed(paths: Paths) -> None:
    program = (
        "import sys, time; from pathlib import Path; from actors.link import PathLock;"
        f"lock = PathLock(Path({str(paths.place('router'))!r})); "
        "print(lock.try_take(), flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"True\n"
        mine = PathLock(paths.place("router"))
        assert not mine.try_take()
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert mine.try_take()
