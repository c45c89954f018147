"""Stories of orders at the simulated Alpaca: types, lives, groups, replacements, refusals."""

from __future__ import annotations

import pytest
from alpaca_client import served, told

BRACKET = {
    "order_class": "bracket",
    "take_profit": {"limit_price": "110"},
    "stop_loss": {"stop_price": "90"},
}
OCO = {
    "order_class": "oco",
    "side": "sell",
    "type": "limit",
    "take_profit": {"limit_price": "110"},
    "stop_loss": {"stop_price": "90"},
}
COIN = {"symbol": "BTC/USD", "time_in_force": "gtc"}

REFUSED = [
    ({"symbol": "NONE"}, 422, 42210000, 'asset "NONE" not found'),
    ({"side": "hold"}, 422, 40010001, "invalid side: 'hold'"),
    ({"type": "iceberg"}, 422, 40010001, "invalid order type: 'iceberg'"),
    ({"time_in_force": "gtd"}, 422, 40010001, "invalid time_in_force: 'gtd'"),
    ({"qty": "0"}, 422, 40010001, "qty must be > 0"),
    ({"qty": None}, 422, 40010001, "qty or notional is required"),
    ({"qty": "1", "notional": "5"}, 422, 40010001, "only one of qty or notional is accepted"),
    ({"type": "limit"}, 422, 40010001, "limit orders require a limit_price"),
    ({"type": "stop"}, 422, 40010001, "stop orders require a stop_price"),
    ({"type": "stop_limit", "stop_price": "120"}, 422, 40010001, None),
    ({"type": "trailing_stop"}, 422, 40010001, None),
    ({"type": "trailing_stop", "trail_percent": "2", "trail_price": "1"}, 422, 40010001, None),
    ({"type": "trailing_stop", "trail_price": "-1"}, 422, 40010001, None),
    ({"type": "trailing_stop", "trail_percent": "60"}, 422, 40010001, None),
    ({"trail_price": "1"}, 422, 40010001, None),
    ({"stop_price": "120"}, 422, 40010001, "market orders require no stop or limit price"),
    ({"client_order_id": "x" * 129}, 422, 40010001, None),
    (
        {"type": "limit", "limit_price": "290.123"}, 422, 42210000,
        "invalid limit_price 290.123. sub-penny increment does not fulfill minimum pricing "
        "criteria",
    ),
    ({"type": "stop", "stop_price": "99"}, 422, 42210000,
     "stop price must be greater than current price"),
    ({"type": "limit", "notional": "5", "limit_price": "9"}, 422, 42210000, None),
    ({"qty": "1.5", "time_in_force": "gtc"}, 422, 42210000, "fractional orders must be DAY orders"),
    ({"qty": "1.5", **BRACKET}, 422, 42210000, "fractional orders must be simple orders"),
    ({"qty": "1.5", "side": "sell"}, 422, 42210000, "fractional orders cannot be sold short"),
    ({"extended_hours": True}, 422, 42210000, "extended hours order must be DAY limit orders"),
    ({"type": "stop", "stop_price": "120", "time_in_force": "opg"}, 422, 42210000, None),
    ({"type": "stop", "stop_price": "120", "time_in_force": "ioc"}, 422, 42210000, None),
    ({**COIN, "time_in_force": "day"}, 422, 42210000, "invalid crypto time_in_force"),
    ({**COIN, "type": "stop", "stop_price": "50000"}, 422, 42210000,
     "invalid order type for crypto order"),
    ({**COIN, **BRACKET}, 422, 42210000,
     "crypto orders not allowed for advanced order_class: bracket"),
    ({**COIN, "qty": "0.0001"}, 403, 40310000, "cost basis must be >= minimal amount of order 10"),
    ({"notional": "0.5"}, 403, 40310000, "cost basis must be >= minimal amount of order 1"),
    ({**COIN, "side": "sell"}, 403, 40310000,
     "insufficient balance for BTC (requested: 1, available: 0)"),
    ({**COIN, "qty": "3"}, 403, 40310000, None),
    ({"qty": "5000"}, 403, 40310000, "insufficient buying power"),
    ({"order_class": "oca"}, 422, 42210000, "invalid order_class: 'oca'"),
    ({**BRACKET, "take_profit": None}, 422, 42210000,
     "bracket orders require take_profit.limit_price"),
    ({**BRACKET, "stop_loss": None}, 422, 42210000, "bracket orders require stop_loss.stop_price"),
    ({**BRACKET, "time_in_force": "ioc"}, 422, 42210000, "bracket orders must be day or gtc"),
    ({**BRACKET, "take_profit": {"limit_price": "80"}}, 422, 42210000, None),
    ({**BRACKET, "stop_loss": {"stop_price": "101"}}, 422, 42210000,
     "stop_loss.stop_price must be <= base_price - 0.01"),
    ({**BRACKET, "order_class": "oto"}, 422, 42210000, None),
    ({**OCO}, 422, 42210000, "oco orders must be exit orders"),
    ({**OCO, "type": "market"}, 422, 42210000, "oco orders must be limit orders"),
    ({"symbol": None}, 422, 40010001, "symbol is required"),
    ({"notional": "-1", "qty": None}, 422, 40010001, "notional must be > 0"),
    ({"type": "limit", "limit_price": "-5"}, 422, 40010001, "limit_price must be > 0"),
    ({**OCO, "take_profit": None}, 422, 42210000, "oco orders require take_profit.limit_price"),
    ({**COIN, "type": "limit", "limit_price": "30000", "extended_hours": True}, 422, 42210000,
     "extended hours are not supported for crypto orders"),
    ({**COIN, "type": "limit", "limit_price": "0.0000000001"}, 422, 42210000, None),
    ({"qty": "1.5", "type": "trailing_stop", "trail_percent": "2"}, 422, 42210000,
     "fractional orders cannot be trailing stop orders"),
    ({"type": "trailing_stop", "trail_percent": "2", **BRACKET}, 422, 42210000,
     "trailing stop orders must be simple orders"),
    ({"type": "limit", "limit_price": "90", "extended_hours": True, **BRACKET}, 422, 42210000,
     "bracket orders cannot be extended hours orders"),
    ({"side": "sell", "type": "stop", "stop_price": "101"}, 422, 42210000,
     "stop price must be less than current price"),
    ({"side": "sell", "order_class": "bracket", "take_profit": {"limit_price": "90"},
      "stop_loss": {"stop_price": "99"}}, 422, 42210000,
     "stop_loss.stop_price must be >= base_price + 0.01"),
    ({"symbol": "SPY"}, 422, 42210000, "no price of SPY is known yet"),
]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize(("asked", "status", "code", "message"), REFUSED)
async def test_an_order_that_may_not_be_is_refused_in_alpacas_words(asked, status, code, message):
    async with served() as client:
        found = await client.refused(**asked)
        left = await client.get("/v2/orders?status=all")
    assert found[:2] == (status, code)
    assert message is None or found[2] == message
    assert left == []


