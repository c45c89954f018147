"""The researched cases, run through the real rules.

The file is named by COMPLIANCE_CASES, or lies in the shared data. A family is the case's `rule`:
one that is neither run here nor listed as not built fails, and so does a fact of a case that
nobody reads. The cases' own words (units, dealer's reasons) are translated here and nowhere else.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from compliance.deposits import find_deposit_faults, in_force, option_deposit, pair_rate
from compliance.magnitude import ceil_cent
from compliance.regimes import choose_regime
from compliance.rules.oanda_unique_size import check_attach
from compliance.screen import Screener
from compliance.settings import Restriction
from domain.orders import Bracket, NewOrder, OrderType, PositionEffect, Side, StopLoss, TimeInForce
from domain.portfolio import LotClosed, Position, apply_lots, apply_net
from domain.records import HaltScope
from domain.screening import Candidate, Verdict
from tests.compliance.cases_day_trading import DAY_TRADING_FAMILIES
from tests.compliance.cases_market import MARKET_FAMILIES, run_access
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
    stock,
)
from tests.shared_data import SHARED

PATH = Path(os.environ.get("COMPLIANCE_CASES", SHARED / "compliance_cases.json"))
CASES = json.loads(PATH.read_text())["cases"] if PATH.is_file() else []

TODAY = date(2026, 11, 21)
ONE = Decimal(1)
CODES = {
    "MAX_ORDER_QTY": {"max_quantity"},
    "MAX_QTY": {"max_quantity"},
    "MAX_NOTIONAL": {"max_notional"},
    "MAX_ORDER_NOTIONAL": {"max_notional"},
    "MAX_ORDER_VALUE": {"max_notional"},
    "PRICE_COLLAR": {"price_collar"},
    "COLLAR": {"price_collar"},
    "NO_REFERENCE_PRICE": {"no_reference_price"},
    "DUPLICATE": {"duplicate"},
    "RESTRICTED": {"restricted"},
    "RESTRICTED_SYMBOL": {"restricted"},
    "RESTRICTED_LIST": {"restricted"},
    "KILL": {"halted"},
    "NFA_FIFO_SAME_SIZE_OLDEST_FIRST": {"fifo_same_size_oldest_first"},
    "NFA_FIFO_NOT_SAME_SIZE": {"fifo_not_same_size"},
    "NFA_FIFO": {"fifo_oldest_first", "fifo_not_same_size", "fifo_same_size_oldest_first"},
    "NFA_HEDGE": {"hedge"},
    "NFA_HEDGING_PROHIBITED": {"hedge"},
    "NO_HEDGING": {"hedge"},
    "FIFO_VIOLATION_SAFEGUARD_VIOLATION": {"fifo_safeguard"},
    "FIFO_VIOLATION_SAFEGUARD_PARTIAL_CLOSE_VIOLATION": {"fifo_safeguard_partial_close"},
    "STOP_LOSS_ORDER_WOULD_VIOLATE_FIFO_VIOLATION_SAFEGUARD": {"fifo_safeguard_attach"},
    "TAKE_PROFIT_ORDER_WOULD_VIOLATE_FIFO_VIOLATION_SAFEGUARD": {"fifo_safeguard_attach"},
}
"""Our codes by the cases' reasons; a reason that is not here is not understood."""

Facts = dict[str, Any]


def number(value: Any) -> Decimal:
    return Decimal(str(value))


def pair(name: str) -> str:
    return name.replace("_", "/")


def check_refused(expect: Facts, code: str, *, is_refused: bool) -> None:
    assert is_refused, "passed"
    reason = expect.get("reason") or expect.get("cancel_reason") or expect.get("reject_reason")
    assert reason is None or code in CODES[reason], f"{code} for {reason}"


