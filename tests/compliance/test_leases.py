"""The firm's limit lent to four shards: never more than all of it, whatever is lost or killed."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest

from compliance.leases import Leaseholder, Lent, Lessor, Recalled, Returned

LIMIT = Decimal(1_000)
SHARDS = ("s-0", "s-1", "s-2", "s-3")


def lent_to(lessor: Lessor, shard: str, amount: int) -> Lent:
    message = lessor.lend(shard, Decimal(amount))
    assert message is not None
    return message


def test_a_part_is_used_up_and_given_back() -> None:
    lessor, holder = Lessor(LIMIT), Leaseholder("s-0", 1)
    lessor.join("s-0", 1)
    assert not holder.take(Decimal(1))
    assert holder.hear(lent_to(lessor, "s-0", 100)) is None
    assert holder.take(Decimal(100))
    assert not holder.take(Decimal(1))
    holder.give(Decimal(30))
    assert holder.take(Decimal(30))
    holder.give(Decimal(500))
    assert holder.used == 0


def test_no_more_than_the_limit_is_lent_and_the_rest_of_it_is() -> None:
    lessor = Lessor(LIMIT)
    lessor.join("s-0", 1)
    lessor.join("s-1", 1)
    assert lent_to(lessor, "s-0", 700).amount == 700
    assert lent_to(lessor, "s-1", 700).amount == 300
    assert lessor.lend("s-1", Decimal(1)) is None
    assert lessor.lend("s-0", Decimal(0)) is None
    assert lessor.lend("s-9", Decimal(1)) is None
    assert lessor.lent == LIMIT


def test_a_repeated_or_late_message_changes_nothing() -> None:
    lessor, holder = Lessor(LIMIT), Leaseholder("s-0", 1)
    lessor.join("s-0", 1)
    first, second = lent_to(lessor, "s-0", 100), lent_to(lessor, "s-0", 50)
    holder.hear(second)
    holder.hear(first)
    holder.hear(second)
    assert holder.amount == 150


@pytest.mark.parametrize(
    "message",
    [
        Lent(shard="s-1", epoch=1, number=9, amount=Decimal(9)),
        Lent(shard="s-0", epoch=2, number=9, amount=Decimal(9)),
    ],
)
def test_a_message_for_another_is_not_taken(message: Lent) -> None:
    holder = Leaseholder("s-0", 1)
    assert holder.hear(message) is None
    assert holder.amount == 0


def test_a_recall_goes_as_near_as_what_is_used_allows_and_counts_once_answered() -> None:
    lessor, holder = Lessor(LIMIT), Leaseholder("s-0", 1)
    lessor.join("s-0", 1)
    holder.hear(lent_to(lessor, "s-0", 1_000))
    holder.take(Decimal(400))
    asked = lessor.recall("s-0", Decimal(100))
    assert asked is not None
    assert lessor.lent == 1_000
    answer = holder.hear(asked)
    assert answer is not None
    assert (holder.amount, answer.amount) == (400, 400)
    assert lessor.returned(answer)
    assert lessor.lent == 400
    assert lessor.returned(answer)
    assert lessor.lent == 400


def test_there_is_nothing_to_recall_where_no_more_is_lent() -> None:
    lessor = Lessor(LIMIT)
    assert lessor.recall("s-0", Decimal(0)) is None
    lessor.join("s-0", 1)
    lent_to(lessor, "s-0", 100)
    assert lessor.recall("s-0", Decimal(100)) is None


def test_a_word_about_an_older_message_is_not_taken() -> None:
    lessor, holder = Lessor(LIMIT), Leaseholder("s-0", 1)
    lessor.join("s-0", 1)
    holder.hear(lent_to(lessor, "s-0", 500))
    old = holder.shrink(Decimal(100))
    newer = lent_to(lessor, "s-0", 100)
    assert not lessor.returned(old)
    assert lessor.lent == 600
    holder.hear(newer)
    assert holder.amount == 600
    assert not lessor.returned(Returned(shard="s-9", epoch=1, number=1, amount=Decimal(0)))
    assert lessor.returned(holder.shrink(Decimal(50)))
    assert lessor.lent == 50


def test_a_word_of_more_or_of_less_than_nothing_counts_as_neither() -> None:
    lessor, holder = Lessor(LIMIT), Leaseholder("s-0", 1)
    lessor.join("s-0", 1)
    holder.hear(lent_to(lessor, "s-0", 500))
    word = holder.offer()
    assert lessor.returned(Returned(shard="s-0", epoch=1, number=word.number, amount=LIMIT * 2))
    assert lessor.lent == 500
    assert lessor.returned(Returned(shard="s-0", epoch=1, number=word.number, amount=-LIMIT))
    assert lessor.lent == 0


def test_a_shard_goes_down_by_itself_never_up() -> None:
    holder = Leaseholder("s-0", 1, used=Decimal(30))
    holder.hear(Lent(shard="s-0", epoch=1, number=1, amount=Decimal(100)))
    assert holder.shrink(Decimal(10)).amount == 30
    assert holder.shrink(Decimal(90)).amount == 30


def test_what_a_dead_shard_had_stays_lent_until_nothing_of_it_is_unknown() -> None:
    lessor = Lessor(LIMIT)
    assert lessor.join("s-0", 1)
    lent_to(lessor, "s-0", 600)
    assert not lessor.join("s-0", 1)
    assert lessor.join("s-0", 2)
    assert lessor.lent == 600
    assert lessor.settle("s-0", unknown_orders=1) is None
    assert lent_to(lessor, "s-0", 500).amount == 400
    assert lessor.lent == LIMIT
    settled = lessor.settle("s-0", unknown_orders=0)
    assert settled is not None
    assert (settled.epoch, settled.amount) == (2, 1_000)
    assert lessor.settle("s-0", unknown_orders=0) is None
    assert lessor.settle("s-9", unknown_orders=0) is None
    assert lessor.lent == LIMIT


def test_the_newest_part_can_be_said_again() -> None:
    lessor, holder = Lessor(LIMIT), Leaseholder("s-0", 1)
    assert lessor.repeat("s-0") is None
    lessor.join("s-0", 1)
    lent_to(lessor, "s-0", 100)
    again = lessor.repeat("s-0")
    assert again is not None
    holder.hear(again)
    assert holder.amount == 100


class Firm:
    """Four shards, a lessor, and a network that loses, repeats and delays."""

    def __init__(self, seed: int) -> None:
        self.luck = Random(seed)
        self.lessor = Lessor(LIMIT)
        self.epochs = dict.fromkeys(SHARDS, 1)
        self.holders = {shard: Leaseholder(shard, 1) for shard in SHARDS}
        self.ghosts: dict[str, Decimal] = dict.fromkeys(SHARDS, Decimal(0))
        self.wire: list[Lent | Recalled | Returned] = []
        for shard in SHARDS:
            self.lessor.join(shard, 1)

    def step(self) -> None:
        luck, shard = self.luck, self.luck.choice(SHARDS)
        amount = Decimal(luck.randrange(0, 400))
        match luck.choice(("lend", "take", "take", "give", "recall", "shrink", "repeat",
                           "deliver", "deliver", "deliver", "kill", "settle")):  # fmt: skip
            case "lend":
                self.say(self.lessor.lend(shard, amount))
            case "take":
                self.holders[shard].take(amount)
            case "give":
                self.holders[shard].give(amount)
            case "recall":
                self.say(self.lessor.recall(shard, amount))
            case "shrink":
                self.say(self.holders[shard].shrink(amount))
            case "repeat":
                self.say(self.lessor.repeat(shard))
            case "deliver":
                self.deliver()
            case "kill" if luck.random() < 0.2:
                self.kill(shard)
            case "settle":
                self.settle(shard)

    def say(self, message: Lent | Recalled | Returned | None) -> None:
        if message is not None:
            self.wire += [message] * self.luck.choice((0, 1, 1, 1, 2))

    def deliver(self) -> None:
        if not self.wire:
            return
        message = self.wire.pop(self.luck.randrange(len(self.wire)))
        if isinstance(message, Returned):
            self.lessor.returned(message)
        else:
            self.say(self.holders[message.shard].hear(message))

    def kill(self, shard: str) -> None:
        """What it had in the market stays there, some of it with an unknown outcome."""
        dead = self.holders[shard]
        unknown = dead.used * self.luck.choice((0, 1)) / 2
        self.ghosts[shard] += unknown
        self.epochs[shard] += 1
        self.holders[shard] = Leaseholder(shard, self.epochs[shard], used=dead.used - unknown)
        self.lessor.join(shard, self.epochs[shard])

    def settle(self, shard: str) -> None:
        if self.luck.random() < 0.5 and self.ghosts[shard]:
            # The outcome is known: it is exposure of the present incarnation now.
            self.holders[shard].used += self.ghosts[shard]
            self.ghosts[shard] = Decimal(0)
        self.say(self.lessor.settle(shard, unknown_orders=int(bool(self.ghosts[shard]))))

    def check(self) -> None:
        believed = sum(holder.amount for holder in self.holders.values())
        in_market = sum(holder.used for holder in self.holders.values())
        in_market += sum(self.ghosts.values())
        assert believed <= self.lessor.lent <= LIMIT
        assert in_market <= LIMIT


@pytest.mark.parametrize("seed", range(60))
def test_four_shards_never_have_more_than_the_limit(seed: int) -> None:
    firm = Firm(seed)
    for _ in range(500):
        firm.step()
        firm.check()
