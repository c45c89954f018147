"""Who follows what, told both ways and always in agreement."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streaming.fanout import Fanout, Joined


def test_the_first_follower_starts_a_source_and_the_last_one_stops_it() -> None:
    fanout: Fanout[str] = Fanout()
    assert fanout.add("quotes/EUR/USD", "ann") is Joined.FIRST
    assert fanout.add("quotes/EUR/USD", "bob") is Joined.ADDED
    assert fanout.remove("quotes/EUR/USD", "ann") is False
    assert fanout.remove("quotes/EUR/USD", "bob") is True
    assert list(fanout.topics()) == []


def test_a_subscription_made_twice_is_one() -> None:
    fanout: Fanout[str] = Fanout()
    fanout.add("admin", "ann")
    assert fanout.add("admin", "ann") is Joined.ALREADY
    assert (len(fanout), fanout.followers("admin")) == (1, ("ann",))


def test_a_subscriber_may_follow_only_so_many_topics() -> None:
    fanout: Fanout[str] = Fanout(topics_max=2)
    assert fanout.add("a", "ann") is Joined.FIRST
    assert fanout.add("b", "ann") is Joined.FIRST
    assert fanout.add("c", "ann") is Joined.FULL
    assert fanout.add("c", "bob") is Joined.FIRST
    assert fanout.topics_of("ann") == ("a", "b")


def test_what_was_never_followed_cannot_be_left() -> None:
    fanout: Fanout[str] = Fanout()
    fanout.add("a", "ann")
    assert fanout.remove("a", "bob") is False
    assert fanout.remove("b", "ann") is False
    assert fanout.remove_all("bob") == ()


def test_a_subscriber_that_goes_leaves_everything_and_names_what_nobody_follows() -> None:
    fanout: Fanout[str] = Fanout()
    for topic, name in (("a", "ann"), ("a", "bob"), ("b", "ann")):
        fanout.add(topic, name)
    assert fanout.remove_all("ann") == ("b",)
    assert (fanout.followers("a"), fanout.followers("b")) == (("bob",), ())
    assert fanout.topics_of("ann") == ()


def test_followers_may_leave_while_they_are_told() -> None:
    fanout: Fanout[str] = Fanout()
    for name in ("ann", "bob", "cid"):
        fanout.add("a", name)
    told = []
    for name in fanout.followers("a"):
        told.append(name)
        fanout.remove_all(name)
    assert told == ["ann", "bob", "cid"]
    assert fanout.followers("a") == ()


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["add", "remove", "remove_all", "read"]),
        st.sampled_from("abc"),
        st.integers(min_value=1, max_value=4),
    )
)


@given(ACTS)
def test_both_ways_agree_with_a_plain_set_of_pairs(acts: list[tuple[str, str, int]]) -> None:
    fanout: Fanout[int] = Fanout()
    model: set[tuple[str, int]] = set()
    for act, topic, who in acts:
        if act == "add":
            is_new = (topic, who) not in model
            assert (fanout.add(topic, who) is not Joined.ALREADY) == is_new
            model.add((topic, who))
        elif act == "remove":
            fanout.remove(topic, who)
            model.discard((topic, who))
        elif act == "remove_all":
            fanout.remove_all(who)
            model = {pair for pair in model if pair[1] != who}
        assert {(name, each) for name in "abc" for each in fanout.followers(name)} == model
        assert {(name, each) for each in range(1, 5) for name in fanout.topics_of(each)} == model
        assert set(fanout.topics()) == {name for name, _ in model}
        assert len(fanout) == len(model)