def check_verdict(expect: Facts, verdict: Verdict) -> None:
    violation = verdict.violation
    word = expect.get("verdict", expect.get("default"))
    if word == "CONFIGURABLE":
        word = expect["default"]
    if word in ("REJECT", "CANCEL", "BLOCK"):
        check_refused(expect, violation.code if violation else "", is_refused=bool(violation))
    else:
        assert violation is None, violation
        assert word in ("ALLOW", "ALLOW_WITH_FLAG", "ACCEPT_PENDING"), word
    if word == "ALLOW_WITH_FLAG":
        assert expect["flag"].lower() in {warning.code for warning in verdict.warnings}
    if violation is not None and "must_close_instead" in expect:
        assert violation.numbers["close_instead"] == expect["must_close_instead"]
    if violation is not None and "fifo_alternative" in expect:
        offered = expect["fifo_alternative"]
        assert violation.numbers["close_instead"] == offered["id"]


# ------------------------------------------------------------------ limits per order


def share_order(words: Facts) -> NewOrder:
    kind = OrderType.MARKET if words.get("type") == "MARKET" else OrderType.LIMIT
    limit = number(words.get("limit", "10")) if kind is OrderType.LIMIT else None
    return NewOrder(
        client_order_id=str(words.get("clordid", "c-1")),
        instrument=words.get("sym", "ABC"),
        side=Side[words.get("side", "BUY")],
        quantity=number(words.get("qty", 100)),
        type=kind,
        time_in_force=TimeInForce[words.get("tif", "DAY")],
        limit_price=limit,
        reduce_only=words.get("reduce_only", False),
    )


def market_desk(given: Facts, order: NewOrder) -> tuple[Desk, tuple[Any, ...]]:
    limits = given["limits"]
    restricted: Any = given.get("restricted", given.get("restricted_list", ()))
    names = [restricted] if isinstance(restricted, str) else restricted
    settings = replace(
        LOOSE,
        max_quantity=number(limits["max_qty"]),
        max_notional=number(limits["max_notional"]),
        collar_percent=number(limits["collar_pct"]),
        duplicate_window_ms=limits["dup_window_ms"],
        restricted=tuple(Restriction(symbol=name, reason="listed") for name in names),
    )
    account = broker_account(regime="house", broker="sim")
    is_killed = given.get("kill_switch") == "ON"
    held = lots(given["position"], instrument="ABC") if "position" in given else ()
    desk = Desk(
        snapshot(position(*held, instrument="ABC"), account=account),
        settings=settings,
        instruments=(stock(order.instrument),),
        halts=(halted(HaltScope.ALL),) if is_killed else (),
    )
    assert given.get("last") is None, "a last price alone values nothing"
    touch = given.get("nbbo", (order.limit_price, order.limit_price))
    if touch is None or touch[0] is None:
        return desk, ()
    bid, ask = (number(price) for price in touch)
    return desk, (replace(rate(order.instrument), bid=bid, ask=ask),)


def run_market_access(given: Facts, when: Facts, expect: Facts) -> None:
    if run_access(given, when, expect):
        return
    if "cancel_or_modify" in when:
        # Cancels never come to the screen: nothing in it could refuse one.
        assert not hasattr(Screener, "cancel")
        assert expect["verdict"] == "ALLOW"
        return
    if "replace" in when:
        run_replace(given, when["replace"], expect)
        return
    order = share_order(when["order"])
    desk, quotes = market_desk(given, order)
    for earlier in given.get("recent", ()):
        then = NOW - earlier["age_ms"] * MS
        seen = tuple(replace(quote, received_ns=then) for quote in quotes)
        assert desk.code(share_order(earlier), now_ns=then, rates=seen) == "pass"
    check_verdict(expect, desk.verdict(order, rates=quotes))


def run_replace(given: Facts, new: Facts, expect: Facts) -> None:
    resting = share_order(given["resting"])
    desk, quotes = market_desk(given, resting)
    assert desk.code(resting, "o-1", rates=quotes) == "pass"
    desk.tell(order_update("o-1", 2, leaves=resting.quantity, instrument="ABC"))
    changes = {"quantity": number(new.get("qty", resting.quantity))}
    if "limit" in new:
        changes["limit_price"] = number(new["limit"])
    amended = replace(resting, **changes)
    check_verdict(expect, desk.verdict(amended, "o-1", rates=quotes, replaces_order_id="o-1"))


# ------------------------------------------------------------------ FIFO


