"""The orders a bench sends: seeded, small, and back to flat after every second one.

Each pair buys and sells the same small quantity of one instrument, so positions stay near
zero (leverage), nothing is ever closed out of order (FIFO), and no two pairs look alike
(duplicates). Arrival times are a schedule made beforehand, so a slow system cannot slow it.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from msgspec import Struct

NS = 1_000_000_000
UNITS_MAX = 900


class Ticket(Struct, frozen=True):
    """One market order; units are signed, as OANDA has them."""

    number: int
    instrument: str
    units: int


def tickets(instruments: tuple[str, ...], seed: int) -> Iterator[Ticket]:
    """Market orders without end, bought and then sold, one instrument after the other."""
    luck = Random(seed)
    number = 0
    while True:
        for instrument in instruments:
            units = luck.randint(1, UNITS_MAX)
            yield Ticket(number + 1, instrument, units)
            yield Ticket(number + 2, instrument, -units)
            number += 2


def arrivals(rate: int, seconds: int, seed: int | None) -> list[int]:
    """When each order is due, ns from the start: evenly, or with a seed as a Poisson process."""
    if seed is None:
        return [n * NS // rate for n in range(rate * seconds)]
    luck = Random(seed)
    due, found = 0.0, []
    while (due := due + luck.expovariate(rate)) < seconds:
        found.append(int(due * NS))
    return found
