"""P2: the rules of RFC 6455, each whole, byte by byte, and cut anywhere, by an independent peer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

from bench.dst.deployment import EDGE_ADDRESS
from bench.dst.loop import Process
from bench.dst.story import Story, a_story
from bench.framing import CLOSES, RIGHT, WRONG
from bench.goal import Goal, Tally
from gateway.settings import SUBPROTOCOL_JSON

WAYS = ("whole", "byte by byte", "cut anywhere")
CASES: tuple[tuple[str, bytes, int | None], ...] = (
    *WRONG, *((name, data, None) for name, data in RIGHT), *CLOSES,
)  # fmt: skip
"""Name, bytes, and the code to be closed with; None where the request must be answered."""
DRIPPED_BYTES_MAX = 1_000
START_S, LOGIN_S, ANSWER_S = 0.3, 0.1, 0.5


class Peer(asyncio.Protocol):
    """A wsproto client on a simulated link, which can also write raw bytes."""

    def __init__(self) -> None:
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.events: list[Any] = []
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Asks for the upgrade."""
        self.transport = transport
        headers = [(b"Authorization", b"Bearer fg_x")]
        request = Request(
            host="x", target="/ws", subprotocols=[SUBPROTOCOL_JSON], extra_headers=headers
        )
        transport.write(self.ws.send(request))

    def data_received(self, data: bytes) -> None:
        """Understands; logs in once it is let in."""
        self.ws.receive_data(data)
        for event in self.ws.events():
            self.events.append(event)
            if isinstance(event, AcceptConnection):
                login = TextMessage(data='{"t":"login","session":"s"}')
                self.transport.write(self.ws.send(login))

    def outcome(self) -> int | str | None:
        """The code it was closed with, None where the request was answered; or what else."""
        codes = [int(event.code) for event in self.events if isinstance(event, CloseConnection)]
        if codes:
            return codes[0]
        texts = [event.data for event in self.events if isinstance(event, TextMessage)]
        # The peer tells a message in the parts it came in.
        if '"id":"p"' in "".join(texts):
            return None
        return "nothing"


async def run(trials: int, seed: int) -> Tally:
    """Each case in each way, over and over up to `trials`."""
    tally = Tally(trials=trials, counts=dict.fromkeys(WAYS, 0) | {"cases": len(CASES)})
    with a_story(seed) as story:
        story.begin()
        story.pass_s(START_S)
        for number in range(trials):
            name, data, expected = CASES[number // len(WAYS) % len(CASES)]
            way = WAYS[number % len(WAYS)]
            tally.counts[way] += 1
            found = _try(story, _pieces(data, way, story.luck))
            if found != expected:
                tally.violations += 1
                wrong = f"seed {seed}: {name}, {way}: {found} instead of {expected}"
                tally.details.append(wrong)
    return tally


def _pieces(data: bytes, way: str, luck: Random) -> Iterator[bytes]:
    if way == "byte by byte" and len(data) <= DRIPPED_BYTES_MAX:
        yield from (data[i : i + 1] for i in range(len(data)))
        return
    cuts = [0, len(data)]
    if way == "cut anywhere":
        cuts += luck.choices(range(len(data)), k=3)
    cuts.sort()
    yield from (data[a:b] for a, b in pairwise(cuts))


def _try(story: Story, pieces: Iterator[bytes]) -> int | str | None:
    """What a peer of its own gets for the bytes, once it is logged in."""
    peer, process = Peer(), Process("peer")
    story.loop.start(process, _dial(story, peer))
    story.pass_s(LOGIN_S)
    for piece in pieces:
        peer.transport.write(piece)
        story.pass_s(0.000_05)
    story.pass_s(ANSWER_S)
    found = peer.outcome()
    process.is_alive = False
    story.deployment.network.bury(process)
    return found


async def _dial(story: Story, peer: Peer) -> None:
    await story.deployment.network.connect(EDGE_ADDRESS, lambda: peer)


GOAL = Goal(
    id="P2",
    says="the server keeps every rule of the ported RFC 6455 case list",
    unit="cases",
    short=len(CASES) * len(WAYS),
    long=len(CASES) * len(WAYS),
    batch=len(CASES) * len(WAYS),
    run=run,
)
