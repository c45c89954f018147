"""S2: what is too large is refused and costs no memory; slow handshakes are cut, nobody is hurt."""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from collections.abc import Awaitable, Callable
from random import Random

from websockets.frames import Opcode

from bench.bare_world import BareWorld, bare_world
from bench.goal import Goal, Tally
from bench.raw_websocket import Raw, call, raw
from bench.stream_log import until_priced
from gateway.client import Client
from gateway.rest_operations import PREFIX
from gateway.settings import Limits

CUT_S_MAX = 5.0
GIVES_UP_S = 10.0
RSS_BYTES_MAX = 2 * 1024 * 1024
ROUNDS = 5
BOMB_BYTES = 64 * 1024 * 1024
PINGS = 400
PING_EVERY_S = 0.004
P99_FACTOR_MAX = 2.0
COMPARED_FROM = 500
"""So many slow handshakes and more also compare the others' round trips."""
BYTE_EVERY_S = 0.4
MESSAGE_MAX = Limits().message_bytes_in_max
BOMB = zlib.compress(bytes(BOMB_BYTES), 9)
HEAD = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nX-Slow: "


async def run(trials: int, seed: int) -> Tally:
    """All kinds of too much, several times; then so many slow handshakes at once."""
    tally = Tally(trials=trials)
    luck = Random(seed)
    async with bare_world() as world:
        await until_priced(world)
        for kind in (*KINDS, *KINDS):  # what a first time costs is not what each time costs
            await KINDS[kind](world)
        before = world.process("edge-0").memory_info().rss
        for _ in range(ROUNDS):
            ends = {kind: await attack(world) for kind, attack in KINDS.items()}
            tally.details += [
                f"{kind}: ended with {code}"
                for kind, code in ends.items()
                if code not in REFUSED[kind]
            ]
        grown = world.process("edge-0").memory_info().rss - before
        if grown > RSS_BYTES_MAX:
            tally.details.append(f"the edge grew by {grown / 2**20:.1f} MiB")
        await _slow_handshakes(world, trials, luck, tally)
    tally.counts |= {"oversized": ROUNDS * len(KINDS), "slow handshakes": trials}
    tally.violations = len(tally.details)
    tally.details = [f"seed {seed}: {detail}" for detail in tally.details[:10]]
    return tally


# -- too much


async def _websocket(world: BareWorld, say: Callable[[Raw], None]) -> int | None:
    """How a session ends that says this."""
    async with raw(world.port) as line:
        assert await line.upgrade(world.token) == 101
        await line.log_in("large")
        with contextlib.suppress(ConnectionError):
            say(line)
        return await line.close_code()


def _in_fragments(line: Raw) -> None:
    line.send(bytes(MESSAGE_MAX // 2), fin=False)
    for _ in range(3):
        line.send(bytes(MESSAGE_MAX // 2), Opcode.CONT, fin=False)


async def _one_message(world: BareWorld) -> int | None:
    return await _websocket(world, lambda line: line.send(bytes(MESSAGE_MAX + 1)))


async def _fragments(world: BareWorld) -> int | None:
    return await _websocket(world, _in_fragments)


async def _promised(world: BareWorld) -> int | None:
    """A frame that says it has 2^62 bytes."""
    head = bytes((0x82, 0xFF)) + (1 << 62).to_bytes(8, "big") + bytes(4)
    return await _websocket(world, lambda line: line.writer.write(head))


async def _bomb(world: BareWorld) -> int | None:
    """A small message that would inflate to 64 MiB."""
    return await _websocket(world, lambda line: line.send(BOMB[:MESSAGE_MAX], packed=True))


async def _body(world: BareWorld) -> int | None:
    return await _call(world, bytes(MESSAGE_MAX + 1))


async def _packed_body(world: BareWorld) -> int | None:
    return await _call(world, BOMB[: MESSAGE_MAX // 2], "deflate")


async def _call(world: BareWorld, body: bytes, coding: str | None = None) -> int:
    headers = {"Authorization": f"Bearer {world.token}", "Content-Type": "application/json"}
    if coding is not None:
        headers["Content-Encoding"] = coding
    return (await call(world.rest_port, "POST", f"{PREFIX}/orders", headers, body)).status


Attack = Callable[[BareWorld], Awaitable[int | None]]
KINDS: dict[str, Attack] = {
    "one message": _one_message,
    "fragments": _fragments,
    "a promise": _promised,
    "a deflate bomb": _bomb,
    "a REST body": _body,
    "a packed REST body": _packed_body,
}
REFUSED: dict[str, frozenset[int | None]] = {
    "one message": frozenset({1009}),
    "fragments": frozenset({1009}),
    "a promise": frozenset({1009}),
    "a deflate bomb": frozenset({1002}),
    "a REST body": frozenset({413}),
    "a packed REST body": frozenset({400, 415}),
}
assert REFUSED.keys() == KINDS.keys()


# -- too slow


async def _slow_handshakes(world: BareWorld, count: int, luck: Random, tally: Tally) -> None:
    async with Client.connect(world.url, world.token, "good") as client:
        alone = await _pings(client)
        dripping = [
            asyncio.create_task(_drip(world.port if number % 2 else world.rest_port, luck))
            for number in range(count)
        ]
        beside = await _pings(client)
        took = await asyncio.gather(*dripping)
    late = [seconds for seconds in took if seconds > CUT_S_MAX]
    if late:
        tally.details.append(f"{len(late)} slow handshakes lived {max(late):.1f} s")
    tally.samples_us["slow handshake cut"] = [int(seconds * 1e6) for seconds in took]
    tally.samples_us |= {"others alone": alone, "others beside": beside}
    factor = _p99(beside) / _p99(alone)
    tally.counts["p99 factor x100"] = round(factor * 100)
    if count >= COMPARED_FROM and factor >= P99_FACTOR_MAX:
        tally.details.append(f"the others' p99 rose by a factor of {factor:.1f}")


async def _pings(client: Client) -> list[int]:
    found = []
    for _ in range(PINGS):
        found.append(await client.ping() // 1_000)
        await asyncio.sleep(PING_EVERY_S)
    return found


def _p99(samples: list[int]) -> int:
    return sorted(samples)[int(len(samples) * 0.99)]


async def _drip(port: int, luck: Random) -> float:
    """A request that never ends; how long it was suffered."""
    await asyncio.sleep(luck.random())
    began = time.monotonic()
    async with raw(port) as line:
        line.writer.write(HEAD)
        over = asyncio.create_task(_until_cut(line))
        while not over.done() and time.monotonic() - began < GIVES_UP_S:
            with contextlib.suppress(ConnectionError):
                line.writer.write(b"x")
            await asyncio.wait((over,), timeout=BYTE_EVERY_S)
        over.cancel()
    return time.monotonic() - began


async def _until_cut(line: Raw) -> None:
    with contextlib.suppress(ConnectionError):
        await line.reader.read(-1)


GOAL = Goal(
    id="S2",
    says="oversized and inflating messages cost < 2 MiB; 500 slow handshakes are cut within 5 s",
    unit="slow handshakes",
    short=60,
    long=2_000,
    batch=500,
    run=run,
    bars_us={"slow handshake cut max": 5_000_000},
)
