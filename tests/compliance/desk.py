"""A desk for the stories: accounts, instruments and a screener, with what a story leaves open."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from compliance.screen import Screener
from compliance.settings import ComplianceSettings
from domain import events as ev
from domain.accounts import AccountBalances, AccountSnapshot, BrokerAccount, Environment
from domain.instruments import AssetClass, Instrument
from domain.lifecycle import Status
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from domain.portfolio import Lot, Position
from domain.records import Halted
from domain.screening import Candidate, Rate, ScreenAnswer, ScreenRequest, Verdict
from domain.streams import OrderUpdate, PositionUpdate, StreamUpdate, UpdateBody

MS = 1_000_000
NOW = 1_795_248_000_000_000_000
"""Saturday 2026-11-21 08:00 UTC."""

OWNER, ACCOUNT, CONNECTION = "owner-1", "acct-1", "conn-1"
LOOSE = ComplianceSettings(
    max_quantity=Decimal(10**9),
    max_notional=Decimal(10**12),
    collar_percent=Decimal(50),
    stop_collar_percent=Decimal(50),
    duplicate_window_ms=0,
)
"""Settings whose house limits stay out of the way of the rule a story is about."""


def forex(symbol: str = "EUR/USD", **words: Any) -> Instrument:
    base, _, quote = symbol.partition("/")
    plain: dict[str, Any] = {
        "symbol": symbol,
        "broker_symbol": symbol.replace("/", "_"),
        "asset_class": AssetClass.FOREX,
        "base_currency": base,
        "quote_currency": quote,
        "tick": Decimal("0.00001"),
        "lot": Decimal(1),
        "quantity_min": Decimal(1),
        "quantity_max": Decimal(10**8),
        "pip": Decimal("0.0001"),
    }
    return Instrument(**(plain | words))


def stock(symbol: str = "ABC", **words: Any) -> Instrument:
    plain = {"asset_class": AssetClass.EQUITY, "base_currency": symbol, "quote_currency": "USD"}
    return forex(symbol, **(plain | words))


def broker_account(**words: Any) -> BrokerAccount:
    plain: dict[str, Any] = {
        "account": ACCOUNT,
        "connection": CONNECTION,
        "owner": OWNER,
        "broker": "oanda",
        "environment": Environment.PAPER,
        "base_currency": "USD",
    }
    return BrokerAccount(**(plain | words))


def lots(*sizes: int | str, guarded: str = "", instrument: str = "EUR/USD") -> tuple[Lot, ...]:
    """Lots T1, T2 ... oldest first, of signed sizes; `guarded` lists those with a bracket."""
    return tuple(
        Lot(
            lot_id=f"T{number}",
            instrument=instrument,
            quantity=Decimal(size),
            price=Decimal("1.1"),
            opened_ns=number,
            opened_sequence=number,
            has_bracket=f"T{number}" in guarded.split(),
        )
        for number, size in enumerate(sizes, start=1)
    )


def position(*held: Lot, account: str = ACCOUNT, instrument: str = "EUR/USD") -> Position:
    quantity = sum((lot.quantity for lot in held), Decimal(0))
    return Position(account=account, instrument=instrument, quantity=quantity, lots=held)


def snapshot(
    *positions: Position, equity: str = "100000", account: BrokerAccount | None = None
) -> AccountSnapshot:
    account = account or broker_account()
    money = AccountBalances(
        account=account.account,
        currency=account.base_currency,
        cash=Decimal(equity),
        equity=Decimal(equity),
    )
    return AccountSnapshot(account=account, balances=money, positions=positions, cursor="1")


def rate(instrument: str = "EUR/USD", mid: str = "1.1", age_ms: int = 0) -> Rate:
    price = Decimal(mid)
    return Rate(instrument=instrument, bid=price, ask=price, received_ns=NOW - age_ms * MS)


RATES = (rate(), rate("USD/JPY", "150"), rate("GBP/USD", "1.25"), rate("USD/CHF", "0.9"))


def new_order(quantity: int | str = 1000, **words: Any) -> NewOrder:
    """A market order for EUR/USD; a negative quantity sells."""
    size = Decimal(quantity)
    plain: dict[str, Any] = {
        "client_order_id": "c-1",
        "instrument": "EUR/USD",
        "side": Side.BUY if size > 0 else Side.SELL,
        "quantity": abs(size),
        "type": OrderType.MARKET,
        "time_in_force": TimeInForce.FOK,
    }
    return NewOrder(**(plain | words))


def limit_order(quantity: int | str = 1000, price: str = "1.1", **words: Any) -> NewOrder:
    plain: dict[str, Any] = {
        "type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "limit_price": Decimal(price),
    }
    return new_order(quantity, **(plain | words))


class Desk:
    """A loaded screener and the words to drive it."""

    def __init__(self, *accounts: AccountSnapshot, **words: Any) -> None:
        settings = words.pop("settings", LOOSE)
        instruments = words.pop(
            "instruments",
            tuple(forex(pair) for pair in ("EUR/USD", "USD/JPY", "GBP/USD", "USD/CHF", "EUR/JPY")),
        )
        self.screener = Screener(settings, "inc", words.pop("calendars", None))
        self.screener.load(
            accounts=accounts or (snapshot(),),
            orders=words.pop("orders", ()),
            halts=words.pop("halts", ()),
            instruments=instruments,
        )
        self.numbers = 0
        assert not words

    def ask(self, order: NewOrder, order_id: str | None = None, **words: Any) -> ScreenAnswer:
        self.numbers += 1
        plain: dict[str, Any] = {
            "number": self.numbers,
            "owner": OWNER,
            "order_id": order_id or f"ask-{self.numbers}",
            "order": order,
            "candidates": (Candidate(connection=CONNECTION, account=ACCOUNT),),
            "rates": RATES,
            "now_ns": NOW,
        }
        return self.screener.screen(ScreenRequest(**(plain | words)))

    def verdict(self, order: NewOrder, order_id: str | None = None, **words: Any) -> Verdict:
        return self.ask(order, order_id, **words).verdicts[-1]

    def code(self, order: NewOrder, order_id: str | None = None, **words: Any) -> str:
        """The refusal's code, or "pass"."""
        violation = self.verdict(order, order_id, **words).violation
        return violation.code if violation is not None else "pass"

    def tell(self, body: UpdateBody, seq: int = 1) -> None:
        self.screener.observe(StreamUpdate(stream="s", seq=seq, at_ns=NOW, body=body))

    def hold(self, *held: Lot, seq: int = 1) -> None:
        self.tell(PositionUpdate(position=position(*held)), seq)

    def reserved(self, instrument: str = "EUR/USD", account: str = ACCOUNT) -> tuple[int, int]:
        """What may still be bought and sold."""
        holding = self.screener.book.accounts[account].holdings[instrument]
        buys = holding.opening[1] + holding.reducing[1]
        sells = holding.opening[-1] + holding.reducing[-1]
        return int(buys), int(sells)


def order_update(order_id: str, version: int, **words: Any) -> OrderUpdate:
    """An order of 1000 now live, but for what is said."""
    plain: dict[str, Any] = {
        "order_id": order_id,
        "status": Status.LIVE,
        "version": version,
        "filled": Decimal(0),
        "leaves": Decimal(1000),
        "event": ev.Accepted(at_ns=NOW, broker_order_id="b"),
        "instrument": "EUR/USD",
        "account": ACCOUNT,
    }
    for name in ("filled", "leaves"):
        if name in words:
            words[name] = Decimal(words[name])
    return OrderUpdate(**(plain | words))


def external(quantity: int = 1000, **words: Any) -> ev.External:
    plain: dict[str, Any] = {
        "at_ns": NOW,
        "broker_order_id": "b-9",
        "instrument": "EUR/USD",
        "side": Side.BUY if quantity > 0 else Side.SELL,
        "quantity": Decimal(abs(quantity)),
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "limit_price": Decimal("1.0"),
    }
    return ev.External(**(plain | words))


def halted(scope: Any, subject: str = "*") -> Halted:
    return Halted(scope=scope, subject=subject, by="admin", reason="test")
