"""The watchdog: a silent process dies, a busy one is spared, a stopped one is not."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import watchdog as watchdog_module
from actors.beacon import Beacon, Declared, boot_ns
from actors.link import Hello, Link, LinkOwner, Ping, Pong, listen
from actors.messages import watchdog_inbox
from actors.paths import Paths
from actors.watchdog import Watched, watch

MS = 1_000_000


class Clock:
    """The boot clock, moved by hand."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000 * MS

    def __call__(self) -> int:
        return self.now_ns

    def pass_ms(self, ms: int) -> None:
        self.now_ns += ms * MS


class Line:
    """A link to a role: what was asked over it."""

    def __init__(self, pid: int) -> None:
        self.peer = Hello(role="router", deployment="test", incarnation="i", pid=pid)
        self.socket_pid = pid
        self.pings = 0
        self.is_closed = False

    def send(self, message: Any) -> None:
        assert isinstance(message, Ping)
        self.pings += 1

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(watchdog_module, "boot_ns", clock)
    return clock


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def declare(path: Path, state: Declared, beat_ns: int) -> None:
    path.write_bytes(struct.pack("<QQQQ", 1, state, 0, beat_ns))


def watched(tmp_path: Path, pid: int) -> tuple[Watched, Line, Path]:
    beacon = tmp_path / "router.beacon"
    one, line = Watched("router", beacon), Line(pid)
    one.link_up(line)  # type: ignore[arg-type]
    return one, line, beacon


def test_a_role_that_answers_lives(
    tmp_path: Path, clock: Clock, child: subprocess.Popen[bytes]
) -> None:
    one, line, _ = watched(tmp_path, child.pid)
    for _ in range(20):
        clock.pass_ms(800)
        one.look(0)
        one.answered()
    assert line.pings == 20
    assert child.poll() is None


def test_a_silent_role_is_killed_for_good(
    tmp_path: Path, clock: Clock, child: subprocess.Popen[bytes]
) -> None:
    one, line, _ = watched(tmp_path, child.pid)
    clock.pass_ms(850)
    one.look(0)
    assert child.poll() is None
    clock.pass_ms(1)
    one.look(0)
    assert child.wait(10) == -signal.SIGKILL
    assert line.is_closed
    one.look(0)  # forgotten: nothing more to do


@pytest.mark.parametrize(
    ("state", "granted_ms"),
    [(Declared.COMMITTING, 30_000), (Declared.STARTING, 60_000), (Declared.REPLAYING, 600_000)],
)
def test_a_role_that_declared_itself_busy_is_spared_while_it_beats(
    tmp_path: Path,
    clock: Clock,
    child: subprocess.Popen[bytes],
    state: Declared,
    granted_ms: int,
) -> None:
    one, _, beacon = watched(tmp_path, child.pid)
    clock.pass_ms(granted_ms)
    declare(beacon, state, clock.now_ns)
    one.look(0)
    assert child.poll() is None
    clock.pass_ms(1)
    declare(beacon, state, clock.now_ns)
    one.look(0)
    assert child.wait(10) == -signal.SIGKILL


def test_a_stopped_role_is_not_spared_whatever_it_had_declared(
    tmp_path: Path, clock: Clock, child: subprocess.Popen[bytes]
) -> None:
    one, _, beacon = watched(tmp_path, child.pid)
    declare(beacon, Declared.REPLAYING, clock.now_ns)
    child.send_signal(signal.SIGSTOP)
    clock.pass_ms(851)
    one.look(0)
    assert child.wait(10) == -signal.SIGKILL


def unheard(tmp_path: Path, pid: int, beat_ns: int) -> Watched:
    """A role that beat, and never said hello."""
    beacon = tmp_path / "router.beacon"
    beacon.write_bytes(struct.pack("<QQQQ", pid, Declared.WORKING, 0, beat_ns))
    return Watched("router", beacon)


def test_a_role_that_stopped_before_it_was_ever_heard_is_killed_too(
    tmp_path: Path, clock: Clock, child: subprocess.Popen[bytes]
) -> None:
    clock.now_ns = boot_ns()
    one = unheard(tmp_path, child.pid, clock.now_ns)
    clock.pass_ms(3_000)
    one.look(0)
    assert child.poll() is None
    clock.pass_ms(1)
    one.look(0)
    assert child.wait(10) == -signal.SIGKILL
    one.look(0)


