"""What is known of a security: the later word stands, and silence changes nothing."""

from __future__ import annotations

from decimal import Decimal

from domain.market_facts import MarketFact, fold_fact, says_more

HALT = MarketFact(instrument="ABC", at_ns=2, is_paused=True)
BAND = MarketFact(instrument="ABC", at_ns=3, band_low=Decimal(9), band_high=Decimal(11), band_ns=3)


def test_the_first_word_is_all_that_is_known() -> None:
    assert fold_fact(None, HALT) is HALT
    assert says_more(None, HALT)


def test_what_is_not_said_stays_as_it_was() -> None:
    both = fold_fact(HALT, BAND)
    assert (both.is_paused, both.band_high, both.at_ns) == (True, Decimal(11), 3)
    assert says_more(HALT, both)
    restricted = MarketFact(instrument="ABC", at_ns=4, restricted_from="2026-11-25")
    assert fold_fact(both, restricted).restricted_from == "2026-11-25"


def test_of_two_words_on_the_same_thing_the_later_one_stands_however_they_come() -> None:
    resumed = MarketFact(instrument="ABC", at_ns=5, is_paused=False)
    assert fold_fact(HALT, resumed) == fold_fact(resumed, HALT) == resumed
    assert fold_fact(resumed, BAND).at_ns == 5
    assert fold_fact(resumed, BAND).band_low == Decimal(9)


def test_the_same_said_again_is_no_news() -> None:
    again = MarketFact(instrument="ABC", at_ns=9, is_paused=True)
    assert not says_more(HALT, fold_fact(HALT, again))
    later = MarketFact(
        instrument="ABC", at_ns=9, band_low=Decimal(9), band_high=Decimal(11), band_ns=9
    )
    assert says_more(BAND, fold_fact(BAND, later)), "a new day's band may have yesterday's edges"
