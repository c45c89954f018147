"""Which account takes an order, and what a preview says about the others."""

from __future__ import annotations

from decimal import Decimal

from domain.orders import Side
from domain.quotes import Quote, spread_pips
from domain.routing import Venue, choose, rank
from domain.screening import Candidate, ScreenAnswer, Screened, Verdict, Violation
from tests.domain.builders import new_order

D = Decimal


def a_quote(bid: str, ask: str) -> Quote:
    return Quote(
        instrument="EUR/USD",
        connection="oanda-1",
        bid=D(bid),
        ask=D(ask),
        broker_ns=1,
        received_ns=2,
        update=1,
    )


def candidate(name: str) -> Candidate:
    return Candidate(connection=f"c-{name}", account=name)


def venue(
    name: str, prices: tuple[str, str] | None = None, commission: str = "0", **words: bool
) -> Venue:
    return Venue(
        candidate=candidate(name),
        is_up=words.get("is_up", True),
        trades_instrument=words.get("trades_instrument", True),
        quote=a_quote(*prices) if prices else None,
        commission_per_unit=D(commission),
    )


def names(candidates: tuple[Candidate, ...]) -> list[str]:
    return [each.account for each in candidates]


NARROW, WIDE = ("1.10", "1.11"), ("1.09", "1.12")


def test_a_buyer_goes_to_the_lowest_ask_and_a_seller_to_the_highest_bid() -> None:
    venues = (venue("wide", WIDE), venue("narrow", NARROW))
    assert names(choose(new_order(), venues)) == ["narrow", "wide"]
    assert names(choose(new_order(side=Side.SELL), venues)) == ["narrow", "wide"]


def test_commission_counts_against_a_narrow_spread() -> None:
    venues = (venue("narrow", NARROW, commission="0.02"), venue("wide", WIDE))
    assert names(choose(new_order(), venues)) == ["wide", "narrow"]
    assert names(choose(new_order(side=Side.SELL), venues)) == ["wide", "narrow"]


def test_a_venue_without_a_quote_comes_after_those_that_have_one() -> None:
    venues = (venue("blind"), venue("wide", WIDE))
    assert names(choose(new_order(), venues)) == ["wide", "blind"]


def test_a_pinned_account_is_the_only_candidate() -> None:
    venues = (venue("a", NARROW), venue("b", WIDE))
    assert names(choose(new_order(account="b"), venues)) == ["b"]
    assert choose(new_order(account="z"), venues) == ()


def test_a_venue_that_does_not_trade_the_instrument_is_no_candidate() -> None:
    assert choose(new_order(), (venue("a", NARROW, trades_instrument=False),)) == ()


def test_a_venue_that_is_down_is_a_last_resort_and_only_where_queueing_was_asked_for() -> None:
    venues = (venue("down", NARROW, is_up=False), venue("up", WIDE))
    assert names(choose(new_order(), venues)) == ["up"]
    assert names(choose(new_order(queue_if_down=True), venues)) == ["up", "down"]


def test_equal_costs_keep_the_order_they_were_given_in() -> None:
    venues = (venue("b", NARROW), venue("a", NARROW))
    assert names(choose(new_order(), venues)) == ["b", "a"]


def test_a_preview_names_each_candidates_cost() -> None:
    venues = (venue("blind"), venue("narrow", NARROW, commission="0.01"))
    costs = [(each.candidate.account, each.cost) for each in rank(new_order(), venues)]
    assert costs == [("narrow", D("1.12")), ("blind", None)]


def test_a_quote_knows_its_middle_its_spread_and_the_price_met_first() -> None:
    quote = a_quote("1.1000", "1.1003")
    assert quote.mid == D("1.10015")
    assert spread_pips(quote, D("0.0001")) == 3
    assert (quote.touch(True), quote.touch(False)) == (D("1.1003"), D("1.1000"))


def a_verdict(name: str, violation: Violation | None = None) -> Verdict:
    return Verdict(id=name, incarnation="i-1", candidate=candidate(name), violation=violation)


NO = Violation(code="halted", rule="halt", citation="own", message="halted")


def test_the_last_verdict_is_the_one_that_passed_or_none_did() -> None:
    passed = a_verdict("b")
    answer = ScreenAnswer(number=1, verdicts=(a_verdict("a", NO), passed))
    assert answer.passed is passed
    assert ScreenAnswer(number=1, verdicts=(a_verdict("a", NO),)).passed is None
    assert ScreenAnswer(number=1, verdicts=()).passed is None


def test_a_screened_order_carries_its_verdict() -> None:
    screened = Screened(order=new_order(), order_id="o-1", verdict=a_verdict("a"))
    assert screened.verdict.candidate == candidate("a")
