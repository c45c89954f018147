"""Every bench of the suite in its short and its long form, each giving one section.

    python -m bench.chapters NAME [--long] [--pictures bench/results]

Runs one in this process and prints its section as JSON: the suite starts each in a process of its
own, so that none inherits another's heap. With a fault the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from msgspec import Struct

from bench import (
    growth,
    life,
    many_orders,
    order_round_trip,
    parts,
    quote_fanout,
    screen,
    signal_to_order,
    soak_latency,
    tick_to_order,
)
from bench.round_trip_section import section_of
from bench.router_alone import be_quiet
from bench.section import Better, Figure, Section, finish, yardstick


class Form(Struct, frozen=True):
    """Short or long, and where pictures go."""

    is_long: bool
    pictures: Path

    def pick(self, short: int, long: int) -> int:
        """The number of this form."""
        return long if self.is_long else short


async def _order_round_trip(form: Form) -> Section:
    plan = order_round_trip.Plan(
        orders=form.pick(1_000, 2_000), seconds=form.pick(5, 10), runs=form.pick(1, 5)
    )
    order_round_trip.stay_on_loopback()
    section = Section(
        name="order_round_trip",
        question="How long from a client's order to the broker's outcome?",
        command="python -m bench.order_round_trip --runs 5",
        figures=[],
    )
    async with yardstick(section):
        result = await order_round_trip.main(plan, form.pictures)
    # Under the name that it has beside the page.
    drawn = form.pictures / "order_round_trip.png"
    section.picture = drawn.replace(form.pictures / "order-round-trip.png").name
    return section_of(section, result)


async def _many_orders(form: Form) -> Section:
    return await many_orders.run(
        many_orders.Plan(seconds=form.pick(10, 60), saturation_s=form.pick(5, 10))
    )


async def _one_core(form: Form) -> Section:
    """What one core carries with all on it; what another one brings is told by `many_orders`."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        section = await many_orders.run(
            many_orders.Plan(rounds=5, rate=100, seconds=2, saturation_s=form.pick(5, 10))
        )
    finally:
        os.sched_setaffinity(0, cores)
    # Its aims are those of a machine where client and broker have a core besides.
    figures = [msgspec.structs.replace(figure, bar=None) for figure in section.figures]
    return msgspec.structs.replace(
        section,
        name="one_core",
        question="How many orders does one core carry, with client and broker on it?",
        command="python -m bench.chapters one_core",
        figures=[one for one in figures if "saturation" in one.name and ":" not in one.name],
    )


async def _tick_to_order(form: Form) -> Section:
    return await tick_to_order.run(form.pick(500, 1_000), 1)


async def _signal_to_order(form: Form) -> Section:
    section = Section(
        name="signal_to_order",
        question="How much later does a REST signal reach the broker than a WebSocket order?",
        command="python -m bench.signal_to_order --runs 3",
        figures=[],
    )
    async with yardstick(section):
        found = await signal_to_order.main(form.pick(500, 1_000), form.pick(1, 3), 1)
    at_broker, outcome = found["at_broker"], found["outcome"]
    section.figures = [
        Figure(name="by WebSocket, booked, p50", value=at_broker["ws_p50_ms"], unit="ms"),
        Figure(name="by signal, booked, p50", value=at_broker["rest_p50_ms"], unit="ms"),
        Figure(
            name="a signal's more, booked, p50",
            value=at_broker["more_p50_ms"],
            unit="ms",
            bar=signal_to_order.GOAL_MS,
            slack=0.1,
        ),
        Figure(
            name="a signal's more, outcome, p50",
            value=outcome["more_p50_ms"],
            unit="ms",
            slack=0.1,
        ),
    ]
    section.faults = [] if found["agree"] else [f"books disagree: {found['checks']}"]
    return section


