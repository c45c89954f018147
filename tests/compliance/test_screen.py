"""The screen: candidates in turn, verdicts, dry runs, amends, and failing closed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from compliance.rates import RateBook
from compliance.screen import Screener
from domain.orders import PositionEffect
from domain.records import HaltScope
from domain.screening import Candidate, Rate
from tests.compliance import desk as d
from tests.compliance.desk import (
    ACCOUNT,
    LOOSE,
    MS,
    NOW,
    Desk,
    broker_account,
    forex,
    halted,
    limit_order,
    lots,
    new_order,
    order_update,
    position,
    rate,
    snapshot,
)

SECOND = Candidate(connection="conn-2", account="acct-2")
BOTH = (Candidate(connection="conn-1", account=ACCOUNT), SECOND)


def two_accounts(*equities: str, **words: Any) -> Desk:
    first, second = equities
    other = broker_account(account="acct-2", connection="conn-2")
    return Desk(snapshot(equity=first), snapshot(equity=second, account=other), **words)


def test_the_first_candidate_that_passes_reserves_and_no_more_are_asked() -> None:
    desk = two_accounts("1", "1000")
    answer = desk.ask(new_order(1000), candidates=BOTH)
    assert [v.violation.code if v.violation else None for v in answer.verdicts] == [
        "leverage",
        None,
    ]
    assert answer.passed is not None
    assert answer.passed.candidate == SECOND
    assert desk.reserved(account="acct-2") == (1000, 0)
    assert desk.reserved() == (0, 0)
    assert len(desk.ask(new_order(1), candidates=BOTH[::-1]).verdicts) == 1


def test_verdicts_are_numbered_within_the_incarnation() -> None:
    desk = two_accounts("1", "1000")
    ids = [v.id for v in desk.ask(new_order(1000), candidates=BOTH).verdicts]
    assert ids == ["inc-1", "inc-2"]
    assert desk.verdict(new_order(1)).incarnation == "inc"


def test_without_candidates_nothing_passes() -> None:
    assert Desk().ask(new_order(), candidates=()).passed is None


def test_a_refused_order_reserves_nothing() -> None:
    desk = Desk(snapshot(equity="1"))
    assert desk.code(new_order()) == "leverage"
    assert desk.screener.book.orders == {}


def test_a_dry_run_lists_every_refusal_of_every_candidate_and_reserves_nothing() -> None:
    settings = replace(LOOSE, max_quantity=Decimal(10))
    desk = two_accounts("1", "1000", settings=settings, halts=(halted(HaltScope.ALL),))
    answer = desk.ask(new_order(1000), candidates=BOTH, is_dry_run=True)
    assert [violation.code for violation in answer.all_violations] == [
        "halted", "max_quantity", "leverage", "halted", "max_quantity",
    ]  # fmt: skip
    assert answer.passed is None
    assert desk.screener.book.orders == {}


def test_a_dry_run_ends_its_verdicts_with_the_one_that_passes() -> None:
    desk = two_accounts("1000", "1")
    answer = desk.ask(new_order(1000), candidates=BOTH, is_dry_run=True)
    assert answer.passed is not None
    assert [violation.code for violation in answer.all_violations] == ["leverage"]
    assert desk.screener.book.orders == {}


@pytest.mark.parametrize("quantity", ["NaN", "sNaN", "Infinity", "0", "-1", "1E+13"])
def test_a_quantity_that_is_none_is_refused(quantity: str) -> None:
    order = replace(new_order(), quantity=Decimal(quantity))
    assert Desk().code(order) == "bad_quantity"


@pytest.mark.parametrize("field", ["limit_price", "stop_price", "price_bound"])
@pytest.mark.parametrize("price", ["NaN", "Infinity", "0", "-1", "1E+10"])
def test_a_price_that_is_none_is_refused(field: str, price: str) -> None:
    assert Desk().code(replace(new_order(), **{field: Decimal(price)})) == "bad_price"


def test_an_account_that_is_not_known_or_not_the_owners_is_refused() -> None:
    assert Desk().code(new_order(), candidates=(SECOND,)) == "unknown_account"
    assert Desk().code(new_order(), owner="owner-2") == "unknown_account"


def test_an_instrument_that_is_not_known_is_refused() -> None:
    assert Desk().code(new_order(instrument="EUR/NOK")) == "unknown_instrument"


@pytest.mark.parametrize(
    "words",
    [
        {"multiplier": Decimal(0)},
        {"lot": Decimal(0)},
        {"lot": Decimal("1E-13")},
        {"margin_rate": Decimal("NaN")},
        {"margin_rate": Decimal(2)},
    ],
)
def test_an_instrument_whose_numbers_make_no_sense_is_not_known(words: dict[str, Any]) -> None:
    assert Desk(instruments=(forex(**words),)).code(new_order()) == "unknown_instrument"


def test_before_anything_is_loaded_everything_is_refused() -> None:
    desk = Desk()
    desk.screener = Screener(LOOSE, "fresh")
    assert desk.code(new_order()) == "unknown_account"


@pytest.mark.parametrize("size", ["1E+12", "1"])
@pytest.mark.parametrize("mid", ["1E+9", "1E-9"])
def test_no_size_of_numbers_makes_the_screen_fail(size: str, mid: str) -> None:
    tiny = replace(LOOSE, max_quantity=Decimal(10**12), max_notional=Decimal(1))
    dear = (
        forex("EUR/JPY", margin_rate=Decimal(1), lot=Decimal("1E-12"), multiplier=Decimal(10**9)),
    )
    desk = Desk(snapshot(equity="1E-20"), instruments=dear, settings=tiny)
    order = replace(new_order(instrument="EUR/JPY"), quantity=Decimal(size))
    rates = (rate("EUR/JPY", mid), rate("EUR/USD", mid), rate("USD/JPY", mid))
    answer = desk.ask(order, rates=rates, is_dry_run=True)
    assert "leverage" in {violation.code for violation in answer.all_violations}


def test_a_price_from_the_future_is_not_taken() -> None:
    assert Desk().code(new_order(), rates=(rate(age_ms=-5001),)) == "no_reference_price"
    assert Desk().code(new_order(), rates=(rate(age_ms=-5000),)) == "pass"


@pytest.mark.parametrize(
    ("bid", "ask"), [("0", "1"), ("1.2", "1.1"), ("NaN", "1"), ("1", "Infinity"), ("1", "1E+10")]
)
def test_a_price_that_makes_no_sense_is_not_taken(bid: str, ask: str) -> None:
    strange = Rate(instrument="EUR/USD", bid=Decimal(bid), ask=Decimal(ask), received_ns=NOW)
    assert Desk().code(new_order(), rates=(strange,)) == "no_reference_price"


def test_an_older_price_does_not_replace_a_newer_one() -> None:
    book = RateBook()
    book.put(rate(mid="1.1"))
    book.put(rate(mid="1.2", age_ms=1))
    found = book.find("EUR/USD", NOW)
    assert found is not None
    assert found.bid == Decimal("1.1")


def test_a_pair_quoted_both_ways_converts_by_the_newer() -> None:
    book = RateBook()
    book.put(rate("EUR/USD", "1.25", age_ms=5))
    book.put(rate("USD/EUR", "0.5"))
    found = book.convert("EUR", "USD")
    assert found is not None
    assert found.rate == 2
    assert found.at_ns == NOW


def test_a_conversion_may_pass_through_the_euro_where_the_dollar_is_stale() -> None:
    book = RateBook()
    for symbol, age_ms in (("GBP/USD", 50), ("CHF/USD", 50), ("GBP/EUR", 1), ("CHF/EUR", 1)):
        book.put(rate(symbol, "2", age_ms=age_ms))
    found = book.convert("GBP", "CHF", NOW - MS)
    assert found is not None
    assert found.rate == 1
    assert book.convert("GBP", "CHF", NOW) is None
    assert book.convert("GBP", "NOK") is None


def test_more_symbols_than_the_limit_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compliance.rates.RATES_MAX", 1)
    book = RateBook()
    book.put(rate("EUR/USD"))
    book.put(rate("GBP/USD"))
    assert book.find("GBP/USD", 0) is None
    assert book.legs("ABC") == ()


def live_order(**words: Any) -> Desk:
    desk = Desk(snapshot(equity="220"), **words)
    assert desk.code(limit_order(8000), "o-1") == "pass"
    desk.tell(order_update("o-1", 2, filled=3000, leaves=5000))
    desk.hold(*lots(3000))
    return desk


def test_an_amend_is_screened_with_its_new_total_and_without_its_old_reservation() -> None:
    assert live_order().code(limit_order(10_000), "o-1", replaces_order_id="o-1") == "pass"
    desk = live_order()
    assert desk.code(limit_order(10_001), "o-1", replaces_order_id="o-1") == "leverage"
    assert desk.reserved() == (5000, 0)


def test_an_amend_counts_its_whole_new_total_against_the_largest_quantity() -> None:
    desk = live_order(settings=replace(LOOSE, max_quantity=Decimal(9000)))
    assert desk.code(limit_order(9001), "o-1", replaces_order_id="o-1") == "max_quantity"


def test_an_amend_to_less_passes_what_only_concerns_opening() -> None:
    desk = live_order()
    desk.tell(order_update("x-1", 1, event=d.external(1)))
    assert desk.code(limit_order(100), "o-1", replaces_order_id="o-1") == "pass"


@pytest.mark.parametrize(
    "words",
    [
        {"replaces_order_id": "o-9"},
        {"replaces_order_id": "o-1", "order": limit_order(-100)},
        {"replaces_order_id": "o-1", "order": limit_order(100, instrument="GBP/USD")},
    ],
)
def test_an_amend_of_an_order_that_is_not_open_there_is_refused(words: dict[str, Any]) -> None:
    asked = {"order": limit_order(100), "order_id": "o-1"} | words
    assert live_order().code(**asked) == "unknown_order"


def test_an_order_that_waited_may_be_screened_again_for_another_account() -> None:
    desk = two_accounts("1000", "1000")
    desk.ask(new_order(1000), "o-1")
    desk.ask(new_order(1000), "o-1", candidates=(SECOND,))
    assert desk.reserved() == (0, 0)
    assert desk.reserved(account="acct-2") == (1000, 0)


def test_an_order_told_to_reduce_only_opens_nothing() -> None:
    desk = Desk(snapshot(position(*lots(1000)), equity="0"))
    reduce = PositionEffect.REDUCE_ONLY
    assert desk.code(new_order(-5000, position_effect=reduce)) == "pass"
    assert desk.code(new_order(-5000)) == "leverage"


def test_loading_again_replaces_everything_and_goes_on_counting_verdicts() -> None:
    desk = Desk()
    desk.ask(new_order())
    desk.screener.load(accounts=(), orders=(), halts=(), instruments=())
    assert desk.verdict(new_order()).id == "inc-2"
    assert desk.code(new_order()) == "unknown_account"


MISSING: list[tuple[dict[str, Any], tuple[str, str, str | None]]] = [
    (
        {"order": replace(new_order(), quantity=Decimal(0))},
        ("bad_quantity", "0 is not a quantity", "quantity"),
    ),
    ({"order": limit_order(1, "NaN")}, ("bad_price", "NaN is not a price", "limit_price")),
    (
        {"order": replace(new_order(), price_bound=Decimal(-1))},
        ("bad_price", "-1 is not a price", "price_bound"),
    ),
    (
        {"order": replace(new_order(), stop_price=Decimal(0))},
        ("bad_price", "0 is not a price", "stop_price"),
    ),
    (
        {"candidates": (Candidate(connection="c", account="acct-9"),)},
        ("unknown_account", "acct-9 is not known", "account"),
    ),
    ({"owner": "owner-9"}, ("unknown_account", "acct-1 is not known", "account")),
    (
        {"order": new_order(instrument="ABC")},
        ("unknown_instrument", "ABC is not known", "instrument"),
    ),
    (
        {"replaces_order_id": "o-9"},
        ("unknown_order", "no open order o-9 to amend", None),
    ),
]


@pytest.mark.parametrize(("words", "said"), MISSING)
def test_what_cannot_be_asked_says_what_is_missing(
    words: dict[str, Any], said: tuple[str, str, str | None]
) -> None:
    violation = Desk().verdict(**({"order": new_order()} | words)).violation
    assert violation is not None
    assert (violation.code, violation.message, violation.field) == said
    assert (violation.rule, violation.citation) == ("inputs", "house: fails closed")


def test_before_anything_is_loaded_there_is_nothing_to_write_down() -> None:
    screener = Screener(LOOSE, "inc")
    assert (screener.take_trips(), screener.take_findings()) == ((), ())
