"""The firm's limit, lent to the compliance shards: each word is durable before it is said.

A shard gets its share when it has loaded the book, and more when it asks and there is more; where
there is not, the others are asked for what they do not use. A shard that died had its part until
the book that holds its orders, the unknown ones too, is loaded by its next incarnation.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal

from actors import messages as m
from actors.router.desk import Desk
from compliance.leases import Lent, Lessor, Recalled, Returned
from domain.audit import Retention
from domain.records import Leased, LeaseWord

CENT = Decimal("0.01")
Say = Callable[[Lent | Recalled], None]
WORDS: dict[type[Lent | Recalled | Returned], LeaseWord] = {
    Lent: LeaseWord.LENT,
    Recalled: LeaseWord.RECALLED,
    Returned: LeaseWord.RETURNED,
}


class Lending:
    """The lessor at the router's desk. What it hands to `say` may be said once it is durable."""

    def __init__(self, desk: Desk, say: Say, limit: Decimal | None = None, shards: int = 1) -> None:
        self._desk = desk
        self._say_later = say
        self._shards = shards
        self._lessor = Lessor(limit) if limit is not None else None
        if self._lessor is not None:
            for known in desk.books.leases.values():
                self._lessor.restore(known.shard, known.epoch, known.number, known.amount)

    @property
    def lent(self) -> Decimal:
        """All that any shard may believe it has."""
        return self._lessor.lent if self._lessor is not None else Decimal(0)

    def loaded(self, shard: str) -> None:
        """A new incarnation holds the book: it has what the one before had, and its share."""
        lessor = self._lessor
        if lessor is None:
            return
        lessor.join(shard, self._desk.books.number + 1)
        # Its book holds every order of the dead one, so none is unknown to it.
        inherited = lessor.settle(shard, unknown_orders=0)
        share = (lessor.limit / self._shards).quantize(CENT, ROUND_DOWN)
        missing = share - (inherited.amount if inherited is not None else 0)
        self._say(lessor.lend(shard, missing) or inherited or lessor.repeat(shard))

    def wanted(self, word: m.Wanted) -> None:
        """A shard needs more: what is left of the limit, or what the others do not use."""
        lessor = self._lessor
        if lessor is None:
            return
        granted = lessor.lend(word.shard, word.more)
        self._say(granted)
        if granted is not None:
            return
        for shard in lessor.shards:
            if shard != word.shard:
                self._say(lessor.recall(shard, Decimal(0)))

    def returned(self, word: Returned) -> None:
        """A shard's word on what it will use at most."""
        if self._lessor is not None and self._lessor.returned(word):
            self._write(word)

    def _say(self, word: Lent | Recalled | None) -> None:
        if word is not None:
            self._write(word)
            self._say_later(word)

    def _write(self, word: Lent | Recalled | Returned) -> None:
        told = Leased(
            shard=word.shard,
            epoch=word.epoch,
            number=word.number,
            word=WORDS[type(word)],
            amount=word.amount,
        )
        self._desk.draft(told, retention=Retention.SYSTEM).close()
