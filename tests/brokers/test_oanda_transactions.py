from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from oanda_builders import (
    ACCOUNT,
    CLIENT_ID,
    NOW_NS,
    TIME,
    TIME_NS,
    adapter,
    answer,
    cancel,
    creation,
    fill,
    guard,
    line,
    read,
    transaction,
    venue_order,
)
from test_oanda_account import account as oanda_account

from brokers import oanda_words as words
from brokers import reading
from brokers.adapter import BrokerError, Report
from brokers.reading import UnknownWord
from domain.events import (
    Accepted,
    AmendRefused,
    Canceled,
    CancelRefused,
    External,
    Fill,
    Rejected,
    Replaced,
)
from domain.ids import execution_id
from domain.orders import OrderType, Side, TimeInForce, Trailing
from domain.portfolio import LotClosed, LotOpened

ON_FILL = {"stopLossOnFill": {"price": "1.09", "timeInForce": "GTC"}}


def test_a_creation_read_from_the_stream_is_an_external_order_under_its_client_id():
    (event,) = read(adapter(), creation(units="-100"))
    assert event == External(
        at_ns=TIME_NS,
        broker_order_id="10",
        instrument="EUR/USD",
        side=Side.SELL,
        quantity=Decimal(100),
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.FOK,
        venue_client_id=CLIENT_ID,
    )


def test_an_order_made_elsewhere_has_no_client_id():
    made = creation(kind="LIMIT_ORDER", price="1.1", timeInForce="GTD", gtdTime=TIME)
    del made["clientExtensions"]
    (event,) = read(adapter(), made)
    assert (event.venue_client_id, event.limit_price) == (None, Decimal("1.1"))
    assert event.time_in_force is TimeInForce.GTD


@pytest.mark.parametrize(
    ("kind", "order_type", "stop_price"),
    [
        ("STOP_ORDER", OrderType.STOP, Decimal("1.1")),
        ("MARKET_IF_TOUCHED_ORDER", OrderType.MARKET_IF_TOUCHED, Decimal("1.1")),
        ("FIXED_PRICE_ORDER", OrderType.MARKET, None),
    ],
)
def test_every_kind_of_entry_is_described(
    kind: str, order_type: OrderType, stop_price: Decimal | None
):
    (event,) = read(adapter(), creation(kind=kind, price="1.1", timeInForce="GTC"))
    assert (event.order_type, event.stop_price) == (order_type, stop_price)


def test_a_fixed_price_order_has_no_time_in_force_and_fills_at_once():
    made = creation(kind="FIXED_PRICE_ORDER", price="1.1")
    del made["timeInForce"]
    (event,) = read(adapter(), made)
    assert event.time_in_force is TimeInForce.FOK


def test_a_fill_says_everything_the_broker_booked():
    (event,) = read(adapter(), fill(guaranteedExecutionFee="0.1000"))
    assert event == Fill(
        at_ns=TIME_NS,
        execution_id=execution_id("oanda", ACCOUNT, "11"),
        broker_execution_id="11",
        broker_order_id="10",
        instrument="EUR/USD",
        side=Side.BUY,
        quantity=Decimal(100),
        price=Decimal("1.10000"),
        venue_client_id=CLIENT_ID,
        currency="EUR",
        commission=Decimal("-0.6"),
        financing=Decimal("-0.0100"),
        realized_pnl=Decimal("0.0000"),
        balance_after=Decimal("9999.4900"),
        lots_opened=(LotOpened(lot_id="11", quantity=Decimal(100), price=Decimal("1.1")),),
    )


def test_a_fill_is_the_same_however_it_reached_us():
    made, filled = creation(), fill()
    speaker = adapter()
    response = answer(201, {"orderCreateTransaction": made, "orderFillTransaction": filled})
    answered = speaker.parse_placed(venue_order(), response, NOW_NS).events[-1]
    (streamed,) = read(adapter(), filled)
    since = answer(200, {"transactions": [filled], "lastTransactionID": "11"})
    assert answered == streamed
    assert speaker.parse_since("1", since, NOW_NS).events == (streamed,)


def test_the_stream_need_not_tell_again_what_an_answer_told():
    made, filled = creation(), fill()
    speaker = adapter()
    response = answer(201, {"orderCreateTransaction": made, "orderFillTransaction": filled})
    speaker.parse_placed(venue_order(), response, NOW_NS)
    for told in (made, filled):
        assert speaker.parse_event_line(line(told), NOW_NS) == Report(cursor=told["id"])
    assert read(speaker, filled) != (), "what comes once more is read like any other"


