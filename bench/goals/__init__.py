"""The goals of reliability: one file each, named by its id, with a module-level `GOAL`.

`bench.soak` finds them here; `docs/reliability.md` has a line for every id that is asked for,
whether it has a file or not.
"""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module

from bench.goal import Goal

FILE = re.compile(r"([rps])(\d{2})_\w+")
ASKED = (
    *(f"R{number}" for number in range(1, 20)),
    "P1",
    "P2",
    *(f"S{number}" for number in range(1, 12)),
)
"""Every id, in the order of the page."""


def discover() -> dict[str, Goal]:
    """The goals that have a file, by id, in the order they are asked for."""
    found: dict[str, Goal] = {}
    for module in pkgutil.iter_modules(__path__):
        if (match := FILE.fullmatch(module.name)) is None:
            continue
        goal = import_module(f"{__name__}.{module.name}").GOAL
        assert goal.id == f"{match[1].upper()}{int(match[2])}", f"{module.name} holds {goal.id}"
        assert goal.id in ASKED, f"{goal.id} is not asked for"
        found[goal.id] = goal
    return {id: found[id] for id in ASKED if id in found}
