"""Scenes that end in a refusal, a warning or a finding of the rules for forex and stocks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from compliance import found
from compliance.funding import Misstep
from compliance.rules.oanda_unique_size import check_attach
from compliance.settings import AccountFacts, Restriction
from domain.accounts import AccountType
from domain.findings import FindingKind
from domain.lifecycle import Status
from domain.orders import OrderType, Side
from domain.records import HaltScope
from tests.compliance import test_stock_rules as stocks
from tests.compliance import test_us_fx_fifo as fifo
from tests.compliance.cases_day_trading import traded
from tests.compliance.desk import (
    ACCOUNT,
    LOOSE,
    NOW,
    Desk,
    broker_account,
    external,
    halted,
    limit_order,
    lots,
    new_order,
    order_update,
    position,
    rate,
    snapshot,
)
from tests.compliance.stock_desk import MONDAY, StockDesk

Scene = Callable[[], Struct | None]


def refused(*sizes: int, guarded: str = "", **words: Any) -> Scene:
    """What the screen says to an order, by lots held; `equity` and `settings` are the desk's."""
    equity = words.pop("equity", "1000000000")
    order = words.pop("order")
    desk: dict[str, Any] = {"settings": words.pop("settings", LOOSE)}

    def scene() -> Struct | None:
        held = snapshot(position(*lots(*sizes, guarded=guarded)), equity=equity)
        return Desk(held, **desk).verdict(order, **words).violation

    return scene


def warned(order: Any, *sizes: int, guarded: str = "") -> Scene:
    return lambda: fifo.desk_of(*sizes, guarded=guarded).verdict(order).warnings[0]


def named_beside_a_split() -> Struct | None:
    desk = fifo.desk_of(10_000, 20_000)
    assert desk.code(new_order(-4_000)) == "pass"
    return desk.verdict(fifo.close("T2", 20_000)).violation


def opened_beside_the_other_side() -> Struct | None:
    desk = fifo.desk_of(10_000, guarded="T1")
    assert desk.code(new_order(-10_000)) == "pass"
    return desk.verdict(new_order(3_000)).violation


def attached() -> Struct | None:
    holding = fifo.desk_of(10_000, 10_000).screener.book.accounts[ACCOUNT].holdings["EUR/USD"]
    return check_attach(holding, "T2")


def hedged() -> Struct | None:
    account = broker_account(hedging=True)
    held = snapshot(position(*lots(10_000)), account=account)
    return Desk(held).verdict(new_order(-10_001)).violation


def unvalued() -> Struct | None:
    pounds = lots(1000, instrument="GBP/USD")
    held = snapshot(position(*pounds, instrument="GBP/USD"))
    return Desk(held).verdict(new_order(), rates=(rate(),)).violation


def broke() -> Struct | None:
    return Desk(snapshot(equity="NaN")).verdict(new_order()).violation


def repeated() -> Struct | None:
    desk = Desk(settings=replace(LOOSE, duplicate_window_ms=500))
    desk.ask(new_order())
    return desk.verdict(new_order(), now_ns=NOW + 20_000_000).violation


def stopped() -> Struct | None:
    return Desk(halts=(halted(HaltScope.ACCOUNT, ACCOUNT),)).verdict(new_order()).violation


def beside_the_unknown() -> Struct | None:
    desk = Desk()
    desk.tell(order_update("o-1", 1, event=external()))
    desk.tell(order_update("o-1", 2, status=Status.UNKNOWN, event=external()), 2)
    return desk.verdict(new_order()).violation


def on(desk: Callable[[], StockDesk], side: Side, quantity: int) -> Scene:
    return lambda: desk().ask(side, quantity)


def pattern_desk() -> StockDesk:
    return stocks.margin_desk(stocks.LEGACY, equity=24_999, executions=traded(3, 3))


def unknown_broker_desk() -> StockDesk:
    facts = AccountFacts(is_pattern_day_trader=True)
    return stocks.margin_desk("us_stocks", broker="nobody", equity=10_000, facts=facts)


def used_power_desk() -> StockDesk:
    desk = stocks.buying_power_desk()
    desk.fill(Side.BUY, 4000)
    return desk


def spoken_for_desk() -> StockDesk:
    desk = stocks.cash_desk(cash=1000, equity=1000, balances={"withdrawable": Decimal(400)})
    resting = desk.order(Side.BUY, 60, type=OrderType.LIMIT, limit_price=Decimal(10))
    assert desk.verdict(resting, is_dry_run=False).violation is None
    return desk


def restricted_cash_desk() -> StockDesk:
    desk = stocks.cash_desk(cash=0, equity=0, held=100)
    for _ in range(4):
        desk.fill(Side.SELL, 100)
        desk.fill(Side.BUY, 100)
    desk.fill(Side.SELL, 100)
    desk.measure()
    return desk


def sold_and_bought_desk(times: int) -> StockDesk:
    desk = stocks.cash_desk(cash=0, equity=0, held=100)
    for _ in range(times):
        desk.fill(Side.SELL, 100)
        desk.fill(Side.BUY, 100)
    return desk


def early_sale() -> Struct | None:
    desk = sold_and_bought_desk(1)
    return desk.verdict(desk.order(Side.SELL, 100)).warnings[0]


def unpaid_desk() -> StockDesk:
    desk = stocks.cash_desk(cash=1000, equity=1000)
    desk.fill(Side.BUY, 100, price=Decimal("10.03"))
    return desk


def frozen_desk(**words: Any) -> StockDesk:
    facts = AccountFacts(frozen_until=MONDAY)
    return stocks.margin_desk(equity=100_000, cash=1000, facts=facts, **words)