def test_a_later_process_of_the_same_number_is_none_of_ours(
    tmp_path: Path, clock: Clock, child: subprocess.Popen[bytes]
) -> None:
    clock.now_ns = boot_ns()
    one = unheard(tmp_path, child.pid, clock.now_ns - 60_000_000_000)
    one.look(0)
    assert child.poll() is None


@pytest.mark.parametrize("pid", [1, os.getpid()])
def test_the_first_process_and_our_own_are_never_killed(
    tmp_path: Path, clock: Clock, pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "pidfd_open", killed.append)
    clock.now_ns = boot_ns()
    unheard(tmp_path, pid, clock.now_ns - 10_000_000_000).look(0)
    assert killed == []


def test_the_watchdog_s_own_lag_is_forgiven(
    tmp_path: Path, clock: Clock, child: subprocess.Popen[bytes]
) -> None:
    one, _, _ = watched(tmp_path, child.pid)
    clock.pass_ms(3_000)
    one.look(2_500 * MS)
    assert child.poll() is None


def test_a_role_that_went_by_itself_is_left_to_its_keeper(
    tmp_path: Path, clock: Clock, child: subprocess.Popen[bytes]
) -> None:
    one, line, _ = watched(tmp_path, child.pid)
    one.link_down(Line(child.pid))  # type: ignore[arg-type]
    one.look(0)
    assert line.pings == 1
    one.link_down(line)  # type: ignore[arg-type]
    clock.pass_ms(60_000)
    one.look(0)
    assert line.pings == 1
    assert child.poll() is None


def test_a_pid_used_again_by_another_is_not_killed(
    tmp_path: Path, clock: Clock, child: subprocess.Popen[bytes]
) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    one, line, _ = watched(tmp_path, gone.pid)
    clock.pass_ms(5_000)
    one.look(0)
    assert line.is_closed
    assert child.poll() is None


def test_a_role_that_dies_as_it_is_killed_is_no_trouble(
    tmp_path: Path, clock: Clock, child: subprocess.Popen[bytes]
) -> None:
    one, line, _ = watched(tmp_path, child.pid)
    child.kill()
    child.wait()
    clock.pass_ms(5_000)
    one.look(0)
    assert line.is_closed


def test_a_role_started_anew_has_its_full_time_again(
    tmp_path: Path, clock: Clock, child: subprocess.Popen[bytes]
) -> None:
    one, _, _ = watched(tmp_path, child.pid)
    clock.pass_ms(800)
    one.link_up(Line(child.pid))  # type: ignore[arg-type]
    clock.pass_ms(800)
    one.look(0)
    assert child.poll() is None


@pytest.mark.asyncio
async def test_real_links_are_pinged_and_their_answers_counted(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(short_folder))
    monkeypatch.setattr(watchdog_module, "PING_S", 0.01)
    paths = Paths(short_folder / "home")
    paths.make()
    beacon = Beacon(paths.beacon("router"))
    pinged = asyncio.Event()
    pings: list[int] = []

    class Role(LinkOwner[Any]):
        def is_ready(self) -> bool:
            pings.append(1)
            if len(pings) == 3:
                pinged.set()
            return True

    me = Hello(role="router", deployment="test", incarnation="i", pid=os.getpid())
    server, _ = await listen(paths.socket("router"), lambda: Link(me, watchdog_inbox, Role()))
    dog = Hello(role="watchdog", deployment="test", incarnation="", pid=os.getpid())
    task = asyncio.create_task(watch(paths, ["router"], dog))
    await asyncio.wait_for(pinged.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    server.close()
    beacon.stop()


def test_a_pong_reaches_the_watched_role(tmp_path: Path, clock: Clock) -> None:
    async def story() -> None:
        one = Watched("router", tmp_path / "b")
        link = watchdog_module._WatchLink(Line(1).peer, one)
        clock.pass_ms(700)
        link.pong(Pong(number=1, is_ready=True))
        assert one._answered_ns == clock.now_ns

    asyncio.run(story())