@pytest.mark.asyncio
async def test_a_body_that_is_no_json_is_refused():
    async with served() as client:
        status, body = await client.ask("POST", "/v2/orders", data=b"{")
    assert (status, body["code"]) == (400, 40010000)


@pytest.mark.asyncio
async def test_a_client_order_id_is_unique_for_ever():
    async with served() as client:
        order = await client.placed(client_order_id="mine", type="limit", limit_price="90")
        await client.ask("DELETE", f"/v2/orders/{order['id']}")
        found = await client.refused(client_order_id="mine")
    assert found == (422, 40010001, "client_order_id must be unique")


@pytest.mark.asyncio
async def test_a_market_order_fills_at_the_touch_and_moves_cash_by_price_times_quantity():
    async with served() as client:
        order = await client.placed(qty="10")
        position = await client.get("/v2/positions/AAPL")
        account = await client.get("/v2/account")
    assert (order["status"], order["filled_avg_price"], order["filled_qty"]) == (
        "filled", "100.02", "10",
    )  # fmt: skip
    assert (position["qty"], position["avg_entry_price"], position["side"]) == (
        "10", "100.02", "long",
    )  # fmt: skip
    assert account["cash"] == "98999.8"


@pytest.mark.asyncio
async def test_money_buys_a_fraction_to_nine_places():
    async with served() as client:
        order = await client.placed(notional="500")
    assert (order["qty"], order["notional"], order["status"]) == (None, "500", "filled")
    assert order["filled_qty"] == "4.999000199"


