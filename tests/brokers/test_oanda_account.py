from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from oanda_builders import (
    CLIENT_ID,
    NOW_NS,
    TIME,
    TIME_NS,
    TOKEN,
    adapter,
    answer,
    fill,
    guard,
    line,
    read,
    settings,
)

from brokers.adapter import Answered, BrokerError, ClientIdUse, Response
from brokers.reading import UnknownWord
from domain.events import Accepted, External, Triggered
from domain.instruments import AssetClass
from domain.orders import OrderType, Side

TRADES = [
    {
        "id": "20",
        "instrument": "EUR_USD",
        "price": "1.12",
        "openTime": TIME,
        "currentUnits": "50",
        "initialUnits": "100",
        "state": "OPEN",
        "stopLossOrderID": "21",
    },
    {
        "id": "9",
        "instrument": "EUR_USD",
        "price": "1.09",
        "openTime": TIME,
        "currentUnits": "100",
        "initialUnits": "100",
        "state": "OPEN",
    },
]
POSITIONS = [
    {
        "instrument": "EUR_USD",
        "pl": "5.0",
        "unrealizedPL": "1.5",
        "marginUsed": "3.0",
        "financing": "-0.2",
        "long": {"units": "150", "averagePrice": "1.10", "tradeIDs": ["9", "20"]},
        "short": {"units": "0"},
    },
    {"instrument": "USD_JPY", "long": {"units": "0"}, "short": {"units": "0"}, "pl": "7.0"},
]
ORDERS: list[dict[str, Any]] = [
    {
        "id": "21",
        "createTime": TIME,
        "state": "PENDING",
        "type": "STOP_LOSS",
        "tradeID": "20",
        "price": "1.05",
        "timeInForce": "GTC",
    },
    {
        "id": "22",
        "createTime": TIME,
        "state": "PENDING",
        "type": "LIMIT",
        "instrument": "GBP_USD",
        "units": "-10",
        "price": "1.4",
        "timeInForce": "GTC",
        "clientExtensions": {"id": CLIENT_ID},
    },
    {
        "id": "23",
        "createTime": TIME,
        "state": "PENDING",
        "type": "TAKE_PROFIT",
        "tradeID": "404",
        "price": "1.05",
        "timeInForce": "GTC",
    },
]


def account(**fields: Any) -> Response:
    given = {
        "id": "101",
        "alias": "Mine",
        "currency": "USD",
        "balance": "1000.0000",
        "NAV": "1001.5000",
        "hedgingEnabled": True,
        "marginRate": "0.02",
        "marginUsed": "3.0",
        "marginAvailable": "998.5",
        "marginCloseoutPercent": "0.0015",
        "withdrawalLimit": "998.0",
        "positionValue": "165.0",
        "pl": "12.0",
        "unrealizedPL": "1.5",
        "openPositionCount": 1,
        "pendingOrderCount": 3,
        "lastTransactionID": "30",
        "trades": TRADES,
        "positions": POSITIONS,
        "orders": ORDERS,
    }
    return answer(200, {"account": {**given, **fields}, "lastTransactionID": "30"})


def test_the_account_is_read_as_of_its_last_transaction_with_the_brokers_own_facts():
    snapshot = adapter().parse_account((account(),), NOW_NS)
    assert snapshot.cursor == "30"
    assert (snapshot.account.account, snapshot.account.owner) == ("paper-1", "o1")
    assert (snapshot.account.base_currency, snapshot.account.leverage) == ("USD", Decimal(50))
    assert snapshot.account.hedging
    assert (snapshot.account.name, snapshot.account.last_sync_ns) == ("Mine", NOW_NS)


def test_the_balances_are_the_brokers():
    balances = adapter().parse_account((account(),), NOW_NS).balances
    assert (balances.cash, balances.equity) == (Decimal(1000), Decimal("1001.5"))
    assert (balances.available, balances.withdrawable) == (Decimal("998.5"), Decimal(998))
    assert (balances.realized_pnl, balances.unrealized_pnl) == (Decimal(12), Decimal("1.5"))
    assert balances.total_pnl == Decimal("13.5")
    assert (balances.open_positions, balances.pending_orders) == (1, 3)


def test_an_account_that_states_no_profit_or_margin_rate_has_none():
    snapshot = adapter().parse_account((account(pl=None, marginRate=None, alias=""),), NOW_NS)
    assert snapshot.balances.total_pnl is None
    assert snapshot.account.leverage is None
    assert snapshot.account.name == ""


def test_a_position_has_its_trades_as_lots_oldest_first_and_closed_ones_are_left_out():
    (position,) = adapter().parse_account((account(),), NOW_NS).positions
    assert (position.instrument, position.quantity) == ("EUR/USD", Decimal(150))
    assert position.average_cost == Decimal("1.10")
    assert [(lot.lot_id, lot.opened_sequence, lot.has_bracket) for lot in position.lots] == [
        ("9", 9, False),
        ("20", 20, True),
    ]
    assert position.lots[0].opened_ns == TIME_NS
    assert (position.unrealized_pnl, position.realized_pnl) == (Decimal("1.5"), Decimal(5))


