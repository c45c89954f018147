from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from oanda_builders import (
    CLIENT_ID,
    NOW_NS,
    TIME_NS,
    adapter,
    answer,
    cancel,
    creation,
    fill,
    read,
    transaction,
    venue_order,
)

from brokers import oanda_words as words
from brokers.adapter import OutcomeUnknown
from domain.errors import Category, Outcome, Retry, UnifiedError
from domain.events import (
    Accepted,
    AmendRefused,
    Canceled,
    CancelRefused,
    Expired,
    Fill,
    Rejected,
    Replaced,
)
from domain.orders import OrderType, TimeInForce

LIMIT = {"type": OrderType.LIMIT, "limit_price": Decimal("1.1")}


def placed(status: int, body: Any, **terms: Any) -> tuple[Any, ...]:
    report = adapter().parse_placed(venue_order(**terms), answer(status, body), NOW_NS)
    assert report.cursor is None
    return report.events


def test_a_market_order_that_fills_is_accepted_and_filled():
    accepted, filled = placed(
        201, {"orderCreateTransaction": creation(), "orderFillTransaction": fill()}
    )
    assert accepted == Accepted(at_ns=TIME_NS, broker_order_id="10", venue_client_id=CLIENT_ID)
    assert isinstance(filled, Fill)
    assert (filled.quantity, filled.price) == (Decimal(100), Decimal("1.10000"))


def test_a_limit_order_that_rests_is_accepted():
    made = creation(kind="LIMIT_ORDER", timeInForce="GTC", price="1.1")
    (accepted,) = placed(201, {"orderCreateTransaction": made}, **LIMIT)
    assert isinstance(accepted, Accepted)


@pytest.mark.parametrize(
    ("reason", "unified"),
    [
        ("INSUFFICIENT_MARGIN", UnifiedError.INSUFFICIENT_FUNDS),
        ("FIFO_VIOLATION", UnifiedError.INVALID_ORDER),
        ("MARKET_HALTED", UnifiedError.MARKET_CLOSED),
        ("BOUNDS_VIOLATION", UnifiedError.INVALID_ORDER),
    ],
)
def test_a_refusal_inside_a_201_is_rejected_and_never_accepted(reason: str, unified: UnifiedError):
    (event,) = placed(
        201,
        {
            "orderCreateTransaction": creation(),
            "orderCancelTransaction": cancel(batchID="10", reason=reason),
        },
    )
    assert isinstance(event, Rejected)
    assert (event.broker_order_id, event.venue_client_id) == ("10", CLIENT_ID)
    assert event.error.outcome is Outcome.NONE
    assert event.error.venue is not None
    assert (event.error.venue.code, event.error.venue.unified) == (reason, unified)


@pytest.mark.parametrize("reason", sorted(words.NOT_FILLABLE))
def test_an_order_that_finds_no_fill_at_once_is_accepted_and_canceled(reason: str):
    accepted, ended = placed(
        201,
        {
            "orderCreateTransaction": creation(),
            "orderCancelTransaction": cancel(batchID="10", reason=reason),
        },
    )
    assert isinstance(accepted, Accepted)
    assert isinstance(ended, Canceled)
    assert ended.reason == reason


@pytest.mark.parametrize("reason", sorted(words.CANCEL_ERRORS.keys() | words.WANTED_CANCELS))
def test_the_stream_says_the_same_of_an_order_as_the_answer_did(reason: str):
    made, ended = creation(), cancel(batchID="10", reason=reason)
    answered = placed(201, {"orderCreateTransaction": made, "orderCancelTransaction": ended})
    streamed = read(adapter(), made, ended)
    assert answered[-1] == streamed[-1]


def test_an_immediate_order_filled_in_part_is_canceled_for_the_rest():
    made = creation(timeInForce="IOC")
    part = fill(units="40", tradeOpened={"tradeID": "11", "units": "40", "price": "1.1"})
    _, filled, rest = placed(
        201,
        {"orderCreateTransaction": made, "orderFillTransaction": part},
        time_in_force=TimeInForce.IOC,
    )
    assert filled.quantity == 40
    assert rest == Canceled(
        at_ns=TIME_NS,
        reason="INSUFFICIENT_LIQUIDITY",
        broker_order_id="10",
        venue_client_id=CLIENT_ID,
    )


def test_a_refusal_of_the_rest_after_a_fill_is_a_cancel():
    ended = placed(
        201,
        {
            "orderCreateTransaction": creation(timeInForce="IOC"),
            "orderFillTransaction": fill(units="40"),
            "orderCancelTransaction": cancel(12, batchID="10", reason="INSUFFICIENT_MARGIN"),
        },
    )[-1]
    assert isinstance(ended, Canceled)
    assert ended.error is not None


def test_a_resting_order_filled_in_part_stays_open():
    made = creation(kind="LIMIT_ORDER", timeInForce="GTC", price="1.1")
    events = placed(
        201, {"orderCreateTransaction": made, "orderFillTransaction": fill(units="40")}, **LIMIT
    )
    assert [type(event) for event in events] == [Accepted, Fill]


