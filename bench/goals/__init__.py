"""The goals of reliability: one file each, named by its id, with a module-level `GOAL`.

`bench.soak` finds them here; `docs/reliability.md` has a line for every id that is asked for,
whether it has a file or not.
"""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module

from bench.goal import Goal

FILE = re.compile(r"[a-z]\d{1,2}_\w+")
ASKED = (
    *(f"R{number}" for number in range(1, 20)),
    "P1",
    "P2",
    *(f"S{number}" for number in range(1, 12)),
)
"""Every id, in the order of the page."""


def discover() -> dict[str, Goal]:
    """The goals that have a file, by id, in the order of the page."""
    found: dict[str, Goal] = {}
    for module in pkgutil.iter_modules(__path__):
        if FILE.fullmatch(module.name):
            goal = import_module(f"{__name__}.{module.name}").GOAL
            assert goal.id not in found, f"{module.name}: there is another goal {goal.id}"
            found[goal.id] = goal
    return {id: found[id] for id in sorted(found, key=place_of)}


def place_of(id: str) -> tuple[int, str]:
    """Where an id stands: a part of a goal (`R7-node`) after it, what nobody asked for last."""
    whole = id.partition("-")[0]
    return (ASKED.index(whole) if whole in ASKED else len(ASKED), id)
