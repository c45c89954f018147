"""What clients of OANDA v20 send, decoded once; and the times both sides write."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar

import msgspec
from msgspec import Struct

from brokers.simulators.book import Listing
from brokers.simulators.oanda_codes import KINDS, LIVES, NETTINGS, WATCHES
from brokers.simulators.terms import Guard, Label, Terms
from brokers.simulators.words import Kind

NS = 1_000_000_000
RFC3339 = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$")
UNIX = re.compile(r"^(\d{1,11})(?:\.(\d{1,9}))?$")


T = TypeVar("T")
W = TypeVar("W")


class BadRequest(ValueError):
    """The body or a parameter cannot be read; the text is for the client."""


class _Body(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    pass


class _Details(_Body, frozen=True):
    price: Decimal | None = None
    distance: Decimal | None = None
    time_in_force: str = "GTC"
    gtd_time: str | None = None
    client_extensions: Label | None = None
    guaranteed: bool = False


class _Order(_Body, frozen=True):
    type: str = "MARKET"
    instrument: str = ""
    units: Decimal | None = None
    price: Decimal | None = None
    price_bound: Decimal | None = None
    distance: Decimal | None = None
    time_in_force: str | None = None
    gtd_time: str | None = None
    position_fill: str = "DEFAULT"
    trigger_condition: str = "DEFAULT"
    client_extensions: Label | None = None
    trade_client_extensions: Label | None = None
    take_profit_on_fill: _Details | None = None
    stop_loss_on_fill: _Details | None = None
    trailing_stop_loss_on_fill: _Details | None = None
    trade_id: str | None = msgspec.field(default=None, name="tradeID")
    client_trade_id: str | None = msgspec.field(default=None, name="clientTradeID")
    guaranteed: bool = False


class OrderBody(_Body, frozen=True):
    """POST and PUT orders."""

    order: _Order


class LabelsBody(_Body, frozen=True):
    """PUT clientExtensions of an order or a trade."""

    client_extensions: Label | None = None
    trade_client_extensions: Label | None = None


class CloseTradeBody(_Body, frozen=True):
    """PUT trades/{}/close."""

    units: str | int = "ALL"


class ClosePositionBody(_Body, frozen=True):
    """PUT positions/{}/close."""

    long_units: str | int | None = None
    short_units: str | int | None = None
    long_client_extensions: Label | None = None
    short_client_extensions: Label | None = None


class GuardsBody(_Body, frozen=True):
    """PUT trades/{}/orders: absent leaves it, null cancels it."""

    take_profit: _Details | msgspec.UnsetType | None = msgspec.UNSET
    stop_loss: _Details | msgspec.UnsetType | None = msgspec.UNSET
    trailing_stop_loss: _Details | msgspec.UnsetType | None = msgspec.UNSET


class ConfigureBody(_Body, frozen=True):
    """PATCH configuration."""

    alias: str | None = None
    margin_rate: Decimal | None = None


ORDER_DECODER = msgspec.json.Decoder(OrderBody)


def decode(kind: type[T], raw: bytes) -> T:
    """The body as that struct. Raises BadRequest."""
    try:
        return msgspec.json.decode(raw or b"{}", type=kind)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadRequest(str(error)) from error


def order_terms(raw: bytes, listings: Mapping[str, Listing]) -> tuple[Terms, str | None]:
    """The order asked for, and the specifier of the trade it is about. Raises BadRequest."""
    try:
        body = ORDER_DECODER.decode(raw).order
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadRequest(str(error)) from error
    kind = _word(KINDS, body.type, "order.type")
    listing = listings.get(body.instrument)
    default_life = "FOK" if kind is Kind.MARKET else "GTC"
    terms = Terms(
        kind=kind,
        instrument=body.instrument,
        units=_units(body.units),
        life=_word(LIVES, body.time_in_force or default_life, "order.timeInForce"),
        price=on_grid(body.price, listing),
        bound=on_grid(body.price_bound, listing),
        distance=on_grid(body.distance, listing),
        expire_ns=None if body.gtd_time is None else parse_time(body.gtd_time),
        netting=_word(NETTINGS, body.position_fill, "order.positionFill"),
        watch=_word(WATCHES, body.trigger_condition, "order.triggerCondition"),
        label=body.client_extensions,
        lot_label=body.trade_client_extensions,
        take_profit=_guard(body.take_profit_on_fill, listing),
        stop_loss=_guard(body.stop_loss_on_fill, listing),
        trailing=_guard(body.trailing_stop_loss_on_fill, listing),
    )
    return terms, _trade_specifier(body)


def _trade_specifier(body: _Order) -> str | None:
    if body.trade_id is not None:
        return body.trade_id
    return None if body.client_trade_id is None else f"@{body.client_trade_id}"


def _word(table: Mapping[str, W], word: str, field: str) -> W:
    found = table.get(word)
    if found is None:
        raise BadRequest(f"Invalid value specified for '{field}'")
    return found


def _units(units: Decimal | None) -> Decimal:
    if units is None or not units.is_finite():
        return Decimal("NaN")
    plain = units.normalize()
    # 1E+3 would be written so; whole numbers are written out.
    return plain.quantize(Decimal(1)) if plain == plain.to_integral_value() else plain


def on_grid(price: Decimal | None, listing: Listing | None) -> Decimal | None:
    """The price with the instrument's digits where that changes nothing, else as it came."""
    if price is None or listing is None or not price.is_finite() or abs(price) > 10**12:
        return price
    exact = price.quantize(listing.tick)
    return exact if exact == price else price


