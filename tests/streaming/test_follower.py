"""One subscriber, one stream: each number once, in order, whatever the way does to them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.streams import StreamUpdate
from streaming.follow import NOTHING, Ask, Follower, Step
from tests.streaming.updates import STREAM, seqs, update, updates


def a_follower(cursor: int = 0, **bounds: int) -> Follower:
    return Follower(STREAM, cursor, **bounds)


def test_a_live_update_that_continues_is_delivered_at_once() -> None:
    follower = a_follower()
    assert follower.feed(update(1)) == Step((update(1),))
    assert (follower.cursor, follower.is_caught_up) == (1, True)


def test_an_update_seen_before_is_dropped() -> None:
    follower = a_follower(cursor=5)
    assert follower.feed(update(5)) == NOTHING
    assert follower.feed(update(1)) == NOTHING
    assert follower.waiting == 0


def test_a_hole_asks_for_a_page_and_lets_the_update_wait() -> None:
    follower = a_follower(cursor=2, page_max=50)
    assert follower.feed(update(5)) == Step((), Ask(STREAM, 2, 50))
    assert (follower.waiting, follower.is_caught_up) == (1, False)


def test_one_page_is_asked_for_at_a_time() -> None:
    follower = a_follower(cursor=2)
    assert follower.feed(update(5)).ask is not None
    assert follower.feed(update(6)).ask is None
    assert follower.feed(update(9)).ask is None


def test_a_page_and_what_waited_are_joined_exactly_once() -> None:
    follower = a_follower(cursor=2)
    for seq in (5, 6):
        follower.feed(update(seq))
    step = follower.feed_page(updates(3, 6), head=6)
    assert seqs(step.deliver) == [3, 4, 5, 6]
    assert (step.ask, follower.waiting, follower.cursor) == (None, 0, 6)


def test_a_page_that_ends_before_what_waits_is_followed_by_the_rest() -> None:
    follower = a_follower(cursor=0, page_max=2)
    follower.feed(update(5))
    step = follower.feed_page(updates(1, 2), head=5)
    assert (seqs(step.deliver), step.ask) == ([1, 2], Ask(STREAM, 2, 2))
    step = follower.feed_page(updates(3, 4), head=5)
    assert (seqs(step.deliver), step.ask) == ([3, 4, 5], None)


def test_what_does_not_fit_the_buffer_is_read_from_the_journal_later() -> None:
    follower = a_follower(cursor=0, waiting_max=2)
    for seq in (2, 3, 4, 5):
        follower.feed(update(seq))
    assert follower.waiting == 2
    step = follower.feed_page(updates(1, 1), head=5)
    assert seqs(step.deliver) == [1, 2, 3]
    assert step.ask == Ask(STREAM, 3, 500)


def test_a_page_read_at_a_higher_head_is_followed_by_the_next_at_once() -> None:
    follower = a_follower(page_max=2)
    follower.heard(2)
    step = follower.feed_page(updates(1, 2), head=9)
    assert (seqs(step.deliver), step.ask) == ([1, 2], Ask(STREAM, 2, 2))


def test_a_late_update_closes_the_hole_before_the_page_comes() -> None:
    follower = a_follower()
    follower.feed(update(2))
    assert seqs(follower.feed(update(1)).deliver) == [1, 2]
    assert follower.feed_page(updates(1, 2), head=2) == NOTHING


def test_a_page_nobody_waits_for_any_more_delivers_nothing_twice() -> None:
    follower = a_follower(cursor=4)
    assert follower.feed_page(updates(1, 4), head=4) == NOTHING


def test_a_page_with_a_hole_in_it_is_not_believed_beyond_the_hole() -> None:
    follower = a_follower()
    follower.heard(4)
    step = follower.feed_page((update(1), update(4)), head=4)
    assert (seqs(step.deliver), step.ask) == ([1], Ask(STREAM, 1, 500))
    assert seqs(follower.feed_page(updates(2, 3), head=4).deliver) == [2, 3, 4]


def test_a_head_in_a_heartbeat_shows_that_the_last_update_was_lost() -> None:
    follower = a_follower(cursor=3)
    assert follower.heard(3) == NOTHING
    assert follower.heard(4) == Step((), Ask(STREAM, 3, 500))


def test_an_empty_page_does_not_ask_the_same_again_until_something_stirs() -> None:
    follower = a_follower(cursor=3)
    follower.heard(4)
    assert follower.feed_page((), head=3) == NOTHING
    assert follower.heard(4) == Step((), Ask(STREAM, 3, 500))


def test_a_page_lost_with_its_link_is_asked_for_again() -> None:
    follower = a_follower(cursor=3)
    asked = follower.heard(4)
    assert follower.lose_page() == asked
    follower.feed(update(4))
    assert follower.lose_page() == NOTHING


@pytest.mark.parametrize("live", [True, False])
def test_an_update_of_another_stream_is_a_broken_invariant(live: bool) -> None:
    follower, stray = a_follower(), update(1, stream="admin")
    with pytest.raises(AssertionError):
        follower.feed(stray) if live else follower.feed_page((stray,), 1)


class World:
    """A journal, and a way to one follower that loses, repeats, delays and reorders."""

    def __init__(self, cursor: int, journaled: int, waiting_max: int, page_max: int) -> None:
        self.follower = Follower(STREAM, cursor, waiting_max=waiting_max, page_max=page_max)
        self.journal = list(updates(1, journaled))
        self.asks: list[Ask] = []
        self.pages: list[tuple[tuple[StreamUpdate, ...], int]] = []
        self.delivered: list[int] = []
        self.waiting_max = waiting_max

    def take(self, step: Step) -> None:
        self.delivered += seqs(step.deliver)
        if step.ask is not None:
            self.asks.append(step.ask)
        assert self.follower.waiting <= self.waiting_max

    def do(self, action: str, number: int) -> None:
        getattr(self, action)(number)

    def publish(self, _: int) -> None:
        self.journal.append(update(len(self.journal) + 1))
        self.take(self.follower.feed(self.journal[-1]))

    def publish_unheard(self, _: int) -> None:
        self.journal.append(update(len(self.journal) + 1))

    def repeat(self, number: int) -> None:
        if self.journal:
            self.take(self.follower.feed(self.journal[number % len(self.journal)]))

    def read_page(self, _: int) -> None:
        if self.asks:
            ask = self.asks.pop(0)
            self.pages.append((tuple(self.journal[ask.after : ask.after + ask.limit]), self.head))

    def bring_page(self, number: int) -> None:
        if self.pages:
            self.take(self.follower.feed_page(*self.pages.pop(number % len(self.pages))))

    def bring_page_again(self, number: int) -> None:
        if self.pages:
            self.take(self.follower.feed_page(*self.pages[number % len(self.pages)]))

    def lose_everything_on_the_way(self, _: int) -> None:
        self.asks.clear()
        self.pages.clear()
        self.take(self.follower.lose_page())

    def heartbeat(self, _: int) -> None:
        self.take(self.follower.heard(self.head))

    @property
    def head(self) -> int:
        return len(self.journal)

    def settle(self) -> None:
        """The way is quiet and sound from here on: rounds of heartbeat and page."""
        self.lose_everything_on_the_way(0)
        for _ in range(self.head + 1):
            self.heartbeat(0)
            self.read_page(0)
            self.bring_page(0)


ACTIONS = (
    "publish",
    "publish_unheard",
    "repeat",
    "read_page",
    "bring_page",
    "bring_page_again",
    "lose_everything_on_the_way",
    "heartbeat",
)


@settings(max_examples=300)
@given(
    st.integers(min_value=0, max_value=6),
    st.integers(min_value=0, max_value=6),
    st.integers(min_value=1, max_value=4),
    st.integers(min_value=1, max_value=4),
    st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(min_value=0, max_value=20))),
)
def test_whatever_the_way_does_each_number_is_delivered_once_and_in_order(
    cursor: int, more: int, waiting_max: int, page_max: int, actions: list[tuple[str, int]]
) -> None:
    world = World(cursor, cursor + more, waiting_max, page_max)
    for action, number in actions:
        world.do(action, number)
        assert world.delivered == list(range(cursor + 1, world.follower.cursor + 1))
    world.settle()
    assert world.delivered == list(range(cursor + 1, world.head + 1))
    assert world.follower.is_caught_up
    assert world.follower.waiting == 0


@given(st.permutations(range(1, 9)), st.lists(st.integers(min_value=1, max_value=8)))
def test_live_updates_in_any_order_and_repeated_need_no_page(
    order: list[int], repeats: list[int]
) -> None:
    follower = a_follower()
    delivered: list[int] = []
    for seq in [*order, *repeats]:
        delivered += seqs(follower.feed(update(seq)).deliver)
    assert delivered == list(range(1, 9))
