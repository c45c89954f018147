"""The halts in force: those of the settings, those the router told, and those tripped here.

A tripped halt holds at once, before it is written down anywhere. Once the router has told it
and tells it no more, a person lifted it.
"""

from __future__ import annotations

from domain.records import Halted, HaltScope

Key = tuple[HaltScope, str]


class Halts:
    """By scope and subject, for look-ups on the order's way."""

    def __init__(self, fixed: tuple[Halted, ...]) -> None:
        self.in_force: dict[Key, Halted] = {}
        self._fixed = fixed
        self._tripped: dict[Key, Halted] = {}
        self._told: dict[Key, Halted] = {}
        self._name()

    def tell(self, halts: tuple[Halted, ...]) -> tuple[Halted, ...]:
        """Takes the router's halts for its earlier ones; returns the tripped ones now lifted."""
        told = {_key(halt): halt for halt in halts}
        lifted = [key for key in self._tripped if key in self._told and key not in told]
        self._told = told
        ended = tuple([self._tripped.pop(key) for key in lifted])
        self._name()
        return ended

    @property
    def untold(self) -> list[Halted]:
        """Tripped halts that the router has not told: it may not have written them down."""
        return [halt for key, halt in self._tripped.items() if key not in self._told]

    def trip(self, halts: list[Halted]) -> list[Halted]:
        """Puts halts in force; returns those that are news."""
        fresh = [halt for halt in halts if _key(halt) not in self._tripped]
        self._tripped.update({_key(halt): halt for halt in fresh})
        self._name()
        return fresh

    def _name(self) -> None:
        fixed = {_key(halt): halt for halt in self._fixed}
        self.in_force = {**fixed, **self._tripped, **self._told}


def _key(halt: Halted) -> Key:
    return halt.scope, halt.subject
