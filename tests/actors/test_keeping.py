"""Keeping processes: started again, taken over, replaced; and what is left for a successor."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from actors import keeping
from actors.cluster import renew_raylet
from actors.handles import fetch_handles, offer_handles
from actors.keeping import Keeper, Kept, Wanted, find_start, until_ended
from actors.legacy import Legacy, read_legacy, write_json
from actors.paths import Paths
from actors.remains import end, find_remains
from actors.rolling import replace_edge
from actors.starts import WINDOW_NS, note_end, note_start

SLEEPER = (sys.executable, "-c", "import time; time.sleep(600)")
WAIT_S = 20.0
S = 1_000_000_000


async def until(is_true: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not is_true():
            await asyncio.sleep(0.01)


def a_stranger() -> subprocess.Popen[bytes]:
    return subprocess.Popen(SLEEPER, start_new_session=True)


@asynccontextmanager
async def kept(
    tmp_path: Path, wanted: Wanted, found: Kept | None = None
) -> AsyncIterator[tuple[Keeper, list[Kept]]]:
    told: list[Kept] = []
    keeper = Keeper(wanted, tmp_path, lambda _, one: told.append(one))
    task = asyncio.create_task(keeper.run(found))
    try:
        await until(lambda: keeper.kept)
        yield keeper, told
    finally:
        task.cancel()
        for one in told:
            keeping.send_signal(one, signal.SIGKILL)
            await until_ended(one)


@pytest.mark.asyncio
async def test_a_process_that_ends_is_started_again_with_its_renewed_command(
    tmp_path: Path,
) -> None:
    wanted = Wanted(role="x", command=(*SLEEPER, "1"), renew=lambda c: (*c[:-1], c[-1] + "1"))
    async with kept(tmp_path, wanted) as (keeper, told):
        first = keeper.kept
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: len(told) == 2)
        assert [one.command[-1] for one in told] == ["1", "11"]
        assert told[1].is_alive
        assert not first.is_alive


@pytest.mark.asyncio
async def test_a_process_that_lives_already_is_watched_and_replaced_at_its_end(
    tmp_path: Path,
) -> None:
    stranger = a_stranger()
    found = Kept(pid=stranger.pid, started=find_start(stranger.pid) or 0, command=SLEEPER)
    async with kept(tmp_path, Wanted(role="x", command=SLEEPER), found) as (keeper, told):
        await asyncio.sleep(0.05)
        assert (keeper.kept, told) == (found, [])
        stranger.kill()
        await until(lambda: told)
        assert told[0].pid != found.pid
        assert told[0].is_alive
    stranger.poll()


def test_a_number_given_to_another_process_is_not_the_one_that_was_kept() -> None:
    mine = find_start(os.getpid())
    assert mine is not None
    assert Kept(pid=os.getpid(), started=mine, command=()).is_alive
    assert not Kept(pid=os.getpid(), started=mine - 1, command=()).is_alive
    assert find_start(2**22 + 1) is None


@pytest.mark.asyncio
async def test_an_edge_is_swapped_once_the_next_one_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    paths = Paths(tmp_path / "home")
    paths.make()
    async with kept(tmp_path, Wanted(role="edge-0", command=SLEEPER)) as (keeper, told):
        before = keeper.kept
        assert before is not None
        replacing = asyncio.create_task(replace_edge(keeper, paths))
        await asyncio.sleep(0.05)
        assert keeper.kept is before
        (fresh,) = (child.pid for child in keeper._children if child.pid != before.pid)
        paths.waiting("edge-0", fresh).touch()
        await until(lambda: not before.is_alive)
        assert keeper.kept is not None
        assert keeper.kept.pid == fresh
        paths.beacon("edge-0").write_bytes(fresh.to_bytes(8, "little") + bytes(24))
        await replacing
        await asyncio.sleep(0.05)  # the end of the first starts nothing
        assert [one.pid for one in told] == [before.pid, fresh]


@pytest.mark.asyncio
async def test_one_that_never_comes_to_wait_is_given_up_and_the_first_serves_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("actors.rolling.TAKE_OVER_S", 0.1)
    paths = Paths(tmp_path / "home")
    paths.make()
    async with kept(tmp_path, Wanted(role="edge-0", command=SLEEPER)) as (keeper, told):
        before = keeper.kept
        with pytest.raises(TimeoutError):
            await replace_edge(keeper, paths)
        assert keeper.kept is before
        assert [one.is_alive for one in told] == [True]
        await until(lambda: sum(child.poll() is None for child in keeper._children) == 1)


# -- sockets


@pytest.mark.asyncio
async def test_a_successor_gets_the_very_sockets_that_an_edge_listens_on(tmp_path: Path) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    place = listening.getsockname()
    server = offer_handles(tmp_path / "handles", [listening])
    found = await asyncio.to_thread(fetch_handles, tmp_path / "handles")
    assert found is not None
    listening.close()
    (handed,) = found
    assert handed.getsockname() == place
    with socket.create_connection(place):
        pass  # it still listens
    handed.close()
    asyncio.get_running_loop().remove_reader(server)
    server.close()


def test_where_no_edge_lives_there_are_no_sockets(tmp_path: Path) -> None:
    assert fetch_handles(tmp_path / "none") is None


def test_a_stranger_at_the_path_hands_over_nothing(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "handles"))
        server.listen()
        child = os.fork()
        if child == 0:
            asking, _ = server.accept()
            socket.send_fds(asking, [b"rubbish"], [0])
            os._exit(0)
        assert fetch_handles(tmp_path / "handles") is None
        os.waitpid(child, 0)


# -- what is left


def test_what_is_left_is_read_again_and_rubbish_is_nothing(tmp_path: Path) -> None:
    left = Legacy(
        ray_address="127.0.0.1:1", listening=(("127.0.0.1", 2),),
        kept={"x": Kept(pid=1, started=2, command=("a", "b"))},
    )  # fmt: skip
    write_json(tmp_path / "kept.json", left)
    assert read_legacy(tmp_path / "kept.json") == left
    assert (tmp_path / "kept.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "kept.json").write_text("{")
    assert read_legacy(tmp_path / "kept.json") is None
    assert read_legacy(tmp_path / "none") is None


def test_remains_are_found_by_their_folder_and_their_part(tmp_path: Path) -> None:
    program = "import sys, time; sys.stdout.write('up'); sys.stdout.flush(); time.sleep(600)"
    home = tmp_path / "home"
    ours = [sys.executable, "-c", program, "actors.edge", str(home)]
    other = [sys.executable, "-c", program, "actors.edge", str(tmp_path / "else")]
    worker = ["ray::ActorHost", "-c", program]
    runtime = Paths(home).runtime
    environment = {**os.environ, "RAY_AUTH_TOKEN_PATH": f"{runtime}/ray.token"}
    processes = [
        subprocess.Popen(ours, stdout=subprocess.PIPE),
        subprocess.Popen(
            worker, executable=sys.executable, env=environment, stdout=subprocess.PIPE
        ),
        subprocess.Popen(other, stdout=subprocess.PIPE),
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.read(2) == b"up"
        found = find_remains(Paths(home))
        assert {one.pid for one in found} == {process.pid for process in processes[:2]}
        end(found)
        assert [process.poll() is None for process in processes] == [False, False, True]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_the_next_raylet_is_another_node_at_the_same_sockets(tmp_path: Path) -> None:
    path = tmp_path / "raylet"
    path.touch()
    node = "ab" * 28
    command = ("raylet", f"--raylet_socket_name={path}", f"--node_id={node}", f"agent --id={node}")
    renewed = renew_raylet(command)
    assert renewed[:2] == command[:2]
    fresh = renewed[2].removeprefix("--node_id=")
    assert len(fresh) == len(node)
    assert fresh != node
    assert renewed[3] == f"agent --id={fresh}"
    assert not path.exists()


# -- restarts


def test_only_ends_that_nobody_asked_for_count_as_restarts(tmp_path: Path) -> None:
    path = tmp_path / "router.starts"
    assert note_start(path, 1 * S) == 0
    assert note_start(path, 2 * S) == 1  # it crashed
    note_end(path)
    assert note_start(path, 3 * S) == 1  # it left
    assert note_start(path, 4 * S) == 2


def test_restarts_are_forgotten_after_a_minute_and_after_a_reboot(tmp_path: Path) -> None:
    path = tmp_path / "router.starts"
    for second in range(1, 6):
        note_start(path, second * S)
    assert note_start(path, 5 * S + WINDOW_NS) == 2
    assert note_start(path, 1 * S) == 1  # the boot clock began anew


def test_a_file_that_cannot_be_read_counts_nothing(tmp_path: Path) -> None:
    path = tmp_path / "router.starts"
    path.write_bytes(b"\xff")
    assert note_start(path, 1 * S) == 0