def test_a_refusal_in_an_answer_is_read_on_the_stream_as_well():
    made, ended = creation(), cancel(reason="INSUFFICIENT_MARGIN", batchID="10")
    speaker = adapter()
    response = answer(201, {"orderCreateTransaction": made, "orderCancelTransaction": ended})
    speaker.parse_placed(venue_order(), response, NOW_NS)
    assert [type(event) for event in (*read(speaker, made), *read(speaker, ended))] == [
        External,
        Rejected,
    ]


def test_a_sale_that_closes_one_lot_reduces_another_and_opens_none():
    (event,) = read(
        adapter(),
        fill(
            units="-150",
            pl="12.5000",
            tradeOpened=None,
            tradesClosed=[{"tradeID": "3", "units": "-100", "price": "1.1", "realizedPL": "10.0"}],
            tradeReduced={"tradeID": "5", "units": "-50", "price": "1.1", "realizedPL": "2.5"},
        ),
    )
    assert (event.side, event.quantity) == (Side.SELL, Decimal(150))
    assert event.lots_opened == ()
    assert event.lots_closed == (
        LotClosed(
            lot_id="3",
            quantity=Decimal(-100),
            price=Decimal("1.1"),
            realized_pnl=Decimal("10.0"),
        ),
        LotClosed(
            lot_id="5", quantity=Decimal(-50), price=Decimal("1.1"), realized_pnl=Decimal("2.5")
        ),
    )


def test_a_buy_that_closes_a_short_adds_to_the_lot_and_reverses():
    (event,) = read(
        adapter(),
        fill(
            units="150",
            tradesClosed=[{"tradeID": "3", "units": "100", "price": "1.1"}],
            tradeOpened={"tradeID": "11", "units": "50", "price": "1.1"},
        ),
    )
    assert [lot.quantity for lot in event.lots_closed] == [Decimal(100)]
    assert [lot.quantity for lot in event.lots_opened] == [Decimal(50)]


def test_trades_without_a_price_of_their_own_have_that_of_the_fill():
    (event,) = read(
        adapter(),
        fill(
            fullVWAP=None,
            tradeOpened={"tradeID": "11", "units": "50"},
            tradesClosed=[{"tradeID": "3", "units": "50"}],
        ),
    )
    assert event.price == Decimal("1.10000")
    assert event.lots_opened[0].price == event.lots_closed[0].price == Decimal("1.10000")


def test_the_price_of_a_fill_is_that_of_its_trades_not_the_deprecated_one():
    (event,) = read(adapter(), fill(price="1.20000", fullVWAP="1.20000"))
    assert event.price == Decimal("1.10000")


def test_a_fill_clamped_by_a_guarantee_has_the_mean_price_of_its_trades():
    (event,) = read(
        adapter(),
        fill(
            units="-100",
            tradeOpened=None,
            tradesClosed=[
                {"tradeID": "3", "units": "-75", "price": "1.10"},
                {"tradeID": "4", "units": "-25", "price": "1.14"},
            ],
        ),
    )
    assert event.price == Decimal("1.11")


def test_a_fill_without_charges_has_none():
    (event,) = read(adapter(), fill(commission=None))
    assert event.commission is None


@pytest.mark.parametrize("reason", sorted(words.FILL_REASONS))
def test_every_fill_reason_is_a_fill_of_its_own_order_even_of_one_never_described(reason: str):
    (event,) = read(adapter(), fill(20, 15, reason=reason, clientOrderID=None))
    assert isinstance(event, Fill)
    assert (event.broker_order_id, event.venue_client_id) == ("15", None)


@pytest.mark.parametrize(
    ("reason", "extra"),
    [
        ("TRADE_CLOSE", {"tradeClose": {"tradeID": "3", "units": "ALL"}}),
        ("POSITION_CLOSEOUT", {"longPositionCloseout": {"instrument": "EUR_USD", "units": "ALL"}}),
        ("MARGIN_CLOSEOUT", {"marginCloseout": {"reason": "MARGIN_CHECK_VIOLATION"}}),
        (
            "DELAYED_TRADE_CLOSE",
            {"delayedTradeClose": {"tradeID": "3", "sourceTransactionID": "9"}},
        ),
    ],
)
def test_a_close_made_by_hand_or_by_the_broker_is_an_external_market_order_and_its_fill(
    reason: str, extra: dict[str, Any]
):
    made = creation(units="-100", reason=reason, positionFill="REDUCE_ONLY", **extra)
    del made["clientExtensions"]
    closed = fill(
        units="-100",
        clientOrderID=None,
        reason=f"MARKET_ORDER_{reason}",
        tradeOpened=None,
        tradesClosed=[{"tradeID": "3", "units": "-100", "price": "1.1"}],
    )
    external, filled = read(adapter(), made, closed)
    assert isinstance(external, External)
    assert (external.side, external.order_type) == (Side.SELL, OrderType.MARKET)
    assert filled.broker_order_id == external.broker_order_id
    assert filled.lots_closed[0].quantity == -100


