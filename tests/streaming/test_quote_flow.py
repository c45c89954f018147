"""Quotes to slow readers, to throttled ones, and of markets that stand still."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from domain.quotes import Quote, conflate, repeat, stream_age_ns, tick_age_ns
from streaming.quotes import SECOND_NS, QuoteBook, Throttle
from tests.streaming.updates import a_quote

D = Decimal
MS = 1_000_000


def conflated(*quotes: Quote) -> Quote:
    return reduce(conflate, quotes)


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


REPEAT = a_quote(1, unchanged=True, conflated=0)


def test_a_repeat_never_hides_a_real_quote() -> None:
    one = conflated(a_quote(1), REPEAT)
    assert (one.unchanged, one.conflated) == (False, 1)


def test_a_real_quote_takes_the_place_of_a_repeat_and_of_its_prices() -> None:
    one = conflated(REPEAT, a_quote(2, "1.05", "1.25"))
    assert one == a_quote(2, "1.05", "1.25")


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


@given(st.lists(QUOTES, min_size=1))
def test_what_quotes_stand_for_is_neither_lost_nor_counted_twice(fed: list[Quote]) -> None:
    one = conflated(*fed)
    assert one.conflated == sum(quote.conflated for quote in fed)
    real = [quote for quote in fed if not quote.unchanged]
    assert one.unchanged == (not real)
    if real:
        assert one.update == real[-1].update
        assert (one.high or one.bid) == max(quote.bid for quote in real)
        assert (one.low or one.ask) == min(quote.ask for quote in real)


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
    book.heard(now_ns, utc_ns=50)
    for quote in quotes:
        book.update(quote, now_ns)
    return book


def test_who_comes_later_is_told_the_latest_as_a_repeat() -> None:
    book = a_book(a_quote(1), a_quote(2))
    assert book.latest("EUR/USD") == repeat(a_quote(2), 50)
    assert book.find("EUR/USD") == a_quote(2)
    assert book.latest("GBP/USD") is None


def test_a_still_market_is_repeated_and_says_so() -> None:
    book = a_book(a_quote(5, conflated=4, high=D(2), low=D(1)))
    book.heard(700 * MS, utc_ns=99)
    assert book.repeats(749 * MS) == []
    (told,) = book.repeats(750 * MS)
    assert told == a_quote(5, unchanged=True, conflated=0, stream_ns=99)
    assert book.repeats(1_000 * MS) == []
    assert len(book.repeats(1_500 * MS)) == 1


def test_asked_four_times_a_second_a_still_market_is_told_at_least_once_a_second() -> None:
    book = a_book(a_quote())
    told = [0]
    for now in range(0, 10 * SECOND_NS, 250 * MS):
        book.heard(now, now)
        told += [now for _ in book.repeats(now)]
    gaps = [late - early for early, late in pairwise(told)]
    assert max(gaps) <= SECOND_NS
    assert len(told) > 9


def test_a_market_that_moves_needs_no_repeat() -> None:
    book = a_book(a_quote(1))
    book.update(a_quote(2), 700 * MS)
    assert book.repeats(1_000 * MS) == []


def test_a_closed_market_is_not_repeated() -> None:
    assert a_book(a_quote(tradeable=False)).repeats(SECOND_NS) == []


def test_a_stream_that_fell_silent_is_not_vouched_for() -> None:
    book = a_book(a_quote())
    assert book.repeats(3 * SECOND_NS + 1) == []
    book.heard(4 * SECOND_NS, utc_ns=1)
    assert len(book.repeats(4 * SECOND_NS)) == 1


def test_a_lost_stream_is_not_vouched_for_and_its_quotes_tell_when_it_was_heard() -> None:
    book = a_book(a_quote())
    book.heard(SECOND_NS, utc_ns=77)
    book.lost()
    assert book.repeats(2 * SECOND_NS) == []
    latest = book.latest("EUR/USD")
    assert latest is not None
    assert (latest.received_ns, latest.stream_ns) == (1, 77)


def test_the_age_of_a_tick_and_the_age_of_its_stream_are_told_apart() -> None:
    quote = a_quote(10, stream_ns=60)
    assert (tick_age_ns(quote, 100), stream_age_ns(quote, 100)) == (90, 40)
    assert stream_age_ns(a_quote(10), 100) == 90


def test_an_instrument_no_longer_followed_has_no_latest_quote() -> None:
    book = a_book(a_quote())
    book.drop("EUR/USD")
    book.drop("EUR/USD")
    assert book.latest("EUR/USD") is None
