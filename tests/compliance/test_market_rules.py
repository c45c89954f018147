"""Price bands, short sales, price steps, the wash-sale hint, and leverage abroad."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from compliance import luld, nms
from compliance.ladders import (
    Underlying,
    ciro_fraction,
    classify,
    is_contract_for_difference,
    margin_fraction,
    most_leverage,
)
from compliance.limits import ClientCategory, MarketSettings, Security, find_security_faults
from compliance.market import MEAN_NS, MarketBook
from compliance.monitors.close_outs import CloseOuts
from compliance.retail import find_close_out, find_debt, may_offer_incentive, may_set_off
from compliance.rules import RULES
from compliance.settings import ComplianceSettings, find_faults
from compliance.short_sales import close_out_by, passes_price_test, previous_weekday
from domain import events as ev
from domain.accounts import Region
from domain.instruments import AssetClass, Instrument
from domain.lifecycle import Status
from domain.orders import NewOrder, Side
from domain.streams import PositionUpdate
from tests.compliance.cases_market import PERPETUAL, WEEKDAYS
from tests.compliance.desk import (
    ACCOUNT,
    LOOSE,
    NOW,
    Desk,
    broker_account,
    forex,
    limit_order,
    lots,
    new_order,
    order_update,
    position,
    rate,
    snapshot,
    stock,
)

EASTERN = ZoneInfo("America/New_York")
SECOND = 10**9
TODAY = date(2026, 11, 20)


def at(clock: str, day: date = TODAY) -> int:
    hours, minutes = (int(part) for part in clock.split(":"))
    moment = datetime(day.year, day.month, day.day, hours, minutes, tzinfo=EASTERN)
    return int(moment.timestamp()) * SECOND


NOON = at("12:00")


class Floor:
    """A stock account under the real US rules, asked at noon on a Friday."""

    def __init__(self, *rows: Security, held: int = 0, **words: Any) -> None:
        account = broker_account(regime="us_stocks_intraday", broker="sim")
        mine = position(*lots(held, instrument="ABC"), instrument="ABC") if held else None
        self.desk = Desk(
            snapshot(*([replace(mine, average_cost=Decimal(10))] if mine else []),
                     account=account, equity="1000000"),
            settings=replace(LOOSE, market=MarketSettings(securities=rows, **words)),
            instruments=(stock("ABC", tick=Decimal("0.01"), calendar="XNYS"),),
            calendars={"XNYS": WEEKDAYS},
        )  # fmt: skip

    def refusal(
        self, order: NewOrder, mid: str = "10", now_ns: int = NOON, order_id: str | None = None
    ) -> Any:
        quote = replace(rate("ABC", mid), received_ns=now_ns)
        verdict = self.desk.verdict(order, order_id, rates=(quote,), now_ns=now_ns)
        return verdict.violation

    def code(self, order: NewOrder, mid: str = "10", **words: Any) -> str:
        violation = self.refusal(order, mid, **words)
        return violation.code if violation is not None else "pass"


def share(quantity: int, price: str | None = "10", side: Side | None = None) -> NewOrder:
    if price is None:
        order = new_order(quantity, instrument="ABC")
    else:
        order = limit_order(quantity, price, instrument="ABC")
    return order if side is None else replace(order, side=side)


def short(quantity: int, price: str | None = "10.01") -> NewOrder:
    return share(-quantity, price, Side.SELL_SHORT)


KNOWN = Security(symbol="ABC", tier=1, prior_close=Decimal(10), reference=Decimal(10))

# ------------------------------------------------------------------ LULD


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (share(100, "10.50"), "pass"),
        (share(100, "10.51"), "luld_band"),
        (share(100, "5"), "pass"),
        (share(100, None), "pass"),
        (replace(share(100, None), price_bound=Decimal("10.6")), "luld_band"),
    ],
)
def test_a_buy_above_the_band_is_refused(order: NewOrder, code: str) -> None:
    assert Floor(KNOWN).code(order) == code


def test_a_sale_that_opens_below_the_band_is_refused_and_an_exit_passes() -> None:
    easy = replace(KNOWN, easy_to_borrow=True)
    violation = Floor(easy).refusal(short(100, "9.49"))
    assert violation.code == "luld_band"
    assert violation.would_pass == "lowest price that fits: 9.5"
    assert violation.numbers == {"price": "9.49", "low": "9.5", "high": "10.5"}
    assert Floor(easy, held=100).code(share(-100, "9")) == "pass"


def test_the_highest_price_that_fits_is_told() -> None:
    assert Floor(KNOWN).refusal(share(1, "11")).would_pass == "highest price that fits: 10.5"


def test_a_published_band_is_used_before_a_computed_one() -> None:
    told = replace(KNOWN, band_low=Decimal("9.9"), band_high=Decimal("10.1"))
    assert Floor(told).code(share(100, "10.11")) == "luld_band"


def test_a_published_band_counts_wherever_the_reference_price_is() -> None:
    told = replace(KNOWN, band_low=Decimal(9), band_high=Decimal("9.9"))
    assert Floor(told).code(share(100, "9.95")) == "luld_band"
    assert Floor(told).code(share(100, "9.9")) == "pass"


@pytest.mark.parametrize("words", [{"band_low": Decimal(9)}, {"band_high": Decimal(9)}])
def test_half_a_published_band_is_none(words: dict[str, Any]) -> None:
    half = replace(KNOWN, **words)
    assert Floor(half).code(share(100, "9.5")) == "pass"
    assert Floor(half).code(share(100, "10.51")) == "luld_band"


def test_a_fall_restricts_from_its_day_in_new_york() -> None:
    late = at("19:30")
    book = MarketBook()
    book.tell(Security(symbol="ABC", prior_close=Decimal(10), last_sale=Decimal(9), at_ns=late))
    state = book.find("ABC")
    assert state is not None
    assert state.facts.restricted_from == TODAY


@pytest.mark.parametrize(
    "row",
    [
        Security(symbol="XYZ"),
        Security(symbol="ABC"),
        replace(KNOWN, reference=None),
        replace(KNOWN, tier=None),
        replace(KNOWN, prior_close=None),
        replace(KNOWN, band_low=Decimal(9), reference=None),
    ],
)
def test_of_a_stock_of_which_too_little_is_known_nothing_is_said(row: Security) -> None:
    assert Floor(row).code(share(100, "14")) == "pass"


def test_outside_the_plans_hours_there_is_no_band() -> None:
    order = share(100, "14")
    assert Floor(KNOWN).code(order, now_ns=at("09:29")) == "pass"
    assert Floor(KNOWN).code(order, now_ns=at("09:30")) == "luld_band"
    assert Floor(KNOWN).code(order, now_ns=at("16:00")) == "pass"


def test_the_band_of_a_leveraged_fund_is_as_much_wider() -> None:
    tripled = replace(KNOWN, tier=2, leverage=3)
    assert Floor(tripled).code(share(100, "13")) == "pass"
    assert Floor(tripled).code(share(100, "13.01")) == "luld_band"


def test_in_a_pause_only_exits_pass() -> None:
    paused = replace(KNOWN, is_paused=True)
    assert Floor(paused).code(share(100, "10")) == "luld_paused"
    assert Floor(paused, held=100).code(share(-100, "10")) == "pass"
    floor = Floor(paused)
    floor.desk.screener.observe_market((Security(symbol="ABC", is_paused=False),))
    assert floor.code(share(100, "10")) == "pass"


def test_a_published_band_holds_in_its_own_session_alone() -> None:
    told = Security(
        symbol="ABC", band_low=Decimal("9.90"), band_high=Decimal("10.10"), band_ns=at("09:31")
    )
    order = share(100, "10.11")
    assert Floor(told).code(order) == "luld_band"
    assert Floor(told).code(order, now_ns=at("15:59")) == "luld_band"
    assert Floor(told).code(order, now_ns=at("16:00")) == "pass"
    assert Floor(replace(told, band_ns=at("00:00"))).code(order) == "luld_band"
    assert Floor(replace(told, band_ns=at("00:00") - 1)).code(order) == "pass"
    # The plan's own numbers go on where the published band is of yesterday.
    old = replace(KNOWN, band_low=told.band_low, band_high=told.band_high, band_ns=0)
    assert Floor(old).code(share(100, "10.50")) == "pass"
    assert Floor(old).code(share(100, "10.51")) == "luld_band"


def test_a_pause_is_told_before_the_price_it_takes_away() -> None:
    paused = Floor(replace(KNOWN, is_paused=True))
    verdict = paused.desk.verdict(share(100, "10"), rates=(), now_ns=NOON)
    assert verdict.violation is not None
    assert verdict.violation.code == "luld_paused"


def stock_of(tier: int, close: str, leverage: int = 1) -> luld.Stock:
    return luld.Stock(tier=tier, prior_close=Decimal(close), leverage=leverage)


@pytest.mark.parametrize(
    ("tier", "close", "clock_s", "half"),
    [
        (1, "100", 34_200, "10"),
        (1, "100", 35_099, "10"),
        (1, "100", 35_100, "5"),
        (1, "100", 56_099, "5"),
        (1, "100", 56_100, "10"),
        (2, "100", 56_100, "10"),
        (2, "100", 35_099, "20"),
        (2, "100", 40_000, "10"),
        (1, "3", 40_000, "20"),
        (2, "3.01", 40_000, "10"),
        (2, "0.75", 40_000, "20"),
        (2, "3.00", 57_599, "40"),
    ],
)
def test_bands_by_tier_last_close_and_time(tier: int, close: str, clock_s: int, half: str) -> None:
    band = luld.find_band(stock_of(tier, close), Decimal(100), TODAY, clock_s)
    assert band == luld.Band(Decimal(100) - Decimal(half), Decimal(100) + Decimal(half))


@pytest.mark.parametrize(
    ("reference", "clock_s", "low", "high"),
    [
        ("0.10", 40_000, "0.025", "0.175"),
        ("0.20", 40_000, "0.05", "0.35"),
        ("0.50", 40_000, "0.35", "0.65"),
        ("0.10", 34_200, "0", "0.25"),
    ],
)
def test_below_three_quarters_of_a_dollar_the_band_is_an_amount(
    reference: str, clock_s: int, low: str, high: str
) -> None:
    band = luld.find_band(stock_of(2, "0.74"), Decimal(reference), TODAY, clock_s)
    assert band == luld.Band(Decimal(low), Decimal(high))


def test_before_amendment_18_tier_2_was_doubled_at_the_close() -> None:
    old = luld.find_band(stock_of(2, "100"), Decimal(100), date(2020, 2, 23), 57_000)
    assert old == luld.Band(Decimal(80), Decimal(120))
    assert luld.find_band(stock_of(2, "100"), Decimal(100), date(2013, 4, 7), 57_000) is None


def test_overnight_bands_hold_from_their_first_day() -> None:
    last_day_before = date(2026, 12, 5)
    prices = (Decimal(100), Decimal(90), 1)
    assert luld.find_overnight_band(*prices, last_day_before) is None
    band = luld.find_overnight_band(*prices, date(2026, 12, 6))
    assert band == luld.Band(Decimal(72), Decimal(120))


# ------------------------------------------------------------------ facts of securities


def test_the_reference_price_is_the_mean_of_five_minutes_sales() -> None:
    book = MarketBook((Security(symbol="ABC", prior_close=Decimal(10)),))
    state = book.find("ABC")
    assert state is not None
    for age_ns, price in ((MEAN_NS, "20"), (MEAN_NS - 1, "10"), (0, "11")):
        book.tell(Security(symbol="ABC", last_sale=Decimal(price), at_ns=NOW - age_ns))
    assert state.mean(NOW) == Decimal("10.5")
    assert state.mean(NOW + MEAN_NS) is None
    book.tell(Security(symbol="ABC", reference=Decimal(12)))
    assert state.mean(NOW) == 12


def test_only_so_many_sales_are_kept_for_the_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compliance.market.SALES_MAX", 2)
    book = MarketBook()
    for price in (1, 2, 3):
        book.tell(Security(symbol="ABC", last_sale=Decimal(price), at_ns=NOW))
    state = book.find("ABC")
    assert state is not None
    assert state.mean(NOW) == Decimal("2.5")


def test_a_late_price_changes_nothing_and_a_late_fact_does() -> None:
    book = MarketBook()
    book.tell(Security(symbol="ABC", last_sale=Decimal(10), at_ns=NOW, prior_close=Decimal(10)))
    late = Security(
        symbol="ABC", last_sale=Decimal(1), at_ns=NOW - 1, is_paused=True, easy_to_borrow=True
    )
    book.tell(late)
    state = book.find("ABC")
    assert state is not None
    assert (state.facts.last_sale, state.facts.at_ns) == (10, NOW)
    assert state.facts.restricted_from is None
    assert (state.facts.is_paused, state.facts.easy_to_borrow) == (None, True)
    book.tell(Security(symbol="ABC", last_sale=Decimal(11), at_ns=NOW))
    assert state.facts.last_sale == 11


def test_a_sale_without_its_time_is_no_sale_of_the_day() -> None:
    book = MarketBook()
    book.tell(Security(symbol="ABC", last_sale=Decimal(1), prior_close=Decimal(10)))
    state = book.find("ABC")
    assert state is not None
    assert state.facts.restricted_from is None


def test_more_securities_than_the_limit_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compliance.market.SECURITIES_MAX", 1)
    book = MarketBook((Security(symbol="ABC"), Security(symbol="DEF")))
    assert book.find("ABC") is not None
    assert book.find("DEF") is None
    book.tell(Security(symbol="ABC", tier=2))
    state = book.find("ABC")
    assert state is not None
    assert state.facts.tier == 2


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ({"tier": 3}, "tier must be 1 or 2, not 3"),
        ({"leverage": 0}, "leverage must be between 1 and 10"),
        ({"leverage": 11}, "leverage must be between 1 and 10"),
        ({"prior_close": Decimal(0)}, "prior_close must be above zero, not 0"),
        ({"reference": Decimal("NaN")}, "reference must be above zero, not NaN"),
        ({"band_low": Decimal(-1)}, "band_low must be above zero, not -1"),
        ({"band_high": Decimal("Infinity")}, "band_high must be above zero, not Infinity"),
        ({"last_sale": Decimal(0)}, "last_sale must be above zero, not 0"),
        ({"located": Decimal(10**13)}, "located must be above zero, not 10000000000000"),
    ],
)
def test_a_row_that_makes_no_sense_is_named(words: dict[str, Any], fault: str) -> None:
    row = Security(symbol="ABC", **words)
    market = MarketSettings(securities=(row,))
    assert find_faults(ComplianceSettings(market=market)) == (f"market.securities ABC: {fault}",)


def test_a_sound_row_has_no_fault() -> None:
    row = replace(KNOWN, leverage=10, located=Decimal(10**12))
    assert find_security_faults(row) == ()


# ------------------------------------------------------------------ short sales


EASY = Security(symbol="ABC", easy_to_borrow=True)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (Security(symbol="XYZ"), "no_locate"),
        (Security(symbol="ABC"), "no_locate"),
        (EASY, "pass"),
        (replace(EASY, must_preborrow=True), "preborrow"),
        (replace(EASY, easy_to_borrow=False), "no_locate"),
    ],
)
def test_a_short_sale_needs_something_to_borrow(row: Security, code: str) -> None:
    assert Floor(row).code(short(100)) == code


def test_what_the_broker_does_not_let_be_shorted_is_not_easy_to_borrow() -> None:
    floor = Floor(EASY)
    row = stock("ABC", tick=Decimal("0.01"), calendar="XNYS", shortable=False)
    floor.desk.screener.load(
        accounts=(snapshot(account=broker_account(regime="us_stocks_intraday", broker="sim")),),
        orders=(),
        halts=(),
        instruments=(row,),
    )
    assert floor.code(short(100)) == "no_locate"


def located(quantity: int, day: date = TODAY) -> Security:
    return Security(symbol="ABC", located=Decimal(quantity), located_on=day)


def test_a_locate_is_used_up_by_orders_under_way_and_by_what_filled() -> None:
    floor = Floor(located(1000))
    assert floor.code(short(600), order_id="o-1") == "pass"
    violation = floor.refusal(short(401))
    assert violation.code == "locate_exhausted"
    assert violation.numbers == {"located": "1000", "used": "600"}
    assert violation.would_pass == "largest quantity that fits: 400"
    for version, filled in ((2, 300), (3, 500)):
        event = sold(filled)
        floor.desk.tell(
            order_update(
                "o-1", version, filled=filled, leaves=600 - filled, instrument="ABC", event=event
            )
        )
    assert floor.code(short(401)) == "locate_exhausted"
    # The rest is canceled: what filled stays used, also once it is bought back.
    gone = order_update("o-1", 4, status=Status.CANCELED, filled=500, leaves=0, instrument="ABC")
    floor.desk.tell(gone)
    assert floor.code(short(501)) == "locate_exhausted"
    assert floor.code(short(500)) == "pass"
    assert floor.refusal(short(1)).would_pass == "a new locate first"


def sold(quantity: int, at_ns: int = NOON, price: str = "10.01", **words: Any) -> ev.Fill:
    plain: dict[str, Any] = {
        "at_ns": at_ns, "execution_id": f"x-{at_ns}-{quantity}", "broker_execution_id": "x",
        "broker_order_id": "b", "instrument": "ABC", "side": Side.SELL,
        "quantity": Decimal(quantity), "price": Decimal(price),
    }  # fmt: skip
    return ev.Fill(**(plain | words))


def test_a_locate_is_for_one_day() -> None:
    assert Floor(located(1000, date(2026, 11, 19))).code(short(1)) == "no_locate"
    assert Floor(Security(symbol="ABC", located=Decimal(1))).code(short(1)) == "no_locate"


def test_what_was_sold_short_yesterday_uses_nothing_of_today() -> None:
    floor = Floor(located(1000))
    yesterday = at("23:59", date(2026, 11, 19))
    assert floor.code(short(1000), order_id="o-1") == "pass"
    fill = sold(900, at_ns=yesterday)
    floor.desk.tell(
        order_update(
            "o-1", 2, status=Status.CANCELED, filled=900, leaves=0, instrument="ABC", event=fill
        )
    )
    assert floor.code(short(1000)) == "pass"


def test_a_market_maker_needs_no_locate() -> None:
    assert Floor(market_makers=(ACCOUNT,)).code(short(100)) == "pass"
    assert Floor(market_makers=("acct-2",)).code(short(100)) == "no_locate"


def test_a_sale_is_marked_long_only_as_far_as_it_is_held_and_free() -> None:
    floor = Floor(held=100)
    violation = floor.refusal(share(-101, "10"))
    assert violation.code == "short_unmarked"
    assert violation.numbers == {"held": "100", "free": "100"}
    assert violation.would_pass == "side sell_short, or largest quantity that fits: 100"
    assert floor.code(share(-60, "11"), order_id="o-1") == "pass"
    assert floor.refusal(share(-41, "11")).numbers["free"] == "40"
    assert floor.code(share(-40, "11")) == "pass"
    assert floor.refusal(share(-1, "11")).numbers["free"] == "0"
    assert floor.code(replace(share(-100, "11"), reduce_only=True)) == "pass"


def test_an_exit_under_way_sells_held_shares_too() -> None:
    floor = Floor(held=100)
    assert floor.code(replace(share(-60, "11"), reduce_only=True), order_id="o-1") == "pass"
    assert floor.refusal(share(-41, "11")).numbers["free"] == "40"


def test_an_own_short_sale_under_way_leaves_the_held_shares_free() -> None:
    floor = Floor(EASY, held=100)
    assert floor.code(short(50)) == "pass"
    assert floor.code(share(-100, "11")) == "pass"


def test_a_buy_needs_no_mark() -> None:
    assert Floor().code(share(100, "10", Side.BUY_TO_COVER)) == "pass"


RESTRICTED = replace(EASY, restricted_from=TODAY)


@pytest.mark.parametrize(
    ("price", "code"), [("10.01", "pass"), ("10", "short_restricted"), (None, "short_restricted")]
)
def test_a_restricted_short_sale_is_above_the_bid(price: str | None, code: str) -> None:
    violation = Floor(RESTRICTED).refusal(short(100, price))
    assert (violation.code if violation else "pass") == code
    if violation is not None:
        assert violation.would_pass == "lowest price that fits: 10.01"
        assert violation.numbers == {"bid": "10", "restricted_from": "2026-11-20"}


def test_a_restriction_ends_with_the_next_session() -> None:
    floor = Floor(RESTRICTED)
    monday, tuesday = at("12:00", date(2026, 11, 23)), at("12:00", date(2026, 11, 24))
    assert floor.code(short(1, "10"), now_ns=monday) == "short_restricted"
    assert floor.code(short(1, "10"), now_ns=tuesday) == "pass"


def test_without_a_calendar_the_last_session_is_the_last_weekday() -> None:
    assert previous_weekday(date(2026, 11, 23)) == date(2026, 11, 20)
    assert previous_weekday(date(2026, 11, 22)) == date(2026, 11, 20)
    assert previous_weekday(date(2026, 11, 20)) == date(2026, 11, 19)
    account = broker_account(regime="us_stocks_intraday", broker="sim")
    desk = Desk(
        snapshot(account=account),
        settings=replace(LOOSE, market=MarketSettings(securities=(RESTRICTED,))),
        instruments=(stock("ABC", tick=Decimal("0.01")),),
    )
    quote = replace(rate("ABC", "10"), received_ns=NOON)
    answer = desk.ask(short(1, "10"), rates=(quote,), now_ns=NOON, is_dry_run=True)
    assert "short_restricted" in {violation.code for violation in answer.all_violations}


def test_a_long_sale_is_not_restricted() -> None:
    assert Floor(RESTRICTED, held=100).code(share(-100, "10")) == "pass"


def test_without_a_bid_to_compare_with_a_restricted_short_sale_is_refused() -> None:
    desk = Floor(RESTRICTED).desk
    answer = desk.ask(short(1), rates=(), now_ns=NOON, is_dry_run=True)
    found = [v for v in answer.all_violations if v.rule == "short_price_test"]
    assert [v.would_pass for v in found] == [None]


def test_a_stated_ground_exempts_from_the_price_test() -> None:
    ten = Decimal(10)
    assert passes_price_test(ten, ten, "201(d)(1)")
    assert not passes_price_test(ten, ten, None)
    assert not passes_price_test(None, ten, None)
    assert passes_price_test(Decimal("10.01"), ten, None)


@pytest.mark.parametrize(("is_short", "due"), [(True, 18), (False, 20)])
def test_a_fail_is_closed_out_by_its_day(is_short: bool, due: int) -> None:
    found = close_out_by(date(2026, 11, 16), is_short=is_short, sessions=WEEKDAYS)
    assert found == date(2026, 11, due)


# ------------------------------------------------------------------ price steps


@pytest.mark.parametrize(
    ("price", "would_pass"),
    [
        ("10.005", "10 or 10.01"),
        ("1.00", None),
        ("1.001", "1 or 1.01"),
        ("0.9999", None),
        ("0.99995", "0.9999 or 1"),
    ],
)
def test_a_price_between_the_steps_is_refused(price: str, would_pass: str | None) -> None:
    violation = Floor().refusal(share(100, price), mid=price)
    assert (violation.would_pass if violation else None) == would_pass
    assert violation is None or violation.code == "sub_penny"


@pytest.mark.parametrize(
    ("close", "day", "shares"),
    [
        ("250", date(2025, 11, 3), 100),
        ("250.01", date(2025, 11, 3), 40),
        ("10000", date(2025, 11, 3), 10),
        ("10000.01", date(2025, 11, 3), 1),
        ("10000.01", date(2025, 11, 2), 100),
    ],
)
def test_a_round_lot_goes_by_the_average_close(close: str, day: date, shares: int) -> None:
    assert nms.round_lot(Decimal(close), day) == shares


def test_a_broker_reports_from_so_many_accounts_and_so_late() -> None:
    assert nms.must_report_605(100_000, date(2026, 8, 1))
    assert not nms.must_report_605(99_999, date(2026, 8, 1))
    assert not nms.must_report_605(100_000, date(2026, 7, 31))


def quote_of(price: str, size: str | None = None) -> nms.ProtectedQuote:
    return nms.ProtectedQuote(Decimal(price), Decimal(size) if size else None)


def route(venue: str, price: str, quantity: int = 100, *, sweeps: bool = False) -> nms.Route:
    return nms.Route(venue=venue, price=Decimal(price), quantity=Decimal(quantity), is_sweep=sweeps)


OFFERS = {"A": quote_of("10.00", "300"), "B": quote_of("10.02", "500")}


@pytest.mark.parametrize(
    ("sign", "routes", "venue"),
    [
        (1, (route("B", "10.02"),), "A"),
        (1, (route("A", "10.02"),), None),
        (1, (route("B", "10.00"),), None),
        (1, (route("A", "10", 300, sweeps=True), route("B", "10.02", sweeps=True)), None),
        (1, (route("A", "10", 299, sweeps=True), route("B", "10.02", sweeps=True)), "A"),
        (1, (route("A", "10", 300), route("B", "10.02", sweeps=True)), "A"),
        (1, (route("A", "10", 300, sweeps=True), route("B", "10.02")), "A"),
        (-1, (route("A", "10.00"),), "B"),
        (-1, (route("B", "10.02"),), None),
    ],
)
def test_a_better_protected_quote_is_not_traded_through(
    sign: int, routes: tuple[nms.Route, ...], venue: str | None
) -> None:
    assert nms.find_trade_through(sign, OFFERS, routes, TODAY) == venue


def test_a_quote_of_unknown_size_cannot_be_swept() -> None:
    quotes = {"A": quote_of("10.00"), "B": quote_of("10.02")}
    sweep = (route("A", "10", 300, sweeps=True), route("B", "10.02", sweeps=True))
    assert nms.find_trade_through(1, quotes, sweep, TODAY) == "A"


def test_quotes_were_not_protected_before_the_rule_or_while_it_is_not_enforced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    through = (1, OFFERS, (route("B", "10.02"),))
    assert nms.find_trade_through(*through, date(2007, 3, 4)) is None
    (edition,) = nms.ORDER_PROTECTION
    ended = replace(edition, values=nms.Rule611(is_enforced=False, review_on="never"))
    monkeypatch.setattr(nms, "ORDER_PROTECTION", (ended,))
    assert nms.find_trade_through(*through, TODAY) is None


# ------------------------------------------------------------------ the wash-sale hint


def sell_at(floor: Floor, price: str, **words: Any) -> None:
    assert floor.code(share(-100, price), price, order_id="o-1") == "pass"
    fill = sold(100, price=price, **words)
    done = order_update(
        "o-1", 2, status=Status.FILLED, filled=100, leaves=0, instrument="ABC", event=fill
    )
    floor.desk.tell(done)
    flat = replace(position(instrument="ABC"), quantity=Decimal(0))
    floor.desk.tell(PositionUpdate(position=flat), 9)


def hints(floor: Floor, order: NewOrder, now_ns: int = NOON) -> list[Any]:
    quote = replace(rate("ABC", "10"), received_ns=now_ns)
    verdict = floor.desk.verdict(order, rates=(quote,), now_ns=now_ns)
    assert verdict.violation is None, verdict.violation
    return [warning for warning in verdict.warnings if warning.code == "wash_sale"]


def test_buying_back_after_a_loss_is_a_hint_and_passes() -> None:
    floor = Floor(EASY, held=100)
    sell_at(floor, "9.99")
    (hint,) = hints(floor, share(100, "10"))
    assert hint.numbers == {"days_ago": "0", "window_days": "30"}
    assert hints(floor, short(100)) == []


@pytest.mark.parametrize(
    ("day", "days_ago"), [(date(2026, 12, 20), "30"), (date(2026, 12, 21), None)]
)
def test_the_hint_ends_after_thirty_days(day: date, days_ago: str | None) -> None:
    floor = Floor(held=100)
    sell_at(floor, "9")
    found = hints(floor, share(1, "10"), at("12:00", day))
    assert [hint.numbers["days_ago"] for hint in found] == ([days_ago] if days_ago else [])


@pytest.mark.parametrize(
    ("price", "pnl", "warns"),
    [("10", None, False), ("10.01", None, False), ("11", "-0.01", True), ("9", "0", False)],
)
def test_a_loss_is_the_brokers_figure_or_a_sale_below_cost(
    price: str, pnl: str | None, warns: bool
) -> None:
    floor = Floor(held=100)
    words = {} if pnl is None else {"realized_pnl": Decimal(pnl)}
    sell_at(floor, price, **words)
    assert bool(hints(floor, share(1, "10"))) == warns


def test_a_loss_told_after_the_position_is_closed_is_still_one() -> None:
    floor = Floor(held=100)
    assert floor.code(share(-100, "9"), "9", order_id="o-1") == "pass"
    flat = replace(position(instrument="ABC"), quantity=Decimal(0))
    floor.desk.tell(PositionUpdate(position=flat), 9)
    done = order_update(
        "o-1", 2, status=Status.FILLED, filled=100, leaves=0, instrument="ABC",
        event=sold(100, price="9"),
    )  # fmt: skip
    floor.desk.tell(done)
    assert hints(floor, share(1, "10"))


def test_a_short_sale_below_an_old_cost_is_no_loss_and_covering_above_it_is() -> None:
    floor = Floor(EASY, held=100)
    sell_at(floor, "11")
    assert floor.code(short(100, "9.5"), "9.4", order_id="o-2") == "pass"
    part = order_update(
        "o-2", 2, filled=50, leaves=50, instrument="ABC", event=sold(50, price="9.5")
    )
    floor.desk.tell(part)
    assert hints(floor, share(1, "9")) == []
    owed = replace(
        position(*lots(-100, instrument="ABC"), instrument="ABC"), average_cost=Decimal(9)
    )
    floor.desk.tell(PositionUpdate(position=owed), 10)
    gone = order_update("o-2", 3, status=Status.CANCELED, leaves=0, instrument="ABC")
    floor.desk.tell(gone)
    assert floor.code(share(100, "9.5"), "9.4", order_id="o-3") == "pass"
    cover = order_update(
        "o-3", 2, filled=50, leaves=50, instrument="ABC",
        event=sold(50, price="9.5", side=Side.BUY),
    )  # fmt: skip
    floor.desk.tell(cover)
    flat = replace(position(instrument="ABC"), quantity=Decimal(0))
    floor.desk.tell(PositionUpdate(position=flat), 11)
    assert hints(floor, share(1, "9"))


# ------------------------------------------------------------------ leverage abroad


def abroad(regime: str, region: Region, *rows: Instrument, equity: str, **words: Any) -> Desk:
    account = broker_account(region=region, regime=regime, broker="sim", **words.pop("account", {}))
    return Desk(
        snapshot(*words.pop("held", ()), equity=equity, account=account),
        settings=replace(LOOSE, market=MarketSettings(**words)),
        instruments=rows,
    )


ONE = (rate("EUR/USD", "1"), rate("BTC/USD", "1"), rate("AAPL/USD", "1"), rate("EUR/NOK", "1"),
       rate("USD/NOK", "1"))  # fmt: skip


def test_a_european_account_opens_up_to_thirty_times_and_is_told_what_fits() -> None:
    desk = abroad("eu_cfd", Region.EU, forex("EUR/USD"), equity="1000")
    violation = desk.verdict(limit_order(30_001, "1"), rates=ONE).violation
    assert violation is not None
    assert (violation.code, violation.rule) == ("leverage", "eu_cfd_leverage")
    assert violation.numbers["max_leverage"] == "30"
    assert violation.numbers["deposit_percent"] == "3.33"
    assert violation.would_pass == "largest quantity that fits: 30000"
    assert desk.code(limit_order(30_000, "1"), rates=ONE) == "pass"


def test_a_minor_pair_is_a_class_of_its_own() -> None:
    desk = abroad("eu_cfd", Region.EU, forex("EUR/NOK"), equity="1000")
    order = limit_order(20_000, "1", instrument="EUR/NOK")
    assert desk.code(order, rates=ONE, order_id="o-1") == "pass"
    assert desk.code(limit_order(1, "1", instrument="EUR/NOK"), rates=ONE) == "leverage"


def test_the_brokers_own_rate_and_the_accounts_own_leverage_are_floors() -> None:
    dear = forex("EUR/USD", margin_rate=Decimal("0.1"))
    assert (
        abroad("eu_cfd", Region.EU, dear, equity="1000").code(limit_order(10_001, "1"), rates=ONE)
        == "leverage"
    )
    low = abroad(
        "eu_cfd", Region.EU, forex("EUR/USD"), equity="1000", account={"leverage": Decimal(5)}
    )
    assert low.code(limit_order(5_001, "1"), rates=ONE) == "leverage"


def test_a_professional_client_is_exempt_from_the_ladder_and_not_from_the_broker() -> None:
    words = {"clients": {ACCOUNT: ClientCategory.PROFESSIONAL}}
    free = abroad("eu_cfd", Region.EU, forex("EUR/USD"), equity="1000", **words)
    assert free.code(limit_order(500_000, "1"), rates=ONE) == "pass"
    bound = forex("EUR/USD", margin_rate=Decimal("0.01"))
    desk = abroad("eu_cfd", Region.EU, bound, equity="1000", **words)
    violation = desk.verdict(limit_order(100_001, "1"), rates=ONE).violation
    assert violation is not None
    assert violation.numbers["max_leverage"] == "None"


def test_coins_for_difference_are_banned_in_the_kingdom_but_may_be_left() -> None:
    coin = forex("BTC/USD", asset_class=AssetClass.CFD)
    held = position(*lots(10, instrument="BTC/USD"), instrument="BTC/USD")
    desk = abroad("uk_cfd", Region.UK, coin, equity="1000", held=(held,))
    violation = desk.verdict(limit_order(1, "1", instrument="BTC/USD"), rates=ONE).violation
    assert violation is not None
    assert (violation.code, violation.field) == ("product_banned", "instrument")
    assert desk.code(limit_order(-10, "1", instrument="BTC/USD"), rates=ONE) == "pass"


def test_past_its_last_day_the_australian_order_refuses_openings() -> None:
    held = position(*lots(10))
    desk = abroad("au_cfd", Region.AU, forex("EUR/USD"), equity="1000", held=(held,))
    late = at("12:00", date(2027, 5, 24))
    fresh = (replace(ONE[0], received_ns=late),)
    violation = desk.verdict(limit_order(1, "1"), rates=fresh, now_ns=late).violation
    assert violation is not None
    assert (violation.code, violation.rule) == ("rule_expired", "au_cfd_leverage")
    assert desk.code(limit_order(-10, "1"), rates=fresh, now_ns=late) == "pass"


def test_a_stock_in_such_an_account_is_paid_whole() -> None:
    share_ = forex("AAPL/USD", asset_class=AssetClass.EQUITY)
    desk = abroad("eu_cfd", Region.EU, share_, equity="1000")
    order = limit_order(1_000, "1", instrument="AAPL/USD")
    assert desk.code(order, rates=ONE, order_id="o-1") == "pass"
    assert desk.code(limit_order(1, "1", instrument="AAPL/USD"), rates=ONE) == "leverage"


def test_a_canadian_pair_takes_the_dearer_leg_and_what_is_no_pair_is_paid_whole() -> None:
    desk = abroad("ca_forex", Region.CA, forex("EUR/USD"), equity="250")
    assert desk.code(limit_order(1_000, "1"), rates=ONE, order_id="o-1") == "pass"
    assert desk.code(limit_order(1, "1"), rates=ONE) == "leverage"
    coin = forex("BTC/USD", asset_class=AssetClass.CRYPTO)
    account = broker_account(region=Region.CA, regime="ca_forex", broker="sim")
    held = position(*lots(100, instrument="BTC/USD"), instrument="BTC/USD")
    desk = Desk(
        snapshot(held, equity="110", account=account), settings=LOOSE,
        instruments=(coin, forex("EUR/USD")),
    )  # fmt: skip
    assert desk.code(limit_order(40, "1"), rates=ONE) == "pass"
    assert desk.code(limit_order(1, "1"), rates=ONE) == "leverage"


def test_a_position_in_what_nobody_told_of_is_paid_whole_abroad() -> None:
    held = position(*lots(1_000, instrument="BTC/USD"), instrument="BTC/USD")
    desk = abroad("eu_cfd", Region.EU, forex("EUR/USD"), equity="1000", held=(held,))
    assert desk.code(limit_order(1, "1"), rates=ONE) == "leverage"


@pytest.mark.parametrize(
    ("base", "quote", "groups", "fraction"),
    [
        ("USD", "CAD", {}, "0.01"),
        ("AUD", "USD", {}, "0.037"),
        ("USD", "SEK", {}, "0.043"),
        ("EUR", "USD", {}, "0.25"),
        ("EUR", "USD", {"EUR": 1}, "0.01"),
        ("USD", "MXN", {"MXN": 3}, "0.1"),
    ],
)
def test_canadian_groups(base: str, quote: str, groups: dict[str, int], fraction: str) -> None:
    assert ciro_fraction(base, quote, groups) == Decimal(fraction)


def cfd(base: str, kind: AssetClass = AssetClass.CFD) -> Instrument:
    return forex(f"{base}/USD", asset_class=kind)


@pytest.mark.parametrize(
    ("instrument", "underlying"),
    [
        (forex("CAD/JPY"), Underlying.FX_MAJOR),
        (forex("AUD/USD"), Underlying.FX_MINOR),
        (forex("USD/AUD"), Underlying.FX_MINOR),
        (cfd("XAU", AssetClass.METAL), Underlying.GOLD),
        (cfd("XAG", AssetClass.METAL), Underlying.COMMODITY),
        (cfd("RHODIUM", AssetClass.METAL), Underlying.COMMODITY),
        (cfd("SPX500"), Underlying.INDEX_MAJOR),
        (cfd("US2000"), Underlying.INDEX_MINOR),
        (cfd("NATGAS"), Underlying.COMMODITY),
        (cfd("UK10YB"), Underlying.GOVERNMENT_BOND),
        (cfd("AAPL"), Underlying.SHARE),
        (cfd("BTC"), Underlying.CRYPTO),
        (cfd("NEWCOIN", AssetClass.CRYPTO), Underlying.CRYPTO),
    ],
)
def test_underlyings_are_sorted(instrument: Instrument, underlying: Underlying) -> None:
    majors = frozenset(["USD", "EUR", "JPY", "GBP", "CAD", "CHF"])
    assert classify(instrument, majors) is underlying


LADDER_ROWS = """
    esma  30 20 20 20 10 10  5  5  2
    fca   30 20 20 20 10 10 30  5  0
    asic  30 20 20 20 10 10  5  5  2
    jfsa  25 25  5  5  5  5  5  5  2
    mas   20 20  5  5  5  5  5  5  2
