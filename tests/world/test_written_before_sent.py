"""Seen by system-call trace: the disk has an order before the broker has its first byte."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
from decimal import Decimal
from pathlib import Path

import pytest

from bench.world import CONNECTION_ROLE, world
from domain.orders import NewOrder, Side, TimeInForce
from gateway.client import Client

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed (apt-get install strace)"
)
ORDERS = 30
SYNC = re.compile(r"^\d+ +(\d+\.\d+) fdatasync\(\d+\) += 0 <(\d+\.\d+)>")
POST = re.compile(r"^\d+ +(\d+\.\d+) (?:write|writev|sendto|sendmsg)\(.*POST /v3/accounts")


async def trace(pid: int, calls: str, output: Path) -> asyncio.subprocess.Process:
    """Follows a process's system calls, stamped with the time of day and how long each took."""
    process = await asyncio.create_subprocess_exec(
        "strace", "-f", "-ttt", "-T", "-s", "64", "-e", f"trace={calls}", "-o", str(output),
        "-p", str(pid), stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    while b"attached" not in await process.stderr.readline():
        assert process.returncode is None
    return process


def market(number: int) -> NewOrder:
    return NewOrder(
        client_order_id=f"s{number}",
        instrument="EUR/USD",
        side=Side.BUY if number % 2 else Side.SELL,
        quantity=Decimal(100 + number),
        time_in_force=TimeInForce.FOK,
    )


@pytest.mark.asyncio
async def test_an_order_is_on_disk_before_its_first_byte_leaves(tmp_path: Path) -> None:
    synced, sent = tmp_path / "router", tmp_path / "connection"
    async with (
        world() as deployment,
        Client.connect(deployment.url, deployment.token, "trace") as client,
    ):
        await asyncio.sleep(1.0)
        tracers = [
            await trace(deployment.pid("router"), "fdatasync", synced),
            await trace(deployment.pid(CONNECTION_ROLE), "write,writev,sendto,sendmsg", sent),
        ]
        for number in range(ORDERS):
            await client.place_and_wait(market(number))
        for tracer in tracers:
            tracer.send_signal(signal.SIGINT)
            await tracer.wait()

    ends = [
        float(found[1]) + float(found[2])
        for line in synced.read_text().splitlines()
        if (found := SYNC.match(line))
    ]
    lines = sent.read_text().splitlines()
    posts = [float(found[1]) for line in lines if (found := POST.match(line))]

    # Exactly two commits an order, and one request to the broker.
    assert len(posts) == ORDERS
    assert len(ends) == 2 * ORDERS
    for number, post in enumerate(posts):
        sending, outcome = ends[2 * number], ends[2 * number + 1]
        assert sending < post < outcome
