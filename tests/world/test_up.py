"""The README's first steps, as a newcomer takes them: up, the example strategy, Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from decimal import Decimal
from pathlib import Path

import psutil
import pytest

from actors.paths import Paths
from bench.world import world
from domain.lifecycle import Status
from domain.orders import NewOrder, Side, TimeInForce
from gateway.client import Client

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "first_strategy.py"
ACCEPTED = (Status.LIVE, Status.FILLED)
FREE_PORTS = (
    ("port = 8765", "port = 0"),
    ("health_port = 8766", "health_port = 0"),
    ("rest_port = 8767", "rest_port = 0"),
)


async def fillgate(home: Path, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cli.main", "--home", str(home), *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


def take_free_ports(settings: Path) -> None:
    text = settings.read_text()
    for fixed, free in FREE_PORTS:
        assert fixed in text
        text = text.replace(fixed, free)
    settings.write_text(text)


async def until_ready(paths: Paths, process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(90):
        while not paths.ready.exists():
            assert process.returncode is None
            await asyncio.sleep(0.05)
    return str(json.loads(paths.ready.read_text())["url"])


def market(name: str) -> NewOrder:
    return NewOrder(
        client_order_id=name,
        instrument="EUR/USD",
        side=Side.BUY,
        quantity=Decimal(100),
        time_in_force=TimeInForce.FOK,
    )


@pytest.mark.asyncio
async def test_trading_outlives_the_supervisor_and_its_successor_takes_over_what_lives() -> None:
    async with world() as deployment:
        assert deployment.process is not None
        url, below = deployment.url, deployment.descendants()
        async with Client.connect(url, deployment.token, "stays") as client:
            socket = client._socket
            deployment.process.kill()
            await deployment.process.wait()
            assert (await client.place_and_wait(market("alone"))).status in ACCEPTED
            deployment.paths.ready.unlink()
            starting = asyncio.create_task(deployment.start())
            number = 0
            while not starting.done():
                number += 1
                await client.place_and_wait(market(f"m{number}"))
            await starting
            assert (await client.place_and_wait(market("kept"))).status in ACCEPTED
            assert (await client.place(market("alone"))).dup
            assert number > 10
            assert client._socket is socket  # connected all the while
        assert deployment.url == url
        gone = [process for process in below if not process.is_running()]
        assert gone == [], gone
        # It keeps them as the one before did, and none is left when it ends.
        deployment.kill("edge-0")
        async with Client.connect(url, deployment.token, "again") as client:
            assert (await client.place_and_wait(market("later"))).status in ACCEPTED
        await deployment.stop()
        assert [process for process in below if process.is_running()] == []


@pytest.mark.asyncio
async def test_up_trades_the_example_and_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = await fillgate(home, "init")
    await made.communicate()
    assert made.returncode == 0
    paths = Paths(home)
    take_free_ports(paths.settings)

    up = await fillgate(home, "up")
    url = await until_ready(paths, up)
    below = psutil.Process(up.pid).children(recursive=True)
    assert len(below) >= 6  # edge, watchdog, simulator, GCS, raylet, three actors

    example = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), url, paths.first_token.read_text().strip(),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(60):
        said, _ = await example.communicate()
    assert example.returncode == 0, said.decode()

    up.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        told, _ = await up.communicate()
    assert up.returncode == 0, told.decode()
    assert "order place" in told.decode()  # what to do next
    left = [process for process in below if process.is_running()]
    assert left == [], [process.cmdline() for process in left]