def _guard(details: _Details | None, listing: Listing | None) -> Guard | None:
    if details is None:
        return None
    expires = details.gtd_time
    return Guard(
        price=on_grid(details.price, listing),
        distance=on_grid(details.distance, listing),
        life=_word(LIVES, details.time_in_force, "timeInForce"),
        expire_ns=None if expires is None else parse_time(expires),
        label=details.client_extensions,
    )


def guards_asked(raw: bytes, listing: Listing) -> dict[Kind, Guard | None]:
    """Which guards to make or (None) cancel. Raises BadRequest."""
    body = decode(GuardsBody, raw)
    asked = {
        Kind.TAKE_PROFIT: body.take_profit,
        Kind.STOP_LOSS: body.stop_loss,
        Kind.TRAILING_STOP: body.trailing_stop_loss,
    }
    return {
        kind: _guard(details, listing)
        for kind, details in asked.items()
        if not isinstance(details, msgspec.UnsetType)
    }


def close_units(asked: str | int) -> str:
    """`ALL`, or a positive number as text. Raises BadRequest."""
    text = str(asked)
    if text == "ALL" or re.fullmatch(r"(?=.*[1-9])\d{1,15}(\.\d{1,8})?", text):
        return text
    raise BadRequest("Invalid value specified for 'units'")


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def rfc3339(at_ns: int) -> str:
    """A time as text, nine decimals, UTC."""
    return f"{_second(at_ns // NS)}.{at_ns % NS:09d}Z"


def unix(at_ns: int) -> str:
    """A time as seconds since 1970, nine decimals."""
    return f"{at_ns // NS}.{at_ns % NS:09d}"


def parse_time(text: str) -> int:
    """Either form to ns UTC. Raises BadRequest."""
    found = UNIX.match(text)
    if found is not None:
        return int(found[1]) * NS + int((found[2] or "0").ljust(9, "0"))
    found = RFC3339.match(text)
    if found is None:
        raise BadRequest(f"Invalid value specified for a time: {text[:40]!r}")
    try:
        moment = datetime.fromisoformat(found[1] + found[3])
    except ValueError as error:
        raise BadRequest(f"Invalid value specified for a time: {text[:40]!r}") from error
    return int(moment.timestamp()) * NS + int((found[2] or "0").ljust(9, "0"))
