"""The newest updates of a stream: bounded, in order, honest about what is no longer there."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.tail import Gap, NeedOlder, StreamTail
from tests.streaming.updates import STREAM, seqs, update, updates


def a_tail(last: int = 0, **bounds: int) -> StreamTail:
    tail = StreamTail(STREAM, **bounds)
    for each in updates(tail.head + 1, last):
        assert tail.append(each) is None
    return tail


def read(tail: StreamTail, seq: int, limit: int = 100) -> list[int]:
    found = tail.after(seq, limit)
    assert not isinstance(found, NeedOlder)
    return seqs(found)


def test_updates_are_read_in_order_after_a_cursor() -> None:
    tail = a_tail(5)
    assert read(tail, 0) == [1, 2, 3, 4, 5]
    assert read(tail, 3) == [4, 5]
    assert (tail.head, len(tail)) == (5, 5)


def test_a_read_is_limited_and_goes_on_where_it_stopped() -> None:
    tail = a_tail(5)
    assert read(tail, 0, limit=2) == [1, 2]
    assert read(tail, 2, limit=2) == [3, 4]
    assert read(tail, 4, limit=2) == [5]


@pytest.mark.parametrize("cursor", [5, 6, 100])
def test_at_the_head_or_beyond_it_there_is_nothing_to_read(cursor: int) -> None:
    assert read(a_tail(5), cursor) == []


def test_beyond_its_count_the_oldest_go() -> None:
    tail = a_tail(5, updates_max=3)
    assert (len(tail), tail.first) == (3, 3)
    assert tail.after(1, 10) == NeedOlder(stream=STREAM, after=1, first=3)
    assert read(tail, 2) == [3, 4, 5]


def test_beyond_its_bytes_the_oldest_go() -> None:
    tail = StreamTail(STREAM, bytes_max=100)
    for each in updates(1, 4):
        tail.append(each, size=40)
    assert (tail.bytes, tail.first) == (80, 3)


def test_an_update_larger_than_the_bound_is_counted_and_not_kept() -> None:
    tail = StreamTail(STREAM, bytes_max=100)
    tail.append(update(1), size=101)
    assert (tail.head, tail.bytes, len(tail)) == (1, 0, 0)
    assert tail.after(0, 10) == NeedOlder(stream=STREAM, after=0, first=2)
    assert tail.append(update(2), size=1) is None


def test_the_size_of_an_update_is_measured_where_nobody_tells_it() -> None:
    assert a_tail(1).bytes == len(msgspec.msgpack.encode(update(1)))


def test_a_tail_that_starts_late_continues_the_head_it_was_given() -> None:
    tail = StreamTail(STREAM, head=7)
    assert tail.append(update(8)) is None
    assert read(tail, 7) == [8]
    assert tail.after(6, 10) == NeedOlder(stream=STREAM, after=6, first=8)


def test_a_hole_is_a_gap_and_nothing_is_kept_of_it() -> None:
    tail = a_tail(2)
    gap = tail.append(update(4))
    assert gap == Gap(stream=STREAM, expected=3, got=4)
    assert not gap.is_repeat
    assert read(tail, 0) == [1, 2]


def test_a_repeat_is_a_gap_that_says_so() -> None:
    gap = a_tail(2).append(update(2))
    assert gap is not None
    assert gap.is_repeat


def test_an_update_of_another_stream_is_never_kept() -> None:
    tail = a_tail(2)
    assert tail.append(update(3, stream="admin")) == Gap(stream="admin", expected=3, got=3)
    assert tail.head == 2


@given(
    st.integers(min_value=0, max_value=5),
    st.lists(st.integers(min_value=1, max_value=50), max_size=30),
    st.integers(min_value=1, max_value=8),
    st.integers(min_value=1, max_value=120),
)
def test_what_is_kept_is_the_end_of_what_came_and_within_both_bounds(
    head: int, sizes: list[int], updates_max: int, bytes_max: int
) -> None:
    tail = StreamTail(STREAM, head=head, updates_max=updates_max, bytes_max=bytes_max)
    for seq, size in enumerate(sizes, start=head + 1):
        assert tail.append(update(seq), size) is None
    assert tail.head == head + len(sizes)
    assert len(tail) <= updates_max
    kept = sizes[tail.first - head - 1 :]
    assert tail.bytes == sum(kept) <= bytes_max
    assert read(tail, tail.first - 1) == list(range(tail.first, tail.head + 1))