def test_an_order_reissued_for_its_rest_has_a_second_broker_order_id():
    made = creation(kind="LIMIT_ORDER", timeInForce="GTC", price="1.1")
    again = creation(12, kind="LIMIT_ORDER", timeInForce="GTC", price="1.1", units="60")
    events = placed(
        201,
        {
            "orderCreateTransaction": made,
            "orderFillTransaction": fill(units="40"),
            "orderReissueTransaction": again,
        },
        **LIMIT,
    )
    assert [type(event) for event in events] == [Accepted, Fill, Accepted]
    assert events[-1].broker_order_id == "12"


def test_a_rest_that_could_not_be_reissued_is_canceled():
    made = creation(kind="LIMIT_ORDER", timeInForce="GTC", price="1.1")
    refused = creation(12, kind="LIMIT_ORDER_REJECT", rejectReason="INSUFFICIENT_MARGIN")
    events = placed(
        201,
        {
            "orderCreateTransaction": made,
            "orderFillTransaction": fill(units="40"),
            "orderReissueRejectTransaction": refused,
        },
        **LIMIT,
    )
    assert isinstance(events[-1], Canceled)
    assert (events[-1].reason, events[-1].broker_order_id) == ("INSUFFICIENT_MARGIN", "10")


@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize("reason", sorted(words.REJECTS.keys() - {words.DUPLICATE_CLIENT_ID}))
def test_every_reject_reason_becomes_a_rejection_with_the_brokers_own_word(
    status: int, reason: str
):
    refused = creation(kind="MARKET_ORDER_REJECT", rejectReason=reason)
    (event,) = placed(
        status,
        {
            "orderRejectTransaction": refused,
            "errorCode": reason,
            "errorMessage": "The words of the broker",
        },
    )
    assert isinstance(event, Rejected)
    assert event.at_ns == NOW_NS
    assert event.error.message == "The words of the broker"
    assert event.error.venue is not None
    assert event.error.venue.code == reason
    assert event.error.venue.unified is words.REJECTS[reason]


def test_an_id_in_use_is_no_rejection_for_the_order_may_be_live_under_it():
    refused = creation(kind="MARKET_ORDER_REJECT", rejectReason=words.DUPLICATE_CLIENT_ID)
    with pytest.raises(OutcomeUnknown, match="in use"):
        placed(400, {"orderRejectTransaction": refused})


@pytest.mark.parametrize(
    ("status", "code", "category", "retry"),
    [
        (401, "venue_auth", Category.AUTH, Retry.NEVER),
        (403, "venue_auth", Category.AUTH, Retry.NEVER),
        (429, "venue_rate_limited", Category.RATE, Retry.NEW_ID),
    ],
)
def test_a_login_or_rate_refusal_is_a_rejection(
    status: int, code: str, category: Category, retry: Retry
):
    (event,) = placed(status, {"errorMessage": "Insufficient authorization"})
    assert isinstance(event, Rejected)
    assert (event.error.code, event.error.category, event.error.retry) == (code, category, retry)
    assert (event.error.retry_after_ms is not None) == (status == 429)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<html>bad request</html>", "HTTP_400"),
        (b"", "HTTP_400"),
        ({"errorMessage": "Invalid value"}, "HTTP_400"),
        ({"errorCode": "InvalidParameterException"}, "InvalidParameterException"),
        ({"errorCode": "INSTRUMENT_UNKNOWN"}, "INSTRUMENT_UNKNOWN"),
    ],
)
def test_a_400_is_a_rejection_whatever_it_says(body: Any, code: str):
    (event,) = placed(400, body)
    assert isinstance(event, Rejected)
    assert event.error.venue is not None
    assert event.error.venue.code == code


def test_long_words_of_the_broker_are_cut():
    (event,) = placed(400, {"errorMessage": "x" * 10_000, "errorCode": "y" * 10_000})
    assert len(event.error.message) <= 300
    assert len(event.error.venue.code) <= 120


@pytest.mark.parametrize("status", [100, 302, 408, 500, 502, 503, 504, 599])
def test_a_status_that_proves_nothing_leaves_the_outcome_unknown(status: int):
    with pytest.raises(OutcomeUnknown):
        placed(status, {"errorMessage": "?"})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"orderCreateTransaction": {"id": "10", "type"',
        {},
        {"orderCreateTransaction": creation(time="yesterday")},
        {"orderCreateTransaction": creation(clientExtensions={"id": "of-another-order"})},
        {
            "orderCreateTransaction": creation(),
            "orderCancelTransaction": cancel(batchID="10", reason="A_NEW_REASON"),
        },
        {"orderCreateTransaction": creation(), "orderFillTransaction": fill(reason="A_NEW_ONE")},
        {"orderCreateTransaction": creation(), "orderFillTransaction": fill(units=None)},
        {"orderCreateTransaction": creation(), "orderFillTransaction": fill(id="x")},
        {"orderCreateTransaction": creation(), "orderFillTransaction": transaction("ODD", 11)},
    ],
)
def test_a_201_that_cannot_be_read_leaves_the_outcome_unknown(body: Any):
    with pytest.raises(OutcomeUnknown):
        placed(201, body)


