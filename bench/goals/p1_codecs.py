"""P1: every message of the protocol is the same in JSON and in msgpack, and comes back whole."""

from __future__ import annotations

import asyncio
from random import Random

from msgspec import Struct

from bench.generated import drawer
from bench.goal import Goal, Tally
from gateway import wire
from gateway.codec import JSON, MSGPACK

DETAILS_MAX = 20
TURN = 1_000
WORDS_MAX = 500

MESSAGES: tuple[type[Struct], ...] = (*wire.CLIENT_MESSAGES, *wire.SERVER_MESSAGES)


async def run(trials: int, seed: int) -> Tally:
    """Draws `trials` messages, each type in its turn."""
    tally = Tally(trials=trials, counts=dict.fromkeys((kind.__name__ for kind in MESSAGES), 0))
    luck = Random(seed)
    drawers = [(kind, drawer(kind)) for kind in MESSAGES]
    for number in range(trials):
        kind, draw = drawers[number % len(drawers)]
        message = draw(luck)
        tally.counts[kind.__name__] += 1
        wrong = find_difference(message)
        if wrong is not None:
            tally.violations += 1
            if len(tally.details) < DETAILS_MAX:
                tally.details.append(f"seed {seed}, message {number}: {wrong}"[:WORDS_MAX])
        if number % TURN == 0:
            await asyncio.sleep(0)
    return tally


def find_difference(message: Struct) -> str | None:
    """How the codecs differ about a message, or None."""
    is_request = isinstance(message, wire.ClientMessage)
    found = []
    for codec in (JSON, MSGPACK):
        decode = codec.decode_client if is_request else codec.decode_server
        try:
            found.append(decode(codec.encode(message)))
        except Exception as trouble:
            return f"{codec.name} of {message}: {trouble!r}"
    return None if found[0] == found[1] == message else f"{message}: {found}"


GOAL = Goal(
    id="P1",
    says="JSON and msgpack say the same of every message, and lose nothing of it",
    unit="messages",
    short=8_000,
    long=1_000_000,
    batch=100_000,
    run=run,
)