@pytest.mark.asyncio
async def test_a_position_keeps_its_average_cost_when_part_of_it_is_sold():
    async with served() as client:
        await client.placed(qty="10")
        await client.tick("AAPL", "110.00", "110.02")
        await client.placed(qty="10")
        await client.placed(qty="5", side="sell")
        position = await client.get("/v2/positions/AAPL")
    assert (position["qty"], position["avg_entry_price"]) == ("15", "105.02")


@pytest.mark.asyncio
async def test_shares_can_be_sold_short_and_bought_back():
    async with served() as client:
        order = await client.placed(qty="10", side="sell")
        position = await client.get("/v2/positions/AAPL")
        status, closing = await client.ask("DELETE", "/v2/positions/AAPL")
        left = await client.get("/v2/positions")
    assert (order["position_intent"], order["status"]) == ("sell_to_open", "filled")
    assert (position["qty"], position["side"]) == ("-10", "short")
    assert (status, closing["side"], closing["qty"]) == (200, "buy", "10")
    assert left == []


@pytest.mark.asyncio
async def test_a_cash_account_sells_nothing_short_and_buys_with_its_cash():
    async with served(account={"multiplier": 1}) as client:
        short = await client.refused(side="sell")
        dear = await client.refused(qty="1000")
        account = await client.get("/v2/account")
    assert short == (403, 40310000, "account is not allowed to short")
    assert dear == (403, 40310000, "insufficient buying power")
    assert (account["multiplier"], account["buying_power"]) == ("1", "100000")


@pytest.mark.asyncio
async def test_working_orders_hold_buying_power_and_shares():
    async with served() as client:
        await client.placed(qty="10")
        await client.placed(type="limit", limit_price="120", side="sell", qty="8")
        too_many = await client.refused(side="sell", type="limit", limit_price="120", qty="3")
        await client.placed(symbol="MSFT", type="limit", limit_price="300", qty="100")
        account = await client.get("/v2/account")
        position = await client.get("/v2/positions/AAPL")
    assert too_many == (
        403, 40310000, "insufficient qty available for order (requested: 3, available: 2)",
    )  # fmt: skip
    assert position["qty_available"] == "2"
    assert account["buying_power"] == "168999.7"


@pytest.mark.asyncio
async def test_an_account_does_not_trade_with_itself():
    async with served() as client:
        await client.placed(type="limit", limit_price="95")
        found = await client.refused(side="sell")
        crossing = await client.refused(side="sell", type="limit", limit_price="94")
        apart = await client.order(side="sell", type="limit", limit_price="105")
    assert found == (403, 40310000, "potential wash trade detected. use complex orders")
    assert crossing == found
    assert apart[0] == 200


@pytest.mark.asyncio
async def test_a_suspended_account_takes_no_orders():
    async with served() as client:
        await client.ask("PATCH", "/v2/account/configurations", {"suspend_trade": True})
        found = await client.refused()
        await client.ask("PATCH", "/v2/account/configurations", {"suspend_trade": False})
        wrong = await client.ask("PATCH", "/v2/account/configurations", {"suspend_trade": 1})
        order = await client.placed()
    assert found == (403, 40310000, "new orders are rejected by user request")
    assert (wrong[0], order["status"]) == (422, "filled")


# -- types and lives


@pytest.mark.asyncio
async def test_a_limit_waits_for_its_price():
    async with served() as client:
        order = await client.placed(type="limit", limit_price="99")
        await client.tick("AAPL", "98.90", "98.95")
        filled = await client.again(order)
    assert order["status"] == "new"
    assert (filled["status"], filled["filled_avg_price"]) == ("filled", "98.95")