@pytest.mark.parametrize(
    ("long", "short", "quantity"),
    [("5", "0", Decimal(5)), ("0", "-5", Decimal(-5))],
)
def test_a_position_listed_without_its_trades_has_the_brokers_average(
    long: str, short: str, quantity: Decimal
):
    held = {
        "instrument": "EUR_USD",
        "long": {"units": long, "averagePrice": "1.2"},
        "short": {"units": short, "averagePrice": "1.2"},
    }
    (position,) = adapter().parse_account((account(trades=[], positions=[held]),), NOW_NS).positions
    assert (position.quantity, position.average_cost) == (quantity, Decimal("1.2"))


def test_a_short_is_negative():
    trade = {**TRADES[1], "currentUnits": "-100"}
    held = {**POSITIONS[0], "long": {"units": "0"}, "short": {"units": "-100"}}
    snapshot = adapter().parse_account((account(trades=[trade], positions=[held]),), NOW_NS)
    assert snapshot.positions[0].quantity == -100


def test_the_working_orders_of_an_account_are_external_orders_guards_with_their_lot():
    report = adapter().parse_open_orders((account(),), NOW_NS)
    stop, limit = report.events
    assert stop == External(
        at_ns=TIME_NS,
        broker_order_id="21",
        instrument="EUR/USD",
        side=Side.SELL,
        quantity=Decimal(50),
        order_type=OrderType.STOP,
        time_in_force=stop.time_in_force,
        stop_price=Decimal("1.05"),
        closes_lot="20",
    )
    assert (limit.venue_client_id, limit.side, limit.quantity) == (
        CLIENT_ID,
        Side.SELL,
        Decimal(10),
    )
    assert report.cursor == "30"


def test_a_guard_in_the_stream_finds_its_trade_in_the_account_read_before():
    speaker = adapter()
    speaker.parse_account((account(),), NOW_NS)
    (event,) = read(speaker, guard(31, tradeID="9"))
    assert (event.instrument, event.quantity) == ("EUR/USD", Decimal(100))


def test_an_account_read_before_the_last_fill_does_not_undo_it():
    speaker = adapter()
    speaker.parse_account((account(),), NOW_NS)
    closing = fill(
        31, 30, units="-40", tradeOpened=None, tradeReduced={"tradeID": "9", "units": "-40"}
    )
    read(speaker, closing)
    speaker.parse_account((account(),), NOW_NS)
    (event,) = read(speaker, guard(32, tradeID="9"))
    assert event.quantity == 60


def test_fills_are_booked_in_the_accounts_own_currency_once_it_was_read():
    speaker = adapter()
    speaker.parse_account((account(currency="CHF"),), NOW_NS)
    assert speaker._reader.currency == "CHF"


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_a_read_that_is_refused_says_the_status_and_body(status: int):
    speaker = adapter()
    response = answer(status, b"no")
    for parse in (
        lambda: speaker.parse_account((response,), NOW_NS),
        lambda: speaker.parse_open_orders((response,), NOW_NS),
        lambda: speaker.parse_since("1", response, NOW_NS),
        lambda: speaker.parse_instruments((response,)),
        lambda: speaker.parse_looked_up(CLIENT_ID, response, NOW_NS),
    ):
        with pytest.raises(Answered) as caught:
            parse()
        assert (caught.value.status, caught.value.body) == (status, b"no")


def test_a_read_that_is_no_account_is_a_broker_error():
    with pytest.raises(BrokerError):
        adapter().parse_account((answer(200, {"account": {}}),), NOW_NS)


def looked_up(status: int, body: Any) -> tuple[Any, ...]:
    return adapter().parse_looked_up(CLIENT_ID, answer(status, body), NOW_NS).events


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("PENDING", Accepted),
        ("FILLED", Accepted),
        ("CANCELLED", Accepted),
        ("TRIGGERED", Triggered),
    ],
)
def test_an_order_that_is_found_exists_and_how_it_ended_is_left_to_the_transactions(
    state: str, kind: type
):
    (event,) = looked_up(200, {"order": {**ORDERS[1], "state": state}})
    assert type(event) is kind
    assert (event.broker_order_id, event.venue_client_id) == ("22", CLIENT_ID)


def test_an_order_in_an_unknown_state_is_an_error():
    with pytest.raises(UnknownWord):
        looked_up(200, {"order": {**ORDERS[1], "state": "SLEEPING"}})


@pytest.mark.parametrize("code", ["ORDER_DOESNT_EXIST", "NO_SUCH_ORDER"])
def test_an_order_the_broker_says_it_does_not_know_has_no_events(code: str):
    assert looked_up(404, {"errorCode": code, "errorMessage": "No such order"}) == ()


