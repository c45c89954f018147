"""Quotes to slow readers, to throttled ones, and of markets that stand still."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.quotes import Quote
from streaming.quotes import SECOND_NS, Ages, Conflator, QuoteBook, Throttle
from tests.streaming.updates import a_quote

D = Decimal
MS = 1_000_000


def conflated(*quotes: Quote) -> Quote:
    conflator = Conflator()
    for quote in quotes:
        conflator.update(quote)
    (one,) = conflator.take()
    return one


def test_a_quote_alone_is_delivered_as_it_came() -> None:
    quote = a_quote()
    assert conflated(quote) is quote


def test_the_latest_stands_for_all_with_the_highest_bid_and_the_lowest_ask() -> None:
    one = conflated(
        a_quote(1, "1.10", "1.11"), a_quote(2, "1.30", "1.31"), a_quote(3, "1.05", "1.06"),
        a_quote(4, "1.20", "1.21"),
    )  # fmt: skip
    assert (one.update, one.bid, one.ask) == (4, D("1.20"), D("1.21"))
    assert (one.conflated, one.high, one.low) == (4, D("1.30"), D("1.06"))


def test_quotes_conflated_before_bring_their_counts_and_extremes() -> None:
    before = a_quote(3, conflated=3, high=D("1.5"), low=D("1.0"))
    one = conflated(before, a_quote(4))
    assert (one.conflated, one.high, one.low) == (4, D("1.5"), D("1.0"))
    other = conflated(a_quote(2), before)
    assert (other.conflated, other.high, other.low) == (4, D("1.5"), D("1.0"))


def test_the_same_instrument_at_two_connections_is_two_quotes() -> None:
    conflator = Conflator()
    conflator.update(a_quote())
    conflator.update(a_quote(connection="ibkr-1"))
    assert len(conflator) == 2


def test_a_reader_takes_at_most_what_it_asks_for_the_longest_waiting_first() -> None:
    conflator = Conflator()
    for name in ("A", "B", "C"):
        conflator.update(a_quote(instrument=name))
    conflator.update(a_quote(2, instrument="A"))
    assert [quote.instrument for quote in conflator.take(2)] == ["A", "B"]
    assert [quote.instrument for quote in conflator.take()] == ["C"]
    assert conflator.take() == []


def test_an_instrument_no_longer_followed_is_forgotten() -> None:
    conflator = Conflator()
    for quote in (a_quote(1), a_quote(2), a_quote(instrument="B")):
        conflator.update(quote)
    assert conflator.drop("EUR/USD") == 2
    assert [quote.instrument for quote in conflator.take()] == ["B"]


REPEAT = a_quote(1, unchanged=True, conflated=0)


def test_a_repeat_never_hides_a_real_quote() -> None:
    one = conflated(a_quote(1), REPEAT)
    assert (one.unchanged, one.conflated) == (False, 1)


def test_a_real_quote_takes_the_place_of_a_repeat_and_of_its_prices() -> None:
    one = conflated(REPEAT, a_quote(2, "1.05", "1.25"))
    assert (one.unchanged, one.conflated, one.update) == (False, 1, 2)
    assert (one.high, one.low) == (D("1.05"), D("1.25"))


def test_two_repeats_are_one_the_newer() -> None:
    newer = a_quote(1, unchanged=True, conflated=0, stream_ns=9)
    assert conflated(REPEAT, newer) == newer


QUOTES = st.builds(
    lambda number, name, at, is_repeat: a_quote(
        number, str(number), str(number + 1), instrument=name, connection=at,
        unchanged=is_repeat, conflated=0 if is_repeat else 1,
    ),
    st.integers(min_value=1, max_value=50),
    st.sampled_from("AB"),
    st.sampled_from(["x", "y"]),
    st.booleans(),
)  # fmt: skip


def pairs(quotes: list[Quote]) -> dict[tuple[str, str], list[Quote]]:
    found: dict[tuple[str, str], list[Quote]] = {}
    for quote in quotes:
        found.setdefault((quote.instrument, quote.connection), []).append(quote)
    return found


@given(st.lists(st.tuples(QUOTES, st.integers(min_value=0, max_value=3))))
def test_no_update_is_lost_or_counted_twice_by_a_slow_reader(
    steps: list[tuple[Quote, int]],
) -> None:
    conflator = Conflator()
    fed: list[Quote] = []
    taken: list[Quote] = []
    for quote, takes in steps:
        fed.append(quote)
        conflator.update(quote)
        taken += conflator.take(takes)
    taken += conflator.take()
    assert sum(quote.conflated for quote in taken) == sum(quote.conflated for quote in fed)
    for key, quotes in pairs(fed).items():
        told = pairs(taken)[key]
        real = [quote for quote in quotes if not quote.unchanged]
        told_real = [quote for quote in told if not quote.unchanged]
        assert bool(real) == bool(told_real)
        if real:
            assert told_real[-1].update == real[-1].update
            highs = [quote.bid if quote.high is None else quote.high for quote in told_real]
            assert max(highs) == max(quote.bid for quote in real)


def test_a_throttle_sends_the_first_at_once_and_the_latest_when_due() -> None:
    throttle = Throttle(per_s=20)
    first = a_quote(1)
    assert throttle.offer(first, 0) is first
    assert throttle.next_due_ns() is None
    assert throttle.offer(a_quote(2), 10 * MS) is None
    assert throttle.offer(a_quote(3), 20 * MS) is None
    assert throttle.next_due_ns() == 50 * MS
    assert throttle.due(49 * MS) == []
    (sent,) = throttle.due(50 * MS)
    assert (sent.update, sent.conflated) == (3, 2)
    assert throttle.due(100 * MS) == []


def test_a_quote_that_finds_its_turn_come_takes_what_waited_along() -> None:
    throttle = Throttle(per_s=20)
    throttle.offer(a_quote(1), 0)
    throttle.offer(a_quote(2), 10 * MS)
    sent = throttle.offer(a_quote(3), 60 * MS)
    assert sent is not None
    assert (sent.update, sent.conflated) == (3, 2)
    assert throttle.next_due_ns() is None


def test_a_rate_that_does_not_divide_the_second_is_kept_all_the_same() -> None:
    throttle = Throttle(per_s=3)
    throttle.offer(a_quote(1), 0)
    sent_at = [0]
    while sent_at[-1] < SECOND_NS:
        throttle.offer(a_quote(2), sent_at[-1])
        sent_at += [throttle.next_due_ns() or 0]
        assert len(throttle.due(sent_at[-1])) == 1
    assert sum(at < SECOND_NS for at in sent_at) == 3


def test_each_instrument_has_its_own_turn() -> None:
    throttle = Throttle(per_s=1)
    assert throttle.offer(a_quote(), 0)
    assert throttle.offer(a_quote(instrument="B"), 1)
    assert throttle.offer(a_quote(connection="ibkr-1"), 2)


def test_a_throttle_forgets_an_instrument_and_its_turn() -> None:
    throttle = Throttle(per_s=1)
    throttle.offer(a_quote(1), 0)
    throttle.offer(a_quote(2), 1)
    throttle.offer(a_quote(1, instrument="B"), 1)
    assert throttle.drop("EUR/USD") == 1
    assert throttle.offer(a_quote(3), 2) is not None
    assert throttle.offer(a_quote(2, instrument="B"), 2) is None


@given(
    st.integers(min_value=1, max_value=30),
    st.lists(st.tuples(QUOTES, st.integers(min_value=0, max_value=400 * MS), st.booleans())),
)
def test_no_second_holds_more_than_the_throttle_allows_and_no_update_is_lost(
    per_s: int, steps: list[tuple[Quote, int, bool]]
) -> None:
    throttle = Throttle(per_s)
    now = fed = 0
    sent: list[tuple[int, Quote]] = []
    for quote, pause, is_woken in steps:
        now += pause
        fed += quote.conflated
        if is_woken:
            sent += [(now, due) for due in throttle.due(now)]
        at_once = throttle.offer(quote, now)
        sent += [(now, at_once)] if at_once else []
    while (wake := throttle.next_due_ns()) is not None:
        now = max(now, wake)
        sent += [(now, due) for due in throttle.due(now)]
    assert sum(quote.conflated for _, quote in sent) == fed
    for key in pairs([quote for _, quote in sent]):
        times = [at for at, quote in sent if (quote.instrument, quote.connection) == key]
        for start in times:
            assert sum(start <= at < start + SECOND_NS for at in times) <= per_s


def a_book(*quotes: Quote, now_ns: int = 0) -> QuoteBook:
    book = QuoteBook(repeat_after_ns=750 * MS, stream_silence_ns_max=3 * SECOND_NS)
    for quote in quotes:
        book.update(quote, now_ns)
    return book


EURUSD = ["EUR/USD"]


def test_a_new_subscriber_is_told_the_latest_of_each_connection() -> None:
    book = a_book(a_quote(1), a_quote(2), a_quote(7, connection="ibkr-1"))
    assert [quote.update for quote in book.latest("EUR/USD")] == [2, 7]
    assert book.latest("GBP/USD") == ()


def test_a_still_market_is_repeated_and_says_so() -> None:
    book = a_book(a_quote(5, conflated=4, high=D(2), low=D(1)))
    book.heard("oanda-1", 700 * MS, utc_ns=99)
    assert book.repeats(EURUSD, 749 * MS) == []
    (repeat,) = book.repeats(EURUSD, 750 * MS)
    assert repeat == a_quote(5, unchanged=True, conflated=0, stream_ns=99)
    assert book.repeats(EURUSD, 1_000 * MS) == []
    assert len(book.repeats(EURUSD, 1_500 * MS)) == 1


def test_asked_four_times_a_second_a_still_market_is_told_at_least_once_a_second() -> None:
    book = a_book(a_quote())
    told = [0]
    for now in range(0, 10 * SECOND_NS, 250 * MS):
        book.heard("oanda-1", now, now)
        told += [now for _ in book.repeats(EURUSD, now)]
    gaps = [late - early for early, late in pairwise(told)]
    assert max(gaps) <= SECOND_NS
    assert len(told) > 9


def test_a_market_that_moves_needs_no_repeat() -> None:
    book = a_book(a_quote(1))
    book.update(a_quote(2), 700 * MS)
    assert book.repeats(EURUSD, 1_000 * MS) == []


@pytest.mark.parametrize("subscribed", [[], ["GBP/USD"]])
def test_what_nobody_follows_is_not_repeated(subscribed: list[str]) -> None:
    assert a_book(a_quote()).repeats(subscribed, SECOND_NS) == []


def test_a_closed_market_is_not_repeated() -> None:
    assert a_book(a_quote(tradeable=False)).repeats(EURUSD, SECOND_NS) == []


def test_a_stream_that_fell_silent_is_not_vouched_for() -> None:
    book = a_book(a_quote())
    assert book.repeats(EURUSD, 3 * SECOND_NS + 1) == []
    book.heard("oanda-1", 4 * SECOND_NS, utc_ns=1)
    assert len(book.repeats(EURUSD, 4 * SECOND_NS)) == 1


def test_a_connection_that_went_down_is_not_vouched_for_but_its_quote_is_kept() -> None:
    book = a_book(a_quote())
    book.drop_connection("oanda-1")
    assert book.repeats(EURUSD, SECOND_NS) == []
    assert len(book.latest("EUR/USD")) == 1
    assert book.ages("EUR/USD", "oanda-1", 5) == Ages(tick_ns=5, stream_ns=None)


def test_the_age_of_a_tick_and_the_age_of_its_stream_are_told_apart() -> None:
    book = a_book(a_quote())
    book.heard("oanda-1", 40, utc_ns=1)
    assert book.ages("EUR/USD", "oanda-1", 100) == Ages(tick_ns=100, stream_ns=60)
    assert book.ages("EUR/USD", "ibkr-1", 100) is None


def test_a_repeat_made_elsewhere_keeps_the_tick_and_renews_the_stream() -> None:
    book = a_book(a_quote(5))
    book.update(a_quote(5, unchanged=True, conflated=0, stream_ns=77), 900)
    assert book.latest("EUR/USD") == (a_quote(5),)
    assert book.ages("EUR/USD", "oanda-1", 1_000) == Ages(tick_ns=1_000, stream_ns=100)
    assert book.repeats(EURUSD, 750 * MS) == []


def test_a_repeat_heard_first_is_the_quote_there_is() -> None:
    book = a_book(a_quote(5, unchanged=True, conflated=0, stream_ns=77))
    assert [quote.update for quote in book.latest("EUR/USD")] == [5]


def test_an_instrument_no_longer_followed_has_no_latest_quote() -> None:
    book = a_book(a_quote())
    book.drop_instrument("EUR/USD")
    book.drop_instrument("EUR/USD")
    assert book.latest("EUR/USD") == ()
