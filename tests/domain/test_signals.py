"""A signal in a strategy's words: which rule takes it, how it is read, what order it becomes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from domain.errors import Retry
from domain.instruments import AssetClass, Instrument
from domain.orders import (
    Bracket,
    NewOrder,
    OrderType,
    PositionEffect,
    Side,
    StopLoss,
    TakeProfit,
    TimeInForce,
    Trailing,
)
from domain.quotes import Quote
from domain.signal_orders import Facts, order_of
from domain.signals import (
    Action,
    Measure,
    ProtectionRule,
    Reading,
    Refusal,
    SignalFields,
    SignalRule,
    Sizing,
    SizingRule,
    find_faults,
    find_rule,
    read,
)

D = Decimal
NOW_NS = 1_769_869_800_000_000_000  # 2026-01-31T14:30:00Z
SENT = "2026-01-31T14:30:00Z"
SIGNAL = {"strategy": "trend", "id": "s-1", "symbol": "EURUSD", "action": "long"}
FIXED = SizingRule(by=Sizing.FIXED, value=D(1000))


def a_rule(**words: Any) -> SignalRule:
    plain: dict[str, Any] = {
        "name": "trend",
        "account": "acc-1",
        "match": {"strategy": "trend"},
        "sizing": FIXED,
        "instruments": {"EURUSD": "EUR/USD"},
        "actions": {
            "long": Action.BUY, "short": Action.SELL, "exit": Action.CLOSE,
            "trim": Action.REDUCE, "flip": Action.REVERSE,
        },
    }  # fmt: skip
    return SignalRule(**(plain | words))


def reading(rule: SignalRule | None = None, now_ns: int = NOW_NS, **changes: str) -> Any:
    return read(rule or a_rule(), SIGNAL | changes, None, now_ns)


def refused(found: Any, code: str, field: str | None) -> bool:
    assert isinstance(found, Refusal), found
    assert found.message
    return (found.code, found.field) == (code, field)


# -- which rule


def test_the_first_rule_whose_words_are_all_there_takes_the_signal() -> None:
    narrow = a_rule(name="narrow", match={"strategy": "trend", "interval": "5"})
    wide = a_rule(name="wide")
    assert find_rule((narrow, wide), SIGNAL) is wide
    assert find_rule((narrow, wide), SIGNAL | {"interval": "5"}) is narrow


def test_a_signal_that_no_rule_takes_is_told_what_chooses() -> None:
    found = find_rule((a_rule(),), {"strategy": "other"})
    assert refused(found, "unknown_signal", "strategy")
    assert "strategy" in found.message  # type: ignore[union-attr]
    assert refused(find_rule((), SIGNAL), "unknown_signal", None)


# -- reading


def test_a_signal_is_read_by_the_rule_s_names_and_words() -> None:
    fields = SignalFields(quantity="qty", price="px", stop_loss="sl", take_profit="tp")
    numbers = {"qty": "500", "px": "1.1", "sl": "1.09", "tp": "1.2"}
    found = reading(a_rule(fields=fields), **numbers)
    assert isinstance(found, Reading)
    assert (found.signal_id, found.symbol, found.action) == ("s-1", "EUR/USD", Action.BUY)
    assert (found.quantity, found.price) == (D(500), D("1.1"))
    assert (found.stop_loss, found.take_profit) == (D("1.09"), D("1.2"))


def test_without_a_table_our_own_words_and_symbols_are_taken() -> None:
    found = reading(a_rule(actions={}, instruments={}), action="sell", symbol="EUR/USD")
    assert (found.symbol, found.action) == ("EUR/USD", Action.SELL)


def test_an_id_beside_the_signal_stands_for_one_within() -> None:
    found = read(a_rule(), SIGNAL, "from-the-header", NOW_NS)
    assert isinstance(found, Reading)
    assert found.signal_id == "from-the-header"


def test_a_field_nobody_knows_is_refused_unless_the_rule_ignores_it() -> None:
    assert refused(reading(interval="5"), "signal_field_unknown", "interval")
    assert isinstance(reading(a_rule(ignored=("interval",)), interval="5"), Reading)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"id": ""}, "signal_incomplete", "id"),
        ({"id": "a b"}, "signal_malformed", "id"),
        ({"id": "x" * 65}, "signal_malformed", "id"),
        ({"action": "jump"}, "signal_word_unknown", "action"),
        ({"symbol": ""}, "signal_incomplete", "symbol"),
        ({"quantity": "many"}, "signal_malformed", "quantity"),
        ({"quantity": "0"}, "signal_malformed", "quantity"),
        ({"quantity": "-5"}, "signal_malformed", "quantity"),
        ({"price": "NaN"}, "signal_malformed", "price"),
        ({"price": "Infinity"}, "signal_malformed", "price"),
        ({"price": "1E+40"}, "signal_malformed", "price"),
        ({"sent_at": "today"}, "signal_malformed", "sent_at"),
        ({"sent_at": "2026-01-31T14:30:00"}, "signal_malformed", "sent_at"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_field(
    changes: dict[str, str], code: str, field: str
) -> None:
    assert refused(reading(**changes), code, field)


def test_a_signal_has_an_age() -> None:
    rule = a_rule(age_ms_max=1_000)
    assert reading(rule, sent_at=SENT).sent_ns == NOW_NS
    assert reading(rule, sent_at="2026-01-31T15:30:00.250+01:00").sent_ns == NOW_NS + 250_000_000
    assert refused(reading(rule), "signal_incomplete", "sent_at")
    old = reading(rule, NOW_NS + 1_001_000_000, sent_at=SENT)
    assert refused(old, "signal_stale", "sent_at")
    assert "1001 ms old" in old.message
    early = reading(rule, NOW_NS - 2_000_000_000, sent_at=SENT)
    assert "ahead" in early.message
    assert reading(sent_at=SENT, now_ns=0).sent_ns == NOW_NS


# -- the order

EUR_USD = Instrument(
    symbol="EUR/USD",
    broker_symbol="EUR_USD",
    asset_class=AssetClass.FOREX,
    base_currency="EUR",
    quote_currency="USD",
    tick=D("0.00001"),
    lot=D(1),
    quantity_min=D(1),
    quantity_max=D(1_000_000),
    pip=D("0.0001"),
)
QUOTE = Quote(
    instrument="EUR/USD", connection="c", bid=D("1.0998"), ask=D("1.1000"), broker_ns=1,
    received_ns=1, update=1,
)  # fmt: skip
FACTS = Facts(instrument=EUR_USD, quote=QUOTE, equity=D(100_000), rate=D(1))


def order(rule: SignalRule | None = None, facts: Facts = FACTS, **changes: str) -> Any:
    found = reading(rule, **changes)
    assert isinstance(found, Reading), found
    return order_of(found, facts)


def test_a_buy_becomes_a_market_order_that_keeps_the_signal_s_id() -> None:
    assert order(a_rule(tag="trend", valid_for_ms=500)) == NewOrder(
        client_order_id="s-1",
        instrument="EUR/USD",
        side=Side.BUY,
        quantity=D(1000),
        type=OrderType.MARKET,
        time_in_force=TimeInForce.FOK,
        account="acc-1",
        tag="trend",
        signal_id="s-1",
        valid_for_ms=500,
    )


@pytest.mark.parametrize(
    ("kind", "name"), [(OrderType.LIMIT, "limit_price"), (OrderType.STOP, "stop_price")]
)
def test_a_priced_order_takes_the_signal_s_price_on_the_grid(kind: OrderType, name: str) -> None:
    found = order(a_rule(order_type=kind), action="short", price="1.100004")
    assert (found.type, found.side, found.time_in_force) == (kind, Side.SELL, TimeInForce.GTC)
    assert getattr(found, name) == D("1.10000")
    assert refused(order(a_rule(order_type=kind)), "signal_incomplete", "price")


def test_a_time_in_force_of_the_rule_is_kept() -> None:
    assert order(a_rule(time_in_force=TimeInForce.IOC)).time_in_force is TimeInForce.IOC


@pytest.mark.parametrize(("held", "side"), [(700, Side.SELL), (-700, Side.BUY)])
def test_a_close_takes_all_that_is_held_at_the_market(held: int, side: Side) -> None:
    facts = replace(FACTS, held=D(held))
    found = order(a_rule(order_type=OrderType.LIMIT), facts, action="exit")
    assert (found.side, found.quantity, found.type) == (side, D(700), OrderType.MARKET)
    assert found.reduce_only
    assert found.position_effect is PositionEffect.REDUCE_ONLY


def test_a_reduction_takes_the_rule_s_quantity_and_never_more_than_is_held() -> None:
    assert order(facts=replace(FACTS, held=D(5000)), action="trim").quantity == 1000
    assert order(facts=replace(FACTS, held=D(-300)), action="trim").quantity == 300
    by_signal = a_rule(sizing=SizingRule(by=Sizing.SIGNAL))
    held = replace(FACTS, held=D(5000))
    assert refused(order(by_signal, held, action="trim"), "signal_incomplete", "quantity")


def test_a_reversal_closes_and_opens_the_other_way() -> None:
    found = order(facts=replace(FACTS, held=D(500)), action="flip")
    assert (found.side, found.quantity, found.reduce_only) == (Side.SELL, D(1500), False)
    found = order(facts=replace(FACTS, held=D(-500)), action="flip")
    assert (found.side, found.quantity) == (Side.BUY, D(1500))


@pytest.mark.parametrize("action", ["exit", "trim", "flip"])
def test_nothing_held_is_nothing_to_close(action: str) -> None:
    assert refused(order(action=action), "no_position", "action")


# -- how large


def sized(by: Sizing, value: str | None = None, cap: str | None = None, **words: Any) -> SignalRule:
    sizing = SizingRule(
        by=by, value=None if value is None else D(value), max=None if cap is None else D(cap)
    )
    return a_rule(sizing=sizing, **words)


def test_the_signal_s_own_quantity_is_capped_and_rounded_down_to_the_lot() -> None:
    rule = sized(Sizing.SIGNAL, cap="800")
    assert order(rule, quantity="500.9").quantity == 500
    assert order(rule, quantity="5000").quantity == 800
    assert refused(order(rule, quantity="0.5"), "quantity_too_small", "quantity")
    assert refused(order(rule), "signal_incomplete", "quantity")


def test_a_percent_of_equity_is_what_the_position_is_worth() -> None:
    rule = sized(Sizing.EQUITY_PERCENT, "11")
    assert order(rule).quantity == 10_000  # 11,000 dollars of euros at 1.1000
    in_yen = replace(FACTS, rate=D("0.01"))
    assert order(rule, in_yen).quantity == 1_000_000


def test_a_percent_at_risk_is_what_the_stop_would_lose() -> None:
    by_pips = ProtectionRule(by=Measure.PIPS, value=D(50))
    assert order(sized(Sizing.RISK_PERCENT, "1", stop_loss=by_pips)).quantity == 200_000
    by_percent = ProtectionRule(by=Measure.PERCENT, value=D(1))
    assert order(sized(Sizing.RISK_PERCENT, "1", stop_loss=by_percent)).quantity == 90_909
    by_signal = sized(Sizing.RISK_PERCENT, "1", stop_loss=ProtectionRule(by=Measure.SIGNAL))
    assert order(by_signal, stop_loss="1.0900").quantity == 100_000
    assert refused(order(by_signal), "signal_incomplete", "stop_loss")
    assert refused(order(by_signal, stop_loss="1.1"), "signal_risk_unknown", "stop_loss")


def test_what_is_not_known_is_no_quantity() -> None:
    rule = sized(Sizing.EQUITY_PERCENT, "10")
    for facts in (replace(FACTS, quote=None), replace(FACTS, rate=None)):
        found = order(rule, facts)
        assert refused(found, "no_quote", None)
        assert found.retry is Retry.SAME_ID
    for equity in (None, D(0)):
        assert refused(order(rule, replace(FACTS, equity=equity)), "no_equity", None)
    risk = sized(Sizing.RISK_PERCENT, "1", stop_loss=ProtectionRule(by=Measure.PIPS, value=D(50)))
    assert refused(order(risk, replace(FACTS, quote=None)), "no_quote", None)
    assert refused(order(sized(Sizing.FIXED, "0.1")), "quantity_too_small", None)


# -- what guards it


def test_guards_in_pips_and_percent_are_measured_from_the_entry() -> None:
    rule = a_rule(
        stop_loss=ProtectionRule(by=Measure.PIPS, value=D(20)),
        take_profit=ProtectionRule(by=Measure.PERCENT, value=D(1)),
        trailing=ProtectionRule(by=Measure.PIPS, value=D("0.01")),
    )
    assert order(rule).bracket == Bracket(
        stop_loss=StopLoss(distance=D("0.0020")),
        take_profit=TakeProfit(limit_price=D("1.11100")),
        trailing=Trailing(amount=D("0.00001")),
    )
    short = order(rule, action="short")
    assert short.bracket.take_profit.limit_price == D("1.08880")


def test_guards_by_signal_are_its_prices_on_the_grid() -> None:
    by_signal = ProtectionRule(by=Measure.SIGNAL)
    rule = a_rule(stop_loss=by_signal, take_profit=by_signal)
    found = order(rule, stop_loss="1.090001", take_profit="1.2")
    assert found.bracket == Bracket(
        stop_loss=StopLoss(stop_price=D("1.09000")), take_profit=TakeProfit(limit_price=D("1.2"))
    )
    assert refused(order(rule, take_profit="1.2"), "signal_incomplete", "stop_loss")
    assert refused(order(rule, stop_loss="1.09"), "signal_incomplete", "take_profit")


def test_without_a_price_nothing_can_be_guarded() -> None:
    rule = a_rule(take_profit=ProtectionRule(by=Measure.PIPS, value=D(20)))
    assert refused(order(rule, replace(FACTS, quote=None)), "no_quote", None)
    assert order(rule).bracket == Bracket(take_profit=TakeProfit(limit_price=D("1.10200")))


# -- the rules themselves


def test_good_rules_have_no_faults() -> None:
    guarded = a_rule(
        name="guarded",
        match={"strategy": "guarded"},
        stop_loss=ProtectionRule(by=Measure.SIGNAL),
        trailing=ProtectionRule(by=Measure.PIPS, value=D(5)),
        sizing=SizingRule(by=Sizing.SIGNAL, max=D(5)),
    )
    assert find_faults((a_rule(), guarded), ["acc-1"]) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"account": "acc-9"}, "account acc-9"),
        ({"match": {}}, "match is empty"),
        ({"order_type": OrderType.TRAILING_STOP}, "order_type trailing_stop"),
        ({"time_in_force": TimeInForce.GTD}, "gtd"),
        ({"fields": SignalFields(price="id")}, "id is read twice"),
        ({"sizing": SizingRule(by=Sizing.FIXED)}, "needs a value"),
        ({"sizing": SizingRule(by=Sizing.SIGNAL, value=D(1))}, "takes no value"),
        ({"sizing": SizingRule(by=Sizing.FIXED, value=D(0))}, "above zero"),
        ({"sizing": SizingRule(by=Sizing.FIXED, value=D(1), max=D(0))}, "above zero"),
        ({"sizing": SizingRule(by=Sizing.RISK_PERCENT, value=D(1))}, "needs a stop_loss"),
        ({"trailing": ProtectionRule(by=Measure.SIGNAL)}, "trailing: by signal"),
        ({"stop_loss": ProtectionRule(by=Measure.SIGNAL, value=D(1))}, "takes no value"),
        ({"stop_loss": ProtectionRule(by=Measure.PIPS)}, "needs a value above zero"),
        ({"take_profit": ProtectionRule(by=Measure.PERCENT, value=D(0))}, "above zero"),
    ],
)
def test_a_faulty_rule_is_named_with_its_fix(words: dict[str, Any], says: str) -> None:
    faults = find_faults((a_rule(**words),), ["acc-1"])
    assert len(faults) == 1, faults
    assert faults[0].startswith("signals trend: ")
    assert says in faults[0]


def test_rules_that_stand_in_each_other_s_way_are_named() -> None:
    faults = find_faults((a_rule(), a_rule()), ["acc-1"])
    assert any("used twice" in fault for fault in faults)
    assert any("same match" in fault for fault in faults)