def test_a_bracket_child_names_the_fill_that_made_it_the_lot_it_guards_and_its_instrument():
    speaker = adapter()
    read(speaker, creation(**ON_FILL), fill())
    (child,) = read(speaker, guard(12, clientExtensions={"id": "child-1"}))
    assert child == External(
        at_ns=TIME_NS,
        broker_order_id="12",
        instrument="EUR/USD",
        side=Side.SELL,
        quantity=Decimal(100),
        order_type=OrderType.STOP,
        time_in_force=TimeInForce.GTC,
        stop_price=Decimal("1.09000"),
        parent_execution="11",
        venue_client_id="child-1",
        closes_lot="11",
    )


def test_the_guards_of_a_short_buy_and_a_trailing_one_says_its_distance():
    speaker = adapter()
    read(speaker, fill(units="-100", tradeOpened={"tradeID": "11", "units": "-100"}))
    target, trail = read(
        speaker,
        guard(12, "TAKE_PROFIT_ORDER"),
        guard(13, "TRAILING_STOP_LOSS_ORDER", price=None, distance="0.01"),
    )
    assert (target.side, target.order_type, target.limit_price) == (
        Side.BUY,
        OrderType.LIMIT,
        Decimal("1.09000"),
    )
    assert trail.trailing == Trailing(amount=Decimal("0.01"))


def test_a_lot_opened_with_a_bracket_says_so():
    made, filled = creation(**ON_FILL), fill()
    _, with_bracket = read(adapter(), made, filled)
    _, without = read(adapter(), creation(), filled)
    assert with_bracket.lots_opened[0].has_bracket
    assert not without.lots_opened[0].has_bracket


def test_a_guard_guards_what_is_left_of_its_trade_and_a_fill_read_twice_counts_once():
    speaker = adapter()
    part = fill(
        13,
        12,
        units="-40",
        tradeOpened=None,
        tradeReduced={"tradeID": "11", "units": "-40", "price": "1.1"},
    )
    read(speaker, fill(), part, part, fill())
    (child,) = read(speaker, guard(14))
    assert child.quantity == 60


def test_a_guard_of_a_trade_never_told_or_closed_says_nothing():
    speaker = adapter()
    assert read(speaker, guard(12)) == []
    closing = fill(
        13, 12, units="-100", tradeOpened=None, tradesClosed=[{"tradeID": "11", "units": "-100"}]
    )
    read(speaker, fill(), closing)
    assert read(speaker, guard(14)) == []


def test_a_guard_is_known_though_an_answer_told_the_end_of_its_trade_before_the_stream():
    speaker = adapter()
    closing = fill(
        14, 13, units="-100", tradeOpened=None, tradesClosed=[{"tradeID": "11", "units": "-100"}]
    )
    read(speaker, fill(), closing)
    (child,) = read(speaker, guard(12))
    assert (child.quantity, child.closes_lot) == (100, "11")


def test_a_stop_that_fires_is_a_fill_of_the_child_and_its_sibling_is_canceled():
    speaker = adapter()
    read(speaker, fill(), guard(12), guard(13, "TAKE_PROFIT_ORDER"))
    filled, ended = read(
        speaker,
        fill(
            14,
            12,
            batchID="14",
            units="-100",
            clientOrderID=None,
            reason="STOP_LOSS_ORDER",
            tradeOpened=None,
            tradesClosed=[{"tradeID": "11", "units": "-100", "price": "1.09"}],
        ),
        cancel(15, 13, batchID="14", clientOrderID=None, reason="LINKED_TRADE_CLOSED"),
    )
    assert (filled.broker_order_id, filled.side) == ("12", Side.SELL)
    assert ended == Canceled(at_ns=TIME_NS, reason="LINKED_TRADE_CLOSED", broker_order_id="13")