"""
OF_EACH = (
    forex("EUR/USD"), forex("EUR/NOK"), cfd("XAU", AssetClass.METAL), cfd("SPX500"),
    cfd("US2000"), cfd("NATGAS"), cfd("UK10YB"), cfd("AAPL"), cfd("BTC"),
)  # fmt: skip


@pytest.mark.parametrize("row", [line.split() for line in LADDER_ROWS.strip().splitlines()])
def test_each_ladder_step_by_step(row: list[str]) -> None:
    series, *steps = row
    found = [most_leverage(series, each, ClientCategory.RETAIL, TODAY) for each in OF_EACH]
    assert found == [int(step) for step in steps]


def test_the_australian_dollar_is_major_at_home() -> None:
    pair = forex("AUD/USD")
    assert most_leverage("asic", pair, ClientCategory.RETAIL, TODAY) == 30
    assert most_leverage("esma", pair, ClientCategory.RETAIL, TODAY) == 20


def test_singapore_lets_accredited_investors_have_more_and_exempts_nobody() -> None:
    pair = forex("EUR/USD")
    for category in (ClientCategory.ACCREDITED, ClientCategory.PROFESSIONAL):
        assert most_leverage("mas", pair, category, TODAY) == 50
    assert most_leverage("jfsa", pair, ClientCategory.PROFESSIONAL, TODAY) == 25
    assert most_leverage("esma", pair, ClientCategory.ACCREDITED, TODAY) == 30


def test_japan_halved_its_limit_in_2011() -> None:
    pair = forex("USD/JPY")
    assert most_leverage("jfsa", pair, ClientCategory.RETAIL, date(2011, 7, 31)) == 50
    assert most_leverage("jfsa", pair, ClientCategory.RETAIL, date(2011, 8, 1)) == 25


@pytest.mark.parametrize(
    ("instrument", "holds"),
    [
        (PERPETUAL, True),
        (forex("BTC/USD", broker_symbol="BTC rolling", asset_class=AssetClass.FUTURE), True),
        (forex("ES/USD", asset_class=AssetClass.FUTURE), False),
        (forex("BTC/USD", asset_class=AssetClass.CRYPTO), False),
        (stock("ABC"), False),
        (cfd("AAPL"), True),
        (cfd("XAU", AssetClass.METAL), True),
    ],
)
def test_what_is_a_contract_for_difference(instrument: Instrument, holds: bool) -> None:
    assert is_contract_for_difference(instrument) is holds


def test_a_margin_is_a_part_of_notional_and_whole_where_nothing_is_lent() -> None:
    retail = ClientCategory.RETAIL
    assert margin_fraction("esma", stock("ABC"), retail, TODAY) == 1
    assert margin_fraction("fca", cfd("BTC"), retail, TODAY) == 1
    assert margin_fraction("esma", cfd("BTC"), retail, TODAY) == Decimal("0.5")
    assert margin_fraction("esma", cfd("BTC"), ClientCategory.PROFESSIONAL, TODAY) == 0


# ------------------------------------------------------------------ retail protection


@pytest.mark.parametrize(
    ("series", "funds", "closes"),
    [
        ("esma", "500", False),
        ("esma", "499.99", True),
        ("fca", "500", True),
        ("fca", "500.01", False),
        ("asic", "500", True),
        ("esma", "-1", True),
    ],
)
def test_an_account_is_closed_out_at_half_its_margin(series: str, funds: str, closes: bool) -> None:
    found = find_close_out(series, ACCOUNT, Decimal(funds), Decimal(1000), TODAY)
    assert (found is not None) is closes
    if found is not None:
        assert (found.account, found.funds, found.required) == (ACCOUNT, Decimal(funds), 1000)
        assert found.citation


def test_without_open_contracts_there_is_nothing_to_close() -> None:
    assert find_close_out("fca", ACCOUNT, Decimal(0), Decimal(0), TODAY) is None


def test_a_close_out_is_said_once_until_the_account_recovers() -> None:
    held = position(*lots(30_000))
    desk = abroad("uk_cfd", Region.UK, forex("EUR/USD"), equity="500", held=(held,))
    desk.ask(limit_order(1, "1"), rates=ONE)
    exposure = desk.screener.book.accounts[ACCOUNT]
    monitor = CloseOuts()
    alert = monitor.look(exposure, "fca", TODAY, NOW)
    assert alert is not None
    assert alert.numbers == {"funds": "500", "required": "1000"}
    assert monitor.look(exposure, "fca", TODAY, NOW) is None
    exposure.equity = Decimal(501)
    assert monitor.look(exposure, "fca", TODAY, NOW) is None
    exposure.equity = Decimal(500)
    assert monitor.look(exposure, "fca", TODAY, NOW) is not None
    exposure.equity = None
    assert monitor.look(exposure, "fca", TODAY, NOW) is None


def test_a_retail_client_never_owes_and_a_professional_may() -> None:
    retail, professional = ClientCategory.RETAIL, ClientCategory.PROFESSIONAL
    debt = find_debt("esma", ACCOUNT, Decimal(-250), retail, TODAY)
    assert debt is not None
    assert (debt.account, debt.written_off) == (ACCOUNT, 250)
    assert debt.citation
    assert find_debt("esma", ACCOUNT, Decimal(0), retail, TODAY) is None
    assert find_debt("esma", ACCOUNT, Decimal(-1), professional, TODAY) is None
    assert find_debt("jfsa", ACCOUNT, Decimal(-1), retail, TODAY) is None
    assert not may_set_off("esma", retail, TODAY)
    assert may_set_off("esma", professional, TODAY)
    assert not may_offer_incentive("fca", retail, TODAY)
    assert may_offer_incentive("jfsa", retail, TODAY)
    # Past its last day the order's protection is not dropped.
    assert not may_set_off("asic", retail, date(2028, 1, 1))


def test_every_leverage_card_ends_with_its_edition() -> None:
    card = RULES["au_cfd_leverage"].card
    assert (card.effective_from, card.effective_to) == (date(2021, 3, 29), date(2027, 5, 23))
