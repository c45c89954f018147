"""Orders as clients ask the simulated Alpaca for them, and what is wrong with them by themselves.

The rules per asset class, type, time in force and order class are those of Alpaca's pages
"Orders at Alpaca" and "Crypto orders"; its error texts are kept word for word where known.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

import msgspec
from msgspec import Struct

from brokers.simulators.alpaca_listings import is_crypto
from brokers.simulators.alpaca_replies import INVALID_BODY, Refused, invalid, unprocessable
from brokers.simulators.alpaca_words import KINDS, LIVES, PLACES, text
from brokers.simulators.book import Listing
from brokers.simulators.terms import ZERO, Guard, Label, Terms
from brokers.simulators.words import NET_LIVES, Kind, Life, Role

CLIENT_ID_CHARS_MAX = 128
CLASSES = ("", "simple", "bracket", "oco", "oto")
RESTING = (Life.DAY, Life.GTC)
PLAIN = (Kind.MARKET, Kind.LIMIT)
CRYPTO_KINDS = (Kind.MARKET, Kind.LIMIT, Kind.STOP_LIMIT)
CRYPTO_LIVES = (Life.GTC, Life.IOC)
PENNY, FINE = Decimal("0.01"), Decimal("0.0001")
TRAIL_PERCENT_MAX = Decimal(50)


class TakeProfit(Struct, kw_only=True):
    """A limit to leave at."""

    limit_price: Decimal | None = None


class StopLoss(Struct, kw_only=True):
    """A stop to leave at, and what it becomes."""

    stop_price: Decimal | None = None
    limit_price: Decimal | None = None


class OrderBody(Struct, kw_only=True):
    """POST /v2/orders. What Alpaca does not know it passes over."""

    symbol: str | None = None
    qty: Decimal | None = None
    notional: Decimal | None = None
    side: str | None = None
    type: str | None = None
    time_in_force: str | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    extended_hours: bool | None = None
    client_order_id: str | None = None
    order_class: str | None = None
    take_profit: TakeProfit | None = None
    stop_loss: StopLoss | None = None


class PatchBody(Struct, kw_only=True):
    """PATCH /v2/orders/{id}."""

    qty: Decimal | None = None
    time_in_force: str | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: Decimal | None = None
    client_order_id: str | None = None
    notional: Decimal | None = None


ORDERS = msgspec.json.Decoder(OrderBody, strict=False)
PATCHES = msgspec.json.Decoder(PatchBody, strict=False)


def decode_order(body: bytes) -> OrderBody:
    """The order asked for. Refuses what cannot be read."""
    try:
        return ORDERS.decode(body)
    except msgspec.MsgspecError as error:
        raise Refused(400, INVALID_BODY, f"request body format is invalid: {error}") from None


def decode_patch(body: bytes) -> PatchBody:
    """The change asked for. Refuses what cannot be read."""
    try:
        return PATCHES.decode(body)
    except msgspec.MsgspecError as error:
        raise Refused(400, INVALID_BODY, f"request body format is invalid: {error}") from None


def order_terms(body: OrderBody, listing: Listing, fresh_id: str) -> Terms:
    """What the engine is asked for. Refuses an order that can never be."""
    kind, life = KINDS.get(body.type or ""), LIVES.get(body.time_in_force or "")
    if kind is None:
        raise invalid(f"invalid order type: {text_of(body.type)}")
    if life is None:
        raise invalid(f"invalid time_in_force: {text_of(body.time_in_force)}")
    if body.side not in ("buy", "sell"):
        raise invalid(f"invalid side: {text_of(body.side)}")
    if (body.order_class or "") not in CLASSES:
        raise unprocessable(f"invalid order_class: {text_of(body.order_class)}")
    body.order_class = body.order_class or "simple"
    sign = 1 if body.side == "buy" else -1
    if body.order_class == "oco":
        _complete_oco(body)
    terms = Terms(
        kind=kind,
        instrument=listing.symbol,
        units=sign * _quantity(body, kind),
        life=life,
        price=body.limit_price if kind is Kind.LIMIT else body.stop_price,
        limit=body.limit_price if kind is Kind.STOP_LIMIT else None,
        distance=body.trail_price,
        percent=body.trail_percent,
        notional=body.notional,
        is_extended=bool(body.extended_hours),
        label=Label(_client_id(body.client_order_id) or fresh_id),
        role={"simple": Role.SINGLE, "oco": Role.TAKE_PROFIT}.get(body.order_class, Role.ENTRY),
        style=body.order_class,
        take_profit=_profit(body) if body.order_class != "oco" else None,
        stop_loss=_stop(body),
    )
    check_kind(terms)
    if is_crypto(listing):
        _check_crypto(terms)
    else:
        _check_share(terms)
    check_prices(terms, listing)
    if body.order_class != "simple":
        _check_class(body, terms)
    return terms


def text_of(word: str | None) -> str:
    """A word of the client's, shortened; a missing one is said to be."""
    return repr(word[:40]) if word else "it is required"


