"""What a client, the market and the broker's own app do in a story, all from the seed."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

from bench.dst.deployment import ACCOUNT, BOOT_START_NS, OWNER, UTC_START_NS, Deployment
from bench.dst.trader import Trader
from bench.dst.venue import MIDDLES
from brokers.adapter import Request
from domain.commands import AmendPosition, ClosePosition, Halt, Resume, SetGuard
from domain.ids import halt_word
from domain.lifecycle import Order, Status
from domain.orders import (
    AmendOrder,
    Bracket,
    CancelOrder,
    NewOrder,
    OrderType,
    Side,
    StopLoss,
    TakeProfit,
    TimeInForce,
    Trailing,
)
from domain.records import GuardKind, HaltScope
from gateway import wire

SYMBOLS = ("EUR/USD", "GBP/USD", "USD/JPY")
WORKING = (Status.LIVE, Status.PARTIALLY_FILLED)
T, F = OrderType, TimeInForce
KINDS = (
    "market", "market", "resting", "resting", "resting", "crossing", "stop", "touched", "until",
    "ioc", "fok", "bracket",
)  # fmt: skip
__all__ = ["BOOT_START_NS", "UTC_START_NS", "Workload"]


class Workload:
    """Draws deeds; each is done at once, in the client's name or in the market's."""

    def __init__(self, deployment: Deployment, trader: Trader, luck: Random) -> None:
        self.deployment = deployment
        self.trader = trader
        self.luck = luck
        self.halts: dict[tuple[HaltScope, str], Halt] = {}
        self._number = 0
        self._deeds: tuple[tuple[int, Callable[[], None]], ...] = (
            (30, self.place), (5, self.again), (10, self.cancel), (3, self.cancel_many),
            (10, self.amend), (4, self.batch), (3, self.signal), (4, self.close),
            (3, self.protect), (2, self.halt), (3, self.resume), (2, self.guard),
            (16, self.move), (3, self.trade_elsewhere), (2, self.cancel_elsewhere),
        )  # fmt: skip
        self._weights = [weight for weight, _ in self._deeds]
        self._calls = [call for _, call in self._deeds]

    def step(self) -> None:
        """One deed."""
        (call,) = self.luck.choices(self._calls, self._weights)
        call()

    # -- orders

    def _name(self) -> str:
        self._number += 1
        return f"o-{self._number}"

    def _price(self, symbol: str, pips: int) -> Decimal:
        pip = Decimal("0.01") if symbol.endswith("JPY") else Decimal("0.0001")
        return self.deployment.venue.middles[symbol.replace("/", "_")] + pip * pips

    def draw(self, name: str | None = None) -> NewOrder:
        """An order of any kind OANDA takes."""
        luck = self.luck
        symbol, side = luck.choice(SYMBOLS), luck.choice((Side.BUY, Side.SELL))
        words = self._words(luck.choice(KINDS), symbol, side.sign)
        return NewOrder(
            client_order_id=name or self._name(), instrument=symbol, side=side,
            quantity=Decimal(luck.randint(1, 10) * 100),
            queue_if_down=luck.random() < 0.2,
            valid_for_ms=luck.choice((None, None, None, 5, 200)),
            **words,
        )  # fmt: skip

    def _words(self, kind: str, symbol: str, sign: int) -> dict[str, Any]:
        near, far = self.luck.randint(2, 15), self.luck.randint(20, 60)
        away = self._price(symbol, -sign * near)
        across = self._price(symbol, sign * near)
        match kind:
            case "market":
                return {"type": T.MARKET, "time_in_force": self.luck.choice((F.FOK, F.IOC))}
            case "resting":
                return {"type": T.LIMIT, "limit_price": away, "time_in_force": F.GTC}
            case "crossing":
                return {"type": T.LIMIT, "limit_price": across, "time_in_force": F.GTC}
            case "stop":
                return {"type": T.STOP, "stop_price": across, "time_in_force": F.GTC}
            case "touched":
                return {"type": T.MARKET_IF_TOUCHED, "stop_price": away, "time_in_force": F.GTC}
            case "until":
                utc_ns = self.deployment.host.clocks.utc_ns()
                until = utc_ns + self.luck.randint(1, 5) * 1_000_000_000
                return {
                    "type": T.LIMIT, "limit_price": away, "time_in_force": F.GTD,
                    "expire_at_ns": until,
                }  # fmt: skip
            case "ioc" | "fok":
                price = self.luck.choice((away, across))
                return {"type": T.LIMIT, "limit_price": price, "time_in_force": F(kind)}
            case _:
                bracket = Bracket(
                    take_profit=TakeProfit(limit_price=self._price(symbol, sign * far)),
                    stop_loss=StopLoss(stop_price=self._price(symbol, -sign * far)),
                )
                return {"type": T.MARKET, "time_in_force": F.FOK, "bracket": bracket}

    def place(self) -> None:
        """A new order."""
        self.trader.place(self.draw())

    def again(self) -> None:
        """One placed before, once more; or another under its id."""
        orders = self.trader.orders
        if orders:
            name = self.luck.choice(tuple(orders))
            self.trader.place(self.draw(name) if self.luck.random() < 0.2 else orders[name])

    def batch(self) -> None:
        """Several at once."""
        self.trader.batch(tuple(self.draw() for _ in range(self.luck.randint(2, 4))))

    def signal(self) -> None:
        """A strategy's signal."""
        signal = {
            "strategy": "story", "id": self._name(), "symbol": self.luck.choice(SYMBOLS),
            "action": self.luck.choice(("long", "short")), "quantity": "300",
        }  # fmt: skip
        self.trader.say("signal", wire.SignalNew, signal=signal)

    # -- what is there already

    def _orders(self) -> list[Order]:
        router = self.deployment.parts.get("router")
        if router is None:
            return []
        found = router.desk.books.orders.open.values()
        return [order for order in found if order.client_order_id and order.status in WORKING]

    def cancel(self) -> None:
        """One order, known or not, done or not."""
        names = [order.client_order_id for order in self._orders()] or list(self.trader.orders)
        if names:
            cancel = CancelOrder(client_order_id=self.luck.choice(names))
            self.trader.say("cancel", wire.OrderCancel, cancel=cancel)

    def cancel_many(self) -> None:
        """All, or all of an instrument, sometimes those made elsewhere too."""
        elsewhere = self.luck.random() < 0.3
        if self.luck.random() < 0.5:
            cancel = CancelOrder(all=True, include_external=elsewhere)
        else:
            symbol = self.luck.choice(SYMBOLS)
            cancel = CancelOrder(instrument=symbol, include_external=elsewhere)
        self.trader.say("cancel many", wire.OrderCancel, cancel=cancel)

    def amend(self) -> None:
        """New terms for a working order."""
        orders = self._orders()
        if not orders:
            return
        order = self.luck.choice(orders)
        assert order.terms is not None
        assert order.client_order_id is not None
        words: dict[str, Any] = {}
        if self.luck.random() < 0.7:
            words["quantity"] = Decimal(self.luck.randint(1, 12) * 100)
        price = self._price(order.instrument, self.luck.randint(-15, 15))
        if order.terms.limit_price is not None and self.luck.random() < 0.6:
            words["limit_price"] = price
        if order.terms.stop_price is not None and self.luck.random() < 0.6:
            words["stop_price"] = price
        amend = AmendOrder(client_order_id=order.client_order_id, **words)
        self.trader.say("amend", wire.OrderAmend, amend=amend)

    def close(self) -> None:
        """A part of a position."""
        close = ClosePosition(
            client_order_id=self._name(), account=ACCOUNT, instrument=self.luck.choice(SYMBOLS),
            percent=Decimal(self.luck.choice((25, 50, 100))),
        )  # fmt: skip
        self.trader.say("close", wire.PositionClose, close=close)

    def protect(self) -> None:
        """Guards for an open lot."""
        router = self.deployment.parts.get("router")
        if router is None:
            return
        lots = [
            (position.instrument, lot)
            for position in router.desk.books.positions.values()
            for lot in position.lots
        ]
        if not lots:
            return
        symbol, lot = self.luck.choice(lots)
        sign = 1 if lot.quantity > 0 else -1
        far = self.luck.randint(20, 60)
        parts: dict[str, Any] = {
            "stop_loss": StopLoss(stop_price=self._price(symbol, -sign * far)),
            "take_profit": TakeProfit(limit_price=self._price(symbol, sign * far)),
            "trailing": Trailing(amount=abs(self._price(symbol, far) - self._price(symbol, 0))),
        }
        chosen = self.luck.sample(tuple(parts), self.luck.randint(1, 2))
        protect = AmendPosition(
            account=ACCOUNT, lot_id=lot.lot_id, **{name: parts[name] for name in chosen}
        )
        self.trader.say("protect", wire.PositionAmend, protect=protect)

    # -- who may trade

    def halt(self) -> None:
        """A halt of some scope."""
        scope, subject = self.luck.choice(
            ((HaltScope.ALL, "*"), (HaltScope.INSTRUMENT, SYMBOLS[0]), (HaltScope.OWNER, OWNER))
        )
        halt = self.halts[scope, subject] = Halt(scope=scope, subject=subject, reason="story")
        self.trader.say("halt", wire.HaltTrading, halt=halt)

    def resume(self) -> None:
        """The end of every halt, with its word."""
        halts, self.halts = self.halts, {}
        for (scope, subject), halt in halts.items():
            word = halt_word(scope.value, subject, OWNER, halt.reason)
            resume = Resume(scope=scope, subject=subject, confirm=word)
            self.trader.say("resume", wire.ResumeTrading, resume=resume)

    def guard(self) -> None:
        """A guard of the session, or its end."""
        guard = SetGuard(
            kind=self.luck.choice(tuple(GuardKind)), grace_ms=self.luck.choice((50, 300, 2_000)),
            armed=self.luck.random() < 0.7,
        )  # fmt: skip
        self.trader.say("guard", wire.GuardSet, guard=guard)

    # -- the market, and others

    def move(self) -> None:
        """A price moves."""
        self.deployment.venue.move(self.luck.choice(tuple(MIDDLES)), self.luck.randint(-20, 20))

    def trade_elsewhere(self) -> None:
        """An order made in the broker's own app."""
        symbol = self.luck.choice(tuple(MIDDLES))
        units = self.luck.choice((-500, -200, 100, 400))
        if self.luck.random() < 0.5:
            body = f'{{"order":{{"type":"MARKET","instrument":"{symbol}","units":"{units}"}}}}'
        else:
            price = self._price(symbol.replace("_", "/"), -10 if units > 0 else 10)
            body = (
                f'{{"order":{{"type":"LIMIT","instrument":"{symbol}","units":"{units}",'
                f'"price":"{price}","timeInForce":"GTC"}}}}'
            )
        self._foreign("POST", "/orders", body.encode())

    def cancel_elsewhere(self) -> None:
        """A working order canceled in the broker's own app."""
        working = tuple(self.deployment.venue.account.working)
        if working:
            self._foreign("PUT", f"/orders/{self.luck.choice(working)}/cancel", None)

    def _foreign(self, method: str, path: str, body: bytes | None) -> None:
        router = self.deployment.parts.get("router")
        if router is None or not router.desk.books.accounts:
            return  # What was before we first saw the account is not ours to tell.
        request = Request(method=method, path=f"/v3/accounts/x{path}", body=body)
        self.deployment.venue.answer(request)