@pytest.mark.asyncio
async def test_what_the_book_lacks_is_filled_later():
    async with served() as client, client.updates() as following:
        await client.tick("AAPL", "100.00", "100.02", ask_size="4")
        order = await client.placed(qty="10")
        await client.tick("AAPL", "100.10", "100.12", ask_size="50")
        filled = await client.again(order)
        events = [await following() for _ in range(4)]
    assert (order["status"], order["filled_qty"]) == ("partially_filled", "4")
    assert (filled["status"], filled["filled_avg_price"]) == ("filled", "100.08")
    assert [x["event"] for x in events] == ["pending_new", "new", "partial_fill", "fill"]
    assert [x.get("position_qty") for x in events] == [None, None, "4", "10"]


LIVES = [
    ({"time_in_force": "ioc"}, "canceled", "4"),
    ({"time_in_force": "fok"}, "canceled", "0"),
    ({"time_in_force": "ioc", "type": "limit", "limit_price": "99"}, "canceled", "0"),
    ({"time_in_force": "gtc", "type": "limit", "limit_price": "99"}, "new", "0"),
    ({"time_in_force": "opg", "qty": "4"}, "filled", "4"),
    ({"time_in_force": "cls", "qty": "4"}, "filled", "4"),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("asked", "status", "filled"), LIVES)
async def test_an_order_lives_as_long_as_it_was_asked_to(asked, status, filled):
    async with served() as client:
        await client.tick("AAPL", "100.00", "100.02", ask_size="4")
        order = await client.placed(**{"qty": "10", **asked})
    assert (order["status"], order["filled_qty"]) == (status, filled)


@pytest.mark.asyncio
async def test_a_stop_becomes_a_market_order_and_a_stop_limit_a_limit():
    async with served() as client:
        await client.placed(qty="10")
        stop = await client.placed(side="sell", type="stop", stop_price="95", qty="4")
        limit = await client.placed(
            side="sell", type="stop_limit", stop_price="95", limit_price="94.50", qty="6"
        )
        await client.tick("AAPL", "94.00", "94.02")
        rows = [await client.again(x) for x in (stop, limit)]
        await client.tick("AAPL", "94.60", "94.62")
        late = await client.again(limit)
    assert [x["status"] for x in rows] == ["filled", "new"]
    assert (rows[0]["filled_avg_price"], late["filled_avg_price"]) == ("94", "94.6")


@pytest.mark.asyncio
@pytest.mark.parametrize(("trail", "stops"), [
    ({"trail_price": "2.00"}, ["98", "103", "103"]),
    ({"trail_percent": "2"}, ["98", "102.9", "102.9"]),
])  # fmt: skip
async def test_a_trailing_stop_follows_gains_and_never_gives_back(trail, stops):
    async with served() as client:
        await client.placed()
        order = await client.placed(side="sell", type="trailing_stop", **trail)
        seen = [order]
        for bid in ("105.00", "104.00"):
            await client.tick("AAPL", bid, "105.02")
            seen.append(await client.again(order))
        await client.tick("AAPL", "102.00", "102.02")
        filled = await client.again(order)
    assert [x["stop_price"] for x in seen] == stops
    assert [x["hwm"] for x in seen] == ["100", "105", "105"]
    assert (filled["status"], filled["filled_avg_price"]) == ("filled", "102")


# -- groups


@pytest.mark.asyncio
async def test_a_bracket_takes_its_profit_and_cancels_its_stop():
    async with served() as client:
        entry = await client.placed(type="limit", limit_price="95", **BRACKET)
        await client.tick("AAPL", "94.90", "94.95")
        filled = await client.again(entry)
        await client.tick("AAPL", "111.00", "111.02")
        done = await client.again(entry)
        positions = await client.get("/v2/positions")
    assert [x["status"] for x in entry["legs"]] == ["held", "held"]
    assert (filled["status"], [x["status"] for x in filled["legs"]]) == ("filled", ["new", "held"])
    assert [x["status"] for x in done["legs"]] == ["filled", "canceled"]
    assert positions == []


