"""Every operation of REST and WebSocket, by every role, on one's own and on another's things.

What is allowed is written down here a second time, by hand: a new operation without a row
fails, and so does one whose authority changed unnoticed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from gateway_world import ACCOUNT, OWNER
from rest_world import RestWorld, a_rest, order

from domain.commands import Logout, QueryAnswer
from gateway import wire
from gateway.rest_operations import OPERATIONS, PREFIX, TICKET
from gateway.wire import Scope

FOREIGN = "acc-of-bob"
T, R, A, C = Scope.TRADE, Scope.READ, Scope.ADMIN, Scope.DROP_COPY
ROLES: dict[str, tuple[Scope, ...]] = {
    "trade": (T,), "read": (R,), "admin": (A,), "drop_copy": (C,), "trade+admin": (T, A),
}  # fmt: skip

Row = tuple[str, Any, frozenset[Scope]]
"""Path after the prefix (with `{account}`), body, and the scopes of which one is needed."""

TRADERS, READERS = frozenset({T}), frozenset({T, R})
HALTERS = frozenset({T, A})
HALT = {"scope": "account", "subject": "{account}", "reason": "x"}
REST: dict[str, Row] = {
    "placeOrder": ("/orders", order(account="{account}"), TRADERS),
    "listOrders": ("/orders?account={account}", None, READERS),
    "cancelOrders": ("/orders?account={account}", None, TRADERS),
    "getOrder": ("/orders/o1", None, READERS),
    "amendOrder": ("/orders/o1", {"quantity": "5"}, TRADERS),
    "cancelOrder": ("/orders/o1", None, TRADERS),
    "placeOrders": ("/batches", {"orders": [order(account="{account}")]}, TRADERS),
    "previewOrder": ("/previews", order(account="{account}"), TRADERS),
    "takeSignal": ("/signals", {"strategy": "x"}, TRADERS),
    "listPositions": ("/positions?account={account}", None, READERS),
    "closePosition": (
        "/positions/close",
        {"client_order_id": "c", "account": "{account}", "instrument": "EUR/USD"},
        TRADERS,
    ),
    "protectPosition": (
        "/positions/protect",
        {"account": "{account}", "lot_id": "7", "take_profit": {"limit_price": "1"}},
        TRADERS,
    ),
    "listAccounts": ("/accounts", None, READERS),
    "getAccount": ("/accounts/{account}", None, READERS),
    "listInstruments": ("/instruments", None, READERS),
    "getQuotes": ("/quotes?instruments=EUR/USD", None, READERS),
    "listExecutions": ("/executions", None, READERS),
    "listTransactions": ("/transactions?account={account}", None, READERS),
    "listConnections": ("/connections", None, READERS),
    "halt": ("/halts", HALT, HALTERS),
    "resume": ("/halts/resume", {"scope": "account", "subject": "{account}"}, HALTERS),
    "makeTicket": ("/tickets", None, frozenset(Scope)),
}
BY_NAME = {operation.name: operation for operation in OPERATIONS}
CROSSES_TENANTS = {"halt", "resume"}
"""What the admin scope may do to another's account."""


def _of(value: Any, account: str) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value).replace(b"{account}", account.encode()))


def test_every_rest_operation_has_a_row() -> None:
    assert REST.keys() == BY_NAME.keys()
    assert {operation.name for operation in OPERATIONS if operation is TICKET} == {"makeTicket"}


@pytest_asyncio.fixture
async def rest(tmp_path: Path) -> AsyncIterator[RestWorld]:
    async with a_rest(tmp_path) as world:
        rows = QueryAnswer(ref=0, body=msgspec.Raw(msgspec.msgpack.encode([])))  # type: ignore[arg-type]
        for what in ("orders.list", "positions.list", "transactions.since", "executions.since"):
            world.router.answers[what] = rows
        for what in ("order.get", "account.get"):
            body = msgspec.Raw(msgspec.msgpack.encode({"version": 1}))
            world.router.answers[what] = QueryAnswer(ref=0, body=body)  # type: ignore[arg-type]
        yield world


@pytest.mark.asyncio
@pytest.mark.parametrize("role", ROLES)
async def test_rest_by_role_and_tenant(rest: RestWorld, role: str) -> None:
    scopes = ROLES[role]
    token = rest.world.mint(*scopes)
    rest.world.server._tokens.refresh()
    for name, account in product(REST, (ACCOUNT, FOREIGN)):
        path, body, needed = REST[name]
        rest.router.asked.clear()
        headers = [("Origin", "https://desk.example")] if name == "makeTicket" else []
        reply = await rest.call(
            BY_NAME[name].method, PREFIX + path.format(account=account), _of(body, account),
            token=token, headers=headers,
        )  # fmt: skip
        names_account = "{account}" in path + str(body)
        is_own = account == ACCOUNT or not names_account
        is_own = is_own or (name in CROSSES_TENANTS and A in scopes)
        is_allowed = bool(needed & set(scopes)) and is_own
        assert (reply.status != 403) == is_allowed, (name, account, reply.body)
        reached = [asked for asked in rest.router.asked if asked.owner]
        assert bool(reached) == (is_allowed and name != "makeTicket"), (name, account)
        assert all(asked.owner == OWNER for asked in reached)


