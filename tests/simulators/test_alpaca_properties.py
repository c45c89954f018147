"""Whatever is asked of a netting book: money is conserved, lives are legal, power is kept."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator_world import Clock

from brokers.simulators import facts as f
from brokers.simulators.alpaca_dialect import AlpacaDialect
from brokers.simulators.alpaca_listings import ENGINE
from brokers.simulators.alpaca_replies import Call
from brokers.simulators.alpaca_settings import AlpacaSettings
from brokers.simulators.alpaca_words import status_of
from brokers.simulators.book import AccountSettings, Order, Quote
from brokers.simulators.bookkeeping import Clocks
from brokers.simulators.netting_engine import NetEngine
from brokers.simulators.words import Kind, Role

CASH = Decimal(20_000)
LEGAL = {
    None: {"pending_new"},
    "pending_new": {"new", "accepted", "rejected", "canceled", "expired"},
    "accepted": {"new", "canceled", "expired", "replaced"},
    "held": {"new", "canceled", "expired", "replaced"},
    "new": {"new", "partially_filled", "filled", "canceled", "expired", "replaced", "rejected"},
    "partially_filled": {"partially_filled", "filled", "canceled", "expired", "replaced"},
}
OVER = ("filled", "canceled", "expired", "replaced", "rejected")


class Book:
    """An engine and its dialect, without a server; every status an order was told with is kept."""

    def __init__(self, multiplier: int) -> None:
        account = AccountSettings(id="PA1", netting=True, balance=CASH, multiplier=multiplier)
        config = msgspec.structs.replace(ENGINE, accounts=(account,))
        self.clock = Clock()
        self.engine = NetEngine(config, Clocks(self.clock))
        self.engine.note = self.note
        self.account = self.engine.accounts["PA1"]
        self.dialect = AlpacaDialect(self.engine, AlpacaSettings(wash_trades=True), Random(1))
        self.lives: dict[int, list[str]] = {}
        self.quote("AAPL", Decimal(100))
        self.quote("BTC/USD", Decimal(40_000))

    def note(self, account: Any, order: Order, fact: f.AnyFact) -> None:
        if not isinstance(fact, f.EndRefused):
            self.lives.setdefault(order.id, []).append(status_of(order))

    def quote(self, symbol: str, mid: Decimal, left: Decimal | None = None) -> None:
        half = mid / 5000
        self.engine.quote(
            Quote(
                instrument=symbol,
                bid=(mid - half).quantize(Decimal("0.01")),
                ask=(mid + half).quantize(Decimal("0.01")),
                at_ns=self.clock.now,
                bid_left=left,
                ask_left=left,
            )
        )

    def ask(self, method: str, route: tuple[str, ...], spec: str = "", body: Any = None) -> int:
        call = Call(self.account, spec, msgspec.json.encode(body))
        return self.dialect.answer(self.dialect.routes[route][method], call).status


SYMBOLS = st.sampled_from(["AAPL", "BTC/USD"])
ORDERS = st.fixed_dictionaries(
    {
        "kind": st.just("order"),
        "symbol": SYMBOLS,
        "side": st.sampled_from(["buy", "sell"]),
        "type": st.sampled_from(["market", "limit", "stop", "stop_limit", "trailing_stop"]),
        "life": st.sampled_from(["day", "gtc", "ioc", "fok"]),
        "units": st.integers(1, 60),
        "away": st.integers(-20, 20),
        "style": st.sampled_from(["simple", "simple", "bracket", "oco", "oto"]),
        "notional": st.booleans(),
    }
)
MOVES = st.fixed_dictionaries(
    {
        "kind": st.just("move"),
        "symbol": SYMBOLS,
        "by": st.integers(-60, 60),
        "left": st.one_of(st.none(), st.integers(1, 40)),
    }
)
CHANGES = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(
            ["cancel", "replace", "replace", "replace", "close", "close_all", "cancel_all"]
        ),
        "which": st.integers(0, 30),
        "units": st.integers(1, 150),
        "away": st.integers(-40, 40),
    }
)
ACTS = st.lists(st.one_of(ORDERS, ORDERS, MOVES, CHANGES), min_size=6, max_size=40)


def act_on(book: Book, act: dict[str, Any]) -> None:
    kind = act["kind"]
    if kind == "order":
        book.ask("POST", ("orders",), body=order_body(book, act))
    elif kind == "move":
        mid = book.engine.quotes[act["symbol"]].mid
        left = None if act["left"] is None else Decimal(act["left"])
        book.quote(act["symbol"], mid * (1 + Decimal(act["by"]) / 1000), left)
    elif kind == "close":
        book.ask("DELETE", ("positions", "*"), "AAPL" if act["which"] % 2 else "BTCUSD")
    elif kind == "close_all":
        book.ask("DELETE", ("positions",))
    elif kind == "cancel_all":
        book.ask("DELETE", ("orders",))
    else:
        change(book, act)


def change(book: Book, act: dict[str, Any]) -> None:
    working = list(book.account.working.values())
    if not working:
        return
    order = working[act["which"] % len(working)]
    name = book.dialect.views.order(book.account, order)["id"]
    if act["kind"] == "cancel":
        assert book.ask("DELETE", ("orders", "*"), name) == 204
    else:
        symbol, kind = order.terms.instrument, order.terms.kind
        body: dict[str, Any] = {"limit_price": price(book, symbol, act)}
        if kind in (Kind.STOP, Kind.STOP_LIMIT):
            body = {"stop_price": price(book, symbol, act)}
        if kind is Kind.TRAIL:
            body = {"trail": "2"}
        if order.terms.role is Role.SINGLE and symbol == "AAPL" and act["which"] % 2:
            body["qty"] = str(act["units"])
        book.ask("PATCH", ("orders", "*"), name, body)


def price(book: Book, symbol: str, act: dict[str, Any], more: int = 0) -> str:
    mid = book.engine.quotes[symbol].mid * (1 + Decimal(act["away"] + more) / 1000)
    return str(mid.quantize(Decimal("0.01")))


def order_body(book: Book, act: dict[str, Any]) -> dict[str, Any]:
    """An order that is well said, for the most part; the account may still not allow it."""
    symbol, kind, life, style = act["symbol"], act["type"], act["life"], act["style"]
    held = book.account.position(symbol).net
    side = act["side"]
    if symbol == "BTC/USD":
        life = "ioc" if life in ("ioc", "fok") and kind in ("market", "limit") else "gtc"
        kind = "stop_limit" if kind in ("stop", "trailing_stop") else kind
        style = "simple"
    if style == "oco":
        kind, side = "limit", "sell" if held > 0 else "buy"
    if kind == "trailing_stop":
        style = "simple"
    if style != "simple" or kind not in ("market", "limit"):
        life = "gtc" if life in ("gtc", "fok") else "day" if symbol == "AAPL" else life
    return priced(book, {**act, "kind": kind}, [symbol, side, kind, life, style])


def priced(book: Book, act: dict[str, Any], words: list[str]) -> dict[str, Any]:
    symbol, side, kind, life, style = words
    sign = 1 if side == "buy" else -1
    outward = -sign if style == "oco" else sign
    far = {**act, "away": sign * (abs(act["away"]) + 2)}
    body: dict[str, Any] = {
        "symbol": symbol,
        "side": side,
        "type": kind,
        "time_in_force": life,
        "order_class": style,
        "qty": str(Decimal(act["units"]) / (1 if symbol == "AAPL" else 1000)),
    }
    if act["notional"] and kind == "market" and style == "simple" and life != "fok":
        del body["qty"]
        body |= {"notional": str(act["units"] * 50)}
        body |= {"time_in_force": "day" if symbol == "AAPL" else life}
    if kind in ("stop", "stop_limit"):
        body["stop_price"] = price(book, symbol, far)
    if kind in ("limit", "stop_limit"):
        body["limit_price"] = price(book, symbol, far if kind == "stop_limit" else act)
    if kind == "trailing_stop":
        body["trail_percent"] = "1"
    level = {**act, "away": 0}
    if style in ("bracket", "oco"):
        body["take_profit"] = {"limit_price": price(book, symbol, level, 15 * outward)}
    if style != "simple":
        body["stop_loss"] = {"stop_price": price(book, symbol, level, -50 * outward)}
    return body


def check(book: Book) -> None:
    account, engine = book.account, book.engine
    fills = [x for x in account.facts.values() if isinstance(x, f.Filled)]
    assert account.balance == CASH - sum((x.units * x.price for x in fills), Decimal(0))
    for symbol in ("AAPL", "BTC/USD"):
        net = sum((x.units for x in fills if x.instrument == symbol), Decimal(0))
        assert account.position(symbol).net == net
    assert account.position("BTC/USD").net >= 0
    realized = sum((x.realized for x in fills), Decimal(0))
    cost = sum((x.long_cost + x.short_cost for x in account.positions.values()), Decimal(0))
    assert account.balance == CASH + realized - cost
    for order in [*account.working.values(), *account.done.values()]:
        assert abs(order.filled) <= abs(order.terms.units)
        assert order.filled * order.terms.units >= 0
        own = sum((x.units for x in fills if x.order == order.id), Decimal(0))
        assert own == order.filled - order.carried
    funds = engine.purse.funds(account)
    assert funds.buying_power >= 0
    assert funds.cash_power >= 0


def check_lives(book: Book) -> None:
    for number, told in book.lives.items():
        before = None
        order = book.account.order(number)
        for status in told:
            if before is None and status == "held":
                before = status
                continue
            assert status in LEGAL.get(before, set()), (told, order)
            before = status
        if order is not None and order.id not in book.account.working:
            assert told[-1] in OVER


@settings(max_examples=120, deadline=None)
@given(acts=ACTS, multiplier=st.sampled_from([1, 2, 4]))
def test_money_and_units_are_conserved_and_every_life_is_legal(acts, multiplier):
    book = Book(multiplier)
    for act in acts:
        act_on(book, act)
        book.clock.pass_s(1)
        check(book)
    check_lives(book)


@settings(max_examples=120, deadline=None)
@given(acts=st.lists(ORDERS, min_size=4, max_size=25), multiplier=st.sampled_from([1, 2, 4]))
def test_what_an_order_opens_could_be_paid_for(acts, multiplier):
    book = Book(multiplier)
    for act in acts:
        before = book.engine.purse.funds(book.account)
        fills = len(book.account.facts)
        act_on(book, act)
        made = list(book.account.facts.values())[fills:]
        for fact in made:
            opens = abs(fact.units) if isinstance(fact, f.Filled) else Decimal(0)
            if not opens or abs(fact.position) < opens:
                continue
            is_coin = fact.instrument == "BTC/USD"
            limit = before.cash_power if is_coin else before.buying_power
            assert opens * fact.price <= limit
    funds = book.engine.purse.funds(book.account)
    if multiplier == 1:
        assert funds.cash >= 0
        assert funds.short_value == 0


@settings(max_examples=120, deadline=None)
@given(acts=st.lists(ORDERS, min_size=4, max_size=25))
def test_working_orders_never_promise_more_than_is_held(acts):
    book = Book(2)
    for act in acts:
        act_on(book, act)
    for symbol in ("AAPL", "BTC/USD"):
        position = book.account.position(symbol)
        if not position.net:
            continue
        view = book.dialect.views.position(book.account, position)
        assert abs(Decimal(view["qty_available"])) <= abs(position.net)
