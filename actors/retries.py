"""How often, and how long after each other, something may be said again: three times, with luck.

Only what cannot have been heard is said again, or what does no harm when heard twice. Luck
spreads the many that met the same trouble at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

PAUSES_S = (0.05, 0.1, 0.2)

Luck = Callable[[], float]


def even() -> float:
    """The luck of a world in which nobody else meets the same trouble."""
    return 0.5


def pauses_s(luck: Luck) -> Iterator[float]:
    """The pause before each further try; luck in [0, 1) makes it half as long, or half again."""
    return (pause_s * (0.5 + luck()) for pause_s in PAUSES_S)
