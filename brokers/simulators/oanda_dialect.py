"""OANDA v20's REST paths over the engine: request in, answer out. No sockets.

Docs: developer.oanda.com/rest-live-v20; shapes: specs v20.json and recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import msgspec

from brokers.simulators import facts as f
from brokers.simulators import oanda_bodies as bodies
from brokers.simulators.book import Account, Lot, Order
from brokers.simulators.candles import Candles
from brokers.simulators.engine import Engine
from brokers.simulators.oanda_book_views import Views, order_view
from brokers.simulators.oanda_codes import MISSING, ORDER_STATE, code_of, message_of
from brokers.simulators.oanda_reads import OandaReads
from brokers.simulators.oanda_replies import (
    ENCODER,
    Call,
    Refused,
    Reply,
    bounded,
    error_reply,
    listed,
    number_of,
    raw_of,
)
from brokers.simulators.oanda_views import View
from brokers.simulators.words import GUARDS, Kind, Part

LISTED_MAX = 500
LISTED_DEFAULT = 50
CONFIGURATION = (f.Configured, f.ConfigureRefused)
REFUSALS = (f.Refused, f.EndRefused, f.RelabelRefused, f.ConfigureRefused)
GUARD_WORDS = {
    Kind.TAKE_PROFIT: "takeProfitOrder",
    Kind.STOP_LOSS: "stopLossOrder",
    Kind.TRAILING_STOP: "trailingStopLossOrder",
}


class OandaDialect:
    """Answers every REST path of an account, and the price and instrument ones."""

    def __init__(self, engine: Engine, candles: Candles, url: Callable[[], str]) -> None:
        self._engine = engine
        self._views = Views(engine)
        self.reads = OandaReads(engine, candles, self._views, url)
        self._act: tuple[list[f.AnyFact], list[msgspec.Raw]] = ([], [])
        self.routes: dict[tuple[str, ...], dict[str, Callable[[Call], Reply]]] = {
            **self.reads.routes,
            ("configuration",): {"PATCH": self._configure},
            ("orders",): {"GET": self._orders, "POST": self.place},
            ("pendingOrders",): {"GET": self._pending},
            ("orders", "*"): {"GET": self._order, "PUT": self._replace},
            ("orders", "*", "cancel"): {"PUT": self._cancel},
            ("orders", "*", "clientExtensions"): {"PUT": self._label_order},
            ("trades",): {"GET": self._trades},
            ("openTrades",): {"GET": self._open_trades},
            ("trades", "*"): {"GET": self._trade},
            ("trades", "*", "close"): {"PUT": self._close_trade},
            ("trades", "*", "clientExtensions"): {"PUT": self._label_trade},
            ("trades", "*", "orders"): {"PUT": self._set_guards},
            ("positions",): {"GET": self._positions},
            ("openPositions",): {"GET": self._open_positions},
            ("positions", "*"): {"GET": self._position},
            ("positions", "*", "close"): {"PUT": self._close_position},
        }

    def answer(self, handler: Callable[[Call], Reply], call: Call) -> Reply:
        """The handler's answer, or the error it raised."""
        try:
            return handler(call)
        except bodies.BadRequest as error:
            return error_reply(400, str(error))
        except Refused as error:
            return error_reply(error.status, error.message, error.code)

    def render(self, account: Account, act: list[f.AnyFact]) -> list[msgspec.Raw]:
        """Transactions of an act just told; kept for the answer to the same request."""
        raws = [raw_of(account, fact, bodies.rfc3339) for fact in act]
        self._act = (act, raws)
        return raws

    def _rendered(self, call: Call, act: list[f.AnyFact]) -> list[msgspec.Raw]:
        if act is self._act[0] and call.stamp is bodies.rfc3339:
            return self._act[1]
        return [raw_of(call.account, fact, call.stamp) for fact in act]

    def _finish(self, call: Call, act: list[f.AnyFact], body: View, success: int) -> Reply:
        status = _put_refusal(act, body)
        if not isinstance(act[0] if act else None, CONFIGURATION):
            body["relatedTransactionIDs"] = [str(fact.id) for fact in act]
        body["lastTransactionID"] = str(call.account.last_id)
        return Reply(status or success, ENCODER.encode(body))

    # -- orders

    def place(self, call: Call) -> Reply:
        """POST orders."""
        engine, account = self._engine, call.account
        terms, trade = bodies.order_terms(call.body, engine.listings)
        if terms.kind in GUARDS:
            lot = self._find_lot(account, trade or "")
            terms = msgspec.structs.replace(terms, lot=None if lot is None else lot.id)
        act = engine.submit(account, terms)
        return self._finish(call, act, self._order_body(call, act, "order"), 201)

    def _order_body(self, call: Call, act: list[f.AnyFact], word: str) -> View:
        """Create, fill, cancel and reject transactions of the one new order in the act."""
        body: View = {}
        order_id = None
        for fact, raw in zip(act, self._rendered(call, act), strict=True):
            if isinstance(fact, f.Refused):
                body[f"{word}RejectTransaction"] = raw
            elif isinstance(fact, f.Booked) and order_id is None:
                order_id = fact.id
                body[f"{word}CreateTransaction"] = raw
            elif isinstance(fact, f.Filled) and fact.order == order_id:
                body[f"{word}FillTransaction"] = raw
            elif isinstance(fact, f.Ended) and fact.order == order_id:
                body[f"{word}CancelTransaction"] = raw
        return body

    def _replace(self, call: Call) -> Reply:
        engine, account = self._engine, call.account
        terms, trade = bodies.order_terms(call.body, engine.listings)
        if trade is not None:
            lot = self._find_lot(account, trade)
            terms = msgspec.structs.replace(terms, lot=-1 if lot is None else lot.id)
        act = engine.replace(account, _specifier(call.spec), terms)
        rendered = self._rendered(call, act)
        if isinstance(act[0], f.EndRefused):
            return self._finish(call, act, {"orderCancelRejectTransaction": rendered[0]}, 201)
        body = self._order_body(call, act, "order")
        if isinstance(act[0], f.Ended):
            if "orderCancelTransaction" in body:
                body["replacingOrderCancelTransaction"] = body["orderCancelTransaction"]
            body["orderCancelTransaction"] = rendered[0]
        return self._finish(call, act, body, 201)

    def _cancel(self, call: Call) -> Reply:
        act = self._engine.cancel(call.account, _specifier(call.spec))
        is_done = isinstance(act[0], f.Ended)
        word = "orderCancelTransaction" if is_done else "orderCancelRejectTransaction"
        return self._finish(call, act, {word: self._rendered(call, act)[0]}, 200)

    def _label_order(self, call: Call) -> Reply:
        asked = bodies.decode(bodies.LabelsBody, call.body)
        act = self._engine.holdings.relabel(
            call.account,
            self._must_find_order(call),
            asked.client_extensions,
            asked.trade_client_extensions,
        )
        word = _modify_word("order", act)
        return self._finish(call, act, {word: self._rendered(call, act)[0]}, 200)

    def _orders(self, call: Call) -> Reply:
        wanted = call.parameters()
        account, state = call.account, wanted.get("state", "PENDING")
        if state not in (*ORDER_STATE.values(), "TRIGGERED", "ALL"):
            raise bodies.BadRequest("Invalid value specified for 'state'")
        pool: Iterable[Order] = account.working.values()
        if state != "PENDING" or "ids" in wanted:
            pool = sorted([*account.done.values(), *account.working.values()], key=lambda x: x.id)
        found = [
            order
            for order in pool
            if ("ids" in wanted or state in ("ALL", ORDER_STATE[order.state]))
            and _is_wanted(order.id, order.terms.instrument, wanted)
        ]
        views = [order_view(x, call.stamp) for x in _newest_first(found, wanted)]
        return listed(call, "orders", views)

    def _pending(self, call: Call) -> Reply:
        views = [order_view(x, call.stamp) for x in reversed(call.account.working.values())]
        return listed(call, "orders", views)

    def _order(self, call: Call) -> Reply:
        return listed(call, "order", order_view(self._must_find_order(call), call.stamp))

    def _must_find_order(self, call: Call) -> Order:
        order = self._engine.find_order(call.account, _specifier(call.spec))
        if order is None:
            raise Refused(404, "The order ID specified does not exist", "NO_SUCH_ORDER")
        return order

    # -- trades

    def _find_lot(self, account: Account, spec: str) -> Lot | None:
        if spec.startswith("@"):
            return self._engine.holdings.find_lot(account, spec[1:])
        return self._engine.holdings.find_lot(account, number_of(spec))

    def _must_find_lot(self, call: Call) -> Lot:
        lot = self._find_lot(call.account, call.spec)
        if lot is None:
            raise Refused(404, "The trade ID specified does not exist", "NO_SUCH_TRADE")
        return lot

    def _trades(self, call: Call) -> Reply:
        wanted, account = call.parameters(), call.account
        state = wanted.get("state", "OPEN")
        if state not in ("OPEN", "CLOSED", "CLOSE_WHEN_TRADEABLE", "ALL"):
            raise bodies.BadRequest("Invalid value specified for 'state'")
        pool = [*account.closed.values(), *account.lots.values()]
        found = [
            lot
            for lot in sorted(pool, key=lambda x: x.id)
            if ("ids" in wanted or state in ("ALL", "OPEN" if lot.units else "CLOSED"))
            and _is_wanted(lot.id, lot.instrument, wanted)
        ]
        views = [self._views.trade(account, x, call.stamp) for x in _newest_first(found, wanted)]
        return listed(call, "trades", views)

    def _open_trades(self, call: Call) -> Reply:
        lots = reversed(call.account.lots.values())
        views = [self._views.trade(call.account, x, call.stamp) for x in lots]
        return listed(call, "trades", views)

    def _trade(self, call: Call) -> Reply:
        lot = self._must_find_lot(call)
        return listed(call, "trade", self._views.trade(call.account, lot, call.stamp))

    def _close_trade(self, call: Call) -> Reply:
        asked = bodies.close_units(bodies.decode(bodies.CloseTradeBody, call.body).units)
        act = self._engine.holdings.close_lot(call.account, self._must_find_lot(call), asked)
        body = self._order_body(call, act, "order")
        if _put_refusal(act, body) == 400:
            # The one refusal that is published without the transaction ids.
            return Reply(400, ENCODER.encode(body))
        return self._finish(call, act, body, 200)

    def _label_trade(self, call: Call) -> Reply:
        asked = bodies.decode(bodies.LabelsBody, call.body)
        act = self._engine.holdings.relabel_lot(
            call.account, self._must_find_lot(call), asked.client_extensions
        )
        word = _modify_word("trade", act)
        return self._finish(call, act, {word: self._rendered(call, act)[0]}, 200)

    def _set_guards(self, call: Call) -> Reply:
        lot = self._must_find_lot(call)
        if not lot.units:
            raise Refused(404, "The trade specified is closed", "NO_SUCH_TRADE")
        asked = bodies.guards_asked(call.body, self._engine.listings[lot.instrument])
        act = self._engine.holdings.set_guards(call.account, lot, asked)
        body: View = {}
        words: dict[int, str] = {}
        for fact, raw in zip(act, self._rendered(call, act), strict=True):
            name = self._guard_word(call.account, fact, words)
            if name is not None:
                body.setdefault(name, raw)
        return self._finish(call, act, body, 200)

    def _guard_word(self, account: Account, fact: f.AnyFact, words: dict[int, str]) -> str | None:
        """The answer's field for a transaction; `words` remembers which orders are new."""
        if isinstance(fact, f.Refused):
            return GUARD_WORDS[fact.terms.kind] + "RejectTransaction"
        if isinstance(fact, f.Booked) and fact.terms.kind in GUARDS:
            words[fact.id] = GUARD_WORDS[fact.terms.kind]
            return words[fact.id] + "Transaction"
        if isinstance(fact, f.Filled) and fact.order in words:
            return words[fact.order] + "FillTransaction"
        if not isinstance(fact, f.Ended):
            return None
        if fact.order in words:
            return words[fact.order] + "CreatedCancelTransaction"
        order = account.order(fact.order)
        return GUARD_WORDS[order.terms.kind] + "CancelTransaction" if order is not None else None

    # -- positions

    def _positions(self, call: Call) -> Reply:
        held = call.account.positions.values()
        return listed(call, "positions", [self._views.position(call.account, x) for x in held])

    def _open_positions(self, call: Call) -> Reply:
        held = [x for x in call.account.positions.values() if x.lots]
        return listed(call, "positions", [self._views.position(call.account, x) for x in held])

    def _position(self, call: Call) -> Reply:
        held = call.account.positions.get(call.spec)
        if held is None:
            raise Refused(404, "The position specified does not exist", "NO_SUCH_POSITION")
        return listed(call, "position", self._views.position(call.account, held))

    def _close_position(self, call: Call) -> Reply:
        asked = bodies.decode(bodies.ClosePositionBody, call.body)
        sides = (
            ("long", True, asked.long_units, asked.long_client_extensions),
            ("short", False, asked.short_units, asked.short_client_extensions),
        )
        if call.spec not in self._engine.listings:
            raise bodies.BadRequest("Invalid value specified for 'instrument'")
        wanted = [x for x in sides if x[2] is not None and x[2] != "NONE"]
        if not wanted:
            code = "CLOSEOUT_POSITION_INCOMPLETE_SPECIFICATION"
            raise Refused(400, message_of(code), code)
        body: View = {}
        facts: list[f.AnyFact] = []
        for word, is_long, units, label in wanted:
            act = self._engine.holdings.close_position(
                call.account, call.spec, is_long, bodies.close_units(units or "ALL"), label
            )
            body.update(self._order_body(call, act, f"{word}Order"))
            facts.extend(act)
        return self._finish(call, facts, body, 200)

    # -- account

    def _configure(self, call: Call) -> Reply:
        asked = bodies.decode(bodies.ConfigureBody, call.body)
        rate = asked.margin_rate
        if rate is not None and not rate.is_finite():
            rate = Decimal(-1)
        act = self._engine.holdings.configure(call.account, asked.alias, rate)
        is_done = isinstance(act[0], f.Configured)
        word = "clientConfigureTransaction" if is_done else "clientConfigureRejectTransaction"
        return self._finish(call, act, {word: self._rendered(call, act)[0]}, 200)