def test_a_cancel_and_a_creation_that_replace_an_order_are_one_replaced():
    events = read(
        adapter(),
        cancel(11, reason="CLIENT_REQUEST_REPLACED", replacedByOrderID="12"),
        creation(
            12,
            kind="STOP_ORDER",
            price="1.3",
            timeInForce="GTD",
            gtdTime=TIME,
            replacesOrderID="10",
            reason="REPLACEMENT",
        ),
    )
    assert events == [
        Replaced(
            at_ns=TIME_NS,
            broker_order_id="12",
            previous_broker_order_id="10",
            venue_client_id=CLIENT_ID,
            quantity=Decimal(100),
            stop_price=Decimal("1.3"),
            expire_at_ns=TIME_NS,
        )
    ]


def test_a_replaced_guard_has_no_quantity_of_its_own():
    (event,) = read(
        adapter(),
        guard(
            13,
            "TRAILING_STOP_LOSS_ORDER",
            distance="0.02",
            reason="REPLACEMENT",
            replacesOrderID="12",
        ),
    )
    assert event.quantity is None
    assert event.trailing == Trailing(amount=Decimal("0.02"))


def test_a_working_order_canceled_for_an_error_is_canceled_with_the_error():
    made = creation(kind="LIMIT_ORDER", price="1.1", timeInForce="GTC")
    _, ended = read(adapter(), made, cancel(50, reason="INSUFFICIENT_MARGIN"))
    assert isinstance(ended, Canceled)
    assert ended.error is not None


def test_a_refused_creation_is_rejected_where_it_has_our_id_and_silent_where_it_has_none():
    refused = creation(kind="LIMIT_ORDER_REJECT", rejectReason="PRICE_INVALID")
    (event,) = read(adapter(), refused)
    assert isinstance(event, Rejected)
    assert event.venue_client_id == CLIENT_ID
    del refused["clientExtensions"]
    assert read(adapter(), refused) == []


def test_a_refusal_of_an_id_in_use_says_nothing_of_the_order_that_has_it():
    refused = creation(kind="LIMIT_ORDER_REJECT", rejectReason=words.DUPLICATE_CLIENT_ID)
    assert read(adapter(), refused) == []


def test_a_refused_replacement_is_a_refused_amend_of_the_order_that_stays():
    (event,) = read(
        adapter(),
        creation(
            kind="LIMIT_ORDER_REJECT", rejectReason="PRICE_INVALID", intendedReplacesOrderID="7"
        ),
    )
    assert isinstance(event, AmendRefused)
    assert event.broker_order_id == "7"


def test_a_refused_cancel_is_told():
    (event,) = read(
        adapter(),
        transaction("ORDER_CANCEL_REJECT", 12, orderID="10", rejectReason="ORDER_DOESNT_EXIST"),
    )
    assert isinstance(event, CancelRefused)


@pytest.mark.parametrize("kind", sorted(words.NO_ORDER_EVENT))
def test_a_transaction_that_is_no_order_event_still_moves_the_cursor(kind: str):
    report = adapter().parse_event_line(line(transaction(kind, 30, amount="5")), NOW_NS)
    assert (report.events, report.cursor, report.is_heartbeat) == ((), "30", False)


def test_a_heartbeat_shows_the_brokers_newest_transaction_which_is_no_cursor():
    beat = {"type": "HEARTBEAT", "lastTransactionID": "2311", "time": TIME}
    report = adapter().parse_event_line(line(beat), NOW_NS)
    assert (report.events, report.cursor, report.is_heartbeat) == ((), None, True)
    assert report.head == "2311"


def test_transactions_since_are_read_in_order_and_leave_the_cursor_at_the_last():
    body = {"transactions": [creation(), fill()], "lastTransactionID": "99"}
    report = adapter().parse_since("1", answer(200, body), NOW_NS)
    assert [type(event) for event in report.events] == [External, Fill]
    assert report.cursor == "11"


def test_the_guard_of_a_trade_opened_before_the_list_and_closed_in_it_is_known_by_its_close():
    part = fill(
        51, 49, units="-40", tradeOpened=None, tradeReduced={"tradeID": "11", "units": "-40"}
    )
    closing = fill(
        53, 50, units="-60", tradeOpened=None, tradesClosed=[{"tradeID": "11", "units": "-60"}]
    )
    made = [part, guard(50), closing, transaction("DAILY_FINANCING", 54)]
    body = answer(200, {"transactions": made, "lastTransactionID": "54"})
    _, child, filled = adapter().parse_since("1", body, NOW_NS).events
    assert (child.instrument, child.side, child.quantity) == ("EUR/USD", Side.SELL, Decimal(60))
    assert (filled.broker_order_id, filled.quantity) == ("50", Decimal(60))