@pytest.mark.parametrize(
    "body", [b"<html>not found</html>", {}, {"errorCode": "ACCOUNT_DOESNT_EXIST"}]
)
def test_a_404_that_is_not_the_brokers_word_on_the_order_is_no_evidence(body: Any):
    with pytest.raises(Answered):
        looked_up(404, body)


def tradeable(**fields: Any) -> dict[str, Any]:
    given = {
        "name": "USD_JPY",
        "type": "CURRENCY",
        "displayName": "USD/JPY",
        "pipLocation": -2,
        "displayPrecision": 3,
        "tradeUnitsPrecision": 0,
        "minimumTradeSize": "1",
        "maximumOrderUnits": "100000000",
        "minimumTrailingStopDistance": "0.050",
        "marginRate": "0.02",
    }
    return {**given, **fields}


def test_an_instrument_is_read_with_its_grids_and_bounds():
    (instrument,) = adapter().parse_instruments((answer(200, {"instruments": [tradeable()]}),))
    assert (instrument.symbol, instrument.broker_symbol) == ("USD/JPY", "USD_JPY")
    assert (instrument.base_currency, instrument.quote_currency) == ("USD", "JPY")
    assert (instrument.tick, instrument.lot, instrument.pip) == (
        Decimal("0.001"),
        Decimal(1),
        Decimal("0.01"),
    )
    assert (instrument.quantity_min, instrument.quantity_max) == (1, 100_000_000)
    assert instrument.trailing_distance_min == Decimal("0.050")
    assert (instrument.margin_rate, instrument.calendar) == (Decimal("0.02"), "forex")


@pytest.mark.parametrize(
    ("kind", "asset_class"),
    [
        ("CURRENCY", AssetClass.FOREX),
        ("CFD", AssetClass.CFD),
        ("METAL", AssetClass.METAL),
    ],
)
def test_every_kind_of_instrument_has_its_asset_class(kind: str, asset_class: AssetClass):
    body = {"instruments": [tradeable(type=kind)]}
    assert adapter().parse_instruments((answer(200, body),))[0].asset_class is asset_class


def test_an_unknown_kind_of_instrument_is_an_error():
    with pytest.raises(UnknownWord):
        adapter().parse_instruments((answer(200, {"instruments": [tradeable(type="TULIP")]}),))


def price(**fields: Any) -> dict[str, Any]:
    given = {
        "type": "PRICE",
        "instrument": "EUR_USD",
        "time": TIME,
        "tradeable": True,
        "bids": [{"price": "1.10000", "liquidity": 1000000}, {"price": "1.09990"}],
        "asks": [{"price": "1.10010", "liquidity": "500000"}],
        "closeoutBid": "1.09900",
        "closeoutAsk": "1.10110",
    }
    return {**given, **fields}


def quoted(**fields: Any) -> Any:
    return adapter().parse_price_line(line(price(**fields)), "c1", NOW_NS)


def test_a_price_is_the_best_bid_and_ask_with_their_sizes():
    quote = quoted().quote
    assert (quote.instrument, quote.connection) == ("EUR/USD", "c1")
    assert (quote.bid, quote.ask) == (Decimal("1.10000"), Decimal("1.10010"))
    assert (quote.bid_size, quote.ask_size) == (1_000_000, 500_000)
    assert (quote.broker_ns, quote.received_ns) == (TIME_NS, NOW_NS)
    assert quote.tradeable


def test_an_empty_book_is_quoted_at_the_closeout_prices_without_sizes():
    quote = quoted(bids=[], asks=[], tradeable=False).quote
    assert (quote.bid, quote.ask, quote.bid_size) == (
        Decimal("1.09900"),
        Decimal("1.10110"),
        None,
    )
    assert not quote.tradeable


@pytest.mark.parametrize(("status", "is_open"), [("tradeable", True), ("non-tradeable", False)])
def test_older_prices_say_by_status_whether_they_trade(status: str, is_open: bool):
    assert quoted(tradeable=None, status=status).quote.tradeable is is_open


def test_a_price_without_prices_is_no_quote():
    report = quoted(bids=[], closeoutBid=None)
    assert (report.quote, report.is_heartbeat) == (None, False)


def test_a_price_heartbeat_is_one():
    beat = line({"type": "HEARTBEAT", "time": TIME})
    assert adapter().parse_price_line(beat, "c1", NOW_NS).is_heartbeat


def test_an_unknown_kind_of_price_line_is_an_error():
    with pytest.raises(UnknownWord):
        quoted(type="RUMOR")


def test_capabilities_say_what_was_measured_nowhere_else():
    able = adapter().capabilities
    assert able.visibility_horizon_ms == 2_000
    assert able.client_id is ClientIdUse.ECHOED
    assert able.times_in_force.keys() == able.order_types == set(OrderType) - {OrderType.STOP_LIMIT}


def test_the_token_is_in_no_repr():
    assert TOKEN not in repr(settings())
    assert TOKEN not in repr(vars(adapter()))