def _client_id(name: str | None) -> str | None:
    if name is not None and len(name) > CLIENT_ID_CHARS_MAX:
        raise invalid(f"client_order_id must be no more than {CLIENT_ID_CHARS_MAX} characters")
    return name


def _quantity(body: OrderBody, kind: Kind) -> Decimal:
    """Units; for money to be spent, one, until its price is known."""
    if body.qty is None and body.notional is None:
        raise invalid("qty or notional is required")
    if body.qty is not None and body.notional is not None:
        raise invalid("only one of qty or notional is accepted")
    if body.notional is not None:
        if not body.notional.is_finite() or body.notional <= 0:
            raise invalid("notional must be > 0")
        if kind is not Kind.MARKET:
            raise unprocessable("notional orders must be market orders")
        return Decimal(1)
    assert body.qty is not None
    return quantity(body.qty)


def quantity(asked: Decimal) -> Decimal:
    """Units above zero; more than nine places are cut off, as Alpaca does."""
    units = asked.quantize(PLACES, ROUND_DOWN).normalize() if _is_sane(asked) else ZERO
    if units <= 0:
        raise invalid("qty must be > 0")
    return units


def _is_sane(number: Decimal) -> bool:
    return number.is_finite() and abs(number) < 1_000_000_000


def _complete_oco(body: OrderBody) -> None:
    """The order itself is the profit's limit."""
    if body.take_profit is not None and body.take_profit.limit_price is not None:
        body.limit_price = body.take_profit.limit_price
    if body.type != "limit":
        raise unprocessable("oco orders must be limit orders")
    if body.limit_price is None:
        raise unprocessable("oco orders require take_profit.limit_price")


def _profit(body: OrderBody) -> Guard | None:
    asked = body.take_profit
    if body.order_class == "simple" or asked is None or asked.limit_price is None:
        return None
    return Guard(price=asked.limit_price)


def _stop(body: OrderBody) -> Guard | None:
    asked = body.stop_loss
    if body.order_class == "simple" or asked is None or asked.stop_price is None:
        return None
    return Guard(price=asked.stop_price, limit=asked.limit_price)


# -- what is wrong with an order by itself


def check_kind(terms: Terms) -> None:
    """Refuses an order that lacks a price its type needs, or brings one it has not."""
    kind = terms.kind
    if kind is Kind.LIMIT and terms.price is None:
        raise invalid("limit orders require a limit_price")
    if kind in (Kind.STOP, Kind.STOP_LIMIT) and terms.price is None:
        raise invalid("stop orders require a stop_price")
    if kind is Kind.STOP_LIMIT and terms.limit is None:
        raise invalid("stop limit orders require both stop_price and limit_price")
    if kind is Kind.MARKET and terms.price is not None:
        raise invalid("market orders require no stop or limit price")
    if kind is not Kind.TRAIL:
        if terms.distance is not None or terms.percent is not None:
            raise invalid("trail_price and trail_percent are for trailing_stop orders only")
        return
    if (terms.distance is None) is (terms.percent is None):
        raise invalid("trailing stop orders require either trail_price or trail_percent")
    trail = terms.distance if terms.distance is not None else terms.percent
    if trail is not None and (not _is_sane(trail) or trail <= 0):
        raise invalid("trail_price and trail_percent must be > 0")
    if terms.percent is not None and terms.percent >= TRAIL_PERCENT_MAX:
        raise invalid(f"trail_percent must be less than {TRAIL_PERCENT_MAX}")


