"""What is known of prices when the wall clock is set."""

from __future__ import annotations

from decimal import Decimal

from compliance.rates import Conversion, RateBook
from tests.compliance.desk import MS, NOW, rate

HOUR = 3_600_000_000_000


def test_what_is_known_is_as_old_as_it_was_however_the_clock_is_set() -> None:
    book = RateBook()
    for symbol in ("EUR/USD", "AAPL"):
        book.put(rate(symbol, "1.25"))
    for step in (HOUR, -2 * HOUR):
        book.move(step)
    for symbol in ("EUR/USD", "AAPL"):
        middle = book.middle(symbol)
        assert middle is not None
        assert middle.at_ns == NOW - HOUR
        assert book.find(symbol, NOW - HOUR) is not None
        assert book.find(symbol, NOW - HOUR + 1) is None
    worth = book.convert("EUR", "USD")
    assert worth is not None
    assert worth.at_ns == NOW - HOUR


def test_a_clock_that_was_not_set_moves_nothing() -> None:
    book = RateBook()
    book.put(rate("EUR/USD", "1.25"))
    book.move(0)
    assert book.find("EUR/USD", NOW) is not None


def crossed() -> RateBook:
    book = RateBook()
    book.put(rate("EUR/USD", "1.25", age_ms=7))
    book.put(rate("USD/JPY", "150", age_ms=3))
    return book


def test_a_cross_is_as_old_as_the_older_of_its_legs() -> None:
    oldest = NOW - 7 * MS
    assert crossed().convert("EUR", "JPY") == Conversion(Decimal("187.5"), oldest)
    assert crossed().convert("EUR", "JPY", oldest) is not None
    assert crossed().convert("EUR", "JPY", oldest + 1) is None
    assert crossed().convert("EUR", "GBP") is None


def test_of_a_pair_quoted_both_ways_round_the_newer_counts_and_the_direct_one_of_equals() -> None:
    book = crossed()
    book.put(rate("USD/EUR", "0.5", age_ms=6))
    assert book.convert("EUR", "USD") == Conversion(Decimal(2), NOW - 6 * MS)
    assert book.convert("USD", "EUR") == Conversion(Decimal("0.5"), NOW - 6 * MS)
    book.put(rate("EUR/USD", "1.6", age_ms=6))
    assert book.convert("EUR", "USD") == Conversion(Decimal("1.6"), NOW - 6 * MS)


def test_a_price_is_taken_where_it_is_newer_and_sane() -> None:
    book = crossed()
    for nonsense in (rate(mid="0"), rate(mid="-1"), rate(mid="NaN"), rate(mid="1E+10")):
        book.put(nonsense)
    book.put(rate(mid="9", age_ms=7))
    assert book.convert("EUR", "USD") == Conversion(Decimal("1.25"), NOW - 7 * MS)
