"""OANDA v20: https://developer.oanda.com/rest-live-v20/introduction/ (spec: oanda/v20-openapi).

Two things to know:

* **A 201 is not acceptance.** Margin, FIFO, halts and bounds are checked after the order was
  created: the refusal is an ORDER_CANCEL in the body of the 201, and in the stream. It never
  worked, so it is Rejected wherever we read it (`oanda_transactions`).
* **Client ids guard pending orders only.** A second order under the id of a filled one is taken,
  and a filled one may not be found by its client id.

Beside this file: `oanda_words` (tables), `oanda_messages` (structs), `oanda_transactions`,
`oanda_account`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from decimal import Decimal
from urllib.parse import quote
from uuid import UUID, uuid5

from msgspec.structs import replace

from brokers import oanda_messages as wire
from brokers import oanda_words as words
from brokers.adapter import (
    AdapterSettings,
    AmendTerms,
    Capabilities,
    ClientIdUse,
    OutcomeUnknown,
    Pace,
    PriceReport,
    Report,
    Request,
    Response,
    VenueOrder,
)
from brokers.oanda_account import account_of, balances_of, instrument_of, position_of
from brokers.oanda_transactions import (
    TransactionReader,
    client_id_of,
    reject_error,
    symbol_of,
)
from brokers.reading import (
    NOT_JSON,
    UnknownWord,
    deciding,
    digits,
    error_info,
    expect_ok,
    format_decimal,
    format_time,
    look,
    message_of,
    need,
    parse_time,
    reading,
    refuse_change,
    remember,
)
from domain.accounts import AccountSnapshot, Environment
from domain.errors import ErrorInfo, UnifiedError
from domain.events import Accepted, AmendRefused, CancelRefused, Rejected, Triggered, VenueEvent
from domain.instruments import Instrument
from domain.orders import Bracket, NewOrder, OrderType, PositionEffect, TimeInForce
from domain.quotes import Quote

T = TimeInForce
_ENTRY_TIMES = frozenset({T.DAY, T.GTC, T.GTD, T.FOK, T.IOC})
_GUARD_TIMES = frozenset({T.DAY, T.GTC, T.GTD})

CAPABILITIES = Capabilities(
    broker="oanda",
    docs="https://developer.oanda.com/rest-live-v20/introduction/",
    order_types=frozenset(OrderType) - {OrderType.STOP_LIMIT},
    times_in_force={
        OrderType.MARKET: frozenset({T.DAY, T.FOK, T.IOC}),
        OrderType.LIMIT: _ENTRY_TIMES,
        OrderType.STOP: _ENTRY_TIMES,
        OrderType.MARKET_IF_TOUCHED: _GUARD_TIMES,
        OrderType.TRAILING_STOP: _GUARD_TIMES,
    },
    client_id=ClientIdUse.ECHOED,
    duplicate_client_id="refused while the first is pending, taken again once it has ended",
    visibility_horizon_ms=2_000,
    evidence_window_ms=30 * 86_400_000,
    pace=Pace(requests=100, per_ms=1_000),  # Advised; refused above 120.
    heartbeat_ms=5_000,
    amends=True,
    brackets=True,
    shows_lots=True,
)

HOSTS = {
    Environment.LIVE: ("https://api-fxtrade.oanda.com", "https://stream-fxtrade.oanda.com"),
    Environment.PAPER: ("https://api-fxpractice.oanda.com", "https://stream-fxpractice.oanda.com"),
}
"""REST and stream host by environment."""
assert HOSTS.keys() == set(Environment)

HEADERS = {"Content-Type": "application/json", "Accept-Datetime-Format": "RFC3339"}
_ENTRY_TYPE = {
    OrderType.MARKET: "MARKET",
    OrderType.LIMIT: "LIMIT",
    OrderType.STOP: "STOP",
    OrderType.MARKET_IF_TOUCHED: "MARKET_IF_TOUCHED",
}
_GUARD_TYPE = {
    OrderType.LIMIT: "TAKE_PROFIT",
    OrderType.STOP: "STOP_LOSS",
    OrderType.TRAILING_STOP: "TRAILING_STOP_LOSS",
}
assert _ENTRY_TYPE.keys() | _GUARD_TYPE.keys() == CAPABILITIES.order_types
_TIME = {ours: theirs for theirs, ours in words.TIME_IN_FORCE.items()}
_POSITION_FILL = {
    PositionEffect.NET: None,  # OANDA's DEFAULT
    PositionEffect.OPEN_ONLY: "OPEN_ONLY",
    PositionEffect.REDUCE_FIRST: "REDUCE_FIRST",
    PositionEffect.REDUCE_ONLY: "REDUCE_ONLY",
}
assert _POSITION_FILL.keys() == set(PositionEffect)
_STATE: dict[str, type[Accepted] | type[Triggered]] = {
    "PENDING": Accepted,
    "FILLED": Accepted,
    "TRIGGERED": Triggered,
    "CANCELLED": Accepted,
}
_STATUS_ERROR = {
    401: UnifiedError.AUTH,
    403: UnifiedError.AUTH,
    429: UnifiedError.RATE_LIMIT,
}
_BOUNDED = frozenset({OrderType.MARKET, OrderType.STOP, OrderType.MARKET_IF_TOUCHED})
_CHILD = UUID("8c8f2c9e-0f0d-5d0f-9a35-6b1a6b0c41d7")


def auth_headers(token: str) -> dict[str, str]:
    """The header that logs in. A secret: for the transport alone."""
    return {"Authorization": f"Bearer {token}"}


def find_token_fault(token: str) -> str | None:
    """Why it cannot be a personal access token, or None. Never shows it."""
    is_plain = token.isascii() and token.isprintable() and " " not in token
    return None if token and is_plain else "must be an OANDA personal access token, alone"


def child_client_id(venue_client_id: str, child: str) -> str:
    """The id of a bracket child made on fill; `child` is sl, tp or ts."""
    return str(uuid5(_CHILD, f"{venue_client_id}\n{child}"))


class OandaAdapter:
    """Speaks v20 for one account."""

    capabilities = CAPABILITIES

    def __init__(self, settings: AdapterSettings) -> None:
        self._settings = settings
        self._reader = TransactionReader(settings.broker_account_id, settings.account.base_currency)
        self._last = 0
        self._told: OrderedDict[str, None] = OrderedDict()
        self._path = f"/v3/accounts/{quote(settings.broker_account_id, safe='')}"

    # Requests

    def find_unsupported(self, order: NewOrder) -> str | None:
        """Why OANDA cannot take the order, naming the field, or None."""
        if order.type not in CAPABILITIES.order_types:
            return f"type: OANDA has no {order.type.value} order"
        allowed = CAPABILITIES.times_in_force[order.type]
        if order.closes_lot is not None:
            allowed &= _GUARD_TIMES
        if order.time_in_force not in allowed:
            return f"time_in_force: a {order.type.value} order takes no {order.time_in_force.value}"
        if order.closes_lot is not None:
            return _find_unsupported_guard(order) or _find_unsupported_field(order)
        if order.type is OrderType.TRAILING_STOP:
            return "closes_lot: OANDA's trailing stop guards one lot; name it"
        return _find_unsupported_field(order)

    def place(self, order: VenueOrder) -> Request:
        """POST /orders."""
        extensions = wire.Extensions(id=order.venue_client_id, tag=order.order.tag)
        body = _order_body(order, order.order, extensions)
        return self._call("POST", "/orders", wire.encode(wire.OrderCall(order=body)))

    def cancel(self, order: VenueOrder) -> Request:
        """PUT /orders/{specifier}/cancel."""
        return self._call("PUT", f"/orders/{_specifier(order)}/cancel")

    def amend(self, order: VenueOrder, terms: AmendTerms) -> Request:
        """PUT /orders/{specifier}: cancels and creates at once, under a new broker order id.

        Client extensions are left out: the replacement inherits them (recorded), and sending
        our id again would meet the one still pending.
        """
        given = {f: v for f in terms.__struct_fields__ if (v := getattr(terms, f)) is not None}
        body = _order_body(order, replace(order.order, **given), None)
        path = f"/orders/{_specifier(order)}"
        return self._call("PUT", path, wire.encode(wire.OrderCall(order=body)))

    def look_up(self, venue_client_id: str) -> Request:
        """GET /orders/@{client id}."""
        return self._call("GET", f"/orders/@{quote(venue_client_id, safe='')}")

    def account(self) -> tuple[Request, ...]:
        """GET /accounts/{id}: everything as of one transaction."""
        return (self._call("GET", ""),)

    def since(self, cursor: str) -> Request:
        """GET /transactions/sinceid."""
        return self._call("GET", f"/transactions/sinceid?id={quote(cursor, safe='')}")

    def instruments(self) -> tuple[Request, ...]:
        """GET /instruments."""
        return (self._call("GET", "/instruments"),)

    def event_stream(self) -> Request:
        """GET /transactions/stream, on the stream host."""
        return self._call("GET", "/transactions/stream")

    def price_feed(self, symbol: str) -> str:
        """One stream prices everything."""
        return "pricing"

    def price_stream(self, symbols: tuple[str, ...]) -> Request:
        """GET /pricing/stream, on the stream host."""
        names = quote(",".join(symbol.replace("/", "_") for symbol in symbols), safe="")
        return self._call("GET", f"/pricing/stream?instruments={names}")

    def change_prices(
        self, added: tuple[str, ...], removed: tuple[str, ...]
    ) -> tuple[bytes, ...] | None:
        """None: a v20 stream has the instruments it was opened with."""
        return None

    def _call(self, method: str, path: str, body: bytes | None = None) -> Request:
        return Request(method=method, path=self._path + path, body=body, headers=HEADERS)

    # Answers to orders

    def parse_placed(self, order: VenueOrder, response: Response, now_ns: int) -> Report:
        """Accepted and what followed, or Rejected. Raises OutcomeUnknown."""
        refusal = _find_refusal(response)
        if refusal is not None:
            if refusal.venue is not None and refusal.venue.code == words.DUPLICATE_CLIENT_ID:
                raise OutcomeUnknown("the id is in use: an order of ours is pending under it")
            client_id = order.venue_client_id
            rejected = Rejected(at_ns=now_ns, error=refusal, venue_client_id=client_id)
            return Report(events=(rejected,))
        with deciding():
            answer = wire.decode_order_answer(response.body)
            created = need(answer.order_create_transaction, "orderCreateTransaction")
            named = client_id_of(created)
            if named is not None and named != order.venue_client_id:
                raise UnknownWord(f"an answer to another order: {named[:40]!r}")
            accepted = self._reader.accept(created, order.venue_client_id)
            outcome = self._reader.read_outcome(answer)
            if any(isinstance(event, Rejected) for event in outcome):
                return Report(events=outcome)
            self._remember_told(created, answer.order_fill_transaction)
            return Report(events=(accepted, *outcome))

    def parse_canceled(self, order: VenueOrder, response: Response, now_ns: int) -> Report:
        """Canceled or CancelRefused. Raises OutcomeUnknown."""
        refusal = _find_refusal(response)
        if refusal is not None:
            return refuse_change(CancelRefused, order, refusal, now_ns)
        with deciding():
            answer = wire.decode_order_answer(response.body)
            need(answer.order_cancel_transaction, "orderCancelTransaction")
            return Report(events=self._reader.read_outcome(answer))

    def parse_amended(self, order: VenueOrder, response: Response, now_ns: int) -> Report:
        """Replaced and what followed, or AmendRefused. Raises OutcomeUnknown."""
        refusal = _find_refusal(response)
        if refusal is not None:
            return refuse_change(AmendRefused, order, refusal, now_ns)
        with deciding():
            answer = wire.decode_order_answer(response.body)
            created = need(answer.order_create_transaction, "orderCreateTransaction")
            client_id = order.venue_client_id
            replaced = self._reader.replace(created, order.broker_order_id, client_id)
            return Report(events=(replaced, *self._reader.read_outcome(answer)))

    # Reads

    def parse_looked_up(self, venue_client_id: str, response: Response, now_ns: int) -> Report:
        """That the order exists, or no events. Raises Answered.

        How it ended is not here (an Order has no reason, price or lots): the transactions since
        our cursor say that, so FILLED and CANCELLED too are only Accepted. No events counts as
        evidence only together with `since`, for a finished order may not be found by our id.
        """
        del now_ns  # OANDA dates what it says.
        if response.status == 404 and _is_unknown_order(response):
            return Report()
        expect_ok(response)
        with reading("an order"):
            order = wire.decode_look_up(response.body).order
            kind = look(_STATE, order.state, "order state")
            self._reader.remember_order(order)
            event = kind(
                at_ns=parse_time(order.create_time),
                broker_order_id=order.id,
                venue_client_id=venue_client_id,
            )
            return Report(events=(event,))

    def parse_account(self, answers: tuple[Response, ...], now_ns: int) -> AccountSnapshot:
        """The account as of its last transaction. Raises Answered."""
        (response,) = answers
        expect_ok(response)
        with reading("an account"):
            account = wire.decode_account(response.body).account
            self._remember_account(account)
            self._last = int(account.last_transaction_id)
            template = self._settings.account
            return AccountSnapshot(
                account=account_of(template, account, now_ns),
                balances=balances_of(template.account, account),
                positions=tuple(
                    position_of(template.account, held, account.trades, now_ns)
                    for held in account.positions
                    if held.long.units or held.short.units
                ),
                cursor=account.last_transaction_id,
            )

    def parse_open_orders(self, answers: tuple[Response, ...], now_ns: int) -> Report:
        """The working orders in an account answer, as External events. Raises Answered."""
        del now_ns  # OANDA dates what it says.
        (response,) = answers
        expect_ok(response)
        with reading("open orders"):
            account = wire.decode_account(response.body).account
            self._remember_account(account)
            described = (self._reader.describe(order, order.type) for order in account.orders)
            events = tuple(event for event in described if event is not None)
            return Report(events=events, cursor=account.last_transaction_id)

    def parse_since(self, cursor: str, response: Response, now_ns: int) -> Report:
        """Events of the transactions, oldest first. Raises Answered.

        The cursor is the last transaction given: where there are any, ask again.
        """
        del cursor, now_ns  # OANDA dates what it says, and numbers it.
        expect_ok(response)
        with reading("transactions"):
            answer = wire.decode_since(response.body)
            self._reader.learn(answer.transactions)
            if not answer.transactions:
                return Report(cursor=answer.last_transaction_id)
            page = self._read_each(answer.transactions, answer.transactions[-1].id)
            return replace(page, has_more=True)

    def parse_instruments(self, answers: tuple[Response, ...]) -> tuple[Instrument, ...]:
        """What the account can trade. Raises Answered."""
        (response,) = answers
        expect_ok(response)
        with reading("instruments"):
            listed = wire.decode_instruments(response.body).instruments
            return tuple(instrument_of(tradeable) for tradeable in listed)

    def _remember_told(self, *transactions: wire.Transaction | None) -> None:
        """What an answer told whole need not be read again on the stream."""
        for transaction in transactions:
            if transaction is not None:
                remember(self._told, transaction.id, None)

    def _remember_account(self, account: wire.Account) -> None:
        self._reader.currency = account.currency
        as_of = int(account.last_transaction_id)
        for trade in account.trades:
            symbol = symbol_of(trade.instrument)
            self._reader.remember_trade(trade.id, symbol, trade.current_units, as_of)

    # Streams

    def parse_event_line(self, line: bytes, now_ns: int) -> Report:
        """Events of one transaction, or the head a heartbeat tells."""
        del now_ns  # OANDA dates what it says.
        with reading("a stream line"):
            head = wire.decode_head(line)
            if head.id in self._told:
                del self._told[head.id]
                return self._with_gap(Report(cursor=head.id))
            transaction = wire.decode_transaction(line)
            if transaction.type == "HEARTBEAT":
                return Report(is_heartbeat=True, head=transaction.last_transaction_id)
            return self._with_gap(self._read_each((transaction,), transaction.id))

    def _with_gap(self, report: Report) -> Report:
        """Transactions are numbered without holes: one that is missing was lost on the way."""
        number = int(report.cursor or 0)
        last, self._last = self._last, max(number, self._last)
        if not 0 < last < number - 1:
            return report
        return replace(report, gap=f"transactions {last + 1} to {number - 1} did not come")

    def _read_each(self, transactions: Iterable[wire.Transaction], cursor: str | None) -> Report:
        """What each says; one in unknown words is named and passed over."""
        events: list[VenueEvent] = []
        unread: list[str] = []
        for transaction in transactions:
            try:
                events += self._reader.read(transaction)
            except UnknownWord as trouble:
                unread.append(f"transaction {transaction.id}: {trouble}")
        return Report(events=tuple(events), cursor=cursor, unread=tuple(unread))

    def parse_price_line(self, line: bytes, connection: str, now_ns: int) -> PriceReport:
        """The best bid and ask; no quote where the broker shows no price."""
        with reading("a price line"):
            price = wire.decode_price(line)
            if price.type == "HEARTBEAT":
                return PriceReport(is_heartbeat=True)
            if price.type != "PRICE":
                raise UnknownWord(f"price type {price.type[:40]!r}")
            bid = price.bids[0].price if price.bids else price.closeout_bid
            ask = price.asks[0].price if price.asks else price.closeout_ask
            if bid is None or ask is None:
                return PriceReport()
            tradeable = price.status == "tradeable" if price.tradeable is None else price.tradeable
            quote_ = Quote(
                instrument=symbol_of(price.instrument),
                connection=connection,
                bid=bid,
                ask=ask,
                broker_ns=parse_time(price.time),
                received_ns=now_ns,
                update=0,
                bid_size=price.bids[0].liquidity if price.bids else None,
                ask_size=price.asks[0].liquidity if price.asks else None,
                tradeable=tradeable,
            )
            return PriceReport(quote=quote_)


# What OANDA cannot take


def _find_unsupported_guard(order: NewOrder) -> str | None:
    lot = order.closes_lot or ""
    if order.type not in _GUARD_TYPE:
        return f"closes_lot: a {order.type.value} order cannot name a lot"
    if not (lot.isascii() and lot.isdigit()):
        return "closes_lot: an OANDA trade id is a number"
    if order.position_effect is PositionEffect.OPEN_ONLY:
        return "position_effect: an order that guards a lot opens nothing"
    is_reducing = order.reduce_only or order.position_effect is PositionEffect.REDUCE_ONLY
    if order.type is not OrderType.TRAILING_STOP and not is_reducing:
        return "reduce_only: must be set on an order that guards a lot"
    if order.bracket is not None:
        return "bracket: an order that guards a lot takes none"
    if order.price_bound is not None:
        return "price_bound: an order that guards a lot takes none"
    return None


def _find_unsupported_field(order: NewOrder) -> str | None:
    bracket = order.bracket or Bracket()
    trailing = order.trailing or bracket.trailing
    opens_only = order.position_effect is PositionEffect.OPEN_ONLY
    refused = (
        (order.price_bound is not None and order.type not in _BOUNDED, "price_bound"),
        (trailing is not None and trailing.percent is not None, "trailing.percent"),
        (bracket.stop_loss and bracket.stop_loss.limit_price, "bracket.stop_loss.limit_price"),
        (order.reduce_only and opens_only, "reduce_only with open_only"),
        (order.extended_hours, "extended_hours"),
        (order.legs, "legs"),
        (order.post_only, "post_only"),
        (order.display_quantity is not None, "display_quantity"),
    )
    for is_asked, field in refused:
        if is_asked:
            return f"{field}: OANDA does not take it on a {order.type.value} order"
    return None


# Order bodies


def _order_body(
    order: VenueOrder, terms: NewOrder, extensions: wire.Extensions | None
) -> wire.OrderBody:
    time_in_force = _TIME[terms.time_in_force]
    if terms.type is OrderType.MARKET and terms.time_in_force is TimeInForce.DAY:
        time_in_force = "FOK"  # OANDA's market order fills whole, at once, or not at all.
    gtd_time = None
    if terms.time_in_force is TimeInForce.GTD and terms.expire_at_ns is not None:
        gtd_time = format_time(terms.expire_at_ns)
    price = terms.limit_price if terms.stop_price is None else terms.stop_price
    if terms.closes_lot is not None:
        distance = terms.trailing.amount if terms.trailing is not None else None
        return wire.OrderBody(
            type=_GUARD_TYPE[terms.type],
            trade_id=terms.closes_lot,
            price=digits(price),
            distance=digits(distance),
            time_in_force=time_in_force,
            gtd_time=gtd_time,
            client_extensions=extensions,
        )
    effect = PositionEffect.REDUCE_ONLY if terms.reduce_only else terms.position_effect
    stop_loss, take_profit, trailing = _children(order.venue_client_id, terms)
    return wire.OrderBody(
        type=_ENTRY_TYPE[terms.type],
        instrument=order.instrument.broker_symbol,
        units=format_decimal(terms.quantity * terms.side.sign),
        price=digits(price),
        price_bound=digits(terms.price_bound),
        time_in_force=time_in_force,
        gtd_time=gtd_time,
        position_fill=_POSITION_FILL[effect],
        client_extensions=extensions,
        stop_loss_on_fill=stop_loss,
        take_profit_on_fill=take_profit,
        trailing_stop_loss_on_fill=trailing,
    )


def _children(
    venue_client_id: str, terms: NewOrder
) -> tuple[wire.Details | None, wire.Details | None, wire.Details | None]:
    """Stop loss, take profit and trailing stop to be made on fill, each under its own id."""
    bracket = terms.bracket
    if bracket is None:
        return None, None, None

    def child(name: str, price: Decimal | None, distance: Decimal | None) -> wire.Details:
        client_id = child_client_id(venue_client_id, name)
        return wire.Details(
            price=digits(price),
            distance=digits(distance),
            time_in_force="GTC",
            client_extensions=wire.Extensions(id=client_id, tag=terms.tag),
        )

    stop, target, trail = bracket.stop_loss, bracket.take_profit, bracket.trailing
    return (
        child("sl", stop.stop_price, stop.distance) if stop is not None else None,
        child("tp", target.limit_price, None) if target is not None else None,
        child("ts", None, trail.amount) if trail is not None else None,
    )


def _specifier(order: VenueOrder) -> str:
    """The newest broker order id, or our own where the broker's never reached us."""
    return quote(order.broker_order_id or f"@{order.venue_client_id}", safe="@")


