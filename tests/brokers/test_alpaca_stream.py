"""Trade updates: each may be the first we hear, come twice, late, out of order, or never."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from alpaca_builders import (
    ACCOUNT,
    CLIENT_ID,
    EXECUTION,
    NOW_NS,
    ORDER_ID,
    TIME_NS,
    adapter,
    fill_update,
    line,
    order,
    read,
    update,
    venue_order,
)

from actors.outbox import SeenEvents
from brokers import alpaca_words as words
from brokers.adapter import BrokerError, Host, SocketStream
from brokers.alpaca_words import News
from domain.events import (
    AmendRefused,
    Canceled,
    CancelRefused,
    Expired,
    External,
    Fill,
    Rejected,
    Replaced,
)
from domain.ids import execution_id
from domain.orders import OrderType, Side, TimeInForce, Trailing
from tests.shared_data import SHARED, requires_shared

D = Decimal


def kinds(*messages: dict[str, Any]) -> list[type]:
    return [type(event) for event in read(adapter(), *messages)]


# -- words


@requires_shared
def test_the_tables_are_the_published_words_and_those_known_beside_them() -> None:
    spec = json.loads((SHARED / "specs" / "alpaca" / "trading-api.json").read_bytes())
    schemas = spec["components"]["schemas"]
    assert words.STATUS.keys() == set(schemas["OrderStatus"]["enum"])
    assert words.ORDER_TYPE.keys() == set(schemas["OrderType"]["enum"])
    assert words.TIME_IN_FORCE.keys() == set(schemas["TimeInForce"]["enum"])
    assert words.ACCOUNT_STATUS.keys() == set(schemas["AccountStatus"]["enum"])
    older = {"OPXRC", "SC", "SSO", "SSP"}
    published = set(schemas["ActivityType"]["enum"])
    assert words.ACTIVITY.keys() == published - words.GROUPS | older
    assert set(schemas["OrderSide"]["enum"]) <= words.SIDE.keys()


def test_every_documented_event_is_known() -> None:
    common = {
        "new", "fill", "partial_fill", "canceled", "expired", "done_for_day", "replaced",
    }  # fmt: skip
    rarer = {
        "accepted", "rejected", "pending_new", "stopped", "pending_cancel", "pending_replace",
        "calculated", "suspended", "order_replace_rejected", "order_cancel_rejected",
    }  # fmt: skip
    assert words.EVENT.keys() == common | rarer


EXPECTED = {
    News.COMES: [External],
    News.WORKS: [External],
    News.CANCELED: [External, Canceled],
    News.EXPIRED: [External, Expired],
    News.REJECTED: [External, Rejected],
    News.REPLACED: [External],
    News.CANCEL_REFUSED: [External, CancelRefused],
    News.AMEND_REFUSED: [External, AmendRefused],
}


@pytest.mark.parametrize("event", sorted(words.EVENT.keys() - {"fill", "partial_fill"}))
def test_every_event_tells_its_order_and_its_news(event: str) -> None:
    assert kinds(update(event)) == EXPECTED[words.EVENT[event]]


@pytest.mark.parametrize("event", ["levitated", *sorted(words.FOR_PEOPLE)])
def test_words_nobody_knows_and_what_takes_back_are_breaks(event: str) -> None:
    report = adapter().parse_event_line(line(update(event)), NOW_NS)
    assert report.events == ()
    assert report.cursor is not None
    (what,) = report.unread
    assert ORDER_ID in what
    assert event in what


@pytest.mark.parametrize(
    "odd",
    [
        update("new", order(type="levitate")),
        update("new", order(side="both")),
        update("new", order(time_in_force="never")),
        update("new", order(symbol=None)),
        update("new", order(created_at=None, submitted_at=None)),
        update("new", order(submitted_at="yesterday")),
        fill_update(execution=None),
        fill_update(price=None),
        fill_update(qty=None),
    ],
)
def test_a_message_that_lacks_or_bends_a_word_is_a_break_and_not_a_stop(
    odd: dict[str, Any],
) -> None:
    report = adapter().parse_event_line(line(odd), NOW_NS)
    assert len(report.unread) == 1
    assert not any(isinstance(event, Fill) for event in report.events)


def test_another_stream_than_we_listen_to_is_a_break() -> None:
    report = adapter().parse_event_line(line({"stream": "gossip", "data": {}}), NOW_NS)
    assert report.unread == ("stream 'gossip'",)


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xc1", b'{"stream":"trade_updates"}', b"7"])
def test_a_line_that_is_no_message_is_a_broker_error(text: bytes) -> None:
    with pytest.raises(BrokerError):
        adapter().parse_event_line(text, NOW_NS)


# -- orders


def test_an_order_is_told_with_its_terms() -> None:
    (made,) = read(adapter(), update("new", order(type="stop_limit", stop_price="171")))
    assert made == External(
        at_ns=TIME_NS,
        broker_order_id=ORDER_ID,
        instrument="AAPL",
        side=Side.BUY,
        quantity=D(100),
        order_type=OrderType.STOP_LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=D(170),
        stop_price=D(171),
        venue_client_id=CLIENT_ID,
    )


def test_a_trailing_stop_is_told_by_its_trail_and_not_by_where_it_stands() -> None:
    made = order(type="trailing_stop", limit_price=None, trail_percent="1.5", stop_price="169")
    (told,) = read(adapter(), update("new", made))
    assert told.trailing == Trailing(percent=D("1.5"))
    assert told.stop_price is None


def test_an_order_by_money_has_the_quantity_it_filled() -> None:
    (made,) = read(adapter(), update("new", order(qty=None, notional="500", filled_qty="2.5")))
    assert made.quantity == D("2.5")


def test_a_basket_of_options_is_told_by_nothing_for_it_is_no_order_of_one_instrument() -> None:
    assert read(adapter(), update("new", order(order_class="mleg", side=None, symbol=None))) == []


def test_numbers_may_come_as_numbers() -> None:
    (made,) = read(adapter(), update("new", order(qty=1, limit_price=170.25)))
    assert (made.quantity, made.limit_price) == (D(1), D("170.25"))


def test_a_bracket_s_children_name_their_parent_and_wait_unseen() -> None:
    speaker = adapter()
    legs = [order("tp", "held", side="sell"), order("sl", "held", side="sell", type="stop")]
    told = read(speaker, update("new", order(order_class="bracket", legs=legs)))
    assert [event.broker_order_id for event in told] == [ORDER_ID]
    children = read(speaker, update("new", order("tp", side="sell", order_class="bracket")))
    # The stop is held on while the target works: it guards, and no update will say so.
    assert [event.broker_order_id for event in children] == ["tp", "sl"]
    assert {event.parent_broker_order_id for event in children} == {ORDER_ID}
    (again,) = read(speaker, update("new", order("tp", side="sell", order_class="bracket")))
    assert again.broker_order_id == "tp"


# -- fills


def test_a_fill_is_this_execution_s_and_never_the_order_s() -> None:
    _, fill = read(adapter(), fill_update(40, 90))
    assert fill == Fill(
        at_ns=TIME_NS,
        execution_id=execution_id("alpaca", ACCOUNT, EXECUTION),
        broker_execution_id=EXECUTION,
        broker_order_id=ORDER_ID,
        venue_client_id=CLIENT_ID,
        instrument="AAPL",
        side=Side.BUY,
        quantity=D(40),
        price=D("169.5"),
        currency="USD",
    )


def test_the_side_of_a_fill_is_its_order_s_for_quantities_have_no_sign() -> None:
    _, sold = read(adapter(), fill_update(made=order(side="sell")))
    assert (sold.side, sold.quantity) == (Side.SELL, D(100))
    _, odd = read(adapter(), fill_update(qty="-100", made=order(side="sell")))
    assert odd.quantity == D(100)


def test_a_line_that_comes_again_tells_nothing_new() -> None:
    speaker, seen = adapter(), SeenEvents()
    messages = [update("new"), fill_update(), update("new"), fill_update(), fill_update()]
    told = [seen.new_of(read(speaker, message)) for message in messages]
    assert [len(events) for events in told] == [1, 1, 0, 0, 0]


def test_the_lines_of_an_order_tell_the_same_in_any_order() -> None:
    lines = [update("new"), fill_update(40, 40, "x-1"), fill_update(60, 100, "x-2")]
    told = set()
    for shuffled in itertools.permutations(lines):
        events = SeenEvents().new_of(read(adapter(), *shuffled))
        told.add(frozenset(msgspec.msgpack.encode(event) for event in events))
    assert len(told) == 1


def test_a_fill_whose_order_had_more_filled_before_shows_a_lost_line() -> None:
    speaker = adapter()
    read(speaker, update("new"))
    assert speaker.parse_event_line(line(fill_update(10, 10, "x-1")), NOW_NS).gap is None
    report = speaker.parse_event_line(line(fill_update(30, 60, "x-3")), NOW_NS)
    assert report.gap is not None
    assert "30 filled before this, and 10 were told" in report.gap
    late = speaker.parse_event_line(line(fill_update(20, 30, "x-2")), NOW_NS)
    again = speaker.parse_event_line(line(fill_update(30, 60, "x-3")), NOW_NS)
    assert (late.gap, again.gap) == (None, None)


def test_a_fill_of_an_order_from_before_our_time_shows_nothing() -> None:
    assert adapter().parse_event_line(line(fill_update(30, 60)), NOW_NS).gap is None


# -- replacing


def replacing(status: str = "new", **fields: Any) -> dict[str, Any]:
    return order("new-id", status, replaces=ORDER_ID, limit_price="171", **fields)


def test_a_replacement_made_elsewhere_is_told_by_the_order_that_replaces() -> None:
    speaker = adapter()
    read(speaker, update("new"), update("replaced", order(status="replaced")))
    told, made = read(speaker, update("new", replacing()))
    assert told == Replaced(
        at_ns=TIME_NS,
        broker_order_id="new-id",
        previous_broker_order_id=ORDER_ID,
        venue_client_id=CLIENT_ID,
        quantity=D(100),
        limit_price=D(171),
    )
    assert isinstance(made, External)


def test_replaced_and_new_tell_the_same_in_any_order() -> None:
    lines = [update("new", replacing()), update("replaced", order(status="replaced"))]
    for shuffled in itertools.permutations(lines):
        told = [e for e in read(adapter(), update("new"), *shuffled) if isinstance(e, Replaced)]
        assert len({event.limit_price for event in told}) == 1


def test_a_replacement_that_only_comes_has_replaced_nothing() -> None:
    speaker = adapter()
    read(speaker, update("new"))
    assert read(speaker, update("pending_new", replacing("pending_new"))) == []
    told = read(speaker, update("replaced", order(status="replaced")))
    assert any(isinstance(event, Replaced) for event in told)


def test_a_replacement_that_is_rejected_leaves_the_order_as_it_was() -> None:
    speaker = adapter()
    read(speaker, update("new"))
    (refused,) = read(speaker, update("rejected", replacing("rejected")))
    assert isinstance(refused, AmendRefused)
    assert (refused.broker_order_id, refused.venue_client_id) == (ORDER_ID, CLIENT_ID)
    assert not any(isinstance(e, Replaced) for e in read(speaker, update("new")))


def test_an_order_replaced_after_a_part_was_filled_has_that_part_and_its_own_quantity() -> None:
    speaker = adapter()
    read(speaker, update("new"), fill_update(30, 30))
    told, *_ = read(speaker, update("new", replacing(qty="70")))
    assert told.quantity == D(100)
    part = fill_update(20, 20, "x-2", made=replacing(qty="70"))
    told, *_ = read(speaker, part)
    assert told.quantity == D(100)
    last, *_ = read(
        speaker, update("new", order("newer", replaces="new-id", qty="50", filled_qty="0"))
    )
    assert (last.quantity, last.venue_client_id) == (D(100), CLIENT_ID)


def test_the_newest_of_a_chain_of_replacements_is_what_is_canceled() -> None:
    speaker = adapter()
    read(speaker, update("new"), update("new", replacing()))
    read(speaker, update("new", order("newer", replaces="new-id")))
    assert speaker.cancel(venue_order()).path == "/v2/orders/newer"


# -- the stream


def test_the_trading_stream_logs_in_and_listens_before_it_is_open() -> None:
    stream = adapter().event_stream()
    assert isinstance(stream, SocketStream)
    assert (stream.path, stream.host) == ("/stream", Host.REST)
    login, listen = stream.steps
    assert json.loads(login.says or b"") == {
        "action": "authenticate",
        "data": {"key_id": "a-key-id", "secret_key": "a-secret-key"},
    }
    granted = line({"stream": "authorization", "data": {"status": "authorized"}})
    refused = line({"stream": "authorization", "data": {"status": "unauthorized"}})
    listening = line({"stream": "listening", "data": {"streams": ["trade_updates"]}})
    deaf = line({"stream": "listening", "data": {"streams": []}})
    assert login.hears(granted)
    assert not login.hears(b"")
    assert not login.hears(line(update("new")))
    assert listen.hears(listening)
    assert not listen.hears(granted)
    for step, said in ((login, refused), (listen, refused), (listen, deaf)):
        with pytest.raises(BrokerError, match="refuses"):
            step.hears(said)


@pytest.mark.parametrize(
    "said", [b"", line({"stream": "listening", "data": {"streams": ["trade_updates"]}})]
)
def test_a_pong_and_an_acknowledgement_are_signs_of_life(said: bytes) -> None:
    report = adapter().parse_event_line(said, NOW_NS)
    assert (report.is_heartbeat, report.head) == (True, None)


def test_a_message_may_be_msgpack() -> None:
    report = adapter().parse_event_line(msgspec.msgpack.encode(update("new")), NOW_NS)
    assert [type(event) for event in report.events] == [External]


def test_the_cursor_is_the_newest_time_told_and_never_goes_back() -> None:
    speaker = adapter()
    late = update("canceled", order(canceled_at="2024-03-15T15:00:00Z", status="canceled"))
    first = speaker.parse_event_line(line(late), NOW_NS).cursor
    second = speaker.parse_event_line(line(update("new", order("other"))), NOW_NS).cursor
    assert first == second
    assert first is not None
    assert first.startswith("2024-03-15T15:00:00")