@pytest.mark.asyncio
async def test_a_bracket_stops_its_loss_and_cancels_its_profit():
    async with served() as client, client.updates() as following:
        entry = await client.placed(**BRACKET)
        await client.tick("AAPL", "89.00", "89.02")
        done = await client.again(entry)
        events = await told(following, 7)
    assert [x["status"] for x in done["legs"]] == ["canceled", "filled"]
    assert events == ["pending_new", "new", "fill", "new", "new", "canceled", "fill"]


@pytest.mark.asyncio
async def test_what_fills_in_one_exit_is_taken_from_the_other():
    async with served() as client:
        entry = await client.placed(qty="10", **BRACKET)
        await client.tick("AAPL", "111.00", "111.02", bid_size="4")
        partly = await client.again(entry)
        await client.tick("AAPL", "89.00", "89.02")
        done = await client.again(entry)
    assert [(x["status"], x["qty"]) for x in partly["legs"]] == [
        ("partially_filled", "10"), ("held", "6"),
    ]  # fmt: skip
    assert [(x["status"], x["filled_qty"]) for x in done["legs"]] == [
        ("canceled", "4"), ("filled", "6"),
    ]  # fmt: skip


@pytest.mark.asyncio
@pytest.mark.parametrize("which", ["entry", "leg"])
async def test_one_order_canceled_cancels_its_group(which):
    async with served() as client:
        entry = await client.placed(type="limit", limit_price="95", **BRACKET)
        gone = entry if which == "entry" else entry["legs"][1]
        status, _ = await client.ask("DELETE", f"/v2/orders/{gone['id']}")
        done = await client.again(entry)
    assert status == 204
    assert [x["status"] for x in (done, *done["legs"])] == ["canceled"] * 3


@pytest.mark.asyncio
async def test_two_exits_close_a_position_once():
    async with served() as client:
        await client.placed()
        oco = await client.placed(time_in_force="gtc", **OCO)
        await client.tick("AAPL", "89.00", "89.02")
        done = await client.again(oco)
        nested = await client.get("/v2/orders?status=all&nested=true")
    assert [(x["type"], x["status"]) for x in (oco, *oco["legs"])] == [
        ("limit", "new"), ("stop", "held"),
    ]  # fmt: skip
    assert [x["status"] for x in (done, *done["legs"])] == ["canceled", "filled"]
    assert len(nested) == 2


@pytest.mark.asyncio
async def test_an_order_triggers_one_other():
    asked = {"order_class": "oto", "stop_loss": {"stop_price": "90", "limit_price": "89"}}
    async with served() as client:
        entry = await client.placed(side="buy", **asked)
        await client.tick("AAPL", "89.50", "89.52")
        done = await client.again(entry)
    assert [(x["type"], x["status"]) for x in entry["legs"]] == [("stop_limit", "new")]
    assert [x["status"] for x in done["legs"]] == ["filled"]


# -- replacing and canceling


@pytest.mark.asyncio
async def test_a_replacement_is_a_new_order_in_the_olds_place():
    async with served() as client, client.updates() as following:
        old = await client.placed(type="limit", limit_price="90", qty="5")
        status, fresh = await client.ask(
            "PATCH", f"/v2/orders/{old['id']}", {"limit_price": "91", "qty": "7"}
        )
        was, now = await client.again(old), await client.again(fresh)
        events = await told(following, 5)
    assert status == 200
    assert (was["status"], was["replaced_by"]) == ("replaced", fresh["id"])
    assert (now["status"], now["replaces"], now["qty"], now["limit_price"]) == (
        "new", old["id"], "7", "91",
    )  # fmt: skip
    assert events == ["pending_new", "new", "pending_new", "replaced", "new"]


