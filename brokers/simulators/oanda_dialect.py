"""OANDA v20's REST paths over the engine: request in, answer out. No sockets.

Docs: developer.oanda.com/rest-live-v20; shapes: specs v20.json and recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from brokers.simulators import facts as f
from brokers.simulators import oanda_bodies as bodies
from brokers.simulators.book import Account, Lot, Order
from brokers.simulators.candles import SECONDS, Bar, Candles
from brokers.simulators.engine import Engine
from brokers.simulators.oanda_book_views import Views, instrument_view, order_view
from brokers.simulators.oanda_codes import MISSING, ORDER_STATE, code_of, message_of
from brokers.simulators.oanda_views import Stamp, View, text, transaction, type_of
from brokers.simulators.words import GUARDS, Kind, Part

ENCODER = msgspec.json.Encoder()
LISTED_MAX = 500
LISTED_DEFAULT = 50
PAGE_MAX = 1000
PAGE_DEFAULT = 100
TRANSACTIONS_MAX = 1000
CANDLES_DEFAULT = 500
CANDLES_MAX = 5000
GUARD_WORDS = {
    Kind.TAKE_PROFIT: "takeProfitOrder",
    Kind.STOP_LOSS: "stopLossOrder",
    Kind.TRAILING_STOP: "trailingStopLossOrder",
}


class Call(Struct):
    """One request, authorized."""

    account: Account
    spec: str
    body: bytes
    query: str
    stamp: Stamp

    def parameters(self) -> dict[str, str]:
        """The query, last value wins."""
        return dict(parse_qsl(self.query, max_num_fields=20))


class Reply(Struct):
    """An answer."""

    status: int
    body: bytes


class Refused(Exception):
    """An answer that is an error; raised inside the dialect only."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


def error_reply(status: int, message: str, code: str | None = None) -> Reply:
    """The broker's error body."""
    body = {"errorMessage": message}
    return Reply(status, ENCODER.encode(body if code is None else {**body, "errorCode": code}))