def case_lots(given: Facts) -> tuple[Any, ...]:
    rows = given.get("open", [])
    made = []
    for row in rows:
        guarded = any(key in row for key in ("sl", "tp", "ts"))
        (lot,) = lots(row["units"], instrument=pair(row["pair"]))
        made.append(
            replace(
                lot,
                lot_id=row["id"],
                opened_sequence=row["opened_seq"],
                opened_ns=row["opened_seq"],
                has_bracket=guarded,
            )
        )
    return tuple(made)


REGIMES = {("US retail (non-ECP)", "FDM"): "us_forex"}
"""Under which regime a customer of a dealer is; any other pair of words is not understood."""


def fifo_desk(given: Facts, *, is_instructed: bool) -> tuple[Desk, Position]:
    held = case_lots(given)
    if "customer" in given:
        regime = REGIMES[given["customer"], given["dealer"]]
        assert broker_account().regime == regime
        assert choose_regime(broker_account(), regime, NOW) is not None
    symbol = held[0].instrument if held else "EUR/USD"
    mine = replace(position(*held), instrument=symbol)
    books = [snapshot(mine, equity="1000000000")]
    others = [broker_account(account=name) for name in given.get("other_accounts", {})]
    books += [snapshot(equity="1000000000", account=other) for other in others]
    settings = replace(LOOSE, lot_close_is_instructed=is_instructed)
    return Desk(*books, settings=settings), mine


def fifo_order(when: Facts, held: Position) -> NewOrder:
    if "close_trade" in when:
        lot = next(lot for lot in held.lots if lot.lot_id == when["close_trade"])
        units = number(when.get("units", abs(lot.quantity)))
        signed = -abs(units) if lot.quantity > 0 else abs(units)
        return new_order(str(signed), instrument=held.instrument, closes_lot=lot.lot_id)
    words = when.get("order") or when["pending_limit"]
    guards = [key for key in ("sl", "tp", "ts") if key in words]
    plain: Facts = {
        "instrument": pair(words["pair"]),
        "position_effect": effect_of(words.get("position_fill", "DEFAULT")),
        "bracket": Bracket(stop_loss=StopLoss(distance=Decimal("0.01"))) if guards else None,
    }
    if "pending_limit" in when and when.get("event", "entry") == "entry":
        return limit_order(str(words["units"]), **plain)
    return new_order(str(words["units"]), **plain)


def effect_of(position_fill: str) -> PositionEffect:
    return {
        "DEFAULT": PositionEffect.NET,
        "REDUCE_FIRST": PositionEffect.REDUCE_FIRST,
        "REDUCE_ONLY": PositionEffect.REDUCE_ONLY,
        "OPEN_ONLY": PositionEffect.OPEN_ONLY,
    }[position_fill]


def run_fifo(given: Facts, when: Facts, expect: Facts) -> None:
    desk, held = fifo_desk(given, is_instructed=when.get("customer_instructed", True))
    if "modify_trade" in when:
        holding = desk.screener.book.accounts[ACCOUNT].holdings[held.instrument]
        violation = check_attach(holding, when["modify_trade"])
        assert number(when["set_sl"]) > 0
        assert expect["verdict"] == "REJECT"
        assert expect["reject_reason"].startswith("STOP_LOSS")
        check_refused(expect, violation.code if violation else "", is_refused=bool(violation))
        return
    order = fifo_order(when, held)
    account = when.get("order", {}).get("account", given.get("account"))
    target = ACCOUNT if account in (None, given.get("account")) else account
    verdict = desk.verdict(order, candidates=(Candidate(connection="c", account=target),))
    check_verdict(expect, verdict)
    if "trades_after" in expect:
        names = {lot.lot_id for lot in held.lots}
        expected = [
            (row["id"] if row["id"] in names else "new", number(row["units"]))
            for row in expect["trades_after"]
        ]
        assert traded(held, order) == expected
    if "fifo_alternative" in expect:
        offered = expect["fifo_alternative"]
        signed = order.quantity * order.side.sign
        left = {lot.lot_id: lot.quantity for lot in apply_net(held, signed, ONE, NOW, "new").lots}
        assert left[offered["id"]] == number(offered["units_after"])
    if "effect" in expect:
        after = traded(held, order)
        before = sum((abs(lot.quantity) for lot in held.lots), Decimal(0))
        is_offset = sum((abs(units) for _, units in after), Decimal(0)) < before
        assert expect["effect"] == ("offset" if is_offset else "open")
        assert expect["hedge_created"] == (len({units > 0 for _, units in after}) > 1)