# -- WebSocket

OWN_STREAM, FOREIGN_STREAM = f"orders/{OWNER}", "orders/bob"
CLOSE = {"client_order_id": "c", "account": "{account}", "instrument": "EUR/USD"}
PROTECT = {"account": "{account}", "lot_id": "7", "take_profit": {"limit_price": "1"}}
RESOLVE = {"order_id": "o", "resolution": "canceled", "evidence": "seen in the broker's list"}
ALL = frozenset(Scope)
WS: dict[str, tuple[dict[str, Any], frozenset[Scope]]] = {
    "order.new": ({"cseq": 1, "order": order(account="{account}")}, TRADERS),
    "order.amend": ({"cseq": 1, "amend": {"client_order_id": "o", "quantity": "5"}}, TRADERS),
    "order.cancel": ({"cseq": 1, "cancel": {"account": "{account}"}}, TRADERS),
    "order.batch": ({"cseq": 1, "orders": [order(account="{account}")]}, TRADERS),
    "order.preview": ({"order": order(account="{account}")}, TRADERS),
    "signal.new": ({"cseq": 1, "signal": {"strategy": "x"}}, TRADERS),
    "position.close": ({"cseq": 1, "close": CLOSE}, TRADERS),
    "position.amend": ({"cseq": 1, "protect": PROTECT}, TRADERS),
    "guard.set": ({"cseq": 1, "guard": {"kind": "dead_man", "account": "{account}"}}, TRADERS),
    "halt": ({"cseq": 1, "halt": HALT}, HALTERS),
    "resume": (
        {"cseq": 1, "resume": {"scope": "account", "subject": "{account}"}}, HALTERS,
    ),
    "breaker.reset": ({"connection": "c"}, frozenset({A})),
    "order.resolve": ({"resolve": RESOLVE}, frozenset({A})),
    "order.get": ({"order_id": "x"}, READERS),
    "orders.list": ({"account": "{account}"}, READERS),
    "executions.since": ({}, READERS),
    "positions.list": ({"account": "{account}"}, READERS),
    "accounts.list": ({}, READERS),
    "account.get": ({"account": "{account}"}, READERS),
    "instruments.list": ({}, READERS),
    "quote.get": ({"instruments": ["EUR/USD"]}, READERS),
    "transactions.since": ({"account": "{account}"}, READERS),
    "connections.list": ({}, READERS),
    "sub": ({"streams": {"account/{account}": None}}, ALL),
    "unsub": ({"streams": [OWN_STREAM]}, ALL),
    "ack": ({"stream": OWN_STREAM, "seq": 0}, ALL),
    "ping": ({}, ALL),
}  # fmt: skip
ROLE_OF = {"trade": "trade", "read": "read", "admin": "read", "drop_copy": "drop_copy",
           "trade+admin": "trade"}  # fmt: skip
ADMIN_CROSSES = {"halt", "resume", "sub"}
HELD = {"trade": {T, R}, "read": {R}, "admin": {A}, "drop_copy": {C}, "trade+admin": {T, A}}
"""What a session of the role holds: a token that trades also reads."""


def test_every_websocket_request_has_a_row() -> None:
    assert WS.keys() == {request.__struct_config__.tag for request in wire.REQUESTS}


@pytest.mark.asyncio
@pytest.mark.parametrize("role", ROLES)
async def test_websocket_by_role_and_tenant(rest: RestWorld, role: str) -> None:
    token = rest.world.mint(*ROLES[role])
    rest.world.server._tokens.refresh()
    login = {"session": "s", "role": ROLE_OF[role]}
    client = await rest.world.logged_in(token=token, login=login)
    for number, (kind, account) in enumerate(product(WS, (ACCOUNT, FOREIGN))):
        words, needed = WS[kind]
        rest.router.asked.clear()
        res = await client.ask({"t": kind, "id": f"r{number}", **_of(words, account)})
        is_own = account == ACCOUNT or "{account}" not in str(words)
        is_own = is_own or (kind in ADMIN_CROSSES and A in HELD[role])
        is_allowed = bool(needed & HELD[role]) and is_own
        is_forbidden = res.error is not None and res.error.code == "forbidden"
        assert is_forbidden != is_allowed, (kind, account, res.error)
        asked = [a for a in rest.router.asked if not isinstance(a, Logout)]
        assert is_allowed or not asked, (kind, account)
    await client.close()
