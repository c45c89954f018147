"""Runners for the researched cases on day trading, intraday margin and cash accounts.

Each takes a case's `given`, `when` and `expect`. A fact that nothing here reads fails the case.
Where a case gives an order, it goes through the whole screen; where it gives numbers, through
the function the rule itself uses. Business days are the exchange's own, by the real calendar.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from actors.calendars import build_calendar
from compliance.calendar import BusinessCalendar
from compliance.day_trades import DayCount, DayTrades
from compliance.finra_4210 import (
    INTRADAY,
    PATTERN,
    PHASE_IN_TO,
    BrokerPolicy,
    DayTrading,
    day_trading_of,
    policy_of,
)
from compliance.funding import Funding
from compliance.intraday import (
    Activity,
    Deficit,
    deficit_of_day,
    due_on,
    expires_on,
    freeze_of,
    is_intraday_as_end_of_day,
    is_outstanding,
    is_small,
    pay,
)
from compliance.regimes import choose_regime
from compliance.settings import AccountFacts
from compliance.settlement import cycle_days, payment_due_on, settles_on
from compliance.standing import buying_power, is_pattern, may_day_trade
from domain.accounts import AccountType
from domain.findings import Finding, FindingKind
from domain.history import AccountHistory, Execution
from domain.instruments import AssetClass
from domain.orders import Side
from domain.screening import Violation
from tests.compliance.desk import ACCOUNT, broker_account, stock
from tests.compliance.stock_desk import StockDesk, noon_ns

Case = dict[str, Any]
EASTERN = ZoneInfo("America/New_York")
PATTERN_TABLE = PATTERN[0].values
INTRADAY_TABLE = INTRADAY[0].values
CRYPTO = {"BTCUSD", "ETHUSD", "BTC/USD", "ETH/USD", "SOLUSD"}
MONDAY = date(2026, 11, 16)
"""What a case means by Mon where it gives no date: a week without a holiday."""

HOME = "XNYS"


@cache
def _calendar_of_year(name: str, year: int) -> BusinessCalendar:
    return build_calendar(name, date(year, 7, 1))


def calendar(day: date = MONDAY, name: str = HOME) -> BusinessCalendar:
    return _calendar_of_year(name, day.year)


def number(value: Any) -> Decimal:
    return Decimal(str(value).replace(",", ""))


class Facts:
    """A dictionary that knows what was read of it."""

    def __init__(self, words: Case, where: str) -> None:
        self._words = words
        self._where = where
        self._read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._words

    def get(self, name: str, default: Any = None) -> Any:
        self._read.add(name)
        return self._words.get(name, default)

    def pop_any(self, *names: str) -> Any:
        """The first of the names that is there, or None."""
        return next((self.get(name) for name in names if name in self._words), None)

    def check_all_read(self) -> None:
        unread = self._words.keys() - self._read
        assert not unread, f"nobody understands {sorted(unread)} in {self._where}"


Runner = Callable[[Facts, Facts, Facts], None]


def checked(runner: Runner) -> Callable[[Case, Case, Case], None]:
    """The runner, that fails where a fact was not read."""

    def run(given: Case, when: Case, expect: Case) -> None:
        facts = Facts(given, "given"), Facts(when, "when"), Facts(expect, "expect")
        runner(*facts)
        for each in facts:
            each.check_all_read()

    return run


def account_type(word: str | None) -> AccountType:
    return AccountType((word or "margin").lower())


# ------------------------------------------------------------------ counting day trades


def at_ns(words: Case, index: int) -> int:
    if "ts" in words:
        moment = datetime.fromisoformat(words["ts"].replace("Z", "+00:00"))
        return int(moment.timestamp()) * 10**9
    return noon_ns(MONDAY) + index


def case_executions(rows: list[Case]) -> list[Execution]:
    return [
        Execution(
            at_ns=at_ns(row, index),
            id=f"e{index}",
            order_id=str(row.get("order", row.get("order_id", f"o{index}"))),
            instrument=str(row.get("symbol", row.get("sym", "ABC"))),
            sign=Side[row["side"]].sign,
            quantity=number(row["qty"]),
            price=number(row.get("price", 10)),
        )
        for index, row in enumerate(rows)
    ]


def day_trades_of(given: Facts, when: Facts) -> tuple[DayCount, DayTrades]:
    held = {name: number(size) for name, size in given.get("overnight", {}).items()}
    executions = case_executions(when.get("executions"))
    is_margin = account_type(given.get("account")) is AccountType.MARGIN
    found = DayTrades(calendar(), held, lambda symbol: is_margin and symbol not in CRYPTO)
    days = sorted({calendar().trade_date(each.at_ns) for each in executions})
    for execution in executions:
        found.advance(execution)
    total = DayCount()
    for day in days:
        total = total.plus(found.on(day))
    return total, found


def run_count(given: Facts, when: Facts, expect: Facts) -> None:
    total, found = day_trades_of(given, when)
    counts = {
        "day_trades_direction_change_method": total.direction,
        "day_trades_opening_transaction_method": total.opening,
        "day_trades_closing_transaction_method": total.closing,
        "day_trades": total.direction,
    }
    for name, count in counts.items():
        assert expect.get(name, count) == count, name
    day = expect.get("trade_date_et")
    assert day is None or found.today == date.fromisoformat(day)


def run_designation(given: Facts, when: Facts, expect: Facts) -> None:
    kind = account_type(given.get("account"))
    mode = {"legacy": DayTrading.LEGACY, "intraday_margin": DayTrading.INTRADAY}[
        given.get("regime", "legacy")
    ]
    trades, total = given.get("day_trades_5bd", 0), given.get("total_trades_5bd", 0)
    equity = number(given.get("equity", 0))
    applies = kind is AccountType.MARGIN and mode is DayTrading.LEGACY
    designated = applies and is_pattern(trades, total, PATTERN_TABLE)
    may = not designated or may_day_trade(equity, PATTERN_TABLE)
    found = {
        "designated": designated,
        "may_day_trade": may,
        "check_instead": "intraday margin 4210(d)(2)",
    }
    for name, value in found.items():
        assert expect.get(name, value) == value, name
    if mode is DayTrading.INTRADAY:
        regime = choose_regime(broker_account(broker="alpaca"), "us_stocks", noon_ns(MONDAY))
        assert regime is not None
        assert {"intraday_margin"} <= set(regime.rules)
        assert "legacy_pdt" not in regime.rules
    proposed = when.get("proposed")
    if proposed is not None:
        word = expect.get("next_day_trade", expect.get("verdict"))
        check_word(word, propose(kind, mode, trades, total, equity))


def propose(
    kind: AccountType, mode: DayTrading, trades: int, total: int, equity: Decimal
) -> Violation | None:
    """The entry of one more day trade, through the screen."""
    names = {
        DayTrading.LEGACY: "us_stocks_legacy",
        DayTrading.INTRADAY: "us_stocks_intraday",
        DayTrading.BOTH: "us_stocks",
    }
    name = "us_stocks" if kind is not AccountType.MARGIN else names[mode]
    account = broker_account(regime=name, broker="unknown", type=kind)
    desk = StockDesk(account, equity=equity, executions=traded(trades, total))
    return desk.ask(Side.BUY, 1)


def traded(day_trades: int, total: int) -> list[Execution]:
    """So many round trips on the days before, and as many other trades as make up the total."""
    rows: list[Execution] = []
    yesterday = calendar().window(MONDAY, 2)[0]

    def add(symbol: str, sign: int) -> None:
        count = len(rows)
        rows.append(
            Execution(
                at_ns=noon_ns(yesterday) + count, id=f"e{count}", order_id=f"o{count}",
                instrument=symbol, sign=sign, quantity=Decimal(1), price=Decimal(10),
            )
        )  # fmt: skip

    for index in range(day_trades):
        add(f"D{index}", 1)
        add(f"D{index}", -1)
    for index in range(total - day_trades):
        add(f"T{index}", 1)
    return rows


def check_word(word: str, violation: Violation | None) -> None:
    if word in ("ALLOW", "ACCEPT"):
        assert violation is None, violation
    else:
        assert word in ("REJECT", "BLOCK", "DENY", "BLOCK_OR_CONFIRM"), word
        assert violation is not None, "passed"


def run_window(given: Facts, when: Facts, expect: Facts) -> None:
    as_of = date.fromisoformat(when.get("as_of"))
    days = calendar(as_of)
    for holiday in given.get("holidays", []):
        assert not days.is_session(date.fromisoformat(holiday))
    window = days.window(as_of, PATTERN_TABLE.window_days)
    names = [day.isoformat() for day in window]
    assert expect.get("window", names) == names
    is_in = given.get("day_trade_on") in names
    assert expect.get("in_window", is_in) == is_in


def run_buying_power(given: Facts, _when: Facts, expect: Facts) -> None:
    equity = number(given.get("prior_close_equity"))
    maintenance = number(given.get("maintenance_margin_prior_close"))
    times = PATTERN_TABLE.buying_power
    if given.pop_any("call_outstanding", "special_maintenance_call", "unmet_call"):
        times = PATTERN_TABLE.called_buying_power
    found = buying_power(equity, maintenance, times)
    assert number(expect.get("day_trading_buying_power")) == found


# ------------------------------------------------------------------ intraday margin


def run_intraday(given: Facts, when: Facts, expect: Facts) -> None:
    kind = account_type(given.get("account"))
    if "iml_check" in expect:
        check_not_applicable(kind, when, expect)
    elif "order" in when:
        run_intraday_order(kind, given, when, expect)
    elif "activities" in when:
        check_deficit(sequence_deficit(given, when), given, expect)
    elif "price_falls_after_pct" in when:
        run_price_fall(given, when, expect)
    elif "buy_notional" in when or "short_notional" in when:
        check_deficit(purchase_deficit(given, when), given, expect)
    else:
        run_satisfaction(given, when, expect)


def check_not_applicable(kind: AccountType, when: Facts, expect: Facts) -> None:
    when.get("order")
    regime = choose_regime(broker_account(type=kind), "us_stocks", noon_ns(MONDAY))
    assert regime is not None
    is_asked = bool({"intraday_margin", "intraday_freeze"} & set(regime.rules))
    assert (expect.get("iml_check") == "NOT_APPLICABLE") == (not is_asked)


ORDER = re.compile(r"(BUY_TO_COVER|SELL_SHORT|SHORT|BUY|SELL)\b\s*(?:[A-Z]+\s+)?(\d+)?")


def run_intraday_order(kind: AccountType, given: Facts, when: Facts, expect: Facts) -> None:
    words = when.get("order")
    account = broker_account(regime="us_stocks_intraday", broker="alpaca", type=kind)
    equity = number(given.get("equity", 10_000))
    frozen = bool(given.get("freeze", False))
    desk_words: Case = {"equity": equity, "executions": []}
    if frozen:
        desk_words["facts"] = AccountFacts(frozen_until=MONDAY + timedelta(days=30))
    if words == "open margin debit or short":
        for side, quantity in ((Side.BUY, equity + 1), (Side.SELL_SHORT, Decimal(1))):
            violation = StockDesk(account, price=1, cash=equity, **desk_words).ask(side, quantity)
            check_word(expect.get("verdict"), violation)
            assert violation is not None
            assert violation.code == reason_code(expect.get("reason"))
        return
    found = ORDER.match(words.upper())
    assert found, words
    side = Side["SELL_SHORT" if found[1] == "SHORT" else found[1]]
    quantity = number(found[2] or 100)
    is_paid = "paid" in words.lower() or bool(given.get("fully_paid", False))
    held = {Side.BUY_TO_COVER: -quantity, Side.SELL: quantity}.get(side, Decimal(0))
    cash = quantity * 10 if is_paid or side is not Side.BUY else Decimal(0)
    desk = StockDesk(account, held=held, cash=cash, price=10, **desk_words)
    violation = desk.ask(side, quantity)
    check_word(expect.get("verdict"), violation)
    reason = expect.get("reason")
    if reason is not None and violation is not None:
        assert violation.code == reason_code(reason)


def reason_code(reason: str | None) -> str:
    return {
        "MIN_2000": "margin_minimum",
        "INTRADAY_FREEZE": "intraday_freeze",
        "FREEZE": "intraday_freeze",
        "FROZEN": "intraday_freeze",
        "IML": "intraday_margin",
        "IML_DEFICIT": "intraday_margin",
    }[reason or "MIN_2000"]


def start_level(given: Facts) -> Decimal:
    equity = number(given.get("equity"))
    held = given.get("positions", [])
    return equity - sum((number(p["mv"]) * number(p["pct"]) / 100 for p in held), Decimal(0))


def percent_of(when: Facts) -> Decimal:
    """The maintenance asked, checked against our own table where the case names the fund."""
    percent = number(when.get("maintenance_pct", 25))
    name = when.get("instrument")
    if name is not None:
        leveraged = re.match(r"(\d)x", name)
        times = Decimal(leveraged[1]) if leveraged else Decimal(1)
        desk = StockDesk(broker_account(regime="us_stocks_intraday"), leveraged={"ABC": times})
        long, short = desk.rates()
        assert percent / 100 in (long, short), (percent, long, short)
    return percent


def purchase_deficit(given: Facts, when: Facts) -> Decimal:
    """The deficit of one trade, by the level through the real monitor."""
    notional = number(when.pop_any("buy_notional", "short_notional"))
    percent = percent_of(when)
    change = -notional * percent / 100
    found = deficit_of_day(start_level(given), [Activity(change, 1)])
    if not given.get("positions", []):
        is_short = "short_notional" in when
        monitor = monitored(number(given.get("equity")), notional, percent, is_short=is_short)
        assert monitor.deficit() == found
    return found


def monitored(
    equity: Decimal, notional: Decimal, percent: Decimal, *, is_short: bool = False
) -> StockDesk:
    desk = StockDesk(
        broker_account(regime="us_stocks_intraday"),
        equity=equity, price=1, margin_rate=percent / 100,
    )  # fmt: skip
    if is_short:
        # The floor of 5 dollars a share is not what the case is about.
        desk.set_price(Decimal(100))
        desk.fill(Side.SELL_SHORT, notional / 100)
    else:
        desk.fill(Side.BUY, notional)
    return desk


def check_deficit(found: Decimal, given: Facts, expect: Facts) -> None:
    assert number(expect.get("deficit", found)) == found
    small = is_small(found, number(given.get("equity")), INTRADAY_TABLE)
    assert expect.get("de_minimis", small) == small


ACTIVITY = re.compile(
    r"(BUY|SELL)(?:_SHORT|_TO_COVER)? (\w+) ([\d,]+)(?: @(\d\d:\d\d:\d\d(?:\.\d+)?))?"
)


def sequence_deficit(given: Facts, when: Facts) -> Decimal:
    rates = {p["sym"]: number(p["pct"]) / 100 for p in given.get("positions", [])}
    is_shown = when.get("order_demonstrable", True)
    activities = []
    for words in when.get("activities"):
        found = ACTIVITY.fullmatch(words)
        assert found, words
        value = number(found[3]) * rates.get(found[2], Decimal("0.25"))
        change = value if found[1] == "SELL" else -value
        at = None
        if is_shown and found[4]:
            clock = time.fromisoformat(found[4])
            at = int(datetime.combine(MONDAY, clock, UTC).timestamp() * 1000)
        activities.append(Activity(change, at))
    return deficit_of_day(start_level(given), activities)


def run_price_fall(given: Facts, when: Facts, expect: Facts) -> None:
    notional, percent = number(when.get("buy_notional")), percent_of(when)
    equity, fall = number(given.get("equity")), number(when.get("price_falls_after_pct"))
    assert when.get("further_trades", 0) == 0
    at_trade = equity - notional * percent / 100
    low = at_trade - notional * fall / 100 * (1 - percent / 100)
    assert number(expect.get("iml_at_trade", at_trade)) == at_trade
    assert number(expect.get("iml_low", low)) == low
    steps = [
        Activity(at_trade - equity, 1),
        Activity(low - at_trade, 2, is_transaction=False),
    ]
    conservative = deficit_of_day(equity, steps)
    assert number(expect.get("deficit_conservative", conservative)) == conservative
    at_once = deficit_of_day(equity, steps, at_once=True)
    assert number(expect.get("deficit_alpaca_reading", at_once)) == at_once
    desk = monitored(equity, notional, percent)
    desk.set_price(1 - fall / 100)
    desk.measure()
    assert desk.deficit() == conservative


def run_satisfaction(given: Facts, when: Facts, expect: Facts) -> None:
    day = date.fromisoformat(given.get("deficit_date", "2026-06-08"))
    equity = number(given.get("equity", 10**9))
    deficit = Deficit(day=day, amount=number(given.get("deficit")), equity=equity)
    satisfied_by = given.get("satisfied_by")
    if satisfied_by is not None and satisfied_by != "null":
        deficit = replace(deficit, met=deficit.amount)
    for name in ("deposit", "later_iml_increase_by_sale", "net_deposit", "iml_increase"):
        (deficit,) = pay([deficit], number(when.get(name, 0)))
    is_met = deficit.owed <= 0
    assert expect.get("satisfied", is_met) == is_met
    check_deadlines(deficit, given, when, expect)


def check_deadlines(deficit: Deficit, given: Facts, when: Facts, expect: Facts) -> None:
    days = calendar(deficit.day)
    due, end = due_on(deficit, INTRADAY_TABLE, days), expires_on(deficit, INTRADAY_TABLE, days)
    as_of = moment(when.pop_any("as_of", "expired"), due, end)
    practice = given.get("practice_of_failing", True)
    small = is_small(deficit.amount, deficit.equity, INTRADAY_TABLE)
    is_practice = practice and not given.get("extraordinary", False) and not small
    freeze = freeze_of(deficit, is_practice=is_practice, table=INTRADAY_TABLE, calendar=days)
    is_frozen = freeze is not None and freeze.since <= as_of <= freeze.until
    outstanding = is_outstanding(deficit, as_of, INTRADAY_TABLE, days)
    found: Case = {
        "freeze": is_frozen,
        "freeze_unaffected": is_frozen,
        "outstanding": outstanding,
        "freeze_scope": ["new_or_increased_short", "new_or_increased_debit"],
        "freeze_end_calendar": freeze.until.isoformat() if freeze else None,
        "bd5": due.isoformat(),
        "bd15": end.isoformat(),
        "freeze_deadline_bd5": due.isoformat(),
        "expiry_bd15": end.isoformat(),
        "de_minimis": small,
    }
    for name, value in found.items():
        assert expect.get(name, value) == value, name


def moment(words: str | None, due: date, end: date) -> date:
    if words is None:
        return due
    after = re.match(r"(after|before|by|close of) BD(5|15)", words)
    if after is None:
        return date.fromisoformat(words)
    at = due if after[2] == "5" else end
    return at + timedelta(days=1) if after[1] == "after" else at


def run_portfolio_margin(given: Facts, when: Facts, expect: Facts) -> None:
    kind = account_type(given.get("account"))
    equity = number(given.get("equity"))
    found = is_intraday_as_end_of_day(equity, INTRADAY_TABLE)
    name = "intraday_margin_substantially_as_eod"
    assert expect.get(name, found) == found
    account = broker_account(regime="us_stocks", type=kind)
    desk = StockDesk(account, equity=equity, price=100)
    # Beyond what its equity carries at 25 percent.
    violation = desk.ask(Side.BUY, equity * 4 / 100 + 1)
    assert (violation is not None) == found


# ------------------------------------------------------------------ cash accounts

DAYS = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4}
EVENT = re.compile(
    r"(?:(?P<day>mon|tue|wed|thu|fri)\w*\s*)?"
    r"(?P<clock>am|pm|near close|open|close|\d\d:\d\d)?\s*"
    r"(?P<deed>buy|sell|deposit|withdraw|pay)\b\s*"
    r"(?:(?!net\b|before\b|after\b)(?P<symbol>[a-z]+)\b)?\s*(?:net\s*)?"
    r"(?P<amount>[+-]?[\d,.]+)?\s*(?P<rest>.*)"
)


class CashStory:
    """A cash account through a week of events, as the cases word them."""

    def __init__(self, settled: Decimal) -> None:
        self.funding = Funding(settled, {}, MONDAY)
        self.cost: dict[str, Decimal] = {}
        self.day = MONDAY
        self.step = 0

    def play(self, words: str) -> None:
        found = EVENT.fullmatch(words.lower().strip())
        assert found, f"not understood: {words}"
        if found["day"]:
            self.day = MONDAY + timedelta(days=DAYS[found["day"]])
        elif "before" in (found["rest"] or ""):
            self.day = max(self.day, MONDAY)
        else:
            assert not found["rest"], f"not understood: {words}"
        self.funding.turn(self.day)
        amount = None if found["amount"] is None else abs(number(found["amount"]))
        symbol = (found["symbol"] or "cash").upper()
        self.step += 1
        if found["deed"] in ("deposit", "pay", "withdraw"):
            assert amount is not None
            self.funding.move(-amount if found["deed"] == "withdraw" else amount)
        elif found["deed"] == "buy":
            assert amount is not None
            self.cost[symbol] = self.cost.get(symbol, Decimal(0)) + amount
            self.funding.buy(self._execution(symbol, 1, amount), amount)
        else:
            self._sell(symbol, amount)

    def _sell(self, symbol: str, amount: Decimal | None) -> None:
        held = self.cost.pop(symbol, Decimal(1))
        proceeds = held if amount is None else amount
        us = stock(calendar="XNYS")
        known = {"": calendar(), HOME: calendar()}
        settles = settles_on(us, self.day, known)
        due = payment_due_on(us, self.day, known)
        self.funding.sell(self._execution(symbol, -1, held), proceeds, settles, due)

    def _execution(self, symbol: str, sign: int, quantity: Decimal) -> Execution:
        return Execution(
            at_ns=noon_ns(self.day) + self.step, id=f"e{self.step}", order_id=f"o{self.step}",
            instrument=symbol, sign=sign, quantity=quantity, price=Decimal(1),
        )  # fmt: skip


KINDS = {
    "goodfaith": FindingKind.GOOD_FAITH,
    "gfv": FindingKind.GOOD_FAITH,
    "goodfaithviolation": FindingKind.GOOD_FAITH,
    "liquidation": FindingKind.LIQUIDATION,
    "cashliquidation": FindingKind.LIQUIDATION,
    "liquidationviolation": FindingKind.LIQUIDATION,
    "freeride": FindingKind.FREE_RIDE,
    "freeriding": FindingKind.FREE_RIDE,
}


def kind_of(word: str | None) -> FindingKind | None:
    return None if word is None else KINDS[re.sub(r"[^a-z]", "", word.lower())]


def run_cash(given: Facts, when: Facts, expect: Facts) -> None:
    assert account_type(given.get("account")) is AccountType.CASH
    if "trade_date" in given:
        run_settlement(given, when, expect)
    elif when.get("events") == ["another GFV"]:
        run_count_of_year(given, expect)
    else:
        run_cash_story(given, when, expect)


def run_cash_story(given: Facts, when: Facts, expect: Facts) -> None:
    story = CashStory(number(given.get("settled_cash", 0)))
    unsettled = given.get("unsettled")
    if unsettled is not None:
        found = re.fullmatch(r"([\d,.]+) settles (mon|tue|wed|thu|fri)\w*", unsettled.lower())
        assert found, unsettled
        settles = MONDAY + timedelta(days=DAYS[found[2]])
        story.funding.expect(settles, number(found[1]))
    for words in when.get("events"):
        story.play(words)
    kinds = [misstep.kind for misstep in story.funding.missteps.values()]
    expected = kind_of(expect.get("violation"))
    assert kinds == ([] if expected is None else [expected])
    check_restriction(expect, kinds)


def check_restriction(expect: Facts, kinds: list[FindingKind]) -> None:
    days = expect.pop_any("freeze_days", "restriction_days")
    if days is not None:
        assert days == 90
        assert kinds == [FindingKind.FREE_RIDE]


def run_count_of_year(given: Facts, expect: Facts) -> None:
    before = given.get("gfv_count_12m")
    desk = StockDesk(
        broker_account(regime="us_stocks", type=AccountType.CASH, broker=given.get("broker", "*")),
        history=AccountHistory(
            account=ACCOUNT,
            findings={f"g{n}": good_faith(n) for n in range(before + 1)},
        ),
    )
    assert expect.get("gfv_count_12m", before + 1) == desk.trading().missteps
    restriction = expect.get("restriction")
    until = desk.trading().settled_only_until
    if restriction is None:
        assert until is None
    else:
        assert restriction == "settled-cash-only 90 days"
        assert until == MONDAY + timedelta(days=90)


def good_faith(index: int) -> Finding:
    day = MONDAY - timedelta(days=30 * index)
    return Finding(
        id=f"g{index}", kind=FindingKind.GOOD_FAITH, account=ACCOUNT, day=day.isoformat(),
        at_ns=noon_ns(day), rule="cash_settlement", citation="x", message="x",
        amount=Decimal(1),
    )  # fmt: skip


def run_settlement(given: Facts, when: Facts, expect: Facts) -> None:
    day = date.fromisoformat(given.get("trade_date"))
    market = given.get("market", "US")
    name = {"US": HOME, "EU": "XETR", "UK": "XLON"}[market]
    known = {"": calendar(day, name), name: calendar(day, name)}
    instrument = stock(calendar=name, asset_class=AssetClass.EQUITY)
    assert when.get("payment_due", True)
    found: Case = {
        "settlement": f"T+{cycle_days(market, day)}",
        "settlement_date": settles_on(instrument, day, known).isoformat(),
        "reg_t_payment_period_end": payment_due_on(instrument, day, known).isoformat(),
    }
    for key, value in found.items():
        assert expect.get(key, value) == value, key


# ------------------------------------------------------------------ brokers and regimes


def run_overlay(given: Facts, when: Facts, expect: Facts) -> None:
    policy = policy_of(given.get("broker"))
    assert policy.broker != "*"
    occasions = when.get("unmet_imd_occasions_12m", policy.occasions)
    is_restricted = occasions >= policy.occasions
    check_policy(policy, expect, is_restricted=is_restricted)


def check_policy(policy: BrokerPolicy, expect: Facts, *, is_restricted: bool) -> None:
    wide = "all associated margin accounts" if policy.is_wide else "the account"
    found: Case = {
        "restriction_days": policy.restriction_days if is_restricted else 0,
        "restricted": is_restricted,
        "scope": wide if is_restricted else None,
        "call_due_bd": policy.call_days,
        "call_due_business_days": policy.call_days,
        "liquidation_only": policy.is_liquidation_only,
    }
    for key, value in found.items():
        assert expect.get(key, value) == value, key


def run_regime(given: Facts, when: Facts, expect: Facts) -> None:
    day, broker = date.fromisoformat(given.get("date")), given.get("broker")
    migrated = given.get("broker_confirmed_migrated")
    mode = day_trading_of(broker, day)
    name = {None: "us_stocks", True: "us_stocks_intraday", False: "us_stocks_legacy"}[migrated]
    account = broker_account(broker=policy_of(broker).broker, regime=name)
    regime = choose_regime(account, name, noon_ns(day))
    assert regime is not None
    if migrated is None:
        assert regime.day_trading is mode
    assert regime.day_trading is not None
    words = regime.day_trading.value
    assert expect.get("regime", words) in (words, {"phase_in": "legacy"}.get(words))
    absent = expect.get("api_fields_absent_from")
    assert absent is None or policy_of(broker).fields_absent_from == date.fromisoformat(absent)
    if "proposed" in when:
        assert when.get("proposed") == "4th day trade"
        trades, equity = when.get("day_trades_5bd"), number(when.get("equity"))
        violation = propose(AccountType.MARGIN, regime.day_trading, trades, trades, equity)
        check_word(expect.get("verdict"), violation)
        reason = expect.get("reason")
        assert reason in (None, f"PHASE_IN_UNTIL_{PHASE_IN_TO.isoformat().replace('-', '_')}")
        if reason is not None:
            assert violation is not None
            assert violation.numbers["phase_in_to"] == PHASE_IN_TO.isoformat()


DAY_TRADING_FAMILIES: dict[str, Callable[[Case, Case, Case], None]] = {
    "FINRA-4210-PDT-count": checked(run_count),
    "FINRA-4210-PDT-designation": checked(run_designation),
    "FINRA-4210-PDT-window": checked(run_window),
    "FINRA-4210-DTBP": checked(run_buying_power),
    "FINRA-4210-IML": checked(run_intraday),
    "FINRA-4210-PM": checked(run_portfolio_margin),
    "US-CASH-ACCOUNT": checked(run_cash),
    "broker-overlay": checked(run_overlay),
    "regime-switch": checked(run_regime),
}