def _check_crypto(terms: Terms) -> None:
    if terms.life not in CRYPTO_LIVES:
        raise unprocessable("invalid crypto time_in_force")
    if terms.kind not in CRYPTO_KINDS:
        raise unprocessable("invalid order type for crypto order")
    if terms.style != "simple":
        raise unprocessable(f"crypto orders not allowed for advanced order_class: {terms.style}")
    if terms.is_extended:
        raise unprocessable("extended hours are not supported for crypto orders")


def _check_share(terms: Terms) -> None:
    is_fraction = terms.notional is not None or terms.units % 1 != 0
    if is_fraction:
        if terms.life is not Life.DAY:
            raise unprocessable("fractional orders must be DAY orders")
        if terms.style != "simple":
            raise unprocessable("fractional orders must be simple orders")
        if terms.kind is Kind.TRAIL:
            raise unprocessable("fractional orders cannot be trailing stop orders")
    if terms.life in NET_LIVES and terms.kind not in PLAIN:
        raise unprocessable("opg and cls orders must be market or limit orders")
    if terms.life in (Life.IOC, Life.FOK) and terms.kind not in PLAIN:
        raise unprocessable("ioc and fok orders must be market or limit orders")
    if terms.kind is Kind.TRAIL and terms.style != "simple":
        raise unprocessable("trailing stop orders must be simple orders")
    if terms.is_extended and (terms.kind is not Kind.LIMIT or terms.life not in RESTING):
        raise unprocessable("extended hours order must be DAY limit orders")


def check_prices(terms: Terms, listing: Listing) -> None:
    """Refuses a price off the grid."""
    names = (
        ("limit_price" if terms.kind is Kind.LIMIT else "stop_price", terms.price),
        ("limit_price", terms.limit),
        ("trail_price", terms.distance),
    )
    for name, price in names:
        if price is not None:
            check_price(name, price, listing)
    profit, stop = terms.take_profit, terms.stop_loss
    if profit is not None and profit.price is not None:
        check_price("take_profit.limit_price", profit.price, listing)
    if stop is not None and stop.price is not None:
        check_price("stop_loss.stop_price", stop.price, listing)
        if stop.limit is not None:
            check_price("stop_loss.limit_price", stop.limit, listing)


def check_price(name: str, price: Decimal, listing: Listing) -> None:
    """Refuses a price that is none, or finer than may be."""
    if not _is_sane(price) or price <= 0:
        raise invalid(f"{name} must be > 0")
    if is_crypto(listing):
        if price % PLACES:
            raise unprocessable(f"invalid {name} {text(price)}. too many decimals")
    elif price % (PENNY if price >= 1 else FINE):
        raise unprocessable(
            f"invalid {name} {text(price)}. "
            "sub-penny increment does not fulfill minimum pricing criteria"
        )


def _check_class(body: OrderBody, terms: Terms) -> None:
    """Refuses a group that lacks a part, or whose parts stand the wrong way round."""
    style = terms.style
    if terms.is_extended:
        raise unprocessable(f"{style} orders cannot be extended hours orders")
    if terms.life not in RESTING:
        raise unprocessable(f"{style} orders must be day or gtc")
    if style in ("bracket", "oco") and terms.stop_loss is None:
        raise unprocessable(f"{style} orders require stop_loss.stop_price")
    if style == "bracket" and terms.take_profit is None:
        raise unprocessable("bracket orders require take_profit.limit_price")
    if style == "oto" and (terms.take_profit is None) is (terms.stop_loss is None):
        raise unprocessable("oto orders require exactly one of take_profit and stop_loss")
    profit = body.limit_price if style == "oco" else _price(terms.take_profit)
    stop = _price(terms.stop_loss)
    if profit is None or stop is None:
        return
    leaves_long = (terms.units > 0) is (style != "oco")
    if profit - stop < PENNY if leaves_long else stop - profit < PENNY:
        word = "higher" if leaves_long else "lower"
        raise unprocessable(f"take_profit.limit_price must be {word} than stop_loss.stop_price")


def _price(guard: Guard | None) -> Decimal | None:
    return guard.price if guard is not None else None
