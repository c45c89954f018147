"""Two bridges: links reach the machine that has the shard, and end when it falls silent."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from deployment_in_process import SETTINGS

from actors import bridge as bridge_module
from actors.bridge import Bridge
from actors.link import PathLock
from actors.paths import Paths
from actors.settings import (
    ClusterSettings,
    NodeSettings,
    RaySettings,
    Settings,
    find_node_faults,
    load,
)
from actors.shard import is_here, take, until_gone, until_here
from bench.two_nodes import make_keys
from ledger.journal import JournalSettings

WAIT_S = 10.0


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def until(is_true: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not is_true():
            await asyncio.sleep(0.01)


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Bridge, Bridge]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(bridge_module, "BEAT_S", 0.02)
    monkeypatch.setattr(bridge_module, "LOOK_S", 0.01)
    make_keys(tmp_path)
    nodes = tuple(NodeSettings(id=n, host="127.0.0.1", port=free_port()) for n in ("n1", "n2"))
    bridges = []
    for node in ("n1", "n2"):
        paths = Paths(tmp_path / node)
        paths.make()
        paths.settings.write_text(SETTINGS)
        bridges.append(Bridge(paths, settings_of(tmp_path, load(paths.settings), nodes, node)))
    return bridges[0], bridges[1]


def settings_of(
    keys: Path, settings: Settings, nodes: tuple[NodeSettings, ...], node: str
) -> Settings:
    cluster = ClusterSettings(
        node=node, ca_file=f"{keys}/ca.crt", cert_file=f"{keys}/{node}.crt",
        key_file=f"{keys}/{node}.key", ray_token_file=f"{keys}/ray.token",
    )  # fmt: skip
    return msgspec.structs.replace(settings, nodes=nodes, cluster=cluster)


@asynccontextmanager
async def running(*bridges: Bridge) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(bridge.run()) for bridge in bridges]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for bridge in bridges:
            bridge._close()
        await asyncio.sleep(0)


@asynccontextmanager
async def echo(path: Path) -> AsyncIterator[None]:
    """A router that says everything again."""

    async def again(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_unix_server(again, str(path))
    try:
        yield
    finally:
        server.close()


@pytest.mark.asyncio
async def test_a_link_reaches_the_machine_that_has_the_shard_and_ends_with_it(
    machines: tuple[Bridge, Bridge],
) -> None:
    near, far = machines
    shard = await take(far._paths.shard)
    router = near._paths.socket("router")
    async with echo(far._paths.socket("router")), running(near, far):
        await until(router.exists)
        reader, writer = await asyncio.open_unix_connection(str(router))
        writer.write(b"order")
        assert await asyncio.wait_for(reader.readexactly(5), WAIT_S) == b"order"
        # It is not here, so nobody of this machine may take the path.
        assert not PathLock(router.with_suffix(".lock")).try_take()
        shard.release()  # its router lost the journal
        assert await asyncio.wait_for(reader.read(), WAIT_S) == b""
        await until(lambda: not router.exists())
        assert PathLock(router.with_suffix(".lock")).try_take()
        writer.close()


@pytest.mark.asyncio
async def test_a_machine_that_falls_silent_has_the_shard_no_longer(
    machines: tuple[Bridge, Bridge], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge_module, "SILENCE_S", 0.2)
    near, far = machines
    frozen, for_ever = asyncio.Event(), asyncio.Event()

    async def tell(writer: asyncio.StreamWriter) -> None:
        if not frozen.is_set():
            writer.write(bridge_module.HERE)
        await for_ever.wait()

    monkeypatch.setattr(far, "_tell", tell)
    async with running(near, far):
        await until(lambda: near.holder is not None)
        frozen.set()
        await until(lambda: near.holder is None)
        for_ever.set()
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_the_shard_here_is_never_looked_for_elsewhere(
    machines: tuple[Bridge, Bridge],
) -> None:
    near, far = machines
    await take(far._paths.shard)
    await take(near._paths.shard)  # the other one is a zombie that knows nothing of it yet
    async with running(near, far):
        await until(lambda: near.holder is not None)
        await asyncio.sleep(0.1)
        assert not near._paths.socket("router").exists()


@pytest.mark.asyncio
async def test_without_a_certificate_of_the_nodes_nobody_is_answered(
    machines: tuple[Bridge, Bridge],
) -> None:
    near, _ = machines
    stranger = ssl.create_default_context()
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    async with running(near):
        await asyncio.sleep(0.05)
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await _ask(near, stranger)


async def _ask(bridge: Bridge, stranger: ssl.SSLContext) -> bytes:
    place = (bridge._own.host, bridge._own.port)
    reader, writer = await asyncio.open_connection(*place, ssl=stranger)
    writer.write(b"shard\n")
    return await asyncio.wait_for(reader.readexactly(1), WAIT_S)


@pytest.mark.asyncio
async def test_the_shard_is_where_a_router_holds_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.shard.GONE_S", 0.15)
    shard = tmp_path / "shard"
    assert not is_here(shard)
    waiting = asyncio.create_task(until_here(shard))
    lock = await take(shard)
    await asyncio.wait_for(waiting, WAIT_S)
    leaving = asyncio.create_task(until_gone(shard))
    await asyncio.sleep(0.3)
    assert not leaving.done()
    lock.release()
    await asyncio.wait_for(leaving, WAIT_S)


def test_several_machines_need_more_than_one_does(tmp_path: Path) -> None:
    home = tmp_path / "fillgate.toml"
    home.write_text(SETTINGS)
    plain = load(home)
    assert find_node_faults(plain) == []
    nodes = (NodeSettings(id="n1", host="10.0.0.1"),)
    faults = "\n".join(find_node_faults(msgspec.structs.replace(plain, nodes=nodes)))
    assert "node '' is not among [[nodes]]" in faults
    for word in ("postgres", "first_port", "ca_file", "cert_file", "key_file", "ray_token_file"):
        assert word in faults
    make_keys(tmp_path)
    whole = settings_of(tmp_path, plain, nodes, "n1")
    whole = msgspec.structs.replace(
        whole, journal=JournalSettings(backend="postgres"), ray=RaySettings(first_port=20_000)
    )
    assert find_node_faults(whole) == []