def portfolio_desk() -> StockDesk:
    account = broker_account(regime="us_stocks", type=AccountType.PORTFOLIO_MARGIN)
    return StockDesk(account, equity=4_999_999)


MISSTEP = Misstep(
    kind=FindingKind.GOOD_FAITH, order_id="o-1", instrument="ABC", day=MONDAY, at_ns=7,
    amount=Decimal("12.345"), met=Decimal(2),
)  # fmt: skip
TABOO = Restriction(symbol="EUR/USD", reason="merger")

SCENES: dict[str, Scene] = {
    # US retail forex
    "a lot nobody has": refused(10_000, order=fifo.close("T9", 1_000)),
    "the lot's own side": refused(-10_000, order=fifo.close("T1", 1_000)),
    "more than the lot": refused(10_000, order=fifo.close("T1", 10_001)),
    "a part of a younger lot": refused(10_000, 20_000, order=fifo.close("T2", 5_000)),
    "a younger twin": refused(10_000, 20_000, 20_000, order=fifo.close("T3", 20_000)),
    "nobody asked for the lot": refused(
        10_000, 20_000, order=fifo.close("T2", 20_000),
        settings=replace(LOOSE, lot_close_is_instructed=False),
    ),
    "a hedge": refused(10_000, order=new_order(-5_000, position_effect=fifo.OPEN_ONLY)),
    "a hedging account": hedged,
    "a lot by name beside a split": named_beside_a_split,
    "a protected twin": refused(10_000, order=new_order(10_000, bracket=fifo.PROTECTED)),
    "a part that becomes a twin": refused(10_000, 6_000, guarded="T2", order=new_order(-4_000)),
    "sizes nobody knows": opened_beside_the_other_side,
    "a stop on a twin": attached,
    "a pending twin": warned(limit_order(10_000), 10_000, guarded="T1"),
    "a deposit": refused(equity="1000", order=new_order(45_455)),
    "a deposit of nothing": refused(equity="0", order=new_order(1)),
    "a rate nobody knows": unvalued,
    "equity nobody knows": broke,
    "no price": refused(order=new_order(), rates=(), equity="1000"),
    # What makes no sense
    "no quantity": refused(order=new_order(0)),
    "no limit price": refused(order=limit_order(1, "0")),
    "no trigger price": refused(
        order=new_order(1, type=OrderType.STOP, stop_price=Decimal("1E+10"))
    ),
    "no bound": refused(order=new_order(1, price_bound=Decimal(0))),
    "a stranger's account": refused(order=new_order(), owner="someone-else"),
    "an unlisted instrument": refused(order=new_order(instrument="XAU/USD")),
    "nothing to amend": refused(order=new_order(), replaces_order_id="o-9"),
    # House limits
    "quantity": refused(order=new_order(11), settings=replace(LOOSE, max_quantity=Decimal(10))),
    "value": refused(order=new_order(11), settings=replace(LOOSE, max_notional=Decimal(10))),
    "a dear price": refused(order=limit_order(1, "1.6501")),
    "a trigger far away": refused(
        order=new_order(-1, type=OrderType.STOP, stop_price=Decimal("0.5499")),
    ),
    "a bound far away": refused(order=new_order(-1, price_bound=Decimal("0.5499"))),
    "no quote": refused(order=limit_order(1, "1"), rates=(rate(age_ms=5_001),)),
    "the same again": repeated,
    "restricted": refused(order=new_order(), settings=replace(LOOSE, restricted=(TABOO,))),
    "restricted to exits": refused(
        order=new_order(),
        settings=replace(LOOSE, restricted=(replace(TABOO, exits_pass=True),)),
    ),
    "halted": stopped,
    "unknown": beside_the_unknown,
    # Stocks
    "the fourth day trade": on(pattern_desk, Side.BUY, 1),
    "a day trader under both rules": on(unknown_broker_desk, Side.BUY, 1),
    "buying power": on(used_power_desk, Side.BUY, 6_001),
    "no close": on(
        lambda: stocks.margin_desk(
            stocks.LEGACY, equity=30_000, facts=AccountFacts(is_pattern_day_trader=True)
        ),
        Side.BUY, 1,
    ),
    "intraday margin": on(lambda: stocks.margin_desk(equity=10_000), Side.BUY, 4_001),
    "portfolio margin": on(portfolio_desk, Side.BUY, 2_000_001),
    "a freeze": on(frozen_desk, Side.BUY, 101),
    "a freeze that lets nothing in": on(lambda: frozen_desk(broker="firstrade"), Side.BUY, 1),
    "the minimum": on(lambda: stocks.margin_desk(equity=1999, cash=1999), Side.BUY, 200),
    "short in cash": on(lambda: stocks.cash_desk(cash=9), Side.SELL_SHORT, 1),
    "cash": on(spoken_for_desk, Side.BUY, 41),
    "settled cash": on(restricted_cash_desk, Side.BUY, 1),
    "an early sale": early_sale,
    "an early sale too many": on(lambda: sold_and_bought_desk(3), Side.SELL, 100),
    "a free ride": on(unpaid_desk, Side.SELL, 100),
    # What is found of how an account has traded
    "found a pattern": lambda: found.pattern_found(ACCOUNT, MONDAY, 4, 7),
    "found a call": lambda: found.call_found(ACCOUNT, MONDAY, Decimal("10.001"), 7),
    "found a deficit": lambda: found.deficit_found(ACCOUNT, date(2026, 6, 8), Decimal("9.50"), 7),
    "found a misstep": lambda: found.misstep_found(ACCOUNT, MISSTEP),
}  # fmt: skip