# Answers good and bad


def _find_refusal(response: Response) -> ErrorInfo | None:
    """Why nothing was done, None where it was. Raises OutcomeUnknown where neither is proved."""
    status = response.status
    if 200 <= status < 300:
        return None
    if status not in range(400, 500) or status == 408:
        raise OutcomeUnknown(f"HTTP {status}")
    word = f"HTTP_{status}"
    if status in _STATUS_ERROR:
        return error_info(_STATUS_ERROR[status], word, message_of(response))
    try:
        answer = wire.decode_order_answer(response.body)
    except NOT_JSON:
        return error_info(UnifiedError.INVALID_ORDER, word, message_of(response))
    refused = answer.order_reject_transaction or answer.order_cancel_reject_transaction
    if refused is None:
        code = answer.error_code or word
        unified = words.REJECTS.get(code, UnifiedError.INVALID_ORDER)
        return error_info(unified, code, answer.error_message)
    with deciding():
        return reject_error(refused, answer.error_message)


def _is_unknown_order(response: Response) -> bool:
    """Whether OANDA itself says there is no such order: a proxy's 404 is no evidence."""
    try:
        answer = wire.decode_order_answer(response.body)
    except NOT_JSON:
        return False
    code = answer.error_code or ""
    return "ORDER" in code and "ACCOUNT" not in code