class OandaDialect:
    """Answers every REST path of an account, and the price and instrument ones."""

    def __init__(self, engine: Engine, candles: Candles, url: Callable[[], str]) -> None:
        self._engine = engine
        self._candles = candles
        self._url = url
        self._views = Views(engine)
        self._act: tuple[list[f.AnyFact], list[msgspec.Raw]] = ([], [])
        self.routes: dict[tuple[str, ...], dict[str, Callable[[Call], Reply]]] = {
            (): {"GET": self._account},
            ("summary",): {"GET": self._summary},
            ("instruments",): {"GET": self._instruments},
            ("configuration",): {"PATCH": self._configure},
            ("changes",): {"GET": self._changes},
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
            ("transactions",): {"GET": self._pages},
            ("transactions", "idrange"): {"GET": self._id_range},
            ("transactions", "sinceid"): {"GET": self._since_id},
            ("transactions", "*"): {"GET": self._transaction},
            ("pricing",): {"GET": self._pricing},
            ("instruments", "*", "candles"): {"GET": self._account_candles},
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
        raws = [self._raw(account, fact, bodies.rfc3339) for fact in act]
        self._act = (act, raws)
        return raws

    def _raw(self, account: Account, fact: f.AnyFact, stamp: Stamp) -> msgspec.Raw:
        return msgspec.Raw(ENCODER.encode(transaction(account, fact, stamp)))

    def _rendered(self, call: Call, act: list[f.AnyFact]) -> list[msgspec.Raw]:
        if act is self._act[0] and call.stamp is bodies.rfc3339:
            return self._act[1]
        return [self._raw(call.account, fact, call.stamp) for fact in act]

    def _finish(self, call: Call, act: list[f.AnyFact], body: View, success: int) -> Reply:
        body["relatedTransactionIDs"] = [str(fact.id) for fact in act]
        body["lastTransactionID"] = str(call.account.last_id)
        refusal = next((x for x in act if isinstance(x, REFUSALS)), None)
        if refusal is None:
            return Reply(success, ENCODER.encode(body))
        kind = refusal.terms.kind if isinstance(refusal, f.Refused) else Kind.MARKET
        part = refusal.part if isinstance(refusal, f.Refused) else Part.ORDER
        code = code_of(refusal.why, part, kind)
        body["errorCode"], body["errorMessage"] = code, message_of(code)
        return Reply(404 if refusal.why in MISSING else 400, ENCODER.encode(body))

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
        return self._listed(call, "orders", views)

    def _pending(self, call: Call) -> Reply:
        views = [order_view(x, call.stamp) for x in reversed(call.account.working.values())]
        return self._listed(call, "orders", views)

    def _order(self, call: Call) -> Reply:
        return self._listed(call, "order", order_view(self._must_find_order(call), call.stamp))

    def _must_find_order(self, call: Call) -> Order:
        order = self._engine.find_order(call.account, _specifier(call.spec))
        if order is None:
            raise Refused(404, "The order ID specified does not exist", "NO_SUCH_ORDER")
        return order

    def _listed(self, call: Call, word: str, view: Any) -> Reply:
        last = str(call.account.last_id)
        return Reply(200, ENCODER.encode({word: view, "lastTransactionID": last}))

    # -- trades

    def _find_lot(self, account: Account, spec: str) -> Lot | None:
        if spec.startswith("@"):
            return self._engine.holdings.find_lot(account, spec[1:])
        return self._engine.holdings.find_lot(account, _number(spec))

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
        return self._listed(call, "trades", views)

    def _open_trades(self, call: Call) -> Reply:
        lots = reversed(call.account.lots.values())
        views = [self._views.trade(call.account, x, call.stamp) for x in lots]
        return self._listed(call, "trades", views)

    def _trade(self, call: Call) -> Reply:
        lot = self._must_find_lot(call)
        return self._listed(call, "trade", self._views.trade(call.account, lot, call.stamp))

    def _close_trade(self, call: Call) -> Reply:
        asked = bodies.close_units(bodies.decode(bodies.CloseTradeBody, call.body).units)
        act = self._engine.holdings.close_lot(call.account, self._must_find_lot(call), asked)
        return self._finish(call, act, self._order_body(call, act, "order"), 200)

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
        return self._listed(
            call, "positions", [self._views.position(call.account, x) for x in held]
        )

    def _open_positions(self, call: Call) -> Reply:
        held = [x for x in call.account.positions.values() if x.lots]
        return self._listed(
            call, "positions", [self._views.position(call.account, x) for x in held]
        )

    def _position(self, call: Call) -> Reply:
        held = call.account.positions.get(call.spec)
        if held is None:
            raise Refused(404, "The position specified does not exist", "NO_SUCH_POSITION")
        return self._listed(call, "position", self._views.position(call.account, held))

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

    def _account(self, call: Call) -> Reply:
        return self._listed(call, "account", self._views.whole(call.account, call.stamp))

    def _summary(self, call: Call) -> Reply:
        return self._listed(call, "account", self._views.summary(call.account, call.stamp))

    def _instruments(self, call: Call) -> Reply:
        listings = self._engine.listings
        wanted = call.parameters().get("instruments")
        names = list(listings) if wanted is None else wanted.split(",")
        if unknown := [x for x in names if x not in listings]:
            raise bodies.BadRequest(f"Invalid value specified for 'instruments': {unknown[0][:40]}")
        return self._listed(call, "instruments", [instrument_view(listings[x]) for x in names])

    def _configure(self, call: Call) -> Reply:
        asked = bodies.decode(bodies.ConfigureBody, call.body)
        rate = asked.margin_rate
        if rate is not None and not rate.is_finite():
            rate = Decimal(-1)
        act = self._engine.holdings.configure(call.account, asked.alias, rate)
        is_done = isinstance(act[0], f.Configured)
        word = "clientConfigureTransaction" if is_done else "clientConfigureRejectTransaction"
        return self._finish(call, act, {word: self._rendered(call, act)[0]}, 200)

    def _changes(self, call: Call) -> Reply:
        account, stamp, views = call.account, call.stamp, self._views
        since = self._since(call, call.parameters().get("sinceTransactionID", ""))
        facts = [x for x in account.facts.values() if x.id > since]
        orders = {name: _touched(account, facts, name) for name in ORDER_CHANGES}
        lots = {name: _touched_lots(account, facts, name) for name in LOT_CHANGES}
        symbols = {x.instrument for x in facts if isinstance(x, f.Filled)}
        changes: View = {
            **{name: [order_view(x, stamp) for x in found] for name, found in orders.items()},
            "ordersTriggered": [],
            **{
                name: [views.trade(account, x, stamp, True) for x in found]
                for name, found in lots.items()
            },
            "positions": [views.position(account, account.positions[x]) for x in sorted(symbols)],
            "transactions": [self._raw(account, x, stamp) for x in facts],
        }
        state = {
            **views.account_state(account),
            "orders": [
                {"id": str(x.id), "trailingStopValue": text(x.trail)}
                for x in account.working.values()
                if x.trail is not None
            ],
            "trades": [views.trade_state(account, x) for x in account.lots.values()],
            "positions": [
                views.position_state(account, x) for x in account.positions.values() if x.lots
            ],
        }
        last = str(account.last_id)
        body = {"changes": changes, "state": state, "lastTransactionID": last}
        return Reply(200, ENCODER.encode(body))

    # -- transactions

    def _since(self, call: Call, asked: str) -> int:
        number = _number(asked)
        if not asked or number > call.account.last_id:
            raise Refused(416, "The transaction ID specified is out of range")
        return number

    def _transaction(self, call: Call) -> Reply:
        fact = call.account.facts.get(_number(call.spec))
        if fact is None:
            raise Refused(404, "The transaction ID specified does not exist", "NO_SUCH_TRANSACTION")
        return self._listed(call, "transaction", self._raw(call.account, fact, call.stamp))

    def _pages(self, call: Call) -> Reply:
        wanted, account = call.parameters(), call.account
        size = _bounded(wanted.get("pageSize"), PAGE_DEFAULT, PAGE_MAX, "pageSize")
        now_ns = self._engine.clocks.now_ns()
        since_ns = bodies.parse_time(wanted["from"]) if "from" in wanted else account.created_ns
        until_ns = bodies.parse_time(wanted["to"]) if "to" in wanted else now_ns
        types = [x for x in wanted.get("type", "").split(",") if x]
        ids = [x.id for x in self._of_types(account, types) if since_ns <= x.at_ns <= until_ns]
        base = f"{self._url()}/v3/accounts/{account.id}/transactions/idrange"
        kept = f"&type={','.join(types)}" if types else ""
        pages = [ids[at : at + size] for at in range(0, len(ids), size)]
        body = {
            "from": call.stamp(since_ns),
            "to": call.stamp(until_ns),
            "pageSize": size,
            "type": types,
            "count": len(ids),
            "pages": [f"{base}?from={page[0]}&to={page[-1]}{kept}" for page in pages],
            "lastTransactionID": str(account.last_id),
        }
        return Reply(200, ENCODER.encode(body))

    def _of_types(self, account: Account, types: list[str]) -> list[f.AnyFact]:
        facts = account.facts.values()
        if not types:
            return list(facts)
        if "ORDER" in types:
            return [x for x in facts if isinstance(x, ORDER_FACTS) or type_of(account, x) in types]
        return [x for x in facts if type_of(account, x) in types]

    def _id_range(self, call: Call) -> Reply:
        wanted, account = call.parameters(), call.account
        first, last = _number(wanted.get("from", "")), _number(wanted.get("to", ""))
        if not 0 < first <= last <= account.last_id:
            raise Refused(416, "The transaction IDs specified are out of range")
        types = [x for x in wanted.get("type", "").split(",") if x]
        found = [x for x in self._of_types(account, types) if first <= x.id <= last]
        return self._told(call, found)

    def _since_id(self, call: Call) -> Reply:
        since = self._since(call, call.parameters().get("id", ""))
        account = call.account
        numbers = range(since + 1, account.last_id + 1)
        return self._told(call, [account.facts[x] for x in numbers if x in account.facts])

    def _told(self, call: Call, facts: list[f.AnyFact]) -> Reply:
        raws = [self._raw(call.account, x, call.stamp) for x in facts[:TRANSACTIONS_MAX]]
        return self._listed(call, "transactions", raws)

    # -- prices

    def _pricing(self, call: Call) -> Reply:
        wanted = call.parameters()
        names = self.priced(wanted.get("instruments"))
        since_ns = bodies.parse_time(wanted["since"]) if "since" in wanted else 0
        quotes = [self._engine.quotes[x] for x in names if x in self._engine.quotes]
        body: View = {
            "prices": [
                self._views.price(call.account, x, call.stamp) for x in quotes if x.at_ns > since_ns
            ],
            "time": call.stamp(self._engine.clocks.now_ns()),
        }
        if wanted.get("includeHomeConversions", "").lower() == "true":
            body["homeConversions"] = self._conversions(call.account, names)
        return Reply(200, ENCODER.encode(body))

    def priced(self, wanted: str | None) -> list[str]:
        """The instruments named in a pricing request. Raises BadRequest."""
        names = [x for x in (wanted or "").split(",") if x]
        if not names:
            raise bodies.BadRequest("Invalid value specified for 'instruments'")
        if unknown := [x for x in names if x not in self._engine.listings]:
            raise bodies.BadRequest(f"Invalid Instrument {unknown[0][:40]}")
        return names

    def _conversions(self, account: Account, names: list[str]) -> list[View]:
        engine, home = self._engine, account.settings.currency
        currencies = sorted({engine.listings[x].quote for x in names} | {home})
        found = [(x, engine.valuer.factors(x, home)) for x in currencies]
        return [
            {
                "currency": currency,
                "accountGain": text(factors.gain),
                "accountLoss": text(factors.loss),
                "positionValue": text(factors.mid),
            }
            for currency, factors in found
            if factors is not None
        ]

    def price_line(self, instrument: str, stamp: Stamp) -> bytes | None:
        """A line of the price stream, without the line end; None before the first quote."""
        quote = self._engine.quotes.get(instrument)
        return None if quote is None else ENCODER.encode(self._views.price(None, quote, stamp))

    def _account_candles(self, call: Call) -> Reply:
        return self.candles(call.spec, call.parameters(), call.stamp)

    def candles(self, instrument: str, wanted: dict[str, str], stamp: Stamp) -> Reply:
        """Candles out of the ticks seen."""
        granularity = wanted.get("granularity", "S5")
        if instrument not in self._engine.listings or granularity not in SECONDS:
            return error_reply(400, "Invalid value specified for 'instrument' or 'granularity'")
        count = _bounded(wanted.get("count"), CANDLES_DEFAULT, CANDLES_MAX, "count")
        seconds, tick = SECONDS[granularity], self._engine.listings[instrument].tick
        now_s = self._engine.clocks.now_ns() // bodies.NS
        rows = []
        for candle in self._candles.of(instrument, seconds, count):
            row: View = {
                "time": stamp(candle.from_s * bodies.NS),
                "volume": candle.ticks,
                "complete": candle.from_s + seconds <= now_s,
            }
            sides = {"B": ("bid", candle.bid), "A": ("ask", candle.ask)}
            for letter in wanted.get("price", "M"):
                name, bar = sides.get(letter, ("mid", _middle(candle.bid, candle.ask, tick)))
                row[name] = {x: text(getattr(bar, x)) for x in "ohlc"}
            rows.append(row)
        body = {"instrument": instrument, "granularity": granularity, "candles": rows}
        return Reply(200, ENCODER.encode(body))


REFUSALS = (f.Refused, f.EndRefused, f.RelabelRefused, f.ConfigureRefused)
ORDER_FACTS = (f.Booked, f.Refused, f.Filled, f.Ended, f.EndRefused, f.Relabeled)
ORDER_CHANGES = ("ordersCreated", "ordersCancelled", "ordersFilled")
LOT_CHANGES = ("tradesOpened", "tradesReduced", "tradesClosed")


def _touched(account: Account, facts: list[f.AnyFact], name: str) -> list[Order]:
    ids: list[int] = []
    for fact in facts:
        if name == "ordersCreated" and isinstance(fact, f.Booked):
            ids.append(fact.id)
        elif (name == "ordersCancelled" and isinstance(fact, f.Ended)) or (
            name == "ordersFilled" and isinstance(fact, f.Filled)
        ):
            ids.append(fact.order)
    found = [account.order(x) for x in dict.fromkeys(ids)]
    return [x for x in found if x is not None]


def _touched_lots(account: Account, facts: list[f.AnyFact], name: str) -> list[Lot]:
    ids: list[int] = []
    for fact in facts:
        if not isinstance(fact, f.Filled):
            continue
        if name == "tradesOpened" and fact.opened is not None:
            ids.append(fact.opened.lot)
        elif name == "tradesReduced" and fact.reduced is not None:
            ids.append(fact.reduced.lot)
        elif name == "tradesClosed":
            ids.extend(cut.lot for cut in fact.closed)
    found = [account.lot(x) for x in dict.fromkeys(ids)]
    return [x for x in found if x is not None]


def _middle(bid: Bar, ask: Bar, tick: Decimal) -> Bar:
    def mid(x: Decimal, y: Decimal) -> Decimal:
        return ((x + y) / 2).quantize(tick)

    return Bar(mid(bid.o, ask.o), mid(bid.h, ask.h), mid(bid.l, ask.l), mid(bid.c, ask.c))


def _specifier(spec: str) -> int | str:
    return spec[1:] if spec.startswith("@") else _number(spec)


def _number(spec: str) -> int:
    """The id; 0, which names nothing, for anything else."""
    return int(spec) if spec.isascii() and spec.isdigit() and len(spec) < 19 else 0


def _modify_word(thing: str, act: list[f.AnyFact]) -> str:
    reject = "Reject" if isinstance(act[0], f.RelabelRefused) else ""
    return f"{thing}ClientExtensionsModify{reject}Transaction"


def _is_wanted(number: int, instrument: str, wanted: dict[str, str]) -> bool:
    if "ids" in wanted and str(number) not in wanted["ids"].split(","):
        return False
    if wanted.get("instrument", instrument) != instrument:
        return False
    return "beforeID" not in wanted or number <= _number(wanted["beforeID"])


def _newest_first(found: list[Any], wanted: dict[str, str]) -> list[Any]:
    count = _bounded(wanted.get("count"), LISTED_DEFAULT, LISTED_MAX, "count")
    return found[: -count - 1 : -1]


def _bounded(asked: str | None, default: int, limit: int, name: str) -> int:
    if asked is None:
        return default
    number = _number(asked)
    if not 0 < number <= limit:
        raise bodies.BadRequest(f"Invalid value specified for '{name}'")
    return number
