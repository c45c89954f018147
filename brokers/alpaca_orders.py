"""An order in Alpaca's words: what it cannot take, the bodies to send, and what a refusal means."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from brokers import alpaca_messages as wire
from brokers import alpaca_words as words
from brokers.adapter import AmendTerms, OutcomeUnknown, Response, VenueOrder
from brokers.reading import NOT_JSON, RETRY_AFTER_MS, digits, error_info, format_decimal, message_of
from domain.errors import ErrorInfo, UnifiedError
from domain.instruments import AssetClass
from domain.orders import NewOrder, OrderType, PositionEffect, Side, TimeInForce

ADVANCED_TIMES = frozenset({TimeInForce.DAY, TimeInForce.GTC})
ENTRY_TYPES = frozenset({OrderType.MARKET, OrderType.LIMIT})
RETRY_MS_MAX = 60_000

_CODE_ERROR = {
    40310000: UnifiedError.INSUFFICIENT_FUNDS,
    42210000: UnifiedError.INVALID_ORDER,
}


def find_unsupported(order: NewOrder) -> str | None:
    """Why Alpaca cannot take the order, naming the field, or None."""
    times = words.TIMES[AssetClass.CRYPTO if "/" in order.instrument else AssetClass.EQUITY]
    if order.type not in times:
        return f"type: Alpaca has no {order.type.value} order for {order.instrument}"
    if order.time_in_force not in times[order.type]:
        return f"time_in_force: a {order.type.value} order takes no {order.time_in_force.value}"
    return _find_unsupported_field(order) or _find_unsupported_bracket(order)


def _find_unsupported_field(order: NewOrder) -> str | None:
    is_crypto = "/" in order.instrument
    is_plain = order.type is OrderType.LIMIT and order.time_in_force in ADVANCED_TIMES
    refused = (
        (order.closes_lot is not None, "closes_lot"),
        (order.price_bound is not None, "price_bound"),
        (order.legs, "legs"),
        (order.post_only, "post_only"),
        (order.display_quantity is not None, "display_quantity"),
        (order.position_effect is PositionEffect.REDUCE_FIRST, "position_effect reduce_first"),
        (order.reduce_only and order.position_effect is PositionEffect.OPEN_ONLY, "reduce_only"),
        (order.extended_hours and (is_crypto or not is_plain), "extended_hours"),
        (is_crypto and order.side is Side.SELL_SHORT, "side sell_short"),
    )
    for is_asked, field in refused:
        if is_asked:
            return f"{field}: Alpaca does not take it on a {order.type.value} order"
    if is_crypto:
        return None
    if order.quantity % 1 and order.time_in_force is not TimeInForce.DAY:
        return "quantity: Alpaca takes fractions of a share for the day only"
    for field, price in (("limit_price", order.limit_price), ("stop_price", order.stop_price)):
        if price is not None and price >= 1 and price != round(price, 2):
            return f"{field}: from a dollar on, Alpaca's prices are whole cents"
    return None


def _find_unsupported_bracket(order: NewOrder) -> str | None:
    """Bracket and OTO guard an entry; on a reduce-only limit a stop makes the pair an OCO."""
    bracket = order.bracket
    if bracket is None:
        return None
    stop, target = bracket.stop_loss, bracket.take_profit
    faults = (
        ("/" in order.instrument, "bracket: Alpaca has none for crypto"),
        (bracket.trailing is not None, "bracket.trailing: Alpaca takes none"),
        (stop and stop.distance is not None, "bracket.stop_loss.distance: give stop_price"),
        (stop is None and target is None, "bracket: needs stop_loss or take_profit"),
        (order.time_in_force not in ADVANCED_TIMES, "time_in_force: day or gtc with a bracket"),
        (order.type not in ENTRY_TYPES, "type: market or limit with a bracket"),
        (order.extended_hours, "extended_hours: not with a bracket"),
    )
    for is_fault, text in faults:
        if is_fault:
            return text
    if _only_reduces(order) and (stop is None or target is not None or order.limit_price is None):
        return "bracket: an order that only reduces is a limit with a stop_loss, and no more"
    return None


def _only_reduces(order: NewOrder) -> bool:
    return order.reduce_only or order.position_effect is PositionEffect.REDUCE_ONLY


# Order bodies


def order_body(order: VenueOrder) -> wire.OrderBody:
    """A new order."""
    terms = order.order
    trailing = terms.trailing
    body = wire.OrderBody(
        symbol=order.instrument.broker_symbol,
        qty=format_decimal(terms.quantity),
        side=words.SIDE_WORD[terms.side],
        type=words.TYPE[terms.type],
        time_in_force=words.TIME[terms.time_in_force],
        client_order_id=order.venue_client_id,
        limit_price=digits(terms.limit_price),
        stop_price=digits(terms.stop_price),
        trail_price=digits(trailing.amount) if trailing is not None else None,
        trail_percent=digits(trailing.percent) if trailing is not None else None,
        extended_hours=terms.extended_hours,
        position_intent=_intent(order),
    )
    return body if terms.bracket is None else _with_bracket(body, terms)


def _intent(order: VenueOrder) -> str | None:
    """What the order must do to the position; None lets it net. Crypto is never short."""
    terms = order.order
    if order.instrument.asset_class is AssetClass.CRYPTO:
        return None
    effect = PositionEffect.REDUCE_ONLY if terms.reduce_only else terms.position_effect
    if terms.side is Side.SELL_SHORT:
        effect = PositionEffect.OPEN_ONLY
    elif terms.side is Side.BUY_TO_COVER:
        effect = PositionEffect.REDUCE_ONLY
    by_side = words.EFFECT[effect]
    return None if by_side is None else by_side[terms.side.is_buy]


def _with_bracket(body: wire.OrderBody, terms: NewOrder) -> wire.OrderBody:
    bracket = terms.bracket
    assert bracket is not None
    stop, target = bracket.stop_loss, None
    if bracket.take_profit is not None:
        target = wire.TakeProfitBody(limit_price=format_decimal(bracket.take_profit.limit_price))
    guard = None
    if stop is not None:
        assert stop.stop_price is not None
        guard = wire.StopLossBody(
            stop_price=format_decimal(stop.stop_price), limit_price=digits(stop.limit_price)
        )
    if _only_reduces(terms):
        assert body.limit_price is not None
        target = wire.TakeProfitBody(limit_price=body.limit_price)
        return replace(
            body, order_class="oco", limit_price=None, take_profit=target, stop_loss=guard
        )
    kind = "bracket" if guard is not None and target is not None else "oto"
    return replace(body, order_class=kind, take_profit=target, stop_loss=guard)


def patch_body(before: NewOrder, terms: AmendTerms) -> wire.PatchBody:
    """What changes in a working order."""
    trail = None if terms.trailing is None else terms.trailing.amount or terms.trailing.percent
    return wire.PatchBody(
        qty=_changed(before.quantity, terms.quantity),
        limit_price=_changed(before.limit_price, terms.limit_price),
        stop_price=_changed(before.stop_price, terms.stop_price),
        trail=digits(trail) if before.trailing != terms.trailing else None,
    )


def _changed(before: Decimal | None, after: Decimal | None) -> str | None:
    return None if after is None or after == before else format_decimal(after)


# Answers good and bad


def find_refusal(response: Response, now_ns: int, missing: UnifiedError) -> ErrorInfo | None:
    """Why nothing was done, None where it was. Raises OutcomeUnknown where neither is proved.

    `missing` is what a 404 says is not there: the asset of a new order, or the order.
    """
    status = response.status
    if 200 <= status < 300:
        return None
    if status not in range(400, 500) or status == 408:
        raise OutcomeUnknown(f"HTTP {status}")
    try:
        said = wire.decode_refusal(response.body)
    except NOT_JSON:
        said = wire.Refusal()
    unified = missing if status == 404 else _unify(status, said)
    word = f"HTTP_{status}" if said.code is None else str(said.code)
    text = said.message or message_of(response)
    return error_info(unified, word, text, _retry_ms(response, now_ns))


def _unify(status: int, said: wire.Refusal) -> UnifiedError:
    """The code says it where Alpaca gives one; some are told apart by their text alone."""
    if status == 401:
        return UnifiedError.AUTH
    if status == 429:
        return UnifiedError.RATE_LIMIT
    text = (said.message or "").lower()
    if "market is closed" in text or "market hours" in text or "halted" in text:
        return UnifiedError.MARKET_CLOSED
    if "asset" in text and ("not found" in text or "not active" in text):
        return UnifiedError.SYMBOL_NOT_FOUND
    if said.code in _CODE_ERROR:
        return _CODE_ERROR[said.code]
    return UnifiedError.AUTH if status == 403 else UnifiedError.INVALID_ORDER


def _retry_ms(response: Response, now_ns: int) -> int:
    """Until the rate limit lets through again: its header tells the second."""
    reset = response.headers.get("x-ratelimit-reset", "")
    if not (reset.isascii() and reset.isdigit() and len(reset) < 12):
        return RETRY_AFTER_MS
    return min(max(int(reset) * 1_000 - now_ns // 1_000_000, RETRY_AFTER_MS), RETRY_MS_MAX)


def is_unknown_order(response: Response) -> bool:
    """Whether Alpaca itself says there is no such order: a proxy's 404 is no evidence."""
    try:
        said = wire.decode_refusal(response.body)
    except NOT_JSON:
        return False
    return said.code == 40410000 or "order not found" in (said.message or "")
