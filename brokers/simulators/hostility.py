"""How badly the simulated broker behaves: faults as settings, drawn from one seeded source."""

from __future__ import annotations

from random import Random
from typing import Annotated

from msgspec import Meta, Struct

Chance = Annotated[float, Meta(ge=0.0, le=1.0)]
Milliseconds = Annotated[int, Meta(ge=0, le=600_000)]
Range = tuple[Milliseconds, Milliseconds]


class Hostility(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Probabilities a request (or a stream line) meets each fault; the default is a kind broker.

    `lost_reply`: processed, then the connection is dropped without an answer; of these
    `torn_share` break off in the middle of it.
    `late_landing`: dropped at once; lands in the book after `late_ms`.
    `failed_applied` / `failed_ignored`: a 5xx, with or without effect.
    These four hit requests that change something. `delayed_reply` hits every request.
    `repeated_event`, `reordered_event`, `cut_stream` hit lines of the event stream;
    `cut_stream` also those of the price stream. `stream_first` tells the stream before the
    answer. While `silent`, open streams say nothing, and what they would have said is lost.
    """

    lost_reply: Chance = 0.0
    torn_share: Chance = 0.0
    late_landing: Chance = 0.0
    late_ms: Range = (50, 500)
    delayed_reply: Chance = 0.0
    delay_ms: Range = (20, 200)
    failed_applied: Chance = 0.0
    failed_ignored: Chance = 0.0
    repeated_event: Chance = 0.0
    reordered_event: Chance = 0.0
    cut_stream: Chance = 0.0
    stream_first: bool = False
    silent: bool = False
    unique_client_ids: bool = True

    def __post_init__(self) -> None:
        for name in ("late_ms", "delay_ms"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name}: {low} is above {high}")

    @property
    def is_kind(self) -> bool:
        """True where nothing can go wrong with a request."""
        return not (
            self.lost_reply
            or self.late_landing
            or self.delayed_reply
            or self.failed_applied
            or self.failed_ignored
        )

    @property
    def spares_streams(self) -> bool:
        """True where nothing can go wrong with a line of a stream."""
        return not (self.silent or self.cut_stream or self.repeated_event or self.reordered_event)


class Fate(Struct, frozen=True):
    """What will happen to one request."""

    lost: bool = False
    torn: bool = False
    late_ms: int | None = None
    failed: bool = False
    applied: bool = True
    delay_ms: int = 0


KIND = Fate()


def draw_fate(hostility: Hostility, luck: Random, is_write: bool) -> Fate:
    """What happens to a request. Draws the same number of times whatever the outcome."""
    lost, late, applied, ignored, delayed = (luck.random() for _ in range(5))
    late_ms = luck.randint(*hostility.late_ms)
    delay_ms = luck.randint(*hostility.delay_ms)
    delay = delay_ms if delayed < hostility.delayed_reply else 0
    if not is_write:
        return Fate(delay_ms=delay)
    if late < hostility.late_landing:
        return Fate(lost=True, late_ms=late_ms, applied=False)
    if lost < hostility.lost_reply:
        torn = lost < hostility.lost_reply * hostility.torn_share
        return Fate(lost=True, torn=torn, delay_ms=delay)
    if applied < hostility.failed_applied:
        return Fate(failed=True, delay_ms=delay)
    if ignored < hostility.failed_ignored:
        return Fate(failed=True, applied=False, delay_ms=delay)
    return Fate(delay_ms=delay)


def disturb(hostility: Hostility, luck: Random, lines: list[bytes]) -> list[bytes]:
    """The stream lines as a bad network would deliver them: some twice, some swapped."""
    if not (hostility.repeated_event or hostility.reordered_event):
        return lines
    told: list[bytes] = []
    for line in lines:
        told.append(line)
        if luck.random() < hostility.repeated_event:
            told.append(line)
    for index in range(len(told) - 1):
        if luck.random() < hostility.reordered_event:
            told[index], told[index + 1] = told[index + 1], told[index]
    return told