def traded(held: Position, order: NewOrder) -> list[tuple[str, Decimal]]:
    """The lots once the order that passed filled whole, by the domain's own books."""
    signed = order.quantity * order.side.sign
    if order.closes_lot is not None:
        closed = LotClosed(lot_id=order.closes_lot, quantity=signed, price=Decimal(1))
        after = apply_lots(held, (), (closed,), NOW)
    else:
        after = apply_net(held, signed, Decimal(1), NOW, "new")
    return [(lot.lot_id, lot.quantity) for lot in after.lots]


# ------------------------------------------------------------------ leverage


def run_leverage(given: Facts, when: Facts, expect: Facts) -> None:
    if when.get("load_rates_table"):
        run_rates_table(given, expect)
    elif "short_option_notional" in when or "long_option_notional" in when:
        run_option(given, when, expect)
    else:
        run_deposit(given, when, expect)


def run_rates_table(given: Facts, expect: Facts) -> None:
    faults = find_deposit_faults({name: number(p) for name, p in given["config"].items()})
    assert bool(faults) == (expect["verdict"] == "CONFIG_ERROR")
    assert all(expect.get("reason", "") in fault for fault in faults)


def run_option(given: Facts, when: Facts, expect: Facts) -> None:
    is_short = "short_option_notional" in when
    notional = when["short_option_notional" if is_short else "long_option_notional"]
    premium = when.get("premium_received", when.get("premium_paid", when.get("premium", 0)))
    base, quote = when["pair"].split("_")
    percent = pair_rate(in_force("nfa", TODAY), base, quote, {})
    assert given.get("account_ccy", quote) == quote, "the notional is in the account's currency"
    found = option_deposit(number(notional), percent, number(premium), is_short=is_short)
    assert found == number(expect["deposit"])


def run_deposit(given: Facts, when: Facts, expect: Facts) -> None:
    symbol = pair(when["pair"])
    base = symbol.split("/")[0]
    home = given.get("account_ccy", "USD")
    table = in_force("nfa", TODAY)
    assert given.get("rates_table", "NFA I-23-08").replace("NFA ", "NFA Notice ") in table.citation
    percent = pair_rate(table, *symbol.split("/"), {})
    assert number(given.get("rate_pct", percent * 100)) == percent * 100
    worth = number(when.get("price", given.get("price", given.get("base_to_account", 1))))
    equity = number(given.get("equity", 10**12)) - number(given.get("margin_used", 0))
    account = broker_account(base_currency=home)
    desk = Desk(snapshot(equity=str(equity), account=account), instruments=(forex(symbol),))
    # Only the base leg's worth matters to the deposit: the others are there to be fresh.
    quote = symbol.split("/")[1]
    mids = {symbol: "1", f"{quote}/{home}": "1", f"{base}/{home}": str(worth)}
    order = new_order(str(when["units"]), instrument=symbol)
    verdict = desk.verdict(order, rates=tuple(rate(name, mid) for name, mid in mids.items()))
    if "verdict" in expect:
        check_verdict(expect, verdict)
    check_deposit(desk, order, verdict, expect)


def check_deposit(desk: Desk, order: NewOrder, verdict: Verdict, expect: Facts) -> None:
    exposure = desk.screener.book.accounts[ACCOUNT]
    holding = exposure.holdings[order.instrument]
    notional = order.quantity * (exposure.buckets[holding.base].rate or 0)
    found = {
        "notional": notional,
        "margin_rate_pct": holding.unit_weight * 100,
        "margin_required": ceil_cent(notional * holding.unit_weight),
    }
    if verdict.violation is None:
        # The order alone is in the book: what it reserved is what it requires.
        found["margin_required"] = ceil_cent(exposure.required)
    else:
        found["effective_leverage"] = number(verdict.violation.numbers["order_leverage"])
    for name, value in found.items():
        assert name not in expect or value == number(expect[name]), name