def _quotes(clients: int) -> Callable[[Form], Coroutine[Any, Any, Section]]:
    """So many clients; the more there are, the fewer quotes a second go to each."""

    async def measure(form: Form) -> Section:
        plan = quote_fanout.Plan(
            clients=clients,
            quotes=min(4_000, 200_000 // clients),
            rate=min(2_000, 100_000 // clients),
            runs=form.pick(2, 9),
        )
        each = "1 client" if clients == 1 else f"{clients} clients"
        section = Section(
            name=f"quotes_{clients}",
            question=f"How long do quotes take to {each}, and whom does a slow one disturb?",
            command=f"python -m bench.quote_fanout --clients {clients}",
            figures=[],
        )
        async with yardstick(section):
            found = await quote_fanout.measure(plan)
        section.figures = quote_figures(found)
        section.faults = found["faults"]
        conflated = found["median"]["beside_slow"]["conflated"]
        section.notes = [
            f"the slow one reads 1 KiB/s: {conflated:,.0f} quotes conflated for it a run, closed "
            f"{found['slow_closed']} times; the edge held {found['edge_rss_mib']} MiB"
        ]
        return section

    return measure


def quote_figures(found: dict[str, Any]) -> list[Figure]:
    """Latency on schedule, alone and beside a slow client, and what one core carries."""
    plan, middle = found["plan"], found["median"]
    is_aimed = plan["clients"] == 50
    bars = {"p50_ms": 0.3, "p99_ms": 2.0} if is_aimed else {}
    words = {"alone": "", "beside_slow": ", one more reads 1 KiB/s"}
    figures = [
        Figure(
            name=f"{plan['rate']:,} quotes/s{more}, {at.removesuffix('_ms')}",
            value=middle[part][at],
            unit="ms",
            bar=bars.get(at) if part == "alone" else None,
        )
        for part, more in words.items()
        for at in ("p50_ms", "p99_ms")
    ]
    cpu_us = middle["full_speed"]["cpu_us_per_message"]
    carried = Figure(
        name="what one core of the edge carries, by its processor time",
        value=round(1e6 / cpu_us) if cpu_us else 0.0,
        unit="messages/s",
        bar=150_000.0 if is_aimed else None,
        better=Better.HIGHER,
    )
    seen = Figure(
        name="as fast as the edge takes them, readers on the same machine",
        value=middle["full_speed"]["messages_per_s"],
        unit="messages/s",
        better=Better.HIGHER,
    )
    return [*figures, carried, seen]


async def _screen(form: Form) -> Section:
    section = Section(
        name="screen",
        question="How long does the whole US book take to screen an order?",
        command="python -m bench.screen",
        figures=[],
    )
    asked = Namespace(
        orders=form.pick(6_000, 20_000), positions=200, accounts=1_000, seed=1, out=form.pictures
    )
    async with yardstick(section):
        found = screen.run(asked)
    bars = {"p50_us": screen.P50_US_MAX, "p99_us": screen.P99_US_MAX}
    section.figures = [
        Figure(
            name=f"{book}, {at.removesuffix('_us')}", value=found[key][at], unit="µs", bar=bars[at]
        )
        for key, book in (("us_stocks", "US stocks, every rule"), ("us_forex", "US forex"))
        for at in bars
    ]
    section.figures.append(
        Figure(
            name=f"{asked.accounts:,} accounts of 20 positions in one process",
            value=found["memory"]["mib"],
            unit="MiB",
            bar=screen.MIB_MAX,
            is_time=False,
        )
    )
    section.faults = [] if found["checks_passed"] else ["orders passed, or not, that must not"]
    return section


async def _parts(form: Form) -> Section:
    return await parts.run(parts.Plan(times=form.pick(2_000, 20_000)))


async def _life(form: Form) -> Section:
    return await life.run(life.Plan(orders=form.pick(100_000, 1_000_000)))


async def _growth(form: Form) -> Section:
    return await growth.run(growth.LONG if form.is_long else growth.Plan(), form.pictures)


async def _soak_latency(form: Form) -> Section:
    # Of an hour there is no short form in a suite of minutes; see its own command.
    return await soak_latency.run(soak_latency.Plan(seconds=form.pick(20, 3_600)), form.pictures)


CHAPTERS: dict[str, Callable[[Form], Coroutine[Any, Any, Section]]] = {
    "order_round_trip": _order_round_trip,
    "many_orders": _many_orders,
    "one_core": _one_core,
    "tick_to_order": _tick_to_order,
    "signal_to_order": _signal_to_order,
    "quotes_1": _quotes(1),
    "quotes_50": _quotes(50),
    "quotes_500": _quotes(500),
    "screen": _screen,
    "parts": _parts,
    "life": _life,
    "growth": _growth,
    "soak_latency": _soak_latency,
}


def main(words: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=CHAPTERS)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--pictures", type=Path, default=Path("bench/results"))
    asked = parser.parse_args(words)
    asked.pictures.mkdir(parents=True, exist_ok=True)
    be_quiet()
    section = uvloop.run(CHAPTERS[asked.name](Form(asked.long, asked.pictures)))
    return finish(section, is_json=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
