"""A router whose batches may be under way beside its loop: how a test turns the loop and waits."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.actors.router_world import MS, World


def until(world: World, is_so: Callable[[], bool], seconds: int = 5) -> None:
    """The loop turns until it is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        world.settle()
        time.sleep(0.001)


def quiet(world: World, seconds: int = 5) -> None:
    until(world, lambda: not world.router.writer.is_busy, seconds)


def tick(world: World, ms: int) -> None:
    world.boot_ns += ms * MS
    world.utc_ns += ms * MS
    world.router.look_at_clocks()
    world.router.writer.look()
    world.settle()
