"""Alpaca's messages as the broker sends and takes them; only the fields we read or write.

Numbers come as strings or as JSON numbers, and become `Decimal` either way; absent is None.
Times stay text until `parse_time`, which keeps their nanoseconds. A message is JSON, or msgpack:
their first bytes cannot be confused.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct, json, msgpack

from brokers.reading import NS, parse_time

_JSON_FIRST = frozenset(b'{["-0123456789tfn \t\r\n')
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_M = TypeVar("_M")


class Wire(Struct, frozen=True, kw_only=True):
    """A message of the broker."""


class StopLossBody(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """The protective leg of an advanced order."""

    stop_price: str
    limit_price: str | None = None


class TakeProfitBody(Wire, frozen=True, kw_only=True):
    """The profit leg of an advanced order."""

    limit_price: str


class OrderBody(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """The body of POST /v2/orders."""

    symbol: str
    qty: str
    side: str
    type: str
    time_in_force: str
    client_order_id: str
    limit_price: str | None = None
    stop_price: str | None = None
    trail_price: str | None = None
    trail_percent: str | None = None
    extended_hours: bool = False
    order_class: str = ""
    take_profit: TakeProfitBody | None = None
    stop_loss: StopLossBody | None = None
    position_intent: str | None = None


class PatchBody(Wire, frozen=True, kw_only=True, omit_defaults=True):
    """The body of PATCH /v2/orders/{id}: what is left out stays as it is."""

    qty: str | None = None
    limit_price: str | None = None
    stop_price: str | None = None
    trail: str | None = None


class Order(Wire, frozen=True, kw_only=True):
    """The spec's Order, in lists, answers and trade updates alike."""

    id: str
    status: str
    client_order_id: str | None = None
    created_at: str | None = None
    submitted_at: str | None = None
    updated_at: str | None = None
    filled_at: str | None = None
    canceled_at: str | None = None
    expired_at: str | None = None
    failed_at: str | None = None
    replaces: str | None = None
    symbol: str | None = None
    asset_class: str | None = None
    order_class: str | None = None
    side: str | None = None
    qty: Decimal | None = None
    filled_qty: Decimal | None = None
    type: str | None = None
    time_in_force: str | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    legs: tuple[Order, ...] | None = None


class TradeUpdate(Wire, frozen=True, kw_only=True):
    """`data` of a trade update. `qty` and `price` are this execution's, never the order's."""

    event: str
    order: Order
    timestamp: str | None = None
    execution_id: str | None = None
    qty: Decimal | None = None
    price: Decimal | None = None
    reason: str | None = None


class Envelope(Wire, frozen=True, kw_only=True):
    """A message of the trading stream."""

    stream: str
    data: Raw = Raw(b"{}")


class Control(Wire, frozen=True, kw_only=True):
    """`data` of the authorization and listening streams."""

    status: str | None = None
    streams: tuple[str, ...] = ()
    error: str | None = None


class Activity(Wire, frozen=True, kw_only=True):
    """TradingActivities and NonTradeActivities in one."""

    id: str
    activity_type: str
    activity_sub_type: str | None = None
    transaction_time: str | None = None
    date: str | None = None
    symbol: str | None = None
    side: str | None = None
    qty: Decimal | None = None
    price: Decimal | None = None
    cum_qty: Decimal | None = None
    order_id: str | None = None
    net_amount: Decimal | None = None
    currency: str | None = None
    status: str | None = None


class Account(Wire, frozen=True, kw_only=True):
    """The spec's Account. Day-trading fields are gone since 2026-07-06: absent is None."""

    id: str
    status: str
    cash: Decimal
    equity: Decimal
    account_number: str | None = None
    currency: str = "USD"
    buying_power: Decimal | None = None
    daytrading_buying_power: Decimal | None = None
    non_marginable_buying_power: Decimal | None = None
    initial_margin: Decimal | None = None
    maintenance_margin: Decimal | None = None
    long_market_value: Decimal | None = None
    short_market_value: Decimal | None = None
    last_equity: Decimal | None = None
    multiplier: Decimal | None = None
    shorting_enabled: bool | None = None
    trading_blocked: bool = False
    account_blocked: bool = False
    trade_suspended_by_user: bool = False
    crypto_status: str | None = None
    options_approved_level: int | str | None = None
    created_at: str | None = None


