"""What every adapter must hold, whatever its broker says: the same tests over each dialect."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from dialects import DIALECTS, Dialect, answer
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.outbox import SeenEvents
from brokers.adapter import (
    Adapter,
    AmendTerms,
    Answered,
    BrokerError,
    NotSent,
    OutcomeUnknown,
    Request,
    SocketStream,
    whole_terms,
)
from brokers.registry import BROKERS
from domain.accounts import Environment
from domain.errors import Outcome
from domain.events import Accepted, External, Fill, Rejected, Replaced
from domain.orders import OrderType, TimeInForce

NOW_NS = 1_800_000_000_000_000_000
every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


def text(message: Any) -> bytes:
    return json.dumps(message).encode()


def answers(bodies: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(answer(200, body) for body in bodies)


def test_every_broker_in_the_registry_is_held_to_this() -> None:
    assert {dialect.name for dialect in DIALECTS} == BROKERS.keys()


# -- what a broker can do


@every_dialect
def test_the_capabilities_are_complete(dialect: Dialect) -> None:
    capabilities = dialect.adapter().capabilities
    assert capabilities.broker == dialect.name
    assert capabilities.times_in_force.keys() == capabilities.order_types
    assert capabilities.heartbeat_ms > 0
    assert capabilities.docs.startswith("https://")


@every_dialect
def test_what_is_not_among_the_capabilities_is_refused_by_its_field(dialect: Dialect) -> None:
    speaker = dialect.adapter()
    for kind in set(OrderType) - speaker.capabilities.order_types:
        why = speaker.find_unsupported(dialect.venue_order(type=kind).order)
        assert why is not None
        assert why.startswith("type")
    taken = speaker.capabilities.times_in_force[OrderType.MARKET]
    for time in set(TimeInForce) - taken:
        why = speaker.find_unsupported(dialect.venue_order(time_in_force=time).order)
        assert why is not None
        assert why.startswith("time_in_force")


# -- secrets


def requests_of(dialect: Dialect) -> Iterator[Request]:
    speaker, made = dialect.adapter(), dialect.venue_order(dialect.broker_order_id)
    terms = whole_terms(made.order)
    yield speaker.place(made)
    yield speaker.cancel(made)
    yield speaker.amend(made, terms)
    yield speaker.look_up(dialect.client_id)
    yield speaker.since(dialect.cursor)
    yield from speaker.account()
    yield from speaker.instruments()
    yield speaker.event_stream()
    yield speaker.price_stream((dialect.symbol,))


@every_dialect
def test_requests_are_plain_and_show_no_secret(dialect: Dialect) -> None:
    for request in requests_of(dialect):
        assert request.path.startswith("/")
        assert request.path.isascii()
        assert " " not in request.path
        assert "secret" not in repr(request)
        assert "secret" not in request.path
        assert b"secret" not in (request.body or b"")


@every_dialect
def test_a_token_logs_in_by_headers_and_is_checked_before(dialect: Dialect) -> None:
    broker = BROKERS[dialect.name]
    assert broker.find_token_fault(broker.paper_token("PA1")) is None
    assert broker.find_token_fault("") is not None
    secret = broker.paper_token("PA1").rpartition(":")[2]
    assert any(secret in value for value in broker.auth_headers(broker.paper_token("PA1")).values())
    assert broker.hosts.keys() == set(Environment)


# -- answers to orders


@every_dialect
def test_a_taken_order_is_accepted_under_our_id(dialect: Dialect) -> None:
    events = (
        dialect.adapter()
        .parse_placed(dialect.venue_order(), answer(*dialect.placed), NOW_NS)
        .events
    )
    assert isinstance(events[0], Accepted)
    assert events[0].venue_client_id == dialect.client_id


@every_dialect
def test_a_refused_order_is_rejected_and_nothing_was_applied(dialect: Dialect) -> None:
    (rejected,) = (
        dialect.adapter()
        .parse_placed(dialect.venue_order(), answer(*dialect.refused), NOW_NS)
        .events
    )
    assert isinstance(rejected, Rejected)
    assert rejected.error.outcome is Outcome.NONE
    assert rejected.venue_client_id == dialect.client_id


Parse = Callable[[Adapter, Dialect, Any], Any]
DECIDING: dict[str, Parse] = {
    "placed": lambda a, d, r: a.parse_placed(d.venue_order(), r, NOW_NS),
    "canceled": lambda a, d, r: a.parse_canceled(d.venue_order(d.broker_order_id), r, NOW_NS),
    "amended": lambda a, d, r: a.parse_amended(d.venue_order(d.broker_order_id), r, NOW_NS),
}


@every_dialect
@pytest.mark.parametrize("what", DECIDING)
@pytest.mark.parametrize("status", [302, 408, 500, 502, 503, 504])
def test_no_status_that_proves_nothing_decides_anything(
    dialect: Dialect, what: str, status: int
) -> None:
    with pytest.raises(OutcomeUnknown):
        DECIDING[what](dialect.adapter(), dialect, answer(status, b"sorry"))


# -- reads


READING: dict[str, Parse] = {
    "looked up": lambda a, d, r: a.parse_looked_up(d.client_id, r, NOW_NS),
    "since": lambda a, d, r: a.parse_since(d.cursor, r, NOW_NS),
    "account": lambda a, d, r: a.parse_account((r,) * len(d.account), NOW_NS),
    "open orders": lambda a, d, r: a.parse_open_orders((r,) * len(d.account), NOW_NS),
    "instruments": lambda a, d, r: a.parse_instruments((r,) * len(d.instruments)),
}


@every_dialect
@pytest.mark.parametrize("what", READING)
@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 503])
def test_a_read_that_is_refused_says_so(dialect: Dialect, what: str, status: int) -> None:
    with pytest.raises(Answered) as caught:
        READING[what](dialect.adapter(), dialect, answer(status, b"sorry"))
    assert caught.value.status == status


@every_dialect
def test_an_order_the_broker_does_not_know_is_no_event(dialect: Dialect) -> None:
    missing = answer(*dialect.not_found)
    assert dialect.adapter().parse_looked_up(dialect.client_id, missing, NOW_NS).events == ()
    with pytest.raises(Answered):
        dialect.adapter().parse_looked_up(dialect.client_id, answer(404, b"<html>"), NOW_NS)


@every_dialect
def test_an_order_the_broker_knows_is_told_under_our_id(dialect: Dialect) -> None:
    report = dialect.adapter().parse_looked_up(
        dialect.client_id, answer(200, dialect.found), NOW_NS
    )
    assert report.events[0].venue_client_id == dialect.client_id


@every_dialect
def test_the_account_has_a_cursor_and_its_orders_are_told_as_made(dialect: Dialect) -> None:
    speaker = dialect.adapter()
    assert len(speaker.account()) == len(dialect.account)
    snapshot = speaker.parse_account(answers(dialect.account), NOW_NS)
    assert snapshot.cursor
    assert snapshot.account.broker == dialect.name
    report = speaker.parse_open_orders(answers(dialect.account), NOW_NS)
    assert all(isinstance(event, External | Replaced) for event in report.events)
    assert speaker.since(snapshot.cursor)


@every_dialect
def test_instruments_have_a_grid(dialect: Dialect) -> None:
    found = dialect.adapter().parse_instruments(answers(dialect.instruments))
    assert dialect.symbol in {instrument.symbol for instrument in found}
    for instrument in found:
        assert min(instrument.tick, instrument.lot, instrument.pip, instrument.quantity_min) > 0


# -- streams and the past


@every_dialect
def test_the_stream_and_the_past_tell_the_same_fill(dialect: Dialect) -> None:
    streamed, past = dialect.adapter(), dialect.adapter()
    told = [e for m in dialect.events for e in streamed.parse_event_line(text(m), NOW_NS).events]
    cursor, found, has_more = dialect.cursor, [], True
    for page in dialect.pages:
        report = past.parse_since(cursor, answer(200, page), NOW_NS)
        found += report.events
        cursor, has_more = str(report.cursor), report.has_more
    assert not has_more
    fills = [[e for e in events if isinstance(e, Fill)] for events in (told, found)]
    assert [f.execution_id for f in fills[0]] == [f.execution_id for f in fills[1]] != []
    assert SeenEvents().new_of((*told, *found)) == tuple(dict.fromkeys(told))


@every_dialect
def test_the_cursor_after_a_line_is_one_that_can_be_asked_from(dialect: Dialect) -> None:
    speaker = dialect.adapter()
    for message in dialect.events:
        cursor = speaker.parse_event_line(text(message), NOW_NS).cursor
        assert cursor is not None
        assert speaker.since(cursor).path.startswith("/")


@every_dialect
def test_a_line_told_again_is_known(dialect: Dialect) -> None:
    speaker, seen = dialect.adapter(), SeenEvents()
    for message in dialect.events:
        assert seen.new_of(speaker.parse_event_line(text(message), NOW_NS).events)
    for message in dialect.events:
        assert not seen.new_of(speaker.parse_event_line(text(message), NOW_NS).events)


@every_dialect
def test_an_unknown_word_is_named_and_passed_over(dialect: Dialect) -> None:
    report = dialect.adapter().parse_event_line(text(dialect.strange), NOW_NS)
    assert (report.events, len(report.unread)) == ((), 1)
    assert report.cursor is not None


@every_dialect
def test_a_price_is_a_quote_of_ours(dialect: Dialect) -> None:
    quote = dialect.adapter().parse_price_line(text(dialect.price), "c1", NOW_NS).quote
    assert quote is not None
    assert (quote.instrument, quote.connection) == (dialect.symbol, "c1")
    assert (quote.bid, quote.ask) == (Decimal("1.1"), Decimal("1.2"))


@every_dialect
def test_an_open_stream_is_changed_by_frames_or_opened_anew(dialect: Dialect) -> None:
    speaker = dialect.adapter()
    assert speaker.price_feed(dialect.symbol)
    frames = speaker.change_prices((dialect.symbol,), ())
    assert frames is None or all(isinstance(frame, bytes) for frame in frames)


@every_dialect
def test_a_pong_is_a_sign_of_life_where_streams_have_pongs(dialect: Dialect) -> None:
    speaker = dialect.adapter()
    if isinstance(speaker.event_stream(), SocketStream):
        assert speaker.parse_event_line(b"", NOW_NS).is_heartbeat
    if isinstance(speaker.price_stream((dialect.symbol,)), SocketStream):
        assert speaker.parse_price_line(b"", "c1", NOW_NS).is_heartbeat


# -- whatever is said, nothing but the declared errors

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["NaN", "1E+999999", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "-0"])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


@st.composite
def bent(draw: st.DrawFn, message: Any) -> Any:
    """The message with one value, somewhere in it, replaced or left out."""
    if isinstance(message, dict) and message and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(message)))
        if draw(st.integers(0, 5)) == 0:
            return {k: v for k, v in message.items() if k != key}
        return {**message, key: draw(bent(message[key]))}
    if isinstance(message, list) and message and draw(st.booleans()):
        place = draw(st.integers(0, len(message) - 1))
        return [*message[:place], draw(bent(message[place])), *message[place + 1 :]]
    return draw(JSON)


def messages(*valid: Any) -> st.SearchStrategy[Any]:
    return JSON | st.sampled_from(valid).flatmap(bent)


def as_body(body: Any) -> Any:
    return json.loads(body) if isinstance(body, bytes) else body


def parses(dialect: Dialect) -> dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], Any]]]:
    """Every way in: what may come, and who reads it."""
    d = dialect
    ways: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], Any]]] = {
        "event line": (
            messages(*d.events), lambda m: d.adapter().parse_event_line(text(m), NOW_NS),
        ),
        "price line": (
            messages(d.price), lambda m: d.adapter().parse_price_line(text(m), "c1", NOW_NS),
        ),
    }  # fmt: skip
    for name, parse in {**DECIDING, **READING}.items():
        valid = (d.placed[1], d.refused[1], d.found, *d.pages, *map(as_body, d.account))
        ways[name] = (
            st.tuples(st.sampled_from([200, 201, 404, 422]), messages(*valid)),
            lambda said, parse=parse: parse(d.adapter(), d, answer(said[0], text(said[1]))),
        )
    ways["whole account"] = (
        st.tuples(*(bent(as_body(body)) | st.just(as_body(body)) for body in d.account)),
        lambda bodies: d.adapter().parse_account(answers(bodies), NOW_NS),
    )
    return ways


@every_dialect
@pytest.mark.parametrize("way", ["event line", "price line", *DECIDING, *READING, "whole account"])
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_whatever_a_broker_says_only_declared_errors_are_raised(
    dialect: Dialect, way: str, data: st.DataObject
) -> None:
    strategy, parse = parses(dialect)[way]
    said = data.draw(strategy)
    try:
        parse(said)
    except BrokerError as trouble:
        assert not isinstance(trouble, NotSent), "a parse never sends"  # noqa: PT017
        if way in DECIDING:
            assert isinstance(trouble, OutcomeUnknown)  # noqa: PT017


@every_dialect
@settings(deadline=None, max_examples=50)
@given(raw=st.binary(max_size=60))
def test_whatever_bytes_a_stream_says_only_declared_errors_are_raised(
    dialect: Dialect, raw: bytes
) -> None:
    for read in (
        lambda: dialect.adapter().parse_event_line(raw, NOW_NS),
        lambda: dialect.adapter().parse_price_line(raw, "c1", NOW_NS),
    ):
        with contextlib.suppress(BrokerError):
            read()


@every_dialect
def test_an_amend_of_nothing_new_still_names_its_order(dialect: Dialect) -> None:
    request = dialect.adapter().amend(
        dialect.venue_order(dialect.broker_order_id), AmendTerms(quantity=Decimal(100))
    )
    assert dialect.broker_order_id in request.path
