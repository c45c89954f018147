"""Scenes that end in a refusal, a warning or an alert: one of each kind, for its words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from compliance.limits import Authorization, ClientCategory, MarketSettings, Security
from compliance.luld import Band
from compliance.monitors import suspicion
from compliance.monitors.close_outs import CloseOuts
from compliance.monitors.currency_deposits import judge_day
from compliance.monitors.luld_states import LuldState, Touch, step
from compliance.monitors.price_adjustments import Adjustment, Cause, find_violation
from compliance.monitors.self_trades import FirmFill, SelfTrades
from compliance.retail import find_close_out, find_debt
from domain.accounts import Region
from domain.instruments import AssetClass
from domain.orders import NewOrder
from tests.compliance import test_market_access as access
from tests.compliance import test_market_rules as rules
from tests.compliance.cases_market import Watch
from tests.compliance.desk import (
    ACCOUNT,
    MS,
    NOW,
    OWNER,
    Desk,
    forex,
    limit_order,
    lots,
    position,
)

TODAY = date(2026, 11, 20)


def asked(desk: Desk, order: NewOrder, **words: Any) -> Any:
    plain: dict[str, Any] = {"rates": access.QUOTES}
    return desk.verdict(order, **(plain | words)).violation


def unauthorized(row: Authorization) -> Any:
    return asked(access.share_desk(MarketSettings(authorized=(row,))), access.buy())


def too_many_messages() -> Any:
    desk = access.share_desk(MarketSettings(messages_per_s_max=1))
    desk.ask(access.buy(), rates=access.QUOTES)
    return asked(desk, access.buy())


def window(**words: Any) -> Any:
    desk = access.share_desk(MarketSettings(**words))
    desk.ask(access.buy(150), rates=access.QUOTES)
    return asked(desk, access.buy(100))


def met() -> Any:
    desk = access.share_desk(MarketSettings())
    access.rests(desk, "o-1", access.buy(-100, "10"))
    return asked(desk, access.buy(100, "10.5"))


def credit(**words: Any) -> Any:
    market = MarketSettings(prevents_self_trades=False, **words)
    desk = access.share_desk(market)
    desk.ask(access.buy(150), rates=access.QUOTES)
    return asked(desk, access.buy(100))


def lost(equity: str, **words: Any) -> Any:
    desk = access.share_desk(MarketSettings(**words))
    access.tell_equity(desk, equity, 1)
    return asked(desk, access.buy())


def on_floor(order: NewOrder, *rows: Security, **words: Any) -> Callable[[], Any]:
    return lambda: rules.Floor(*rows, **words).refusal(order)


def used_up() -> Any:
    floor = rules.Floor(rules.located(1000))
    floor.code(rules.short(600), order_id="o-1")
    return floor.refusal(rules.short(401))


def bidless() -> Any:
    desk = rules.Floor(rules.RESTRICTED).desk
    answer = desk.ask(rules.short(1), rates=(), now_ns=rules.NOON, is_dry_run=True)
    return next(v for v in answer.all_violations if v.rule == "short_price_test")


def bought_back() -> Any:
    floor = rules.Floor(held=100)
    rules.sell_at(floor, "9")
    return rules.hints(floor, rules.share(1))[0]


def banned() -> Any:
    coin = forex("BTC/USD", asset_class=AssetClass.CFD)
    desk = rules.abroad("uk_cfd", Region.UK, coin, equity="1000")
    return asked(desk, limit_order(1, "1", instrument="BTC/USD"), rates=rules.ONE)


def leveraged(regime: str, region: Region, quantity: int) -> Callable[[], Any]:
    def scene() -> Any:
        desk = rules.abroad(regime, region, forex("EUR/USD"), equity="1000")
        return asked(desk, limit_order(quantity, "1"), rates=rules.ONE)

    return scene


def tripped() -> Any:
    desk = access.share_desk(access.REPEATS)
    access.fill_whole(desk, "o-1", "grid", 1)
    access.fill_whole(desk, "o-2", "grid", 2)
    return desk.screener.take_trips()[0]


def patterns() -> dict[str, Any]:
    watch = Watch(layers=1)
    first = watch.place(1, "9")
    watch.cancel(first, 1)
    done = suspicion.Filled(
        order_id=watch.place(-1, "10", 2), quantity=Decimal(7), price=Decimal(10), at_ns=NOW + 3
    )
    return {alert.kind.value: alert for alert in watch.monitor.fill(done)}


def closing() -> Any:
    watch = close_watch()
    name = watch.place(1, "10", 0, 200)
    done = suspicion.Filled(order_id=name, quantity=Decimal(200), price=Decimal(10), at_ns=NOW + 5)
    return watch.monitor.fill(done)[0]


def close_watch() -> Watch:
    watch = Watch()
    watch.monitor.session(
        suspicion.Session(instrument="ABC", closes_ns=NOW + 1_000 * MS, volume=Decimal(1_000))
    )
    return watch


def washed() -> Any:
    watch = Watch()
    watch.fill(watch.place(1, "100", 0, 50), 0, "100", 50)
    done = suspicion.Filled(
        order_id=watch.place(-1, "101", 0, 50), quantity=Decimal(50), price=Decimal(101),
        at_ns=NOW + 9,
    )  # fmt: skip
    return watch.monitor.fill(done)[0]


def with_oneself() -> Any:
    monitor = SelfTrades()
    fill = FirmFill(
        execution_id="x-1", order_id="o-1", owner="a", instrument="ABC", sign=1,
        quantity=Decimal(100), price=Decimal(10), at_ns=NOW,
    )  # fmt: skip
    monitor.see(fill)
    return monitor.see(replace(fill, execution_id="x-2", order_id="o-2", owner="b", sign=-1))


def luld(seconds: int) -> Callable[[], Any]:
    def scene() -> Any:
        touch = Touch(
            bid=Decimal(94), ask=Decimal(95), band=Band(Decimal(95), Decimal(105)), at_ns=NOW
        )
        held, alert = step(LuldState(symbol="ABC"), touch)
        later = replace(touch, at_ns=NOW + seconds * 1_000 * MS)
        return step(held, later)[1] if seconds else alert

    return scene


def closed_out() -> Any:
    held = position(*lots(30_000))
    desk = rules.abroad("uk_cfd", Region.UK, forex("EUR/USD"), equity="500", held=(held,))
    desk.ask(limit_order(1, "1"), rates=rules.ONE)
    return CloseOuts().look(desk.screener.book.accounts[ACCOUNT], "fca", TODAY, NOW)


def adjusted(**words: Any) -> Callable[[], Any]:
    plain: dict[str, Any] = {"cause": Cause.COUNTERPARTY, "is_straight_through": True}
    return lambda: find_violation(Adjustment(**(plain | words)))


SCENES: dict[str, Callable[[], Struct]] = {
    "a stranger": lambda: unauthorized(Authorization(owner="someone-else")),
    "another class": lambda: unauthorized(
        Authorization(owner=OWNER, asset_classes=(AssetClass.FOREX,))
    ),
    "another instrument": lambda: unauthorized(Authorization(owner=OWNER, instruments=("XYZ",))),
    "messages": too_many_messages,
    "window quantity": lambda: window(window_quantity_max=Decimal(200)),
    "window notional": lambda: window(window_notional_max=Decimal(2_000)),
    "own order": met,
    "customer credit": lambda: credit(customer_credit_max=Decimal(2_000)),
    "firm credit": lambda: credit(firm_credit_max=Decimal(2_000)),
    "credit without a rate": lambda: credit(firm_credit_max=Decimal(2_000), credit_currency="EUR"),
    "daily loss": lambda: lost("1000", daily_loss_max=Decimal(10)),
    "drawdown": lambda: lost("90000", drawdown_percent_max=Decimal(10)),
    "band": on_floor(rules.share(100, "11"), rules.KNOWN),
    "pause": on_floor(rules.share(100), replace(rules.KNOWN, is_paused=True)),
    "step": on_floor(rules.share(100, "10.005")),
    "unmarked": on_floor(rules.share(-100), held=40),
    "no locate": on_floor(rules.short(1)),
    "locate used": used_up,
    "preborrow": on_floor(rules.short(1), replace(rules.EASY, must_preborrow=True)),
    "restricted short": on_floor(rules.short(1, "10"), rules.RESTRICTED),
    "restricted market short": on_floor(rules.short(1, None), rules.RESTRICTED),
    "restricted short without a bid": bidless,
    "wash sale": bought_back,
    "banned": banned,
    "leverage in Europe": leveraged("eu_cfd", Region.EU, 30_001),
    "leverage in Canada": leveraged("ca_forex", Region.CA, 4_001),
    "repeats": tripped,
    "spoof": lambda: patterns()["spoof"],
    "layering": lambda: patterns()["layering"],
    "close": closing,
    "wash": washed,
    "self trade": with_oneself,
    "limit state": luld(0),
    "trading pause": luld(15),
    "close-out": closed_out,
    "close-out in Europe": lambda: find_close_out("esma", ACCOUNT, Decimal(1), Decimal(3), TODAY),
    "debt": lambda: find_debt("esma", ACCOUNT, Decimal(-1), ClientCategory.RETAIL, TODAY),
    "structuring": lambda: judge_day("p-1", (Decimal(9000), Decimal(9500)), NOW).alert,
    "reported": lambda: judge_day("p-1", (Decimal(11_000),), NOW),
    "not straight through": adjusted(is_straight_through=False),
    "an affiliate": adjusted(is_affiliate=True),
    "late notice": adjusted(is_affiliate=False, notice_minutes=16),
    "no notice": adjusted(is_affiliate=False),
    "no ground": adjusted(cause=Cause.FAVORABLE),
    "not everyone": adjusted(cause=Cause.FAVORABLE, is_beyond_control=True),
}