@pytest.mark.asyncio
@pytest.mark.parametrize(("counts", "total"), [(True, "6"), (False, "10")])
async def test_a_replacement_counts_what_the_old_order_filled_or_not(counts, total):
    async with served(engine={"chain_quantities": counts}) as client:
        await client.tick("AAPL", "100.00", "100.02", ask_size="4")
        old = await client.placed(type="limit", limit_price="100.02", qty="10")
        too_few = await client.ask("PATCH", f"/v2/orders/{old['id']}", {"qty": "4"})
        _, fresh = await client.ask("PATCH", f"/v2/orders/{old['id']}", {"qty": "6"})
        await client.tick("AAPL", "100.00", "100.01")
        done, position = await client.again(fresh), await client.get("/v2/positions/AAPL")
    assert too_few[1]["message"] == "unable to replace order, qty must be > filled_qty"
    assert (done["status"], done["filled_qty"], position["qty"]) == ("filled", "6", total)


@pytest.mark.asyncio
async def test_the_exits_of_a_bracket_can_be_moved():
    async with served() as client:
        entry = await client.placed(**BRACKET)
        profit, stop = entry["legs"]
        _, dearer = await client.ask("PATCH", f"/v2/orders/{profit['id']}", {"limit_price": "112"})
        _, closer = await client.ask("PATCH", f"/v2/orders/{stop['id']}", {"stop_price": "95"})
        more = await client.ask("PATCH", f"/v2/orders/{dearer['id']}", {"qty": "3"})
        await client.tick("AAPL", "94.00", "94.02")
        done = await client.again(entry)
    assert [x["id"] for x in done["legs"]] == [dearer["id"], closer["id"]]
    assert [x["status"] for x in done["legs"]] == ["canceled", "filled"]
    assert more[1]["message"] == "qty of complex orders cannot be replaced"


PATCHES = [
    ({}, "at least one of qty, time_in_force and the prices is required"),
    ({"stop_price": "90"}, "stop_price is for stop orders that have not triggered"),
    ({"trail": "1"}, "trail is for trailing stop orders that have not triggered"),
    ({"time_in_force": "ioc"}, "time_in_force cannot be changed to ioc"),
    ({"notional": "10"}, "notional orders cannot be replaced"),
    ({"qty": "1.5"}, "qty of fractional orders cannot be replaced"),
    ({"qty": "9000"}, "insufficient buying power"),
    ({"limit_price": "91.123"}, None),
]


@pytest.mark.asyncio
@pytest.mark.parametrize(("asked", "message"), PATCHES)
async def test_a_change_that_may_not_be_leaves_the_order_as_it_was(asked, message):
    async with served() as client:
        order = await client.placed(type="limit", limit_price="90")
        status, body = await client.ask("PATCH", f"/v2/orders/{order['id']}", asked)
        left = await client.again(order)
    assert status in (403, 422)
    assert message is None or body["message"] == message
    assert left == order


@pytest.mark.asyncio
async def test_an_order_that_is_over_can_be_neither_canceled_nor_replaced():
    async with served() as client:
        order = await client.placed()
        cancel = await client.ask("DELETE", f"/v2/orders/{order['id']}")
        patch = await client.ask("PATCH", f"/v2/orders/{order['id']}", {"qty": "2"})
    assert cancel == (422, {"code": 42210000, "message": 'order is already in "filled" state'})
    assert patch[1]["message"] == "unable to replace order, order is not open"


@pytest.mark.asyncio
async def test_all_orders_are_canceled_at_once():
    async with served() as client:
        for price in ("90", "91"):
            await client.placed(type="limit", limit_price=price)
        status, rows = await client.ask("DELETE", "/v2/orders")
        left = await client.get("/v2/orders")
    assert (status, [x["status"] for x in rows], left) == (207, [200, 200], [])


CLOSES = [("", "10"), ("?qty=4", "4"), ("?percentage=25", "2"), ("?percentage=100", "10")]


@pytest.mark.asyncio
@pytest.mark.parametrize(("query", "units"), CLOSES)
async def test_a_position_is_closed_whole_or_in_part(query, units):
    async with served() as client:
        await client.placed(qty="10")
        status, order = await client.ask("DELETE", f"/v2/positions/AAPL{query}")
    assert (status, order["qty"], order["side"]) == (200, units, "sell")


