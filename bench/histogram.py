"""Latencies as HDR histograms: three significant digits from a microsecond to a minute."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from statistics import median

from hdrh.histogram import HdrHistogram
from msgspec import Struct
from msgspec.structs import asdict

LOWEST_NS = 1_000
HIGHEST_NS = 60_000_000_000
DIGITS = 3
NS_PER_MS = 1_000_000


class Percentiles(Struct, frozen=True, kw_only=True):
    """What is reported of a distribution; `n` is how many were timed."""

    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    n: int


class Histogram:
    """Durations in ns. Longer than a minute counts as a minute."""

    def __init__(self, durations_ns: Iterable[int] = ()) -> None:
        self._hdr = HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)
        self.add(durations_ns)

    def add(self, durations_ns: Iterable[int]) -> None:
        """Counts them; to be done after the measuring, for each costs a microsecond."""
        for duration_ns in durations_ns:
            self._hdr.record_value(min(max(duration_ns, LOWEST_NS), HIGHEST_NS))

    def merge(self, other: Histogram) -> None:
        """Adds all that another counted."""
        self._hdr.add(other._hdr)

    @property
    def n(self) -> int:
        """How many were counted."""
        return int(self._hdr.get_total_count())

    def at_ms(self, percentile: float) -> float:
        """The duration that so many percent do not exceed."""
        return round(float(self._hdr.get_value_at_percentile(percentile)) / NS_PER_MS, 4)

    def percentiles(self) -> Percentiles:
        """The numbers of a report."""
        return Percentiles(
            p50_ms=self.at_ms(50),
            p99_ms=self.at_ms(99),
            p999_ms=self.at_ms(99.9),
            max_ms=self.at_ms(100),
            n=self.n,
        )

    def curve(self) -> Iterator[tuple[float, float]]:
        """(percentile, ms) with ever finer steps towards 100, as far as the count carries."""
        nines = 0
        while self.n and 10.0**nines <= self.n:
            rest = 100.0 / 10**nines
            for step in range(90):
                percentile = 100.0 - rest * (1 - step / 100)
                yield percentile, self.at_ms(percentile)
            nines += 1


def median_of(runs: list[Percentiles]) -> Percentiles:
    """Each number's own median over the runs; `n` is that of one run."""
    columns = [asdict(run) for run in runs]
    middle = {name: median(column[name] for column in columns) for name in columns[0]}
    return Percentiles(**{**middle, "n": int(middle["n"])})
