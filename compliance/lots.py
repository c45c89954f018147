"""The lots of one position, indexed once per change so that a FIFO question costs one look-up."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from decimal import Decimal
from itertools import accumulate

from domain.portfolio import ZERO, Lot


class LotIndex:
    """Lots oldest first, with what FIFO and unique-size rules ask about sizes.

    `guarded` names lots that a working protective order hangs on, whoever placed it.
    """

    __slots__ = (
        "_first_of_size", "_guarded", "_last_guarded_of_size", "_last_of_size", "_number",
        "_through", "ids", "lots", "sizes",
    )  # fmt: skip

    def __init__(self, lots: tuple[Lot, ...] = (), guarded: Collection[str] = ()) -> None:
        self.lots = tuple(sorted(lots, key=lambda lot: lot.opened_sequence))
        self.ids = tuple(lot.lot_id for lot in self.lots)
        self.sizes = tuple(abs(lot.quantity) for lot in self.lots)
        self._number = {lot_id: number for number, lot_id in enumerate(self.ids)}
        self._through = tuple(accumulate(self.sizes))
        numbered = tuple(enumerate(self.sizes))
        self._last_of_size = {size: number for number, size in numbered}
        self._first_of_size = {size: number for number, size in reversed(numbered)}
        self._guarded = frozenset(
            number
            for number, lot in enumerate(self.lots)
            if lot.has_bracket or lot.lot_id in guarded
        )
        self._last_guarded_of_size = {
            self.sizes[number]: number for number in sorted(self._guarded)
        }

    @property
    def total(self) -> Decimal:
        """The size of all lots together."""
        return self._through[-1] if self._through else ZERO

    @property
    def has_guards(self) -> bool:
        """True where any lot has a protective order."""
        return bool(self._guarded)

    def find(self, lot_id: str) -> int | None:
        """The lot's number from the oldest, 0 first; None where there is no such lot."""
        return self._number.get(lot_id)

    def oldest_of_size(self, number: int) -> int:
        """The number of the oldest lot that is as large as this one."""
        return self._first_of_size[self.sizes[number]]

    def is_guarded(self, number: int) -> bool:
        """True where the lot has a protective order."""
        return number in self._guarded

    def consume(self, quantity: Decimal) -> tuple[int, Decimal]:
        """The last lot touched by taking the quantity oldest first, and what is left of it.

        Only for up to the total.
        """
        number = bisect_left(self._through, quantity)
        return number, self._through[number] - quantity

    def has_size(self, size: Decimal, above: int = -1) -> bool:
        """True where a lot younger than `above` has that size."""
        return self._last_of_size.get(size, -1) > above

    def has_guarded_size(self, size: Decimal, above: int = -1) -> bool:
        """True where a protected lot younger than `above` has that size."""
        return self._last_guarded_of_size.get(size, -1) > above


NO_LOTS = LotIndex()
"""What a closed position has, and any at a broker that shows none."""
