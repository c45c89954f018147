"""What a connection follows: the pinned first, then the watched, then those left lately."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streaming.watching import Following

LINGER = 30


def following(room: int = 3) -> Following:
    return Following(instruments_max=room, linger_ns=LINGER)


def test_what_is_pinned_or_watched_is_followed() -> None:
    assert following().settle(["A"], ["B", "A"], 0) == ("A", "B")


def test_what_nobody_wants_any_more_lingers_and_then_goes() -> None:
    known = following()
    known.settle([], ["A"], 0)
    assert known.settle([], [], LINGER - 1) == ("A",)
    assert known.lingering == 1
    assert known.settle([], [], LINGER) == ()
    assert (known.lingering, known.instruments) == (0, ())


def test_the_linger_counts_from_when_it_was_last_wanted() -> None:
    known = following()
    for now_ns in (0, 20, 40):
        known.settle([], ["A"], now_ns)
    assert known.settle([], [], 60) == ("A",)


def test_who_comes_back_in_time_finds_it_still_followed() -> None:
    known = following()
    known.settle([], ["A"], 0)
    known.settle([], [], 10)
    assert known.settle([], ["A"], 20) == ("A",)
    assert known.lingering == 0


def test_without_room_those_watched_longest_stay_and_the_new_one_waits() -> None:
    known = following(room=2)
    assert known.settle([], ["A"], 0) == ("A",)
    assert not known.is_full
    assert known.settle([], ["B", "A"], 1) == ("A", "B")
    assert known.is_full
    assert known.settle([], ["C", "B", "A"], 2) == ("A", "B")
    assert set(known.settle([], ["C", "B"], 3)) == {"B", "C"}


def test_what_is_pinned_takes_the_place_of_what_is_watched() -> None:
    known = following(room=2)
    known.settle([], ["A", "B"], 0)
    assert known.settle(["P"], ["A", "B"], 1) == ("P", "A")


def test_what_lingers_makes_room_for_what_is_wanted_the_longest_left_first() -> None:
    known = following(room=3)
    known.settle([], ["A", "B"], 0)
    known.settle([], ["B"], 1)
    known.settle([], [], 2)
    assert known.settle([], ["C", "D"], 3) == ("C", "D", "B")


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from("ABCDEF"), max_size=4),
            st.lists(st.sampled_from("ABCDEF"), max_size=4),
            st.integers(min_value=0, max_value=20),
        )
    )
)
def test_there_is_never_more_than_there_is_room_for_and_never_less_than_fits(
    steps: list[tuple[list[str], list[str], int]],
) -> None:
    known = following(room=4)
    now_ns = 0
    for pinned, watched, pause in steps:
        now_ns += pause
        followed = known.settle(pinned, watched, now_ns)
        wanted = set(pinned) | set(watched)
        assert len(followed) == len(set(followed)) <= 4
        assert len(wanted.intersection(followed)) == min(len(wanted), 4)
        assert set(pinned) <= set(followed)
