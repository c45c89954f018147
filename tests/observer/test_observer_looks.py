"""The observer's look: who lives, who was started anew, what goes on the page, who is told."""

from __future__ import annotations

import asyncio
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from actors.beacon import boot_ns
from actors.edge_figures import node_metrics
from actors.figures import Figures
from actors.observer import main as observer_main
from actors.observer.main import Observer, read_observed
from actors.observer.node import AGE_NS_MAX, NodeWatch
from tests.observer.observer_world import lay_pages, make_node, observer_of

_HEAD = struct.Struct("<QQQQ")


def _change(path: Path, pid: int | None = None, at_ns: int | None = None) -> None:
    with path.open("r+b") as file:
        old = _HEAD.unpack(file.read(_HEAD.size))
        file.seek(0)
        file.write(_HEAD.pack(pid or old[0], old[1], at_ns or old[2], old[3]))


def _up(figures: Figures) -> float:
    return figures.values["fillgate_role_up"][""]


def test_a_role_is_up_while_its_process_lives_and_its_page_is_young(tmp_path: Path) -> None:
    paths, settings = make_node(tmp_path)
    watch = NodeWatch(paths, settings)
    assert all(_up(figures) == 0 for role, figures in watch.look().items() if role == "router")
    lay_pages(paths, settings)
    node = watch.look()
    ours = node.keys() - {"observer", "ray-gcs", "ray-raylet"}
    assert {role: _up(node[role]) for role in ours} == dict.fromkeys(ours, 1)
    assert node["router"].values["fillgate_process_open_files"][""] > 0
    _change(paths.figures("router"), at_ns=boot_ns() - AGE_NS_MAX - 1)
    router = watch.look()["router"]
    assert _up(router) == 0
    assert "fillgate_trading" not in router.values, "what the dead said is not shown"


def test_a_page_of_a_dead_process_is_not_shown(tmp_path: Path) -> None:
    paths, settings = make_node(tmp_path)
    lay_pages(paths, settings)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    _change(paths.figures("router"), pid=child.pid)
    assert _up(NodeWatch(paths, settings).look()["router"]) == 0


def test_a_new_process_of_a_role_is_a_restart(tmp_path: Path) -> None:
    paths, settings = make_node(tmp_path)
    lay_pages(paths, settings)
    watch = NodeWatch(paths, settings)
    watch.look()
    _change(paths.figures("router"), pid=os.getppid())
    for _ in range(2):
        node = watch.look()
    assert node["router"].values["fillgate_restarts_total"] == {"": 1}
    assert node["compliance"].values["fillgate_restarts_total"] == {"": 0}


def test_rays_processes_are_found_by_their_command_lines(tmp_path: Path) -> None:
    paths, settings = make_node(tmp_path)
    watch = NodeWatch(paths, settings)
    assert _up(watch.look()["ray-gcs"]) == 0
    session = str(paths.runtime / "ray")
    # Ray's processes are told by the first words of their command lines.
    code = "gcs_server = __import__('time').sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code, session])
    try:
        end = time.monotonic() + 10
        while _up(watch.look()["ray-gcs"]) == 0 and time.monotonic() < end:
            time.sleep(0.05)
        assert _up(watch.look()["ray-gcs"]) == 1
    finally:
        child.kill()
        child.wait()
    assert _up(watch.look()["ray-gcs"]) == 0


def test_the_observer_adds_what_is_seen_from_outside(tmp_path: Path) -> None:
    paths, settings = make_node(tmp_path)
    lay_pages(paths, settings)
    told = NodeWatch(paths, settings).look()["observer"].values
    assert told["fillgate_journal_free_bytes"][""] > 0
    assert told["fillgate_ledger_behind_records"][""] == 2
    assert told["fillgate_clock_synchronized"][""] in (0, 1)


@pytest.mark.asyncio
async def test_a_look_writes_the_page_that_every_edge_shows(tmp_path: Path) -> None:
    paths, settings = make_node(tmp_path)
    lay_pages(paths, settings)
    read = node_metrics(paths.metrics, CollectorRegistry())
    assert read() == b"", "until then an edge speaks for itself"
    observer_of(paths, settings).look(time.time_ns())
    assert b'fillgate_orders{role="router",state="live"} 3.0' in read()
    assert b"fillgate_observed_timestamp_seconds" in read()
    os.utime(paths.metrics, (1, 1))
    assert read() == b"", "an old page is no longer shown"


@pytest.mark.asyncio
async def test_an_alarm_goes_to_the_webhook_and_survives_the_observer(tmp_path: Path) -> None:
    bodies: list[bytes] = []
    server = await asyncio.start_server(lambda r, w: _answer(r, w, bodies), "127.0.0.1", 0)
    urls = tmp_path / "urls"
    port = server.sockets[0].getsockname()[1]
    urls.write_text(f"# people on call\njson://127.0.0.1:{port}/hook\n")
    paths, settings = make_node(tmp_path, f'urls_file = "{urls}"')
    lay_pages(paths, settings, halts=1)
    observer = observer_of(paths, settings)
    now_ns = time.time_ns()
    assert [one.id for one in observer.look(now_ns)] == ["halted"]
    async with asyncio.timeout(10):
        while not bodies:
            await asyncio.sleep(0.01)
        await observer.finish()
    assert b"[warning] halted" in bodies[0]
    observer.look(now_ns + 1)
    assert (seen := read_observed(paths.observed)) is not None
    assert [known.told_ns for known in seen.known] == [now_ns]
    again = observer_of(paths, settings)
    assert [one.since_ns for one in again.look(now_ns + 2)] == [now_ns]
    await again.finish()
    assert len(bodies) == 1, "the next observer tells nobody twice"
    server.close()


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bodies: list[bytes]
) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    bodies.append(await reader.readexactly(size))
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


@pytest.mark.asyncio
async def test_nobody_is_told_while_a_node_starts(tmp_path: Path) -> None:
    paths, settings = make_node(tmp_path)
    observer = Observer(paths, settings, time.time_ns())
    observer.look(time.time_ns())
    assert (seen := read_observed(paths.observed)) is not None
    assert seen.known == []


@pytest.mark.asyncio
async def test_it_looks_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer_main, "LOOK_S", 0.01)
    paths, settings = make_node(tmp_path)
    task = asyncio.get_running_loop().create_task(observer_of(paths, settings).run())
    seen = set()
    async with asyncio.timeout(10):
        while len(seen) < 3:
            found = read_observed(paths.observed)
            seen.add(found.at_ns if found is not None else 0)
            await asyncio.sleep(0.01)
    task.cancel()


def test_its_process_looks_and_ends_by_a_signal(tmp_path: Path) -> None:
    paths, settings = make_node(tmp_path)
    lay_pages(paths, settings)
    child = subprocess.Popen([sys.executable, "-m", "actors.observer.main", str(paths.home)])
    try:
        end = time.monotonic() + 20
        while not paths.metrics.exists() and time.monotonic() < end:
            time.sleep(0.05)
        assert paths.metrics.exists()
        assert paths.metrics.stat().st_mode & 0o077 == 0
    finally:
        child.terminate()
        child.wait(10)
