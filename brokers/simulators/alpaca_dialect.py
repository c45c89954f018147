"""Requests that change something at the simulated Alpaca: orders, positions, configuration."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from random import Random
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from brokers.simulators import alpaca_orders as asked
from brokers.simulators import facts as f
from brokers.simulators.alpaca_checks import AccountChecks, with_intent
from brokers.simulators.alpaca_listings import is_crypto
from brokers.simulators.alpaca_reads import AlpacaReads, configuration
from brokers.simulators.alpaca_replies import (
    INVALID_BODY,
    Call,
    Refused,
    Reply,
    invalid,
    not_found,
    ok,
    refusal_reply,
    unprocessable,
)
from brokers.simulators.alpaca_settings import AlpacaSettings
from brokers.simulators.alpaca_views import AlpacaViews
from brokers.simulators.alpaca_words import LIVES, PLACES, order_ids, status_of
from brokers.simulators.book import Account, Listing, Order
from brokers.simulators.netting_engine import NetEngine
from brokers.simulators.terms import Label, Terms
from brokers.simulators.words import EXITS, Kind, Life, Role, Stage, State

Handler = Callable[[Call], Reply]
Later = Callable[[Callable[[], None]], None]
UNSENT = (Stage.QUEUED, Stage.PENDING, Stage.PENDING_CANCEL, Stage.PENDING_REPLACE)
SETTABLE = {
    "suspend_trade": bool,
    "no_shorting": bool,
    "fractional_trading": bool,
    "ptp_no_exception_entry": bool,
    "disable_overnight_trading": bool,
    "trade_confirm_email": str,
    "max_margin_multiplier": str,
}


class AlpacaDialect:
    """Answers by path and method. `later` is how long the venue takes over what it is asked."""

    def __init__(self, engine: NetEngine, settings: AlpacaSettings, luck: Random) -> None:
        self._engine = engine
        self._luck = luck
        self._checks = AccountChecks(engine, settings.wash_trades)
        self.is_slow = settings.venue_ms > 0
        self.later: Later = lambda act: act()
        self.views = AlpacaViews(engine)
        self.reads = AlpacaReads(engine, self.views)
        self.routes: dict[tuple[str, ...], dict[str, Handler]] = {
            **self.reads.routes,
            ("orders",): {
                "GET": self.reads.orders,
                "POST": self._place,
                "DELETE": self._cancel_all,
            },
            ("orders", "*"): {
                "GET": self.reads.order,
                "PATCH": self._replace,
                "DELETE": self._cancel,
            },
            ("positions",): {"GET": self.reads.positions, "DELETE": self._close_all},
            ("positions", "*"): {"GET": self.reads.position, "DELETE": self._close},
            ("account", "configurations"): {
                "GET": self.reads.configurations,
                "PATCH": self._configure,
            },
        }

    def answer(self, handler: Handler, call: Call) -> Reply:
        """The handler's answer, or why not."""
        try:
            return handler(call)
        except Refused as refused:
            return refusal_reply(refused)

    def fresh_id(self) -> str:
        """A client order id for an order that brings none."""
        return str(UUID(int=self._luck.getrandbits(128), version=4))

    # -- orders

    def _place(self, call: Call) -> Reply:
        body = asked.decode_order(call.body)
        if not body.symbol:
            raise invalid("symbol is required")
        listing = self.reads.find_listing(body.symbol)
        if listing is None:
            raise unprocessable(f'asset "{body.symbol[:40]}" not found')
        terms = asked.order_terms(body, listing, self.fresh_id())
        return ok(self._enter(call.account, self._with_leg_ids(terms)))

    def _with_leg_ids(self, terms: Terms) -> Terms:
        """The exits get client order ids of their own."""
        for name in ("take_profit", "stop_loss"):
            guard = getattr(terms, name)
            if guard is not None:
                fresh = replace(guard, label=Label(self.fresh_id()))
                terms = replace(terms, **{name: fresh})
        return terms

    def _enter(self, account: Account, terms: Terms) -> dict[str, Any]:
        engine = self._engine
        self._checks.check(account, terms)
        order = engine.submit(account, with_intent(account, terms), self.is_slow)
        if self.is_slow:
            self.later(lambda: engine.send(account, order))
        return self.views.accepted(account, order)

    def find_order(self, call: Call) -> Order:
        """The order the path names. Refuses one that is not there."""
        order = call.account.order(order_ids(call.account).number(call.spec))
        if order is None:
            raise not_found(f"order not found for {call.spec[:40]}")
        return order

    def _cancel(self, call: Call) -> Reply:
        order = self.find_order(call)
        self._cancel_order(call.account, order)
        return Reply(204)

    def _cancel_order(self, account: Account, order: Order) -> None:
        engine = self._engine
        if order.state is not State.WORKING or order.stage in (
            Stage.PENDING_CANCEL,
            Stage.PENDING_REPLACE,
        ):
            raise unprocessable(f'order is already in "{status_of(order)}" state')
        if not self.is_slow:
            engine.cancel(account, order)
            return
        engine.hold(account, order, Stage.PENDING_CANCEL)
        self.later(lambda: engine.cancel(account, order))

    def _cancel_all(self, call: Call) -> Reply:
        account, rows = call.account, []
        for order in list(account.working.values()):
            status = 200
            try:
                if order.id in account.working:
                    self._cancel_order(account, order)
            except Refused:
                status = 500
            rows.append({"id": order_ids(account).of(order.id), "status": status})
        return ok(rows, 207)

    # -- replacing

    def _replace(self, call: Call) -> Reply:
        account, old, engine = call.account, self.find_order(call), self._engine
        if old.state is not State.WORKING:
            raise unprocessable("unable to replace order, order is not open")
        if old.stage in UNSENT:
            raise unprocessable("unable to replace order, order isn't sent to exchange yet")
        body = asked.decode_patch(call.body)
        listing = engine.listings[old.terms.instrument]
        terms = self._changed(old, body, listing)
        asked.check_kind(terms)
        asked.check_prices(terms, listing)
        name = terms.client_id
        if old.terms.role not in EXITS or old.stage is Stage.ROUTED:
            self._checks.check(account, terms, old)
        elif name is not None and engine.is_taken(account, name):
            raise invalid("client_order_id must be unique")
        fresh = engine.replace(account, old, terms, self.is_slow)
        if self.is_slow:
            self.later(lambda: engine.swap(account, old, fresh))
        return ok(self.views.accepted(account, fresh))

    def _changed(self, old: Order, body: asked.PatchBody, listing: Listing) -> Terms:
        """The order's terms with what is to change. Refuses what may not."""
        terms = old.terms
        if terms.notional is not None or body.notional is not None:
            raise unprocessable("notional orders cannot be replaced")
        changes: dict[str, Any] = {
            "label": Label(body.client_order_id or self.fresh_id()),
            "expire_ns": None,
        }
        if body.qty is not None:
            changes["units"] = self._changed_units(old, body.qty, listing)
        if body.time_in_force is not None:
            changes["life"] = _changed_life(terms, body.time_in_force, listing)
        if body.limit_price is not None:
            if terms.kind not in (Kind.LIMIT, Kind.STOP_LIMIT):
                raise unprocessable("limit_price is for limit and stop limit orders only")
            changes["price" if terms.kind is Kind.LIMIT else "limit"] = body.limit_price
        if body.stop_price is not None:
            if terms.kind not in (Kind.STOP, Kind.STOP_LIMIT) or old.is_elected:
                raise unprocessable("stop_price is for stop orders that have not triggered")
            changes["price"] = body.stop_price
        if body.trail is not None:
            if terms.kind is not Kind.TRAIL or old.is_elected:
                raise unprocessable("trail is for trailing stop orders that have not triggered")
            changes["percent" if terms.percent is not None else "distance"] = body.trail
        if len(changes) == 2 and body.client_order_id is None:
            raise unprocessable("at least one of qty, time_in_force and the prices is required")
        return replace(terms, **changes)

    def _changed_units(self, old: Order, qty: Decimal, listing: Listing) -> Decimal:
        units = asked.quantity(qty)
        if units == abs(old.terms.units):
            return old.terms.units
        if old.terms.role is not Role.SINGLE:
            raise unprocessable("qty of complex orders cannot be replaced")
        if not is_crypto(listing) and (units % 1 or old.terms.units % 1):
            raise unprocessable("qty of fractional orders cannot be replaced")
        if units <= abs(old.filled):
            raise unprocessable("unable to replace order, qty must be > filled_qty")
        return units.copy_sign(old.terms.units)

    # -- positions

    def _close(self, call: Call) -> Reply:
        listing = self.reads.find_listing(call.spec)
        held = call.account.positions.get(listing.symbol) if listing is not None else None
        if listing is None or held is None or not held.net:
            raise not_found("position does not exist")
        wanted = call.parameters()
        units = _units_to_close(abs(held.net), wanted.get("qty"), wanted.get("percentage"))
        return ok(self._close_units(call.account, listing, units.copy_sign(-held.net)))

    def _close_units(self, account: Account, listing: Listing, units: Decimal) -> dict[str, Any]:
        terms = Terms(
            kind=Kind.MARKET,
            instrument=listing.symbol,
            units=units,
            life=Life.GTC if is_crypto(listing) else Life.DAY,
            label=Label(self.fresh_id()),
            style="simple",
        )
        return self._enter(account, terms)

    def _close_all(self, call: Call) -> Reply:
        account, rows = call.account, []
        if call.flag("cancel_orders"):
            self._cancel_all(call)
        for position in list(account.positions.values()):
            if not position.net:
                continue
            listing = self._engine.listings[position.instrument]
            row: dict[str, Any] = {"symbol": listing.symbol.replace("/", ""), "status": 200}
            try:
                row["body"] = self._close_units(account, listing, -position.net)
            except Refused as refused:
                row["status"], row["body"] = refused.status, refused.body()
            rows.append(row)
        return ok(rows, 207)

    # -- configuration

    def _configure(self, call: Call) -> Reply:
        try:
            body = msgspec.json.decode(call.body, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise Refused(400, INVALID_BODY, f"request body format is invalid: {error}") from None
        for name, value in body.items():
            kind = SETTABLE.get(name)
            if kind is not None and not isinstance(value, kind):
                raise invalid(f"{name} must be a {kind.__name__}")
        account, books = call.account, self._engine.books
        account.options.update({x: body[x] for x in SETTABLE if x in body})
        books.begin_act(account)
        number = books.number(account)
        books.add(account, f.Configured(id=number, batch=account.batch, at_ns=books.now_ns))
        books.end_act(account)
        return ok(configuration(account))


def _changed_life(terms: Terms, word: str, listing: Listing) -> Life:
    life = LIVES.get(word)
    if life is None:
        raise invalid(f"invalid time_in_force: {word[:40]!r}")
    allowed = asked.CRYPTO_LIVES if is_crypto(listing) else asked.RESTING
    if life is not terms.life and (life not in allowed or terms.units % 1 != 0):
        raise unprocessable(f"time_in_force cannot be changed to {word}")
    return life


def _units_to_close(held: Decimal, qty: str | None, percentage: str | None) -> Decimal:
    """All units, so many, or a share of them; whole ones where whole ones are held."""
    if qty is not None and percentage is not None:
        raise invalid("only one of qty or percentage is accepted")
    if qty is not None:
        return asked.quantity(_number(qty, "qty"))
    if percentage is None:
        return held
    share = _number(percentage, "percentage")
    if not 0 < share <= 100:
        raise invalid("percentage must be between 0 and 100")
    step = PLACES if held % 1 else Decimal(1)
    units = (held * share / 100).quantize(step, ROUND_DOWN)
    if not units:
        raise invalid("qty must be > 0")
    return units


def _number(word: str, name: str) -> Decimal:
    try:
        return msgspec.convert(word, type=Decimal)
    except msgspec.ValidationError:
        raise invalid(f"invalid {name}: {word[:40]!r}") from None
