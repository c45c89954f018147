"""A goal of reliability, how one batch of trials against it is run, and what a batch found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct


class Tally(Struct, kw_only=True):
    """What one batch of trials found; batches of one commit are added up.

    `violations` must stay 0 for the goal to hold; `details` says the first of them, each with the
    seed that shows it again. `counts` are summed; `samples_us` are times in microseconds, kept
    whole so that percentiles are of all trials.
    """

    trials: int
    violations: int = 0
    details: list[str] = []
    counts: dict[str, int] = {}
    samples_us: dict[str, list[int]] = {}


class Goal(Struct, frozen=True, kw_only=True):
    """One line of docs/reliability.md.

    `unit` names a trial ("kills", "cuts", "seeds"). `short` trials are run by a test in CI, `long`
    is what the goal asks for; a soak runs it `batch` trials at a time and keeps count after each.
    `bars_us` are limits on percentiles of samples: {"reply p99": 20_000}. `run(trials, seed)` must
    leave nothing behind: no process, no folder, no port.
    """

    id: str
    says: str
    unit: str
    short: int
    long: int
    batch: int
    run: Callable[[int, int], Awaitable[Tally]]
    bars_us: dict[str, int] = {}
