"""The firm's limits, lent to shards in parts: at every instant the parts add up to no more.

The lessor counts a part as lent from before it says so until the shard's own word that it uses
less. Amounts are absolute and numbered, so a message lost, repeated or late does no harm: a
shard takes only a number above its last, the lessor only a word about its newest. What a shard
that died had is lent until nothing of it is unknown any more; then its next incarnation has it.
Both sides are folds of what they were told, so either can be rebuilt from a journal.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from domain.portfolio import ZERO


class Lent(Struct, frozen=True, kw_only=True, tag="lent"):
    """Lessor to shard: your part is `amount` from now on."""

    shard: str
    epoch: int
    number: int
    amount: Decimal


class Recalled(Struct, frozen=True, kw_only=True, tag="recalled"):
    """Lessor to shard: go down to `amount`, or as near as what you use allows."""

    shard: str
    epoch: int
    number: int
    amount: Decimal


class Returned(Struct, frozen=True, kw_only=True, tag="returned"):
    """Shard to lessor: since message `number` I use no more than `amount`."""

    shard: str
    epoch: int
    number: int
    amount: Decimal


ToShard = Lent | Recalled


class _Part(Struct):
    """What one incarnation of a shard may believe it has."""

    epoch: int
    number: int = 0
    amount: Decimal = ZERO


class Lessor:
    """Owns one limit."""

    def __init__(self, limit: Decimal) -> None:
        self.limit = limit
        self._parts: dict[str, _Part] = {}
        self._dead: dict[str, list[Decimal]] = {}

    @property
    def lent(self) -> Decimal:
        """All that any shard, alive or dead, may believe it has."""
        alive = sum((part.amount for part in self._parts.values()), ZERO)
        return alive + sum((sum(dead, ZERO) for dead in self._dead.values()), ZERO)

    @property
    def shards(self) -> tuple[str, ...]:
        """Those that have a part, the largest first."""
        return tuple(sorted(self._parts, key=lambda shard: -self._parts[shard].amount))

    def restore(self, shard: str, epoch: int, number: int, amount: Decimal) -> None:
        """A part as it was written down: its incarnation may live on somewhere."""
        self._parts[shard] = _Part(epoch, number, amount)

    def join(self, shard: str, epoch: int) -> bool:
        """A shard started; of an older incarnation of it nothing is heard any more.

        What that one had stays lent until `settle`. False for an incarnation that is not newer.
        """
        part = self._parts.get(shard)
        if part is not None and epoch <= part.epoch:
            return False
        if part is not None:
            self._dead.setdefault(shard, []).append(part.amount)
        self._parts[shard] = _Part(epoch)
        return True

    def lend(self, shard: str, more: Decimal) -> Lent | None:
        """That much more for a shard, or what is left of the limit; None where that is nothing."""
        part = self._parts.get(shard)
        granted = min(more, self.limit - self.lent)
        if part is None or granted <= 0:
            return None
        part.amount += granted
        return self._say(shard, part)

    def repeat(self, shard: str) -> Lent | None:
        """The newest part again, for a shard that may not have heard."""
        part = self._parts.get(shard)
        return None if part is None else self._say(shard, part)

    def recall(self, shard: str, amount: Decimal) -> Recalled | None:
        """Asks a shard to go down to an amount; nothing is counted back before it answers."""
        part = self._parts.get(shard)
        if part is None or amount >= part.amount:
            return None
        part.number += 1
        return Recalled(shard=shard, epoch=part.epoch, number=part.number, amount=amount)

    def returned(self, word: Returned) -> bool:
        """Takes a shard's word where it is about the newest message; False where it is not."""
        part = self._parts.get(word.shard)
        if part is None or (word.epoch, word.number) != (part.epoch, part.number):
            return False
        part.amount = min(part.amount, max(word.amount, ZERO))
        return True

    def settle(self, shard: str, unknown_orders: int) -> Lent | None:
        """Gives a dead incarnation's part to the present one, once nothing of it is unknown."""
        part = self._parts.get(shard)
        if unknown_orders or part is None or shard not in self._dead:
            return None
        part.amount += sum(self._dead.pop(shard), ZERO)
        return self._say(shard, part)

    def _say(self, shard: str, part: _Part) -> Lent:
        part.number += 1
        return Lent(shard=shard, epoch=part.epoch, number=part.number, amount=part.amount)


class Leaseholder:
    """A shard's side: its part, and how much of it is used."""

    def __init__(self, shard: str, epoch: int, used: Decimal = ZERO) -> None:
        self.shard = shard
        self.epoch = epoch
        self.used = used
        self.amount = ZERO
        self._number = 0

    def take(self, amount: Decimal) -> bool:
        """Uses that much more where the part allows it."""
        if self.used + amount > self.amount:
            return False
        self.used += amount
        return True

    def give(self, amount: Decimal) -> None:
        """Uses that much less."""
        self.used = max(self.used - amount, ZERO)

    def hear(self, message: ToShard) -> Returned | None:
        """Follows the lessor; answers a recall. Old and foreign messages change nothing."""
        if (message.shard, message.epoch) != (self.shard, self.epoch):
            return None
        if message.number <= self._number:
            return None
        self._number = message.number
        if isinstance(message, Lent):
            self.amount = message.amount
            return None
        self.amount = min(self.amount, max(message.amount, self.used))
        return self.offer()

    def offer(self) -> Returned:
        """What the shard believes it has, as its word to the lessor."""
        return Returned(shard=self.shard, epoch=self.epoch, number=self._number, amount=self.amount)

    def shrink(self, amount: Decimal) -> Returned:
        """Goes down to an amount, or as near as what is used allows."""
        self.amount = min(self.amount, max(amount, self.used))
        return self.offer()