def _specifier(spec: str) -> int | str:
    return spec[1:] if spec.startswith("@") else number_of(spec)


def _modify_word(thing: str, act: list[f.AnyFact]) -> str:
    reject = "Reject" if isinstance(act[0], f.RelabelRefused) else ""
    return f"{thing}ClientExtensionsModify{reject}Transaction"


def _is_wanted(number: int, instrument: str, wanted: dict[str, str]) -> bool:
    if "ids" in wanted and str(number) not in wanted["ids"].split(","):
        return False
    if wanted.get("instrument", instrument) != instrument:
        return False
    return "beforeID" not in wanted or number <= number_of(wanted["beforeID"])


def _newest_first(found: list[Any], wanted: dict[str, str]) -> list[Any]:
    count = bounded(wanted.get("count"), LISTED_DEFAULT, LISTED_MAX, "count")
    return found[: -count - 1 : -1]


def _put_refusal(act: list[f.AnyFact], body: View) -> int | None:
    """Adds code and message of the act's refusal to the body; its status, or None."""
    refusal = next((x for x in act if isinstance(x, REFUSALS)), None)
    if refusal is None:
        return None
    kind = refusal.terms.kind if isinstance(refusal, f.Refused) else Kind.MARKET
    part = refusal.part if isinstance(refusal, f.Refused) else Part.ORDER
    code = code_of(refusal.why, part, kind)
    body["errorCode"], body["errorMessage"] = code, message_of(code)
    return 404 if refusal.why in MISSING else 400
