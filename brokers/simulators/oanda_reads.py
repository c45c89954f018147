"""What the simulated OANDA tells without changing anything: account, history, prices."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from brokers.simulators import facts as f
from brokers.simulators import oanda_bodies as bodies
from brokers.simulators.book import Account, Lot, Order
from brokers.simulators.candles import SECONDS, Bar, Candles
from brokers.simulators.engine import Engine
from brokers.simulators.oanda_book_views import Views, instrument_view, order_view
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
from brokers.simulators.oanda_views import Stamp, View, text, type_of

PAGE_MAX = 1000
PAGE_DEFAULT = 100
TRANSACTIONS_MAX = 1000
CANDLES_DEFAULT = 500
CANDLES_MAX = 5000
ORDER_FACTS = (f.Booked, f.Refused, f.Filled, f.Ended, f.EndRefused, f.Relabeled)
ORDER_CHANGES = ("ordersCreated", "ordersCancelled", "ordersFilled")
LOT_CHANGES = ("tradesOpened", "tradesReduced", "tradesClosed")


class OandaReads:
    """Answers the reading paths that are not about one order, trade or position."""

    def __init__(
        self, engine: Engine, candles: Candles, views: Views, url: Callable[[], str]
    ) -> None:
        self._engine = engine
        self._candles = candles
        self._views = views
        self._url = url
        self.routes: dict[tuple[str, ...], dict[str, Callable[[Call], Reply]]] = {
            (): {"GET": self._account},
            ("summary",): {"GET": self._summary},
            ("instruments",): {"GET": self._instruments},
            ("changes",): {"GET": self._changes},
            ("transactions",): {"GET": self._pages},
            ("transactions", "idrange"): {"GET": self._id_range},
            ("transactions", "sinceid"): {"GET": self._since_id},
            ("transactions", "*"): {"GET": self._transaction},
            ("pricing",): {"GET": self._pricing},
            ("instruments", "*", "candles"): {"GET": self._account_candles},
        }

    def _account(self, call: Call) -> Reply:
        return listed(call, "account", self._views.whole(call.account, call.stamp))

    def _summary(self, call: Call) -> Reply:
        return listed(call, "account", self._views.summary(call.account, call.stamp))

    def _instruments(self, call: Call) -> Reply:
        listings = self._engine.listings
        wanted = call.parameters().get("instruments")
        names = list(listings) if wanted is None else wanted.split(",")
        if unknown := [x for x in names if x not in listings]:
            raise bodies.BadRequest(f"Invalid value specified for 'instruments': {unknown[0][:40]}")
        return listed(call, "instruments", [instrument_view(listings[x]) for x in names])

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
            "transactions": [raw_of(account, x, stamp) for x in facts],
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
        number = number_of(asked)
        if not asked or number > call.account.last_id:
            raise Refused(416, "The transaction ID specified is out of range")
        return number

    def _transaction(self, call: Call) -> Reply:
        fact = call.account.facts.get(number_of(call.spec))
        if fact is None:
            raise Refused(404, "The transaction ID specified does not exist", "NO_SUCH_TRANSACTION")
        return listed(call, "transaction", raw_of(call.account, fact, call.stamp))

    def _pages(self, call: Call) -> Reply:
        wanted, account = call.parameters(), call.account
        size = bounded(wanted.get("pageSize"), PAGE_DEFAULT, PAGE_MAX, "pageSize")
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
        first, last = number_of(wanted.get("from", "")), number_of(wanted.get("to", ""))
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
        raws = [raw_of(call.account, x, call.stamp) for x in facts[:TRANSACTIONS_MAX]]
        return listed(call, "transactions", raws)

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
        count = bounded(wanted.get("count"), CANDLES_DEFAULT, CANDLES_MAX, "count")
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
