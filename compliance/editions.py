"""Thresholds with their dates: one `Edition` for each time a regulator or a broker changed them."""

from __future__ import annotations

from datetime import date
from typing import Generic, TypeVar

from msgspec import Struct

from compliance.rule import ALWAYS

Values = TypeVar("Values")


class Edition(Struct, Generic[Values], frozen=True, kw_only=True):
    """Thresholds as they stand from a date on, and where they were read."""

    citation: str
    values: Values
    effective_from: date = ALWAYS
    effective_to: date | None = None
    confirmed_on: date | None = None


def in_force(editions: tuple[Edition[Values], ...], today: date) -> Edition[Values] | None:
    """The edition of a date, or None where none holds: then nothing may be opened by it."""
    for edition in reversed(editions):
        ends = edition.effective_to
        if edition.effective_from <= today and (ends is None or today <= ends):
            return edition
    return None
