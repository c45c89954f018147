"""What do the parts of an order's way take alone?

    python -m bench.parts [--times 20000] [--batches 200] [--json]

All in this one process, warm: both codecs, the router's steps for an order (over a journal in
memory, with the real screen behind it), and the journal on this disk. What is timed is checked:
orders decoded are those encoded, every one ended filled, every record committed is read back.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import uvloop
from msgspec import Struct

from bench.histogram import Histogram
from bench.recovery import Writer
from bench.router_alone import RouterAlone, be_quiet
from bench.section import Better, Figure, Section, finish, yardstick
from domain.lifecycle import Status
from domain.records import Record
from domain.streams import OrderUpdate
from gateway import wire
from gateway.codec import JSON, MSGPACK, Codec
from ledger.journal import JournalSettings, LocalJournal
from ledger.journal import init as init_journal

WARM_UP = 300
BATCH = 100
SEGMENT_BYTES = 64 * 1024 * 1024
CODECS = {"msgpack": MSGPACK, "JSON": JSON}
STEPS = {
    "decide": "router: an order arrives → compliance is asked",
    "screen": "compliance: the answer, house rules",
    "verdict": "router: the verdict → written down (in memory), sent to its connection",
    "outcome": "router: the broker's word → written down (in memory), sent to the edge",
}


class Plan(Struct, frozen=True, kw_only=True):
    """How often each part is timed; of the journal's batches there are fewer."""

    times: int = 20_000
    batches: int = 200


async def run(plan: Plan) -> Section:
    """All parts; the section, faults included."""
    section = Section(
        name="parts",
        question="What do the parts of an order's way take alone?",
        command="python -m bench.parts",
        figures=[],
    )
    async with yardstick(section):
        steps, updates = time_router(plan, section)
        for step, words in STEPS.items():
            section.figures += _micros(words, steps[step])
        for name, codec in CODECS.items():
            section.figures += time_codec(name, codec, plan, updates, section)
        section.figures += time_journal(plan, section)
    return section


def _micros(name: str, took_ns: list[int]) -> list[Figure]:
    found = Histogram(took_ns)
    return [
        Figure(name=f"{name}, p{at}", value=round(found.at_ms(at) * 1_000, 2), unit="µs")
        for at in (50, 99)
    ]


def time_router(plan: Plan, section: Section) -> tuple[dict[str, list[int]], list[OrderUpdate]]:
    """Each step of so many market orders; and the updates that the edge was told."""
    alone = RouterAlone()
    took: dict[str, list[int]] = {step: [] for step in STEPS}
    for number in range(WARM_UP + plan.times):
        if number == WARM_UP:
            gc.collect()
            gc.freeze()
        order = alone.order(f"o-{number}", number=number)
        spent = (
            alone.decide(order), alone.screen(), alone.hear_verdict(), alone.hear_outcome(order)
        )  # fmt: skip
        alone.catch_up()
        if number >= WARM_UP:
            for step, ns in zip(STEPS, spent, strict=True):
                took[step].append(ns)
    gc.unfreeze()
    last = list(alone.journal.replay(after=max(0, alone.journal.last - 2)))
    updates = [u.body for r in last for u in r.updates if isinstance(u.body, OrderUpdate)]
    filled = sum(
        alone.order_of(alone.order(f"o-{number}")).status is Status.FILLED
        for number in range(WARM_UP + plan.times)
    )
    if filled != WARM_UP + plan.times:
        section.faults.append(f"router: {filled} of {WARM_UP + plan.times} orders filled")
    return took, updates


def time_codec(
    name: str, codec: Codec, plan: Plan, updates: list[OrderUpdate], section: Section
) -> list[Figure]:
    """A client's order decoded, strictly; an order's update encoded and framed."""
    alone = RouterAlone()
    orders = [
        wire.OrderNew(id=f"r{n}", cseq=n + 1, order=alone.order(f"o-{n}", rests=True, number=n))
        for n in range(100)
    ]
    sent = [codec.encode(order) for order in orders]
    told = [
        wire.Ev(stream="orders/o-bench", seq=n + 1, at_ns=n, body=update)
        for n, update in enumerate(updates)
    ]
    decoded = [codec.decode_client(data) for data in sent]
    if decoded != orders:
        section.faults.append(f"{name}: an order was not what was sent")
    if [codec.decode_server(codec.encode(one)) for one in told] != told:
        section.faults.append(f"{name}: an update was not what was sent")
    decoding = _times(plan.times, lambda n: codec.decode_client(sent[n % len(sent)]))
    encoding = _times(plan.times, lambda n: codec.frame(codec.encode(told[n % len(told)])))
    return [
        *_micros(f"{name}: decode a client's order", decoding),
        *_micros(f"{name}: encode and frame an order's update", encoding),
    ]


def _times(count: int, what: Callable[[int], object]) -> list[int]:
    took = []
    for number in range(WARM_UP + count):
        began = time.perf_counter_ns()
        what(number)
        took.append(time.perf_counter_ns() - began)
    return took[WARM_UP:]


def time_journal(plan: Plan, section: Section) -> list[Figure]:
    """Commits on this disk: of one record, and of a hundred; what was committed is read back."""
    writer = Writer()
    with tempfile.TemporaryDirectory(prefix="fg-parts-", dir=Path.cwd()) as folder:
        directory = Path(folder) / "journal"
        settings = JournalSettings(segment_bytes=SEGMENT_BYTES)
        init_journal(directory, "d-bench", settings)
        journal = LocalJournal(directory, "d-bench", settings)
        supply = _records(writer)
        singly = [_commit(journal, supply, 1) for _ in range(min(plan.times, 2_000))]
        together = [_commit(journal, supply, BATCH) for _ in range(plan.batches)]
        last = journal.durable
        journal.close()
        again = LocalJournal(directory, "d-bench", settings)
        read = sum(1 for _ in again.replay())
        again.close()
    if read != last or last != len(singly) + BATCH * len(together):
        section.faults.append(f"journal: {last} records committed, {read} read back")
    per_s = BATCH * len(together) / (sum(together) / 1e9)
    rate = Figure(
        name=f"journal: records made durable, {BATCH} a commit",
        value=round(per_s),
        unit="records/s",
        better=Better.HIGHER,
    )
    return [
        *_micros("journal: append and commit one record", singly),
        *_micros(f"journal: append and commit {BATCH} records", together),
        rate,
    ]


def _records(writer: Writer) -> Iterator[Record]:
    while True:
        yield from writer.next_order()


def _commit(journal: LocalJournal, supply: Iterator[Record], count: int) -> int:
    records = [next(supply) for _ in range(count)]
    began = time.perf_counter_ns()
    for record in records:
        journal.append(record)
    journal.commit()
    return time.perf_counter_ns() - began


def main(words: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=20_000)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(words)
    be_quiet()
    section = uvloop.run(run(Plan(times=asked.times, batches=asked.batches)))
    return finish(section, asked.json)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
