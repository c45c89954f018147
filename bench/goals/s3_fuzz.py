"""S3: bytes of a client, a broker or a link are understood, or refused as their reader expects."""

from __future__ import annotations

import asyncio
from functools import cache
from random import Random

from bench.fuzz import bend
from bench.fuzz_targets import LIFE, Feed, Target, targets
from bench.goal import Goal, Tally

CORPUS_SEED = 7
DETAILS_MAX = 20
TURN = 500
SHOWN_BYTES = 300


@cache
def _targets() -> tuple[Target, ...]:
    return tuple(targets(Random(CORPUS_SEED)))


async def run(trials: int, seed: int) -> Tally:
    """Feeds `trials` inputs, each target in its turn."""
    luck = Random(seed)
    places = _targets()
    counts = dict.fromkeys(("understood", *(place.name for place in places)), 0)
    tally = Tally(trials=trials, counts=counts)
    feeds: dict[str, Feed] = {}
    for number in range(trials):
        place = places[number % len(places)]
        if tally.counts[place.name] % LIFE == 0:
            feeds[place.name] = place.make()
        tally.counts[place.name] += 1
        data = bend(luck, place.corpus, place.words)
        try:
            tally.counts["understood"] += feeds[place.name](data, luck)
        except Exception as trouble:
            tally.violations += 1
            if len(tally.details) < DETAILS_MAX:
                shown = data[:SHOWN_BYTES]
                tally.details.append(
                    f"seed {seed}, input {number}, {place.name}: {trouble!r} of {shown!r}"
                )
            feeds[place.name] = place.make()
        if number % TURN == 0:
            await asyncio.sleep(0)
    return tally


GOAL = Goal(
    id="S3",
    says="no bytes of a client, a broker or a link raise what their reader does not expect",
    unit="inputs",
    short=8_000,
    long=5_000_000,
    batch=100_000,
    run=run,
)
