"""What is known of prices when the wall clock is set."""

from __future__ import annotations

from compliance.rates import RateBook
from tests.compliance.desk import NOW, rate

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