def test_an_unknown_reject_reason_leaves_the_outcome_unknown():
    refused = creation(kind="MARKET_ORDER_REJECT", rejectReason="A_NEW_REASON")
    with pytest.raises(OutcomeUnknown):
        placed(400, {"orderRejectTransaction": refused})


def test_an_answer_without_client_extensions_is_ours_all_the_same():
    made = creation()
    del made["clientExtensions"]
    accepted, *_ = placed(201, {"orderCreateTransaction": made})
    assert accepted.venue_client_id == CLIENT_ID


def canceled(status: int, body: Any) -> tuple[Any, ...]:
    return adapter().parse_canceled(venue_order("10"), answer(status, body), NOW_NS).events


def test_a_cancel_that_worked_is_canceled():
    (event,) = canceled(200, {"orderCancelTransaction": cancel()})
    assert event == Canceled(
        at_ns=TIME_NS,
        reason="CLIENT_REQUEST",
        broker_order_id="10",
        venue_client_id=CLIENT_ID,
    )


@pytest.mark.parametrize("status", [400, 401, 404, 429])
def test_a_cancel_that_was_refused_leaves_the_order_as_it_was(status: int):
    refused = transaction(
        "ORDER_CANCEL_REJECT", 12, orderID="10", rejectReason="ORDER_DOESNT_EXIST"
    )
    (event,) = canceled(status, {"orderCancelRejectTransaction": refused})
    assert isinstance(event, CancelRefused)
    assert (event.broker_order_id, event.venue_client_id) == ("10", CLIENT_ID)


@pytest.mark.parametrize(("status", "body"), [(200, b""), (200, {}), (503, {})])
def test_a_cancel_without_a_clear_answer_is_unknown(status: int, body: Any):
    with pytest.raises(OutcomeUnknown):
        canceled(status, body)


def amended(status: int, body: Any) -> tuple[Any, ...]:
    order = venue_order("10", **LIMIT)
    return adapter().parse_amended(order, answer(status, body), NOW_NS).events


def replacement(**fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "kind": "LIMIT_ORDER",
        "timeInForce": "GTC",
        "price": "1.15",
        "units": "-50",
        "reason": "REPLACEMENT",
        "replacesOrderID": "10",
    }
    return creation(12, **{**given, **fields})


def replaced_cancel() -> dict[str, Any]:
    return cancel(11, reason="CLIENT_REQUEST_REPLACED", replacedByOrderID="12")


def test_an_amend_that_worked_is_one_replaced_with_the_new_terms():
    events = amended(
        201,
        {
            "orderCancelTransaction": replaced_cancel(),
            "orderCreateTransaction": replacement(),
        },
    )
    assert events == (
        Replaced(
            at_ns=TIME_NS,
            broker_order_id="12",
            previous_broker_order_id="10",
            venue_client_id=CLIENT_ID,
            quantity=Decimal(50),
            limit_price=Decimal("1.15"),
        ),
    )


def test_a_replacement_may_fill_at_once():
    events = amended(
        201,
        {
            "orderCancelTransaction": replaced_cancel(),
            "orderCreateTransaction": replacement(),
            "orderFillTransaction": fill(13, 12),
        },
    )
    assert [type(event) for event in events] == [Replaced, Fill]


def test_a_replacement_cancelled_at_once_is_canceled_for_the_order_did_work():
    events = amended(
        201,
        {
            "orderCancelTransaction": replaced_cancel(),
            "orderCreateTransaction": replacement(batchID="11"),
            "replacingOrderCancelTransaction": cancel(
                13, 12, batchID="11", reason="INSUFFICIENT_MARGIN"
            ),
        },
    )
    assert [type(event) for event in events] == [Replaced, Canceled]


@pytest.mark.parametrize(
    ("status", "field", "kind"),
    [
        (400, "orderRejectTransaction", "LIMIT_ORDER_REJECT"),
        (404, "orderCancelRejectTransaction", "ORDER_CANCEL_REJECT"),
    ],
)
def test_an_amend_that_was_refused_leaves_the_order_as_it_was(status: int, field: str, kind: str):
    refused = transaction(kind, 12, rejectReason="PRICE_INVALID", orderID="10")
    (event,) = amended(status, {field: refused})
    assert isinstance(event, AmendRefused)
    assert event.error.venue is not None
    assert event.error.venue.code == "PRICE_INVALID"
    assert event.broker_order_id == "10"


def test_an_amend_without_a_clear_answer_is_unknown():
    with pytest.raises(OutcomeUnknown):
        amended(201, {"orderCancelTransaction": replaced_cancel()})


def test_an_order_that_ran_out_of_time_is_expired():
    (event,) = read(adapter(), cancel(99, reason="TIME_IN_FORCE_EXPIRED"))
    assert isinstance(event, Expired)
