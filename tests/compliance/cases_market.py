"""Runners of the market families: leverage abroad, market access, LULD, Reg SHO, NMS, monitors.

Each says which facts it reads: one more than these, and the case fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from compliance import luld, nms
from compliance.calendar import BusinessCalendar
from compliance.ladders import (
    ciro_percents,
    is_contract_for_difference,
    most_leverage,
)
from compliance.limits import Authorization, ClientCategory, MarketSettings, Security
from compliance.magnitude import ceil_cent
from compliance.market import is_price_fall
from compliance.monitors import execution_quality as quality
from compliance.monitors import luld_states, price_adjustments, suspicion
from compliance.monitors.currency_deposits import judge_day
from compliance.retail import find_close_out, find_debt, may_offer_incentive, may_set_off
from compliance.settings import ComplianceSettings
from compliance.short_sales import close_out_by, passes_price_test
from domain import events as ev
from domain.accounts import Region
from domain.instruments import AssetClass
from domain.lifecycle import Status
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from domain.records import HaltScope
from tests.compliance.desk import (
    ACCOUNT,
    LOOSE,
    MS,
    NOW,
    OWNER,
    Desk,
    broker_account,
    forex,
    limit_order,
    lots,
    order_update,
    position,
    rate,
    snapshot,
    stock,
)

Facts = dict[str, Any]
TODAY = date(2026, 11, 21)
NEW_YORK = ZoneInfo("America/New_York")
REFUSED = {"REJECT", "BLOCK", "REVIEW", "REJECT_OR_REPRICE", "REJECT_OR_SLIDE", "DENY"}


def number(value: Any) -> Decimal:
    return Decimal(str(value))


def read(facts: Facts, *names: str) -> list[Any]:
    """The facts by name, None where absent; a fact nobody asked for is not understood."""
    strange = facts.keys() - set(names)
    assert not strange, f"not understood: {sorted(strange)}"
    return [facts.get(name) for name in names]


def check_numbers(expect: Facts, found: Facts) -> None:
    strange = expect.keys() - found.keys()
    assert not strange, f"not understood: {sorted(strange)}"
    for name, value in expect.items():
        ours = found[name]
        if isinstance(ours, Decimal):
            places = -int(number(value).as_tuple().exponent)
            assert round(ours, places) == number(value), name
        else:
            assert ours == value, name


def moment(day: date, clock: str = "12:00") -> int:
    hours, minutes = (int(part) for part in clock.split(":")[:2])
    at = datetime(day.year, day.month, day.day, hours, minutes, tzinfo=NEW_YORK)
    return int(at.timestamp()) * 1_000_000_000


# ------------------------------------------------------------------ leverage abroad

SERIES = {
    "ESMA-CFD": ("esma", Region.EU, "eu_cfd"),
    "FCA-CFD": ("fca", Region.UK, "uk_cfd"),
    "ASIC-CFD": ("asic", Region.AU, "au_cfd"),
    "JFSA-FX": ("jfsa", Region.JP, "jp_forex"),
    "MAS-FX": ("mas", Region.SG, "sg_forex"),
}
CLASSES = {
    "fx_major": forex("EUR/USD"),
    "fx_minor": forex("EUR/NOK"),
    "gold": forex("XAU/USD", asset_class=AssetClass.METAL),
    "index_major": forex("SPX500/USD", asset_class=AssetClass.CFD),
    "index_minor": forex("US2000/USD", asset_class=AssetClass.CFD),
    "commodity_ex_gold": forex("BCO/USD", asset_class=AssetClass.CFD),
    "commodity": forex("BCO/USD", asset_class=AssetClass.CFD),
    "government_bond": forex("UK10YB/GBP", asset_class=AssetClass.CFD),
    "equity_or_other": forex("AAPL/USD", asset_class=AssetClass.CFD),
    "share": forex("AAPL/USD", asset_class=AssetClass.CFD),
    "equity": forex("AAPL/USD", asset_class=AssetClass.CFD),
    "crypto": forex("BTC/USD", asset_class=AssetClass.CFD),
}
PERPETUAL = forex("BTC/USD", broker_symbol="BTC-PERP", asset_class=AssetClass.FUTURE)


def run_ladder(rule: str) -> Callable[[Facts, Facts, Facts], None]:
    def run(given: Facts, when: Facts, expect: Facts) -> None:
        if rule == "ESMA-CFD" or rule == "FCA-CFD" or rule == "ASIC-CFD":
            for name, special in PROTECTION.items():
                if name in given or name in when:
                    special(SERIES[rule][0], given, when, expect)
                    return
        run_opening(rule, given, when, expect)

    return run


def run_opening(rule: str, given: Facts, when: Facts, expect: Facts) -> None:
    given, when = dict(given), dict(when)
    client, kind, day, home, mid, label, settled = read(
        {k: v for k, v in given.items() if k != "leverage_requested"},
        "client", "asset_class", "date", "account_ccy", "usd_jpy", "product_label", "settled",
    )  # fmt: skip
    leverage = given.get("leverage_requested", when.pop("leverage_requested", None))
    pair, units, notional, margin = (
        when.pop("pair", None), when.pop("units", None),
        when.pop("notional_usd", when.pop("notional", None)), when.pop("initial_margin", None),
    )  # fmt: skip
    day = when.pop("date", day)
    assert not when, f"not understood: {when}"
    instrument = PERPETUAL if label else CLASSES.get(kind or "fx_major")
    if label:
        assert "perp" in label.lower()
        assert settled == "cash"
    if pair:
        instrument = forex(pair.replace("_", "/"))
    assert instrument is not None, f"not understood: {kind}"
    series, region, regime = SERIES[rule]
    category = ClientCategory(client or "retail")
    today = date.fromisoformat(day) if day else TODAY
    found: Facts = {
        "max_leverage": most_leverage(series, instrument, category, today),
        "asset_class": kind or "fx_major",
        "classified_as": "CFD" if is_contract_for_difference(instrument) else "other",
    }
    if pair and units is None:
        majors = most_leverage(series, CLASSES["fx_major"], category, today)
        found["asset_class"] = "fx_major" if found["max_leverage"] == majors else "fx_minor"
        check_numbers(expect, found)
        return
    if units is None and notional is None and leverage is None:
        leverage = 1
    quantity = number(units if units is not None else notional or 30_000 * int(leverage))
    equity = number(margin) if margin is not None else number(10**12)
    if leverage is not None:
        equity = quantity / int(leverage)
    at_ns = moment(today)
    account = broker_account(
        region=region, regime=regime, broker="sim", base_currency=home or "USD"
    )
    desk = Desk(
        snapshot(equity=str(equity), account=account),
        settings=replace(LOOSE, market=MarketSettings(clients={ACCOUNT: category})),
        instruments=(instrument,),
    )
    symbol, worth = instrument.symbol, str(mid or 1)
    legs = {symbol: worth, f"{instrument.base_currency}/USD": "1", "NOK/USD": "1", "GBP/USD": "1"}
    rates = [replace(rate(name, value), received_ns=at_ns) for name, value in legs.items()]
    order = replace(limit_order(1, worth, instrument=symbol), quantity=quantity)
    violation = desk.verdict(order, rates=tuple(rates), now_ns=at_ns).violation
    if violation is not None and violation.code == "leverage" and "max_leverage" in expect:
        assert violation.numbers["max_leverage"] == str(expect["max_leverage"])
    exposure = desk.screener.book.accounts[ACCOUNT]
    found["notional"] = quantity * Decimal(worth)
    found["margin_required"] = ceil_cent(exposure.required)
    wanted = dict(expect)
    check_word(wanted.pop("verdict", "ALLOW"), violation)
    wanted.pop("reason", None)
    check_numbers(wanted, found)


def check_word(word: str, violation: Any) -> None:
    if word in REFUSED or word.startswith("REVIEW"):
        assert violation is not None, "passed"
        assert not word.startswith("REVIEW") or violation.code == "rule_expired"
    else:
        assert word in ("ALLOW", "ACCEPT"), word
        assert violation is None, violation


def run_close_out(series: str, given: Facts, when: Facts, expect: Facts) -> None:
    assert not when
    funds = given.get("funds_plus_unrealised_net", given.get("funds"))
    required = given.get("sum_initial_margin", given.get("margin_required_open_positions"))
    read(given, "funds_plus_unrealised_net", "funds", "sum_initial_margin",
         "margin_required_open_positions", "client")  # fmt: skip
    found = find_close_out(series, ACCOUNT, number(funds), number(required), TODAY)
    scope = "account" if found is not None and found.account == ACCOUNT else None
    check_numbers(expect, {"margin_close_out": found is not None, "scope": scope})


def run_debt(series: str, given: Facts, when: Facts, expect: Facts) -> None:
    balance, _cash, client = read(
        given, "cfd_account_balance_after_gap", "client_other_account_cash", "client"
    )
    (set_off,) = read(when, "set_off")
    category = ClientCategory(client or "retail")
    debt = find_debt(series, ACCOUNT, number(balance), category, TODAY)
    written = debt.written_off if debt is not None else Decimal(0)
    assert written == (-number(balance) if number(balance) < 0 else 0)
    wanted = dict(expect)
    if set_off:
        allowed = may_set_off(series, category, TODAY)
        assert wanted.pop("verdict") == ("ALLOW" if allowed else "REJECT")
    check_numbers(
        wanted,
        {
            "client_owes": Decimal(0), "balance": Decimal(0), "balance_after": Decimal(0),
            "written_off": written,
        },
    )  # fmt: skip


def run_incentive(series: str, given: Facts, when: Facts, expect: Facts) -> None:
    (client,) = read(given, "client")
    read(when, "promotion")
    allowed = may_offer_incentive(series, ClientCategory(client or "retail"), TODAY)
    assert expect == {"verdict": "ALLOW" if allowed else "REJECT"}


PROTECTION: dict[str, Callable[[str, Facts, Facts, Facts], None]] = {
    "sum_initial_margin": run_close_out,
    "margin_required_open_positions": run_close_out,
    "cfd_account_balance_after_gap": run_debt,
    "promotion": run_incentive,
}


def run_ciro(given: Facts, when: Facts, expect: Facts) -> None:
    group, surcharge = read(given, "currency_group", "surcharge_pct")
    term, notional = read(when, "term_years", "notional")
    spot, held = ciro_percents(int(group), number(surcharge or 0), number(term or 0))
    margin = number(notional) * (spot + held) / 100
    check_numbers(expect, {"spot_margin_pct": spot, "term_margin_pct": held, "margin": margin})


# ------------------------------------------------------------------ market access


def run_access(given: Facts, when: Facts, expect: Facts) -> bool:
    """The facts of SEC-15c3-5 beyond limits per order; False where there are none of them."""
    limits = given["limits"]
    market = MarketSettings(
        messages_per_s_max=limits["max_msgs_per_s"],
        customer_credit_max=number(limits["customer_gross_credit"]),
        firm_credit_max=number(limits["firm_gross_capital"]),
    )
    house = replace(
        LOOSE,
        max_quantity=number(limits["max_qty"]),
        max_notional=number(limits["max_notional"]),
        collar_percent=number(limits["collar_pct"]),
        duplicate_window_ms=limits["dup_window_ms"],
        market=market,
    )
    if "repeated_executions" in given:
        run_repeats(house, given, when, expect)
    elif "msgs_last_s" in given:
        run_messages(house, given, when, expect)
    elif "customer_open_exposure" in given or "firm_open_exposure" in given:
        run_credit(house, given, when, expect)
    elif "trader_authorised" in given:
        trader = OWNER if given["trader_authorised"] else "someone-else"
        desk = access_desk(house, authorized=(Authorization(owner=trader),))
        check_code(expect, desk, share(when["order"]), "unauthorized")
    elif "own_resting" in given:
        assert given.keys() <= {"limits", "own_resting", "nbbo"}
        desk = access_desk(house)
        for index, row in enumerate(given["own_resting"]):
            rest(desk, f"r-{index}", Side[row["side"]], row["price"])
        check_code(expect, desk, share(when["order"]), "self_trade")
    else:
        return False
    return True


def access_desk(house: ComplianceSettings, **market: Any) -> Desk:
    account = broker_account(regime="house", broker="sim")
    return Desk(
        snapshot(account=account),
        settings=replace(house, market=replace(house.market, **market)),
        instruments=(stock("ABC"),),
    )


def share(words: Facts) -> NewOrder:
    sym, side, qty, limit, kind = read(words, "sym", "side", "qty", "limit", "type")
    assert kind in (None, "LIMIT")
    plain: Facts = {"instrument": sym or "ABC", "side": Side[side or "BUY"]}
    return replace(limit_order(str(qty or 100), str(limit or "10"), **plain))


ACCESS_REASONS = {"UNAUTHORISED": "unauthorized", "SELF_TRADE": "self_trade"}


def check_code(expect: Facts, desk: Desk, order: NewOrder, code: str) -> None:
    verdict, reason = read(expect, "verdict", "reason")
    quote = rate(order.instrument, str(order.limit_price))
    found = desk.code(order, rates=(quote,))
    assert found == ("pass" if verdict == "ALLOW" else code)
    assert reason is None or ACCESS_REASONS[reason] == code


def rest(desk: Desk, name: str, side: Side, price: str) -> None:
    order = replace(limit_order("100", price, instrument="ABC"), side=side)
    assert desk.code(order, name, rates=(rate("ABC", price),)) == "pass"
    desk.tell(order_update(name, 2, leaves=100, instrument="ABC"))


def run_credit(house: ComplianceSettings, given: Facts, when: Facts, expect: Facts) -> None:
    _, customer, firm = read(given, "limits", "customer_open_exposure", "firm_open_exposure")
    mine = number(customer or 0)
    elsewhere = number(firm) - mine if firm is not None else Decimal(0)
    books, instruments = [], [stock("ABC"), stock("HELD")]
    for name, owner, value in (("acct-1", OWNER, mine), ("acct-9", "owner-9", elsewhere)):
        account = broker_account(account=name, owner=owner, regime="house", broker="sim")
        held = replace(
            position(*lots(str(value), instrument="HELD"), account=name, instrument="HELD"),
            average_cost=Decimal(1),
        )
        books.append(snapshot(*([held] if value else []), account=account))
    desk = Desk(*books, settings=house, instruments=tuple(instruments))
    verdict, reason = read(expect, "verdict", "reason")
    codes = {"CUSTOMER_CREDIT": "customer_credit", "FIRM_CAPITAL": "firm_credit"}
    order = share(when["order"])
    found = desk.code(order, rates=(rate("ABC", str(order.limit_price)),))
    assert found == ("pass" if verdict == "ALLOW" else codes[reason])


def run_messages(house: ComplianceSettings, given: Facts, when: Facts, expect: Facts) -> None:
    _, sent = read(given, "limits", "msgs_last_s")
    desk = access_desk(
        house, prevents_self_trades=False, customer_credit_max=None, firm_credit_max=None
    )
    quotes = (rate("ABC", "10"),)
    for index in range(sent):
        order = replace(share({"limit": "10", "qty": 200 + index}), client_order_id=f"m-{index}")
        assert desk.code(order, f"m-{index}", rates=quotes) == "pass"
        desk.tell(order_update(f"m-{index}", 2, leaves=100, instrument="ABC"), index + 1)
    activity = desk.screener.book.accounts[ACCOUNT].activity
    assert activity.messages(NOW) == sent
    if when.get("cancel_or_modify"):
        # The cancel counts, and nothing here could have refused it.
        asked = ev.CancelRequested(at_ns=NOW, request_id="r")
        desk.tell(order_update("m-0", 3, leaves=100, instrument="ABC", event=asked), 10**6)
        check_numbers(
            expect,
            {"verdict": "COUNT",
             "counts_toward_message_limit": activity.messages(NOW) == sent + 1},
        )  # fmt: skip
        return
    check_code(expect, desk, share(when["order"]), "message_rate")


def run_repeats(house: ComplianceSettings, given: Facts, when: Facts, expect: Facts) -> None:
    read(given, "limits", "repeated_executions")
    assert not when
    assert given["repeated_executions"] == "limit reached"
    desk = access_desk(house, repeats_max=3)
    order = replace(share({}), tag="grid")

    def ask(index: int) -> str:
        # Each later than the guard against duplicates looks back.
        now_ns = NOW + index * (house.duplicate_window_ms + 1) * MS
        quote = replace(rate("ABC", "10"), received_ns=now_ns)
        return desk.code(order, f"o-{index}", rates=(quote,), now_ns=now_ns)

    for index in range(3):
        assert ask(index) == "pass"
        fill = order_update(
            f"o-{index}", 2, status=Status.FILLED, filled=100, leaves=0, instrument="ABC",
            event=fill_event(f"o-{index}"),
        )  # fmt: skip
        desk.tell(fill, index + 1)
    (halt,) = desk.screener.take_trips()
    assert (halt.scope, halt.subject) == (HaltScope.TAG, "grid")
    assert ask(3) == "halted"
    # It stays so while the router tells the halt, and ends when a person lifted it.
    desk.screener.set_halts((halt,))
    assert ask(4) == "halted"
    desk.screener.set_halts(())
    assert ask(5) == "pass"
    assert expect == {"strategy_state": "DISABLED_UNTIL_HUMAN_REENABLE"}


def fill_event(name: str, price: str = "10", side: Side = Side.BUY) -> ev.Fill:
    return ev.Fill(
        at_ns=NOW, execution_id=name, broker_execution_id=name, broker_order_id=name,
        instrument="ABC", side=side, quantity=Decimal(100), price=Decimal(price),
    )  # fmt: skip


# ------------------------------------------------------------------ LULD


def run_luld(given: Facts, when: Facts, expect: Facts) -> None:
    wanted = {name: value for name, value in expect.items() if name != "note"}
    if "limit_state_seconds" in given:
        run_limit_state(given, when, wanted)
        return
    if "order" in when:
        run_banded_order(given, when, wanted)
        return
    assert not when
    tier, close, reference, clock, session, last, multiple, day, kind = read(
        given, "tier", "prior_close", "ref", "time_et", "session", "last_at_1945",
        "leveraged_etp_multiple", "date", "security_type",
    ) if "close" not in given else read(
        {**given, "prior_close": given["close"], "close": None},
        "tier", "prior_close", "ref", "time_et", "session", "last_at_1945",
        "leveraged_etp_multiple", "date", "security_type", "close",
    )[:9]  # fmt: skip
    today = date.fromisoformat(day) if day else TODAY
    leverage = int(multiple or 1)
    if session == "overnight":
        when_live = today if day else date(2026, 12, 6)
        band = luld.find_overnight_band(
            number(close or 1), number(last or close or 1), leverage, when_live
        )
    elif kind in luld.NOT_COVERED:
        band = None
    else:
        hours, minutes = (int(part) for part in clock.split(":")[:2])
        stock_ = luld.Stock(tier=tier, prior_close=number(close or 100), leverage=leverage)
        at_s = hours * 3600 + minutes * 60
        band = luld.find_band(stock_, number(reference or close or 100), today, at_s)
    found: Facts = {"luld_applies": band is not None, "use": wanted.get("use")}
    if band is not None:
        found |= {"lower": band.low, "upper": band.high}
    for name in ("lower", "upper"):
        if name in wanted:
            assert found[name] == number(wanted.pop(name)), name
    check_numbers(wanted, found)


def run_limit_state(given: Facts, when: Facts, expect: Facts) -> None:
    assert not when
    (seconds,) = read(given, "limit_state_seconds")
    band = luld.Band(Decimal(95), Decimal(105))
    touch = luld_states.Touch(bid=Decimal(94), ask=Decimal(95), band=band, at_ns=NOW)
    state, first = luld_states.step(luld_states.LuldState(symbol="ABC"), touch)
    assert first is not None
    assert state.state is luld_states.State.LIMIT
    later = replace(touch, at_ns=NOW + int(seconds) * 1000 * MS)
    after, alert = luld_states.step(state, later)
    is_paused = after.state is luld_states.State.PAUSED
    assert is_paused == (alert is not None)
    minutes = (after.until_ns - after.since_ns) // (60_000 * MS) if is_paused else None
    action = "TRADING_PAUSE" if is_paused else expect.get("action")
    assert is_paused == (expect.get("action") == "TRADING_PAUSE")
    check_numbers(expect, {"action": action, "minutes": minutes})


def run_banded_order(given: Facts, when: Facts, expect: Facts) -> None:
    low, high, upper, lower, _policy, paused = read(
        given, "band_low", "band_high", "upper", "lower", "policy", "paused"
    )
    row = Security(
        symbol="ABC",
        band_low=number(lower or low or "0.01"),
        band_high=number(upper or high or "1000000"),
        is_paused=bool(paused),
    )
    order = share(when["order"])
    desk = stock_desk(MarketSettings(securities=(row,)))
    violation = desk.verdict(order, rates=(rate("ABC", str(order.limit_price)),)).violation
    check_word(expect["verdict"], violation)


# ------------------------------------------------------------------ Reg SHO

DAYS = {"Mon": 16, "Tue": 17, "Wed": 18, "Thu": 19, "Fri": 20}
"""Days of the week of 2026-11-16, which has no holiday."""


WEEKDAYS = BusinessCalendar(
    "XNYS",
    "America/New_York",
    tuple(
        day
        for number in range(2_000)
        if (day := date(2024, 1, 1) + timedelta(days=number)).weekday() < 5
    ),
)
"""A calendar without holidays."""


def stock_desk(market: MarketSettings, held: int = 0) -> Desk:
    account = broker_account(regime="us_stocks_intraday", broker="sim")
    mine = position(*lots(held, instrument="ABC"), instrument="ABC") if held else None
    return Desk(
        snapshot(*([mine] if mine else []), account=account),
        settings=replace(LOOSE, market=market),
        instruments=(stock("ABC", tick=Decimal("0.01"), calendar="XNYS"),),
        calendars={"XNYS": WEEKDAYS},
    )


def run_short(given: Facts, when: Facts, expect: Facts) -> None:
    if "prior_close" in given:
        (close,), (last,) = read(given, "prior_close"), read(when, "last_rth")
        is_fall = is_price_fall(number(last), number(close))
        desk = stock_desk(MarketSettings(securities=(Security(symbol="ABC"),)))
        news = Security(symbol="ABC", prior_close=number(close), last_sale=number(last), at_ns=NOW)
        desk.screener.observe_market((news,))
        state = desk.screener.market.find("ABC")
        assert state is not None
        assert (state.facts.restricted_from is not None) == is_fall
        assert expect == {"ssr_triggered": is_fall}
    elif "ssr_triggered_on" in given:
        run_restricted_day(given, when, expect)
    elif "fail_from" in given:
        assert not when
        what, day = read(given, "fail_from", "trade_date")
        due = close_out_by(date.fromisoformat(day), is_short="short" in what, sessions=WEEKDAYS)
        assert expect == {"close_out_by": f"beginning of RTH {due}"}
    else:
        run_short_order(given, when, expect)


def run_restricted_day(given: Facts, when: Facts, expect: Facts) -> None:
    (day,) = read(when, "day")
    first, again = read(given, "ssr_triggered_on", "retriggered_on")
    desk = stock_desk(MarketSettings(securities=(Security(symbol="ABC", easy_to_borrow=True),)))
    for name in filter(None, (first, again)):
        news = Security(
            symbol="ABC",
            prior_close=Decimal(50),
            last_sale=Decimal(45),
            at_ns=moment(date(2026, 11, DAYS[name])),
        )
        desk.screener.observe_market((news,))
    now_ns = moment(date(2026, 11, DAYS[day]))
    order = replace(limit_order(100, "44", instrument="ABC"), side=Side.SELL_SHORT)
    quote = replace(rate("ABC", "44"), received_ns=now_ns)
    code = desk.code(order, rates=(quote,), now_ns=now_ns)
    assert code in ("pass", "short_restricted")
    assert expect == {"restricted": code == "short_restricted"}


def run_short_order(given: Facts, when: Facts, expect: Facts) -> None:
    restricted, bid, locate, maker, fail, easy = read(
        given, "restricted", "nbb", "locate", "bona_fide_market_maker", "unclosed_fail",
        "easy_to_borrow",
    )  # fmt: skip
    (words,) = read(when, "order")
    mark, limit, kind, qty, sell_qty, held, basis = read(
        words, "mark", "limit", "type", "qty", "sell_qty", "position", "basis"
    )
    needs_locate = "locate" in given
    row = Security(
        symbol="ABC",
        restricted_from=TODAY if restricted else None,
        easy_to_borrow=True if easy or not needs_locate else None,
        located=number(locate["qty"]) if locate else None,
        located_on=located_on(locate) if locate else None,
        must_preborrow=True if fail else None,
    )
    makers = (ACCOUNT,) if maker else ()
    desk = stock_desk(MarketSettings(securities=(row,), market_makers=makers), held=int(held or 0))
    best = str(bid or "10")
    if locate and locate.get("used"):
        used = replace(
            limit_order(str(locate["used"]), str(number(best) + 1), instrument="ABC"),
            side=Side.SELL_SHORT,
        )
        if locate["expires"] == "today":
            assert desk.code(used, "used", rates=(rate("ABC", best),)) == "pass"
    is_market = kind == "MARKET"
    price = None if is_market else number(limit or number(best) + 1)
    order = NewOrder(
        client_order_id="c-1",
        instrument="ABC",
        side=Side.SELL if mark == "LONG" else Side.SELL_SHORT,
        quantity=number(sell_qty or qty or 100),
        type=OrderType.MARKET if is_market else OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=price,
    )
    wanted = dict(expect)
    word, reason = wanted.pop("verdict"), wanted.pop("reason", None)
    if mark == "SHORT_EXEMPT":
        # Our orders cannot say it yet; the test itself knows the grounds.
        assert passes_price_test(price, number(best), basis) == (word == "ALLOW")
        return
    violation = desk.verdict(order, rates=(rate("ABC", best),)).violation
    check_word(word, violation)
    codes = {
        "NO_LOCATE": "no_locate",
        "LOCATE_EXHAUSTED": "locate_exhausted",
        "PENALTY_BOX_PREBORROW": "preborrow",
    }
    assert reason not in codes or (violation is not None and violation.code == codes[reason])
    if "reprice" in wanted:
        assert violation is not None
        assert violation.would_pass == f"lowest price that fits: {wanted.pop('reprice')}"
    assert not wanted, f"not understood: {wanted}"


def located_on(locate: Facts) -> date:
    return TODAY if locate.get("expires", "today") == "today" else TODAY - timedelta(days=1)


# ------------------------------------------------------------------ Reg NMS


def run_nms(given: Facts, when: Facts, expect: Facts) -> None:
    day = when.get("date") or given.get("date")
    today = date.fromisoformat(day) if day else TODAY
    if "protected_offers" in given:
        run_protected(given, when, expect)
    elif "rule_611_status" in given:
        edition = nms.ORDER_PROTECTION[-1]
        assert given == {"rule_611_status": "proposed_rescission"}
        assert when == {"feature_flag": "rule611_enforced"}
        assert edition.effective_to is None
        assert expect == {
            "default": edition.values.is_enforced, "review_on": edition.values.review_on,
        }  # fmt: skip
    elif "avg_close" in given:
        check_numbers(expect, {"round_lot": nms.round_lot(number(given["avg_close"]), today)})
    elif "broker_customer_accounts" in given:
        must = nms.must_report_605(int(given["broker_customer_accounts"]), today)
        check_numbers(expect, {"rule_605_report_required": must})
    else:
        (price, _) = read(given, "price", "date")
        assert when.get("display_order") is True
        desk = stock_desk(MarketSettings())
        order = limit_order(100, price, instrument="ABC")
        at_ns = moment(today)
        quote = replace(rate("ABC", price), received_ns=at_ns)
        violation = desk.verdict(order, rates=(quote,), now_ns=at_ns).violation
        check_word(expect["verdict"], violation)
        assert violation is None or violation.code == "sub_penny"


def run_protected(given: Facts, when: Facts, expect: Facts) -> None:
    quotes = {}
    for venue, words in given["protected_offers"].items():
        price, _, size = words.partition(" x")
        quotes[venue] = nms.ProtectedQuote(number(price), number(size) if size else None)
    if "isos" in when:
        rows = [
            (venue, leg["px"], size) for leg in when["isos"]
            for venue, size in leg.items() if venue != "px"
        ]  # fmt: skip
        routes = tuple(
            nms.Route(venue=venue, price=number(price), quantity=number(size), is_sweep=True)
            for venue, price, size in rows
        )
    else:
        venue, limit, iso = read(when, "route_buy_to", "limit", "iso")
        routes = (
            nms.Route(venue=venue, price=number(limit), quantity=Decimal(100), is_sweep=bool(iso)),
        )
    through = nms.find_trade_through(1, quotes, routes, TODAY)
    verdict, reason = read(expect, "verdict", "reason")
    assert (through is not None) == (verdict == "REJECT")
    assert reason in (None, "TRADE_THROUGH")


# ------------------------------------------------------------------ surveillance


def run_surveillance(given: Facts, when: Facts, expect: Facts) -> None:
    for name, run in PATTERNS.items():
        if name in given or name in when:
            run(given, when, expect)
            return
    raise AssertionError(f"not understood: {given} {when}")


class Watch:
    """A monitor and the words to feed it."""

    def __init__(self, **words: Any) -> None:
        # The least that can be a pattern, unless the words ask for more.
        least: Facts = {
            "cancel_share": Decimal("0.1"), "cancels_min": 1, "cancel_life_ms": 10**9,
            "size_times": Decimal(0), "window_ms": 3_600_000, "wash_trades": 2,
            "wash_net_percent": Decimal(1), "wash_same_sizes": False,
        }  # fmt: skip
        self.monitor = suspicion.Suspicion(suspicion.SuspicionSettings(**(least | words)))
        self.count = 0
        self.kinds: set[str] = set()

    def place(self, sign: int, price: str = "10", at_ms: int = 0, quantity: int = 100) -> str:
        self.count += 1
        name = f"o-{self.count}"
        self.monitor.place(
            suspicion.Placed(
                order_id=name, owner=OWNER, instrument="ABC", sign=sign, price=Decimal(price),
                quantity=Decimal(quantity), at_ns=NOW + at_ms * MS,
            )
        )  # fmt: skip
        return name

    def cancel(self, name: str, at_ms: int, reason: str | None = None) -> None:
        gone = suspicion.Canceled(order_id=name, at_ns=NOW + at_ms * MS, reason=reason)
        self.kinds |= {alert.kind.value for alert in self.monitor.cancel(gone)}

    def fill(self, name: str, at_ms: int, price: str = "10", quantity: int = 100) -> None:
        done = suspicion.Filled(
            order_id=name, quantity=Decimal(quantity), price=Decimal(price), at_ns=NOW + at_ms * MS
        )
        self.kinds |= {alert.kind.value for alert in self.monitor.fill(done)}

    def check(self, alert: str | None) -> None:
        if alert is None:
            assert not self.kinds
        else:
            assert alert.lower() in self.kinds, self.kinds


def run_spoof(given: Facts, when: Facts, expect: Facts) -> None:
    params = given["params"]
    watch = Watch(
        cancel_share=number(params["cancel_share"]), window_ms=params["window_min"] * 60_000
    )
    buys, canceled, then = read(when, "buys", "cancelled_buys", "then")
    assert then == "sell fills"
    names = [watch.place(1, str(10 - index % 2)) for index in range(buys)]
    for name in names[:canceled]:
        watch.cancel(name, 10_000)
    watch.fill(watch.place(-1, "10", 20_000), 20_000)
    watch.check(expect["alert"])


ORDERS = re.compile(r"(\d+) (sell|buy)s at (\d+) levels\b.*?\b(\d+)s\b(.*)", re.IGNORECASE)


def run_layers(given: Facts, when: Facts, expect: Facts) -> None:
    params = given["params"]
    # The share of cancels is another pattern: it stays out of the way of this one.
    watch = Watch(
        layers=params["layers"], layer_life_ms=params["max_life_s"] * 1000, cancel_share=Decimal(2)
    )
    match = ORDERS.match(when["orders"])
    assert match, when["orders"]
    count, side, levels, life, how = match.groups()
    assert "fill" in how.lower(), how
    sign = 1 if side.lower() == "buy" else -1
    names = [watch.place(sign, str(10 + index % int(levels))) for index in range(int(count))]
    if not {"NO", "WITHOUT"} & set(how.upper().split()):
        watch.fill(watch.place(-sign, "10", 0), 0)
    for name in names:
        watch.cancel(name, int(life) * 1000)
    watch.check(expect["alert"])
    assert params.get("opposite_fill", True), "without one there is no pattern of layers"
    if "score" in expect:
        assert expect["score"] == ("low" if not watch.kinds else "high")


def run_close(given: Facts, when: Facts, expect: Facts) -> None:
    params = given["params"]
    close, at, filled, volume = read(when, "close", "order_at", "filled", "day_volume")
    watch = Watch(
        close_window_ms=params["window_min"] * 60_000,
        close_share=number(params["share_of_daily_volume"]),
    )
    closes_ns, at_ns = moment(TODAY, close), moment(TODAY, at)
    watch.monitor.session(
        suspicion.Session(instrument="ABC", closes_ns=closes_ns, volume=number(volume))
    )
    at_ms = (at_ns - NOW) // MS
    watch.fill(watch.place(1, "10", at_ms, filled), at_ms, quantity=filled)
    watch.check(expect["alert"])


def run_wash(given: Facts, when: Facts, expect: Facts) -> None:
    params = given["params"]
    watch = Watch(
        wash_trades=params["min_trades"],
        wash_net_percent=number(params["max_net_value_change_pct"]),
    )
    for index, words in enumerate(when["trades"]):
        side, quantity, price = re.match(r"(BUY|SELL) (\d+)@([\d.]+)", words).groups()  # type: ignore[union-attr]
        name = watch.place(1 if side == "BUY" else -1, price, index, int(quantity))
        watch.fill(name, index, price, int(quantity))
    watch.check(expect["alert"])


def run_self_match(given: Facts, when: Facts, expect: Facts) -> None:
    sell, same = read(given, "own_resting_sell", "same_beneficial_owner")
    (buy,) = read(when, "incoming_buy")
    desk = access_desk(replace(LOOSE, market=MarketSettings()))
    if same:
        rest(desk, "r-1", Side.SELL, sell)
    code = desk.code(share({"limit": buy}), rates=(rate("ABC", buy),))
    assert code in ("pass", "self_trade")
    blocked = "BLOCK_SELF_MATCH" if code == "self_trade" else "ALLOW"
    check_numbers(expect, {"pre_trade": blocked})


def run_currency(given: Facts, when: Facts, expect: Facts) -> None:
    assert not when
    amounts = tuple(number(amount) for amount in given["currency_deposits_same_day"])
    found = judge_day("person-1", amounts, NOW)
    kind = found.alert.kind.value.upper() if found.alert else None
    check_numbers(
        expect,
        {"aggregate": found.total, "ctr_required": found.must_report, "alert": kind},
    )


def run_reason(given: Facts, when: Facts, expect: Facts) -> None:
    assert not when
    _log, reason = read(given, "trader_intent_log", "cancel_reason")
    watch = Watch(allowed_reasons=frozenset({"hedge leg filled elsewhere"}))
    name = watch.place(1)
    watch.fill(watch.place(-1, "11"), 1)
    watch.cancel(name, 2, reason)
    watch.check(expect["alert"])
    assert expect.get("evidence") in (None, "keep reason codes")


PATTERNS: dict[str, Callable[[Facts, Facts, Facts], None]] = {
    "cancelled_buys": run_spoof,
    "orders": run_layers,
    "order_at": run_close,
    "trades": run_wash,
    "own_resting_sell": run_self_match,
    "currency_deposits_same_day": run_currency,
    "trader_intent_log": run_reason,
}


# ------------------------------------------------------------------ execution quality


def run_quality(given: Facts, when: Facts, expect: Facts) -> None:
    assert not when
    if "fills" in given:
        fills = tuple(
            quality.FillQuality(
                quantity=number(fill["q"]), effective_spread=number(fill["eff"]),
                quoted_spread=Decimal(1), price_improvement=Decimal(0),
                effective_over_quoted=None,
            )
            for fill in given["fills"]
        )  # fmt: skip
        check_numbers(expect, {"avg_effective_spread": quality.average(fills).effective_spread})
        return
    if "stale_quote_ms" in given:
        assert given["quote_time"] == "order receipt"
        age_ms = int(given["stale_quote_ms"])
        bench = quality.Benchmark(
            bid=Decimal(10), ask=Decimal(11), quote_ns=NOW - age_ms * MS, received_ns=NOW
        )
        flagged = bool(quality.find_flags(bench))
        assert expect == {"verdict": "EXCLUDE_OR_FLAG" if flagged else "ALLOW"}
        return
    side, bid, ask, price, arrival, average, later = read(
        given, "side", "bid", "ask", "exec", "arrival_mid", "avg_exec", "mid_5m"
    )
    sign = 1 if side == "BUY" else -1
    found: Facts = {}
    if bid is not None:
        bench = quality.Benchmark(bid=number(bid), ask=number(ask), quote_ns=NOW, received_ns=NOW)
        fill = quality.judge(sign, Decimal(100), number(price), bench, 1000)
        found = {
            "mid": bench.mid,
            "quoted_spread": fill.quoted_spread,
            "effective_spread": fill.effective_spread,
            "price_improvement": fill.price_improvement,
            "e_over_q": fill.effective_over_quoted,
            "flag": fill.flags[0].value.upper() if fill.flags else None,
        }
    if later is not None:
        found["realized_spread"] = quality.realized_spread(sign, number(price), number(later))
    if arrival is not None:
        found["slippage_bps"] = quality.slippage_points(sign, number(average), number(arrival))
    check_numbers(expect, found)


# ------------------------------------------------------------------ NFA 2-43(a)


def run_adjustment(given: Facts, when: Facts, expect: Facts) -> None:
    _executed, kind, stp, affiliate, cause, complaint, scope = read(
        given, "executed_order", "adjustment", "stp_exclusive", "counterparty_affiliate", "cause",
        "complaint", "scope",
    )  # fmt: skip
    (minutes,) = read(when, "notice_minutes_after_fill")
    kinds = {
        "favourable": price_adjustments.Cause.FAVORABLE,
        "counterparty_reprice": price_adjustments.Cause.COUNTERPARTY,
    }
    proposed = price_adjustments.Adjustment(
        cause=kinds[kind],
        settles_complaint=bool(complaint),
        is_beyond_control=bool(cause) and "outage" in cause,
        covers_everyone=bool(scope) and scope.startswith("all "),
        is_straight_through=bool(stp),
        is_affiliate=bool(affiliate),
        notice_minutes=minutes,
    )
    violation = price_adjustments.find_violation(proposed)
    assert expect == {"verdict": "ALLOW" if violation is None else "REJECT"}


MARKET_FAMILIES: dict[str, Callable[[Facts, Facts, Facts], None]] = {
    **{rule: run_ladder(rule) for rule in SERIES},
    "CIRO-FX": run_ciro,
    "LULD": run_luld,
    "REG-SHO": run_short,
    "REG-NMS": run_nms,
    "SURVEILLANCE": run_surveillance,
    "EXEC-QUALITY": run_quality,
    "NFA-2-43a": run_adjustment,
}