@pytest.mark.asyncio
async def test_a_position_cannot_be_closed_by_nonsense():
    async with served() as client:
        await client.placed(qty="10")
        for query in ("qty=x", "qty=1&percentage=5", "percentage=101", "percentage=1"):
            assert (await client.ask("DELETE", f"/v2/positions/AAPL?{query}"))[0] == 422
        more = await client.ask("DELETE", "/v2/positions/AAPL?qty=11")
    assert more[1]["message"].startswith("insufficient qty available for order")


@pytest.mark.asyncio
async def test_all_positions_are_closed_with_their_orders():
    async with served() as client:
        await client.placed(**BRACKET)
        await client.placed(qty="0.5", **COIN)
        _, kept = await client.ask("DELETE", "/v2/positions")
        status, rows = await client.ask("DELETE", "/v2/positions?cancel_orders=true")
        left = await client.get("/v2/positions")
    assert [(x["symbol"], x["status"]) for x in kept] == [("AAPL", 403), ("BTCUSD", 200)]
    assert (status, [x["symbol"] for x in rows], left) == (207, ["AAPL"], [])


# -- what is rare


@pytest.mark.asyncio
async def test_fractions_can_be_switched_off():
    async with served() as client:
        await client.ask("PATCH", "/v2/account/configurations", {"fractional_trading": False})
        found = await client.refused(qty="1.5")
        broken = await client.ask("PATCH", "/v2/account/configurations", data=b"[")
    assert found[2] == "account is not allowed to trade fractional shares"
    assert broken[0] == 400


@pytest.mark.asyncio
async def test_an_account_has_so_many_open_orders():
    async with served(engine={"orders_max": 1}) as client:
        await client.placed(type="limit", limit_price="90")
        found = await client.refused(type="limit", limit_price="91")
    assert found == (403, 40310000, "at most 1 open orders")


@pytest.mark.asyncio
async def test_a_small_account_trades_with_its_own_money_only():
    async with served(account={"balance": 1500}) as client:
        account = await client.get("/v2/account")
        short = await client.refused(side="sell")
    assert (account["multiplier"], account["buying_power"]) == ("1", "1500")
    assert not account["shorting_enabled"]
    assert short[2] == "account is not allowed to short"


@pytest.mark.asyncio
async def test_a_held_exits_new_name_must_be_its_own():
    async with served() as client:
        entry = await client.placed(type="limit", limit_price="95", **BRACKET)
        leg = entry["legs"][0]["id"]
        taken = {"client_order_id": entry["client_order_id"], "limit_price": "111"}
        found = await client.ask("PATCH", f"/v2/orders/{leg}", taken)
    assert found[1]["message"] == "client_order_id must be unique"


@pytest.mark.asyncio
async def test_the_same_quantity_is_no_change_of_it():
    async with served() as client:
        order = await client.placed(type="limit", limit_price="90", qty="3")
        asked = {"qty": "3", "limit_price": "91", "time_in_force": "gtc"}
        status, fresh = await client.ask("PATCH", f"/v2/orders/{order['id']}", asked)
        wrong = await client.ask("PATCH", f"/v2/orders/{fresh['id']}", {"time_in_force": "soon"})
        broken = await client.ask("PATCH", f"/v2/orders/{fresh['id']}", data=b"{")
    assert (status, fresh["qty"], fresh["time_in_force"]) == (200, "3", "gtc")
    assert (wrong[0], broken[0]) == (422, 400)


@pytest.mark.asyncio
async def test_activities_of_one_day_are_found_by_its_date():
    async with served() as client:
        rows = await client.get("/v2/account/activities")
        day = rows[0]["date"]
        same = await client.get(f"/v2/account/activities?date={day}")
        other = await client.get("/v2/account/activities?date=2020-01-02")
    assert (same, other) == (rows, [])


@pytest.mark.asyncio
async def test_latest_data_wants_a_symbol_that_is_there():
    async with served() as client:
        none = await client.ask("GET", "/v2/stocks/quotes/latest")
        unknown = await client.ask("GET", "/v2/stocks/BTCUSD/quotes/latest")
        partly = await client.get("/v2/stocks/quotes/latest?symbols=AAPL,NONE")
    assert none[0] == unknown[0] == 422
    assert list(partly["quotes"]) == ["AAPL"]