class HeldPosition(Wire, frozen=True, kw_only=True):
    """The spec's Position. `qty` is signed; a short's is negative."""

    asset_id: str
    symbol: str
    qty: Decimal
    side: str
    asset_class: str | None = None
    avg_entry_price: Decimal | None = None
    exchange: str | None = None
    market_value: Decimal | None = None
    cost_basis: Decimal | None = None
    current_price: Decimal | None = None
    unrealized_pl: Decimal | None = None
    unrealized_plpc: Decimal | None = None
    unrealized_intraday_pl: Decimal | None = None
    qty_available: Decimal | None = None


class Asset(Wire, frozen=True, kw_only=True):
    """The spec's Assets."""

    symbol: str
    asset_class: str = msgspec.field(name="class")
    status: str
    tradable: bool
    exchange: str = ""
    marginable: bool = False
    shortable: bool = False
    easy_to_borrow: bool | None = None
    borrow_status: str | None = None
    fractionable: bool = False
    margin_requirement_long: Decimal | None = None
    min_order_size: Decimal | None = None
    min_trade_increment: Decimal | None = None
    price_increment: Decimal | None = None


class Clock(Wire, frozen=True, kw_only=True):
    """GET /v2/clock: the equity market's regular session."""

    timestamp: str
    is_open: bool
    next_open: str
    next_close: str


class Refusal(Wire, frozen=True, kw_only=True):
    """The body of an error."""

    code: int | None = None
    message: str | None = None


class Market(Wire, frozen=True, kw_only=True, rename={"kind": "T", "symbol": "S"}):
    """Any message of a market-data stream: quote, band, bar, status, control."""

    kind: str
    symbol: str = ""
    bp: Decimal | None = None
    bs: Decimal | None = None
    ap: Decimal | None = None
    # `as` is a word of Python's.
    ask_size: Decimal | None = msgspec.field(default=None, name="as")
    v: Decimal | None = None
    u: Decimal | None = None
    d: Decimal | None = None
    sc: str | None = None
    t: Any = None
    msg: str | None = None
    code: int | None = None


encode = json.Encoder().encode
decode_order = json.Decoder(Order).decode
decode_raws = json.Decoder(tuple[Raw, ...]).decode
decode_activity = json.Decoder(Activity).decode
decode_activities = json.Decoder(tuple[Activity, ...]).decode
decode_account = json.Decoder(Account).decode
decode_positions = json.Decoder(tuple[HeldPosition, ...]).decode
decode_assets = json.Decoder(tuple[Asset, ...]).decode
decode_clock = json.Decoder(Clock).decode
decode_refusal = json.Decoder(Refusal).decode


class Either(Generic[_M]):
    """Decodes a message of one type, JSON or msgpack."""

    def __init__(self, kind: type[_M]) -> None:
        self._json = json.Decoder(kind)
        self._msgpack = msgpack.Decoder(kind)

    def __call__(self, message: bytes) -> _M:
        """The message. Raises MsgspecError."""
        if message[:1] and message[0] in _JSON_FIRST:
            return self._json.decode(message)
        return self._msgpack.decode(message)


decode_envelope = Either(Envelope)
decode_update = Either(TradeUpdate)
decode_control = Either(Control)
decode_market = Either(Market)
_split = Either(list[Raw])


def split_messages(message: bytes) -> tuple[bytes, ...]:
    """The messages of an array one by one. Raises MsgspecError."""
    return tuple(bytes(one) for one in _split(message))


def whole_message(message: bytes) -> tuple[bytes, ...]:
    """The message as it came."""
    return (message,)


def time_of(value: Any) -> int:
    """The time of a market message: RFC 3339, or msgpack's own (to the microsecond)."""
    if isinstance(value, str):
        return parse_time(value)
    if isinstance(value, datetime):
        past = value - _EPOCH
        return (past.days * 86_400 + past.seconds) * NS + past.microseconds * 1_000
    raise ValueError("a message without its time")