FAMILIES: dict[str, Callable[[Facts, Facts, Facts], None]] = {
    "SEC-15c3-5": run_market_access,
    "NFA-2-43b": run_fifo,
    "OANDA-US-FIFO": run_fifo,
    "US-FX-SECURITY-DEPOSIT": run_leverage,
    **MARKET_FAMILIES,
    **DAY_TRADING_FAMILIES,
}


class Heard(dict[str, Any]):
    """A part of a case that remembers which of its words were asked for."""

    def __init__(self, words: Facts) -> None:
        super().__init__(
            {word: Heard(said) if isinstance(said, dict) else said for word, said in words.items()}
        )
        self.heard: set[str] = set()

    def __getitem__(self, word: str) -> Any:
        self.heard.add(word)
        return super().__getitem__(word)

    def __contains__(self, word: object) -> bool:
        self.heard.add(str(word))
        return super().__contains__(word)

    def get(self, word: str, other: Any = None) -> Any:
        self.heard.add(word)
        return super().get(word, other)

    def pop(self, word: str, *other: Any) -> Any:
        self.heard.add(word)
        return super().pop(word, *other)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def keys(self) -> Any:
        self.heard.update(super().keys())
        return super().keys()

    def items(self) -> Any:
        self.heard.update(super().keys())
        return super().items()

    def __eq__(self, other: object) -> bool:
        """Whoever compares the whole has heard every word of it."""
        self.heard.update(super().keys())
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    @property
    def unheard(self) -> set[str]:
        """Words nobody asked for, those within words too."""
        found = set(super().keys()) - self.heard
        for word, said in super().items():
            if word in self.heard and isinstance(said, Heard):
                found |= {f"{word}.{inner}" for inner in said.unheard}
        return found


def run_case(case: Facts) -> None:
    """The case, by its family; a word of it that nobody understood is a failure."""
    parts = {name: Heard(case[name]) for name in ("given", "when", "expect")}
    FAMILIES[case["rule"]](parts["given"], parts["when"], parts["expect"])
    unheard = {name: part.unheard for name, part in parts.items()}
    assert not any(unheard.values()), f"not understood: {unheard}"


@pytest.mark.skipif(not CASES and "COMPLIANCE_CASES" not in os.environ,
                    reason="needs compliance_cases.json (COMPLIANCE_CASES names it)")  # fmt: skip
def test_every_family_is_understood() -> None:
    assert CASES, f"{PATH} holds no cases"
    assert {case["rule"] for case in CASES} <= FAMILIES.keys()


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_the_rules_say_what_the_case_says(case: Facts) -> None:
    run_case(case)


@pytest.mark.skipif(not CASES, reason="needs compliance_cases.json (COMPLIANCE_CASES names it)")
@pytest.mark.parametrize("part", ["given", "when", "expect"])
def test_a_case_with_a_word_nobody_understands_fails(part: str) -> None:
    for family in sorted({case["rule"] for case in CASES}):
        case = copy.deepcopy(next(case for case in CASES if case["rule"] == family))
        case[part]["moon_phase"] = "full"
        with pytest.raises((AssertionError, KeyError, TypeError, ValueError)):
            run_case(case)


@pytest.mark.skipif(not CASES, reason="needs compliance_cases.json (COMPLIANCE_CASES names it)")
def test_a_word_within_a_word_is_heard_or_fails_too() -> None:
    tried = 0
    for case in CASES:
        for part, word in (("given", "limits"), ("given", "params"), ("when", "order")):
            if isinstance(case[part].get(word), dict):
                changed = copy.deepcopy(case)
                changed[part][word]["moon_phase"] = "full"
                with pytest.raises((AssertionError, KeyError, TypeError, ValueError)):
                    run_case(changed)
                tried += 1
    assert tried > 20
