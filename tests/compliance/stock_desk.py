"""A desk for stock accounts: one account, one share, real business days, and words to drive it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from actors.calendars import build_calendar
from compliance.calendar import BusinessCalendar
from compliance.limits import MarketSettings, Security
from compliance.past import Past
from compliance.screen import Screener
from compliance.settings import AccountFacts
from compliance.trading import Trading
from domain import events as ev
from domain.accounts import AccountBalances, AccountSnapshot, BrokerAccount
from domain.findings import Finding, FindingKind
from domain.history import AccountHistory, Execution
from domain.instruments import Instrument
from domain.lifecycle import Order, Status
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from domain.portfolio import Lot, Position
from domain.screening import Candidate, Rate, ScreenRequest, Verdict, Violation
from domain.streams import BalancesUpdate, OrderUpdate, PositionUpdate, StreamUpdate, UpdateBody
from tests.compliance.desk import ACCOUNT, CONNECTION, LOOSE, OWNER, stock

EASTERN = ZoneInfo("America/New_York")
MONDAY = date(2026, 11, 16)
SECOND = 10**9
HOUR = 3600 * SECOND


@cache
def new_york() -> BusinessCalendar:
    return build_calendar("XNYS", date(2026, 9, 1))


def noon_ns(day: date) -> int:
    """Noon in New York."""
    return int(datetime(day.year, day.month, day.day, 12, tzinfo=EASTERN).timestamp()) * SECOND


def held_position(symbol: str, quantity: Decimal) -> Position:
    lot = Lot(
        lot_id="L", instrument=symbol, quantity=quantity, price=Decimal(1), opened_ns=1,
        opened_sequence=1,
    )  # fmt: skip
    lots = (lot,) if quantity else ()
    return Position(account=ACCOUNT, instrument=symbol, quantity=quantity, lots=lots)


class StockDesk:
    """A screener with one stock account; money and prices are what the words say."""

    def __init__(self, account: BrokerAccount, **words: Any) -> None:
        self.account = account
        self.now_ns: int = words.pop("now_ns", noon_ns(MONDAY))
        self.price = Decimal(words.pop("price", 10))
        self.symbol: str = words.pop("symbol", "ABC")
        equity = Decimal(words.pop("equity", 100_000))
        cash = Decimal(words.pop("cash", equity))
        settings = replace(
            words.pop("settings", LOOSE),
            account_facts={ACCOUNT: words.pop("facts", AccountFacts())},
            leveraged_funds=words.pop("leveraged", {}),
            collar_percent=Decimal(words.pop("collar", 0)),
            # Short sales and own orders have stories of their own.
            market=MarketSettings(
                securities=(Security(symbol=self.symbol, easy_to_borrow=True),),
                prevents_self_trades=False,
            ),
        )
        terms: dict[str, Any] = {"calendar": "XNYS"}
        if "margin_rate" in words:
            terms["margin_rate"] = words.pop("margin_rate")
        instruments: tuple[Instrument, ...] = words.pop(
            "instruments", (stock(self.symbol, **terms),)
        )
        executions: list[Execution] = words.pop("executions", [])
        history = words.pop("history", None)
        if history is None:
            history = AccountHistory(account=ACCOUNT, executions=list(executions))
        positions = words.pop("positions", None) or net_of(executions)
        held = words.pop("held", None)
        if held is not None:
            positions[self.symbol] = Decimal(held)
        self.balances = AccountBalances(
            account=ACCOUNT, currency="USD", cash=cash, equity=equity, **words.pop("balances", {})
        )
        self.held = dict(positions)
        self.seq = 0
        self.numbers = 0
        self.filled: dict[str, Decimal] = {}
        self.screener = Screener(settings, "inc", words.pop("calendars", {"XNYS": new_york()}))
        orders: tuple[Order, ...] = words.pop("orders", ())
        self.screener.load(
            accounts=(self.snapshot(),),
            orders=orders,
            halts=(),
            instruments=instruments,
            past=Past(histories=(history,)),
        )
        self.set_prices(dict.fromkeys(positions, self.price))
        self.set_price(self.price)
        assert not words, words
        self.measure()

    def snapshot(self) -> AccountSnapshot:
        """What the router would list now."""
        held = [held_position(name, size) for name, size in self.held.items() if size]
        return AccountSnapshot(
            account=self.account, balances=self.balances, positions=tuple(held), cursor="1"
        )

    def trading(self) -> Trading:
        trading = self.screener.book.accounts[ACCOUNT].trading
        assert trading is not None
        return trading

    def rates(self) -> tuple[Decimal, Decimal]:
        terms = self.trading().margin.row(self.symbol).terms
        return terms.long, terms.short

    def set_price(self, price: Decimal, symbol: str | None = None) -> None:
        if symbol is None:
            self.price = price
        self.set_prices({symbol or self.symbol: price})

    def set_prices(self, prices: dict[str, Decimal]) -> None:
        self.now_ns += 1
        rates = [
            Rate(instrument=name, bid=price, ask=price, received_ns=self.now_ns)
            for name, price in prices.items()
        ]
        self.screener.observe_rates(tuple(rates))

    def measure(self) -> None:
        """The same price a second later: what makes the monitors look."""
        exposure = self.screener.book.accounts[ACCOUNT]
        if exposure.trading is None:
            self.tell(PositionUpdate(position=held_position("NONE", Decimal(0))))
        self.now_ns += SECOND
        self.set_price(self.price)

    def tell(self, body: UpdateBody) -> None:
        self.seq += 1
        update = StreamUpdate(stream="s", seq=self.seq, at_ns=self.now_ns, body=body)
        self.screener.observe(update)

    def tell_balances(self, **words: Any) -> None:
        self.balances = replace(self.balances, **words)
        self.tell(BalancesUpdate(balances=self.balances))

    def order(self, side: Side, quantity: Decimal | int, **words: Any) -> NewOrder:
        plain: dict[str, Any] = {
            "client_order_id": "c-1",
            "instrument": self.symbol,
            "side": side,
            "quantity": Decimal(quantity),
            "type": OrderType.MARKET,
            "time_in_force": TimeInForce.DAY,
        }
        return NewOrder(**(plain | words))

    def verdict(self, order: NewOrder, *, is_dry_run: bool = True) -> Verdict:
        """What the screen says; only a dry run leaves nothing reserved."""
        request = self.request(order, is_dry_run=is_dry_run)
        return self.screener.screen(request).verdicts[-1]

    def request(self, order: NewOrder, *, is_dry_run: bool) -> ScreenRequest:
        self.numbers += 1
        return ScreenRequest(
            number=self.numbers,
            owner=OWNER,
            order_id=f"ask-{self.numbers}",
            order=order,
            candidates=(Candidate(connection=CONNECTION, account=ACCOUNT),),
            rates=(),
            now_ns=self.now_ns,
            is_dry_run=is_dry_run,
        )

    def ask(self, side: Side, quantity: Decimal | int, **words: Any) -> Violation | None:
        """The refusal, or None where the order passes."""
        return self.verdict(self.order(side, quantity, **words)).violation

    def ask_all(self, order: NewOrder) -> tuple[Violation, ...]:
        """Every rule's refusal."""
        request = self.request(order, is_dry_run=True)
        return self.screener.screen(request).all_violations

    def fill_updates(
        self, side: Side, quantity: Decimal | int, **words: Any
    ) -> tuple[UpdateBody, UpdateBody]:
        """A fill as the router tells it: the order's update, then the position's."""
        symbol = words.pop("symbol", self.symbol)
        quantity = Decimal(quantity)
        price = words.pop("price", self.price)
        execution = words.pop("id", f"x{self.seq}")
        order_id = words.pop("order_id", f"f-{execution}")
        self.held[symbol] = self.held.get(symbol, Decimal(0)) + side.sign * quantity
        fill = ev.Fill(
            at_ns=words.pop("at_ns", self.now_ns),
            execution_id=execution,
            broker_execution_id=execution,
            broker_order_id="b",
            instrument=symbol,
            side=side,
            quantity=quantity,
            price=Decimal(price),
            **words,
        )
        update = OrderUpdate(
            order_id=order_id,
            status=Status.FILLED,
            version=1,
            filled=quantity,
            leaves=Decimal(0),
            event=fill,
            instrument=symbol,
            account=ACCOUNT,
        )
        return update, PositionUpdate(position=held_position(symbol, self.held[symbol]))

    def fill(self, side: Side, quantity: Decimal | int, **words: Any) -> None:
        self.now_ns += SECOND
        for body in self.fill_updates(side, quantity, **words):
            self.tell(body)

    def findings(self, kind: FindingKind) -> list[Finding]:
        history = self.trading().history
        return [found for found in history.findings.values() if found.kind is kind]

    def deficit(self) -> Decimal:
        found = self.findings(FindingKind.INTRADAY_DEFICIT)
        return sum((each.amount for each in found), Decimal(0))


def net_of(executions: list[Execution]) -> dict[str, Decimal]:
    """What the executions leave held."""
    held: dict[str, Decimal] = {}
    for each in executions:
        held[each.instrument] = held.get(each.instrument, Decimal(0)) + each.sign * each.quantity
    return held
