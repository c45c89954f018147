"""One schema, two codecs: what is said in one is said in the other; numbers are texts."""

from __future__ import annotations

import types
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from gateway_world import a_quote, an_order, an_update
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace
from websockets.frames import Frame

from domain.orders import StopLoss, Trailing
from gateway import wire
from gateway.codec import CODECS, JSON, MSGPACK
from gateway.errors import from_decode_error
from gateway.passing import PassedUpdate, body_of
from gateway.strict import has_exponent, strict_twin

_DECIMALS = st.decimals(
    min_value=-(10**12), max_value=10**12, allow_nan=False, allow_infinity=False, places=8
) | st.sampled_from([Decimal("1E+3"), Decimal("1E-9"), Decimal("0E-8")])
_INT64 = st.integers(min_value=-(2**63), max_value=2**63 - 1)
_WORDS = st.text(alphabet="abcXYZ019", min_size=1, max_size=20)


def _values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type hint, bounds kept."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _bounded(args[0], args[1:])
    if origin in (Union, types.UnionType):
        return st.one_of([_values(arg) for arg in args])
    if origin is tuple:
        return st.lists(_values(args[0]), min_size=1, max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(_values(args[0]), _values(args[1]), min_size=1, max_size=3)
    if isinstance(hint, type) and issubclass(hint, Struct):
        return _structs(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(hint)
    plain = {
        Decimal: _DECIMALS,
        int: _INT64,
        str: _WORDS,
        bool: st.booleans(),
        type(None): st.none(),
        Any: st.dictionaries(_WORDS, _INT64 | _WORDS | st.none(), max_size=3),
    }
    return plain[hint]


def _bounded(inner: Any, metas: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if inner is int:
        low = max((m.ge for m in metas if m.ge is not None), default=-(2**63))
        high = min((m.le for m in metas if m.le is not None), default=2**63 - 1)
        return st.integers(min_value=low, max_value=high)
    return _values(inner)


def _structs(kind: type[Struct]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind, include_extras=True)
    return st.builds(
        kind, **{field: st.deferred(lambda h=hint: _values(h)) for field, hint in hints.items()}
    )


@pytest.mark.parametrize("kind", wire.CLIENT_MESSAGES, ids=lambda kind: kind.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_client_message_is_the_same_in_both_codecs(kind: type[Struct], data: Any) -> None:
    message = data.draw(_structs(kind))
    in_json = JSON.decode_client(JSON.encode(message))
    in_msgpack = MSGPACK.decode_client(MSGPACK.encode(message))
    assert in_json == in_msgpack == message


@pytest.mark.parametrize("kind", wire.SERVER_MESSAGES, ids=lambda kind: kind.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_server_message_is_the_same_in_both_codecs(kind: type[Struct], data: Any) -> None:
    message = data.draw(_structs(kind))
    in_json = JSON.decode_server(JSON.encode(message))
    in_msgpack = MSGPACK.decode_server(MSGPACK.encode(message))
    assert in_json == in_msgpack == message


def test_decimals_travel_as_texts_without_an_exponent() -> None:
    order = an_order(quantity=Decimal("1E+3"), price_bound=Decimal("1E-9"))
    sent = msgspec.json.decode(JSON.encode(wire.OrderNew(id="a", cseq=1, order=order)))
    assert (sent["order"]["quantity"], sent["order"]["price_bound"]) == ("1000", "0.000000001")


def test_an_exponent_is_found_wherever_it_hides() -> None:
    hidden = an_order(trailing=Trailing(amount=Decimal("1E-7")))
    assert has_exponent(wire.OrderBatch(id="a", cseq=1, orders=(an_order(), hidden)))
    assert not has_exponent(wire.OrderBatch(id="a", cseq=1, orders=(an_order(),)))


def test_an_ev_and_a_quote_keep_their_decimals_in_both_codecs() -> None:
    update = an_update(1)
    body = replace(update.body, average_price=Decimal("0E-10"))
    ev = wire.Ev(stream=update.stream, seq=1, at_ns=1, body=body)
    quote = wire.QuoteUpdate(quote=a_quote(bid=Decimal("1E-8")))
    for codec in CODECS.values():
        assert codec.decode_server(codec.encode(ev)) == ev
        assert codec.decode_server(codec.encode(quote)) == quote


@pytest.mark.parametrize("price", ["1.25", "0E-10"])
def test_an_entry_passed_on_unread_is_told_as_one_that_was_read(price: str) -> None:
    update = an_update(1)
    update = replace(update, body=replace(update.body, average_price=Decimal(price), tag="E-1"))
    passed = msgspec.msgpack.decode(msgspec.msgpack.encode(update), type=PassedUpdate)
    for codec in CODECS.values():
        assert codec.entry(passed) == codec.entry(update)
    assert body_of(passed) == body_of(update) == update.body


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_frame_is_what_the_library_makes_of_it(size: int) -> None:
    for codec in CODECS.values():
        payload = bytes(size)
        assert codec.frame(payload) == Frame(codec.opcode, payload).serialize(mask=False)


ORDER = {"client_order_id": "o1", "instrument": "EUR/USD", "side": "buy", "quantity": "1"}
NEW = {"t": "order.new", "id": "r1", "cseq": 1}

BAD = [
    ({**NEW, "order": {**ORDER, "quantity": 1.5}}, "wrong_type", "order.quantity"),
    ({**NEW, "order": {**ORDER, "quantity": 1}}, "wrong_type", "order.quantity"),
    ({**NEW, "order": {**ORDER, "limit_price": 1.25}}, "wrong_type", "order.limit_price"),
    ({**NEW, "order": {**ORDER, "quantity": "1e3"}}, "bad_decimal", "order.quantity"),
    ({**NEW, "order": {**ORDER, "quantity": "NaN"}}, "bad_decimal", "order.quantity"),
    ({**NEW, "order": {**ORDER, "quantity": "1\n"}}, "bad_decimal", "order.quantity"),
    ({**NEW, "order": {**ORDER, "quantity": "1" * 19}}, "bad_decimal", "order.quantity"),
    ({**NEW, "order": {**ORDER, "quantity": None}}, "wrong_type", "order.quantity"),
    ({**NEW, "order": {**ORDER, "colour": "red"}}, "unknown_field", "order.colour"),
    ({**NEW, "order": ORDER, "colour": "red"}, "unknown_field", "colour"),
    ({**NEW, "order": {**ORDER, "side": "purchase"}}, "unknown_value", "order.side"),
    ({**NEW, "order": {**ORDER, "client_order_id": "a b"}}, "bad_format", "order.client_order_id"),
    ({**NEW, "order": {**ORDER, "client_order_id": ""}}, "out_of_range", "order.client_order_id"),
    ({**NEW, "order": {**ORDER, "account": "x" * 201}}, "out_of_range", "order.account"),
    ({**NEW, "order": {**ORDER, "valid_for_ms": 0}}, "out_of_range", "order.valid_for_ms"),
    ({**NEW, "order": {**ORDER, "expire_at_ns": 2**63}}, "out_of_range", "order.expire_at_ns"),
    ({**NEW, "order": {**ORDER, "expire_at_ns": 1.0}}, "wrong_type", "order.expire_at_ns"),
    ({**NEW, "order": {**ORDER, "bracket": {"stop_loss": {"distance": 1}}}}, "wrong_type",
     "order.bracket.stop_loss.distance"),
    ({**NEW, "order": {"client_order_id": "a"}}, "missing_field", "order.instrument"),
    ({**NEW, "cseq": 0, "order": ORDER}, "out_of_range", "cseq"),
    ({**NEW, "t": "order.steal"}, "unknown_request", "t"),
    ({"id": "r1"}, "missing_field", "t"),
    ({"t": "order.batch", "id": "r1", "cseq": 1, "orders": []}, "out_of_range", "orders"),
    ({"t": "order.batch", "id": "r1", "cseq": 1, "orders": [{**ORDER, "quantity": 2}]},
     "wrong_type", "orders[0].quantity"),
]  # fmt: skip


def _faults(message: Any, codec: Any) -> Any:
    module = msgspec.json if codec is JSON else msgspec.msgpack
    with pytest.raises(msgspec.MsgspecError) as caught:
        codec.decode_client(module.encode(message))
    return from_decode_error(caught.value)


@pytest.mark.parametrize(("message", "code", "field"), BAD)
@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)
def test_a_wrong_message_is_refused_with_its_field(
    message: Any, code: str, field: str, codec: Any
) -> None:
    error = _faults(message, codec)
    assert (error.code, error.field) == (code, field)
    assert error.message


def test_a_number_for_a_decimal_is_told_how_to_write_it() -> None:
    error = _faults({**NEW, "order": {**ORDER, "quantity": 1.5}}, JSON)
    assert "decimal as text" in error.message


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'{"t":1}', b"\xc1" * 9])
@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)
def test_garbage_is_an_error_and_never_anything_else(data: bytes, codec: Any) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)) as caught:
        codec.decode_client(data)
    assert from_decode_error(caught.value).code


def test_a_twin_keeps_defaults_and_tag() -> None:
    twin = strict_twin(wire.Login)
    assert twin.__struct_config__.tag == "login"
    assert twin(session="s").cursors == {}
    assert strict_twin(StopLoss)().distance is None


def test_the_id_of_a_wrong_message_is_found_where_it_can_be() -> None:
    assert JSON.find_id(b'{"id":"a","x":1}') == "a"
    assert JSON.find_id(b'{"id":7}') == ""
    assert MSGPACK.find_id(b"\xc1") == ""
