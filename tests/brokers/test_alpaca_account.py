"""The account in its parts, and the past: told once, whole, and never of two moments."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from alpaca_builders import (
    CLIENT_ID,
    MINUTE_NS,
    NOW_NS,
    ORDER_ID,
    TIME,
    TIME_NS,
    account,
    account_answers,
    activity,
    adapter,
    answer,
    clock,
    fill_update,
    held,
    line,
    order,
    read,
    update,
)

from brokers.adapter import Answered, BrokerError, Restless
from brokers.alpaca import ACTIVITIES_MAX, ORDERS_MAX, OVERLAP_NS, AlpacaAdapter, Cursor
from brokers.reading import format_time, parse_time
from domain.accounts import AccountStatus
from domain.events import AmendRefused, Canceled, External, Fill, Replaced
from domain.instruments import AssetClass
from domain.orders import Side
from domain.transactions import TransactionType

D = Decimal
CURSOR = Cursor(TIME_NS, TIME_NS - 60 * MINUTE_NS).encode()


def synced(speaker: AlpacaAdapter, **parts: Any) -> Any:
    return speaker.parse_account(account_answers(**parts), NOW_NS)


# -- what the account says


def test_the_account_is_told_in_our_words() -> None:
    snapshot = synced(adapter(), positions=(held(), held("TSLA", "-3")), orders=(order(),))
    told, balances = snapshot.account, snapshot.balances
    assert (told.status, told.leverage, told.hedging) == (AccountStatus.ACTIVE, D(2), False)
    assert (told.can_trade_stocks, told.can_short, told.can_trade_margin) == (True, True, True)
    assert (told.can_trade_crypto, told.name, told.opened_on) == (True, "010203ABCD", "2019-06-12")
    assert (balances.cash, balances.equity) == (D(100000), D("103820.56"))
    assert (balances.buying_power, balances.available) == (D(200000), D(90000))
    assert (balances.margin_used, balances.margin_maintenance) == (D("63480.38"), D("38088.228"))
    assert (balances.market_value, balances.day_pnl) == (D("4000.25"), D("291.32"))
    assert (balances.open_positions, balances.pending_orders) == (2, 1)


def test_what_alpaca_no_longer_says_is_absent_and_never_zero() -> None:
    bare = {"id": "x", "status": "ACTIVE", "cash": "1", "equity": "1"}
    snapshot = synced(adapter(), facts=bare)
    balances = snapshot.balances
    for field in (
        "day_trading_buying_power", "buying_power", "available", "margin_used", "market_value",
        "day_pnl", "margin_maintenance",
    ):  # fmt: skip
        assert getattr(balances, field) is None
    assert (snapshot.account.leverage, snapshot.account.can_short) == (None, False)
    with_it = synced(adapter(), facts=account(daytrading_buying_power="7"))
    assert with_it.balances.day_trading_buying_power == D(7)


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ({"trading_blocked": True}, AccountStatus.RESTRICTED),
        ({"account_blocked": True}, AccountStatus.RESTRICTED),
        ({"trade_suspended_by_user": True}, AccountStatus.RESTRICTED),
        ({"status": "ACCOUNT_CLOSED"}, AccountStatus.CLOSED),
        ({"status": "ONBOARDING"}, AccountStatus.RESTRICTED),
    ],
)
def test_an_account_that_may_not_trade_says_so(
    facts: dict[str, Any], status: AccountStatus
) -> None:
    assert synced(adapter(), facts=account(**facts)).account.status is status


def test_a_position_is_one_lot_at_the_average_older_than_any_fill() -> None:
    long, short = synced(adapter(), positions=(held(), held("TSLA", "-3", qty="3"))).positions
    assert (long.quantity, long.average_cost, long.unrealized_percent) == (D(5), D(100), D(20))
    (lot,) = long.lots
    assert (lot.opened_ns, lot.quantity) == (0, D(5))
    assert (short.quantity, short.quantity_available) == (D(-3), D(-3))
    assert long.asset_class is AssetClass.EQUITY


def test_a_position_without_an_average_is_a_quantity() -> None:
    (position,) = synced(adapter(), positions=(held(avg_entry_price=None),)).positions
    assert (position.quantity, position.lots, position.average_cost) == (D(5), (), None)


def test_a_pair_is_named_alike_wherever_it_comes_from() -> None:
    speaker = adapter()
    speaker.parse_instruments((answer(200, []), answer(200, [pair()])))
    crypto = held("BTCUSD", "0.5", asset_class="crypto")
    (position,) = synced(speaker, positions=(crypto,)).positions
    (made,) = read(speaker, update("new", order(symbol="BTCUSD", asset_class="crypto")))
    assert (position.instrument, made.instrument) == ("BTC/USD", "BTC/USD")


@pytest.mark.parametrize("number", range(6))
def test_a_part_that_is_refused_is_said_with_its_status(number: int) -> None:
    parts = list(account_answers())
    parts[number] = answer(429, {"message": "too many"})
    with pytest.raises(Answered) as caught:
        adapter().parse_account(tuple(parts), NOW_NS)
    assert caught.value.status == 429


@pytest.mark.parametrize(
    "parts",
    [
        {"facts": {"id": "x"}}, {"facts": account(status="DREAMING")}, {"positions": ({},)},
        {"positions": (held(side="sideways"),)}, {"bell": {"is_open": True}},
        {"bell": clock(next_close="x")},
    ],
)  # fmt: skip
def test_an_account_that_cannot_be_read_is_a_broker_error(parts: dict[str, Any]) -> None:
    with pytest.raises(BrokerError):
        synced(adapter(), **parts)


# -- of one moment


def test_the_first_cursor_is_alpaca_s_own_time_and_what_was_filled_before_is_not_told() -> None:
    speaker = adapter()
    old = activity("old", TIME_NS - MINUTE_NS)
    snapshot = synced(speaker, fills=(old,))
    assert snapshot.cursor == Cursor(TIME_NS, TIME_NS - MINUTE_NS).encode()
    new = activity("new", TIME_NS + 1)
    told = history(speaker, snapshot.cursor, fills=[old, new])
    assert [e.broker_execution_id for e in told if isinstance(e, Fill)] == ["new"]


def test_an_account_filled_while_it_is_read_is_read_again() -> None:
    with pytest.raises(Restless):
        synced(adapter(), fills=(), after=(activity(),))


def test_an_account_whose_newest_fill_was_not_told_is_read_again() -> None:
    speaker = adapter()
    synced(speaker)
    fresh = activity("x-1", TIME_NS + 1)
    with pytest.raises(Restless, match="not told"):
        synced(speaker, fills=(fresh,))
    read(speaker, fill_update(execution="x-1"))
    assert synced(speaker, fills=(fresh,))


def test_a_cursor_at_rest_is_the_one_already_told() -> None:
    speaker = adapter()
    first = synced(speaker).cursor
    assert synced(speaker, bell=clock(at_ns=TIME_NS + MINUTE_NS)).cursor == first
    # The bell's time counts from now on.
    later = speaker.parse_event_line(line(update("new")), NOW_NS).cursor
    assert later is not None
    assert later.startswith(format_time(TIME_NS + MINUTE_NS))


# -- working orders


def working(speaker: AlpacaAdapter, *orders: dict[str, Any]) -> Any:
    return speaker.parse_open_orders(account_answers(orders=orders), NOW_NS)


def test_working_orders_are_told_and_held_children_are_not_working() -> None:
    report = working(adapter(), order(), order("tp", "held"))
    (made,) = report.events
    assert (made.broker_order_id, made.venue_client_id) == (ORDER_ID, CLIENT_ID)


def test_a_working_order_that_replaces_one_that_is_gone_says_so_though_only_taken() -> None:
    told, made = working(adapter(), order("new-id", "accepted", replaces="old-id")).events
    assert isinstance(told, Replaced)
    assert (told.previous_broker_order_id, made.broker_order_id) == ("old-id", "new-id")


def test_a_replacement_beside_the_order_it_is_to_replace_waits() -> None:
    both = (order(status="pending_replace"), order("new-id", "accepted", replaces=ORDER_ID))
    assert [e.broker_order_id for e in working(adapter(), *both).events] == [ORDER_ID]


def test_a_working_order_in_unknown_words_is_a_break_and_the_others_are_told() -> None:
    odd = [order("a", "levitating"), {"id": "b"}, order("c", submitted_at="x", created_at="x")]
    report = working(adapter(), *odd, order())
    assert len(report.unread) == 3
    assert [e.broker_order_id for e in report.events] == [ORDER_ID]


def test_what_is_filled_of_working_orders_is_known_so_that_a_lost_fill_shows() -> None:
    speaker = adapter()
    working(speaker, order(filled_qty="10"))
    report = speaker.parse_event_line(line(fill_update(20, 50)), NOW_NS)
    assert report.gap is not None


# -- the past


def history(speaker: AlpacaAdapter, cursor: str, *, orders: Any = (), fills: Any = ()) -> list[Any]:
    """The events of a whole reading, phase by phase."""
    events: list[Any] = []
    for body in (orders, fills, orders):
        page = speaker.parse_since(cursor, answer(200, list(body)), NOW_NS)
        assert page.cursor is not None
        events += page.events
        cursor = page.cursor
    assert not page.has_more
    return events


def test_no_fill_is_told_before_its_order_and_no_ending_before_its_fills() -> None:
    done = order(status="canceled", filled_qty="30", canceled_at=TIME)
    events = history(adapter(), CURSOR, orders=[done], fills=[activity(qty="30", cum_qty="30")])
    assert [type(event) for event in events] == [External, Fill, Canceled]


def test_a_past_fill_is_the_one_the_stream_told() -> None:
    _, streamed = read(adapter(), fill_update())
    (found,) = (e for e in history(adapter(), CURSOR, fills=[activity()]) if isinstance(e, Fill))
    assert found.execution_id == streamed.execution_id
    assert found.broker_order_id == streamed.broker_order_id


def test_a_past_fill_says_what_activities_say_of_sides() -> None:
    (short,) = history(adapter(), CURSOR, fills=[activity(side="sell_short", symbol="TSLA")])
    assert (short.side, short.instrument) == (Side.SELL_SHORT, "TSLA")


def test_the_past_begins_a_little_before_the_cursor_but_never_before_our_time() -> None:
    near = Cursor(TIME_NS, TIME_NS - MINUTE_NS)
    far = Cursor(TIME_NS, 0)
    assert near.start_ns == TIME_NS - MINUTE_NS
    assert far.start_ns == TIME_NS - OVERLAP_NS
    asked = parse_qs(urlsplit(adapter().since(far.encode()).path).query)
    assert asked["after"] == [format_time(TIME_NS - OVERLAP_NS)[:19] + "Z"]


def test_a_long_past_is_read_page_by_page_and_can_be_taken_up_in_the_middle() -> None:
    speaker = adapter()
    many = [order(f"o-{n}", submitted_at=f"2024-03-15T14:30:00.{n:09}Z") for n in range(ORDERS_MAX)]
    first = speaker.parse_since(CURSOR, answer(200, many), NOW_NS)
    assert (len(first.events), first.has_more) == (ORDERS_MAX, True)
    assert first.cursor is not None
    asked = parse_qs(urlsplit(adapter().since(first.cursor).path).query)
    assert asked["after"] == [many[-1]["submitted_at"]]
    second = speaker.parse_since(first.cursor, answer(200, []), NOW_NS)
    assert second.cursor is not None
    assert "activities" in speaker.since(second.cursor).path
    fills = [activity(f"x-{n}") for n in range(ACTIVITIES_MAX)]
    third = adapter().parse_since(second.cursor, answer(200, fills), NOW_NS)
    assert third.cursor is not None
    asked = parse_qs(urlsplit(adapter().since(third.cursor).path).query)
    assert asked["page_token"] == [fills[-1]["id"]]
    assert third.has_more


def test_the_last_page_leaves_the_cursor_at_the_newest_news() -> None:
    speaker = adapter()
    cursor = CURSOR
    for body in ([], [activity(at_ns=TIME_NS + 5)], []):
        page = speaker.parse_since(cursor, answer(200, body), NOW_NS)
        assert page.cursor is not None
        cursor = page.cursor
    assert cursor == Cursor(TIME_NS + 5, TIME_NS - 60 * MINUTE_NS).encode()


def test_children_come_with_their_parents() -> None:
    legs = [order("tp", side="sell"), order("sl", "held", side="sell")]
    events = history(adapter(), CURSOR, orders=[order(order_class="bracket", legs=legs)])
    assert [e.broker_order_id for e in events] == [ORDER_ID, "tp", "sl"]
    assert {e.parent_broker_order_id for e in events[1:]} == {ORDER_ID}


def test_a_past_replacement_is_one_whatever_stands_first() -> None:
    old, new = order(status="replaced"), order("new-id", "accepted", replaces=ORDER_ID)
    for orders in ([old, new], [new, old]):
        told = [e for e in history(adapter(), CURSOR, orders=orders) if isinstance(e, Replaced)]
        assert {e.broker_order_id for e in told} == {"new-id"}


def test_a_past_replacement_that_failed_is_told_of_the_order_it_was_to_replace() -> None:
    failed = order("new-id", "rejected", replaces=ORDER_ID, failed_at=TIME)
    events = history(adapter(), CURSOR, orders=[order(), failed])
    (refused,) = (e for e in events if isinstance(e, AmendRefused))
    assert (refused.broker_order_id, refused.at_ns) == (ORDER_ID, TIME_NS)


def test_what_cannot_be_read_of_the_past_is_named_once_and_the_rest_is_told() -> None:
    speaker = adapter()
    orders = [order("a", "levitating"), {"no": "id"}, order()]
    fills = [activity(side="both"), activity(transaction_time="x"), {"id": 7}, activity("good")]
    unread: list[str] = []
    events: list[Any] = []
    cursor = CURSOR
    for body in (orders, fills, orders):
        page = speaker.parse_since(cursor, answer(200, body), NOW_NS)
        assert page.cursor is not None
        unread += page.unread
        events += page.events
        cursor = page.cursor
    assert len(unread) == 5
    assert [e.broker_execution_id for e in events if isinstance(e, Fill)] == ["good"]


@pytest.mark.parametrize("cursor", ["", "7", "x;y", f"{CURSOR};nonsense;", CURSOR[:40]])
def test_a_cursor_that_is_none_of_ours_is_a_broker_error(cursor: str) -> None:
    with pytest.raises(BrokerError, match="cursor"):
        adapter().since(cursor)


def test_a_past_that_is_refused_is_said_with_its_status() -> None:
    with pytest.raises(Answered):
        adapter().parse_since(CURSOR, answer(500, b""), NOW_NS)


# -- bookings


BOOKED = [
    ({"activity_type": "DIV", "activity_sub_type": "CDIV", "symbol": "T", "net_amount": "1.02",
      "qty": "2", "date": "2024-03-14"}, TransactionType.DIVIDEND),
    ({"activity_type": "FEE", "net_amount": "-0.02", "date": "2024-03-14"}, TransactionType.FEE),
    ({"activity_type": "INT", "net_amount": "-3", "date": "2024-03-14"}, TransactionType.INTEREST),
    ({"activity_type": "JNLC", "net_amount": "50", "date": "2024-03-14T10:00:00Z"},
     TransactionType.TRANSFER),
    ({"activity_type": "CSD", "net_amount": "900", "date": "2024-03-14"}, TransactionType.DEPOSIT),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "kind"), BOOKED)
def test_what_is_booked_beside_fills_is_a_transaction(
    fields: dict[str, Any], kind: TransactionType
) -> None:
    booked = {"id": "20240314000000000::b", "status": "executed", **fields}
    page = adapter().parse_since(f"{CURSOR};fills;", answer(200, [booked]), NOW_NS)
    (moved,) = page.transactions
    assert (moved.type, moved.amount) == (kind, D(fields["net_amount"]))
    assert (moved.account, moved.currency) == ("paper-1", "USD")
    assert moved.traded_ns >= parse_time("2024-03-14T00:00:00Z")


def test_a_name_change_moves_nothing_and_a_booking_taken_back_is_none() -> None:
    booked = [
        {"id": "1::a", "activity_type": "NC", "date": "2024-03-14"},
        {"id": "1::b", "activity_type": "DIV", "date": "2024-03-14", "status": "canceled"},
        {"id": "1::c", "activity_type": "GIFT", "date": "2024-03-14"},
    ]
    page = adapter().parse_since(f"{CURSOR};fills;", answer(200, booked), NOW_NS)
    assert page.transactions == ()
    assert len(page.unread) == 1


# -- instruments


def asset(**fields: Any) -> dict[str, Any]:
    given = {
        "id": "904837e3-3b76-47ec-b432-046db621571b", "class": "us_equity", "exchange": "NASDAQ",
        "symbol": "AAPL", "name": "Apple Inc.", "status": "active", "tradable": True,
        "marginable": True, "shortable": True, "easy_to_borrow": True, "fractionable": True,
        "margin_requirement_long": "30",
    }  # fmt: skip
    return {**given, **fields}


def pair(**fields: Any) -> dict[str, Any]:
    given = asset(
        **{"class": "crypto"}, symbol="BTC/USD", exchange="CRYPTO", min_order_size="0.0001",
        min_trade_increment="0.000000001", price_increment="1", shortable=False,
    )  # fmt: skip
    return {**given, **fields}


def listed(*assets: dict[str, Any]) -> tuple[Any, ...]:
    return adapter().parse_instruments((answer(200, list(assets)), answer(200, [pair()])))


def test_a_stock_and_a_pair_are_told_in_our_words() -> None:
    stock, crypto = listed(asset())
    assert (stock.symbol, stock.asset_class, stock.calendar) == (
        "AAPL", AssetClass.EQUITY, "XNYS",
    )  # fmt: skip
    assert (stock.lot, stock.tick, stock.pip) == (D("1E-9"), D("0.0001"), D("0.01"))
    assert (stock.marginable, stock.shortable, stock.margin_rate) == (True, True, D("0.3"))
    assert (crypto.symbol, crypto.base_currency, crypto.quote_currency) == ("BTC/USD", "BTC", "USD")
    assert (crypto.tick, crypto.lot, crypto.quantity_min) == (D(1), D("1E-9"), D("0.0001"))
    assert (crypto.calendar, crypto.shortable, crypto.marginable) == ("always", False, False)


def test_whole_shares_are_whole() -> None:
    stock, _ = listed(asset(fractionable=False, margin_requirement_long=None))
    assert (stock.lot, stock.quantity_min, stock.margin_rate) == (D(1), D(1), None)


@pytest.mark.parametrize(
    "fields",
    [{"shortable": False}, {"easy_to_borrow": False}, {"borrow_status": "hard_to_borrow"}],
)
def test_what_cannot_be_borrowed_cannot_be_sold_short(fields: dict[str, Any]) -> None:
    stock, _ = listed(asset(**fields))
    assert not stock.shortable


@pytest.mark.parametrize(
    "fields", [{"tradable": False}, {"status": "inactive"}, {"class": "us_option"}]
)
def test_what_is_not_traded_here_is_passed_over(fields: dict[str, Any]) -> None:
    (crypto,) = listed(asset(**fields))
    assert crypto.symbol == "BTC/USD"


def test_assets_that_cannot_be_had_or_read_are_said() -> None:
    with pytest.raises(Answered):
        adapter().parse_instruments((answer(503, b""), answer(200, [])))
    with pytest.raises(BrokerError):
        adapter().parse_instruments((answer(200, {"no": "list"}), answer(200, [])))


def test_a_body_may_be_json_of_another_kind_and_stays_a_broker_error() -> None:
    for body in (json.dumps(7).encode(), b"null", b'"x"'):
        with pytest.raises(BrokerError):
            adapter().parse_since(CURSOR, answer(200, body), NOW_NS)
