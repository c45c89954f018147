"""Where quotes come from: CSV files, or a seeded random walk. Prices come on the tick grid."""

from __future__ import annotations

import csv
import heapq
from collections.abc import Iterable, Iterator, Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path
from random import Random

from msgspec import Struct

from brokers.simulators.book import Listing

NS = 1_000_000_000
COLUMNS = ["ts_utc_ns", "instrument", "bid", "ask"]
SIZES = ["bid_size", "ask_size"]
# How far a generated middle wanders, in spreads a step.
STEP_SPREADS = 0.35


class Tick(Struct, frozen=True, kw_only=True):
    """One quote as it is fed in; `at_ns` is the market's time, UTC."""

    at_ns: int
    instrument: str
    bid: Decimal
    ask: Decimal
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None


class BadTicks(ValueError):
    """A tick file that cannot be read; the text names file and line."""


def tick_files(path: Path) -> list[Path]:
    """The file, or the folder's CSV files by name. Raises BadTicks where there is none."""
    files = [path] if path.is_file() else sorted(path.glob("*.csv"))
    if not files:
        raise BadTicks(f"{path}: no tick file here")
    return files


def read_ticks(path: Path) -> Iterator[Tick]:
    """The ticks of one file, as they stand. Raises BadTicks."""
    with path.open(newline="") as lines:
        rows = csv.reader(lines)
        header = next(rows, [])
        if header not in (COLUMNS, COLUMNS + SIZES):
            raise BadTicks(f"{path}:1: expected {','.join(COLUMNS)}[,{','.join(SIZES)}]")
        for number, row in enumerate(rows, start=2):
            try:
                yield _tick(row)
            except (ValueError, IndexError, InvalidOperation) as error:
                raise BadTicks(f"{path}:{number}: {error!r}") from error


def _tick(row: list[str]) -> Tick:
    bid, ask = Decimal(row[2]), Decimal(row[3])
    if not 0 < bid <= ask:
        raise ValueError(f"bid {bid} and ask {ask}")
    sizes = [Decimal(x) if x else None for x in row[4:6]] or [None, None]
    return Tick(
        at_ns=int(row[0]),
        instrument=row[1],
        bid=bid,
        ask=ask,
        bid_size=sizes[0],
        ask_size=sizes[1],
    )


def read_aligned(paths: Iterable[Path]) -> Iterator[Tick]:
    """All files side by side: each begins where the first one does, whatever its dates.

    So a folder of recordings from different years plays as one market. Time only moves on.
    """
    streams = [_shifted(read_ticks(path), None) for path in paths]
    heads = [(next(x, None), x) for x in streams]
    firsts = [head for head, _ in heads if head is not None]
    if not firsts:
        return
    start_ns = firsts[0].at_ns
    yield from heapq.merge(
        *(_shifted(_chain(head, rest), start_ns) for head, rest in heads if head is not None),
        key=lambda tick: tick.at_ns,
    )


def _chain(head: Tick, rest: Iterator[Tick]) -> Iterator[Tick]:
    yield head
    yield from rest


def _shifted(ticks: Iterator[Tick], start_ns: int | None) -> Iterator[Tick]:
    shift, last_ns = None, 0
    for tick in ticks:
        if shift is None:
            shift = 0 if start_ns is None else start_ns - tick.at_ns
        # A recording may step back a little; a market's clock does not.
        last_ns = max(last_ns, tick.at_ns + shift)
        yield Tick(
            at_ns=last_ns,
            instrument=tick.instrument,
            bid=tick.bid,
            ask=tick.ask,
            bid_size=tick.bid_size,
            ask_size=tick.ask_size,
        )


def generate(
    listings: Mapping[str, Listing], luck: Random, start_ns: int, gap_ms: int = 250
) -> Iterator[Tick]:
    """An endless market: every listing walks from its price with a breathing spread.

    The first round quotes every listing; after that one listing a step, `gap_ms` apart on
    average over the whole market.
    """
    mids = {x.symbol: float(x.price) for x in listings.values()}
    symbols = sorted(mids)
    at_ns = start_ns
    for symbol in symbols:
        yield _generated(listings[symbol], mids[symbol], 1.0, at_ns)
    while True:
        at_ns += int(luck.expovariate(1.0) * gap_ms * 1_000_000) + 1
        symbol = symbols[luck.randrange(len(symbols))]
        listing = listings[symbol]
        spread = float(listing.spread)
        drift = (float(listing.price) - mids[symbol]) * 0.0005
        mids[symbol] += luck.gauss(0.0, STEP_SPREADS) * spread + drift
        yield _generated(listing, mids[symbol], luck.choice((0.8, 1.0, 1.0, 1.2, 1.6)), at_ns)


def _generated(listing: Listing, mid: float, width: float, at_ns: int) -> Tick:
    half = float(listing.spread) * width / 2
    bid = Decimal(mid - half).quantize(listing.tick, ROUND_HALF_EVEN)
    ask = max(Decimal(mid + half).quantize(listing.tick, ROUND_HALF_EVEN), bid + listing.tick)
    return Tick(at_ns=at_ns, instrument=listing.symbol, bid=bid, ask=ask)