def test_a_trade_opened_in_the_list_is_known_by_its_opening():
    closing = fill(
        13, 12, units="-40", tradeOpened=None, tradeReduced={"tradeID": "11", "units": "-40"}
    )
    body = answer(200, {"transactions": [fill(), guard(12), closing], "lastTransactionID": "13"})
    _, child, _ = adapter().parse_since("1", body, NOW_NS).events
    assert child.quantity == 100


def test_what_a_list_closes_of_a_trade_we_hold_teaches_nothing_new():
    speaker = adapter()
    read(speaker, fill())
    closing = fill(
        13, 12, units="-40", tradeOpened=None, tradeReduced={"tradeID": "11", "units": "-40"}
    )
    body = answer(200, {"transactions": [guard(12), closing], "lastTransactionID": "13"})
    child, _ = speaker.parse_since("1", body, NOW_NS).events
    assert child.quantity == 100


def test_nothing_since_leaves_the_cursor_at_the_brokers_newest():
    report = adapter().parse_since(
        "1", answer(200, {"transactions": [], "lastTransactionID": "99"}), NOW_NS
    )
    assert (report.events, report.cursor) == ((), "99")


@pytest.mark.parametrize(
    "message",
    [
        transaction("GIFT", 1),
        cancel(reason="BECAUSE"),
        cancel(reason=None),
        fill(reason="BECAUSE"),
        fill(orderID=None),
        fill(instrument=None),
        fill(tradeOpened=None, price=None, fullVWAP=None),
        creation(timeInForce="FOREVER"),
        creation(units=None),
        creation(kind="LIMIT_ORDER_REJECT", rejectReason="BECAUSE"),
    ],
)
def test_an_unknown_word_in_the_stream_is_named_and_passed_over(message: dict[str, Any]):
    report = adapter().parse_event_line(line(message), NOW_NS)
    assert report.events == ()
    assert report.cursor == message["id"]
    (what,) = report.unread
    assert f"transaction {message['id']}" in what
    assert issubclass(UnknownWord, ValueError)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"type":"ORDER_FILL"}', line(fill(time="x"))])
def test_a_line_that_cannot_be_read_is_a_broker_error(text: bytes):
    with pytest.raises(BrokerError):
        adapter().parse_event_line(text, NOW_NS)


def test_the_memory_forgets_the_oldest_beyond_its_maximum(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reading, "REMEMBERED_MAX", 2)
    speaker = adapter()
    for number in (11, 12, 13):
        opened = {"tradeID": str(number), "units": "100", "price": "1.1"}
        read(speaker, fill(number, tradeOpened=opened))
    assert read(speaker, guard(20, tradeID="11")) == []
    assert len(read(speaker, guard(20, tradeID="12"))) == 1


def test_an_order_created_again_in_the_stream_is_remembered_as_it_was_first():
    speaker = adapter()
    made = creation(timeInForce="IOC")
    response = answer(201, {"orderCreateTransaction": made})
    (accepted,) = speaker.parse_placed(venue_order(), response, NOW_NS).events
    assert isinstance(accepted, Accepted)
    *_, filled, rest = read(speaker, made, fill(units="40"))
    assert isinstance(filled, Fill)
    assert isinstance(rest, Canceled)


def test_a_transaction_whose_number_skips_one_shows_a_lost_line():
    speaker = adapter()
    numbers = (10, 11, 13, 12, 13, 14, 16)
    lines = [line(transaction("DAILY_FINANCING", number)) for number in numbers]
    gaps = [speaker.parse_event_line(said, NOW_NS).gap for said in lines]
    assert [gap is not None for gap in gaps] == [False, False, True, False, False, False, True]
    assert gaps[2] == "transactions 12 to 12 did not come"


def test_the_first_line_after_the_account_may_show_a_lost_line_too():
    speaker = adapter()
    speaker.parse_account((oanda_account(lastTransactionID="30"),), NOW_NS)
    early, next_, lost = (
        speaker.parse_event_line(line(transaction("DAILY_FINANCING", number)), NOW_NS).gap
        for number in (29, 31, 33)
    )
    assert (early, next_, lost) == (None, None, "transactions 32 to 32 did not come")
