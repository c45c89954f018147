"""REST over real sockets, with a router in memory: the same words, decisions and errors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from gateway_world import ACCOUNT, OWNER, an_update
from msgspec.structs import replace
from rest_world import ORIGIN, RestWorld, a_rest, order, read_reply

from domain.commands import (
    Amend,
    Answer,
    Batch,
    Cancel,
    ClosePosition,
    Decided,
    Place,
    QueryAnswer,
    Submit,
    TakeSignal,
)
from domain.errors import Category, ErrorInfo, Outcome, Retry
from domain.lifecycle import Status
from gateway.errors import refusal
from gateway.rest_operations import OPERATIONS, PREFIX
from gateway.rest_problems import status_of
from gateway.wire import Scope

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def rest(tmp_path: Path) -> AsyncIterator[RestWorld]:
    async with a_rest(tmp_path, answer_timeout_ms=300) as world:
        yield world


def rows(*found: Any, position: int = 7) -> QueryAnswer:
    return QueryAnswer(ref=0, position=position, body=msgspec.msgpack.encode(list(found)))  # type: ignore[arg-type]


def one(row: Any) -> QueryAnswer:
    return QueryAnswer(ref=0, position=7, body=msgspec.Raw(msgspec.msgpack.encode(row)))  # type: ignore[arg-type]


def raw_rows(*found: Any) -> QueryAnswer:
    return one(list(found))


# -- orders


async def test_an_order_is_placed_and_the_same_again_is_answered_the_same(rest: RestWorld) -> None:
    first = await rest.call("POST", f"{PREFIX}/orders", order())
    assert first.status == 201
    assert first.headers["location"] == f"{PREFIX}/orders/o1"
    (decided,) = first.body["decided"]
    assert (decided["client_order_id"], decided["status"]) == ("o1", "sending")
    again = await rest.call("POST", f"{PREFIX}/orders", order())
    assert (again.status, again.body["decided"][0]["dup"]) == (200, True)
    submit = rest.router.of(Submit)[0]
    assert (submit.owner, submit.session, submit.cseq) == (OWNER, "rest", 0)
    assert submit.received_ns > 0
    assert not submit.by_admin


async def test_a_refused_order_is_a_problem_with_the_protocol_s_error(rest: RestWorld) -> None:
    error = ErrorInfo(
        code="leverage", category=Category.RISK, outcome=Outcome.NONE, retry=Retry.NEW_ID,
        message="too much", field="order.quantity", rule="us_fx_leverage", citation="NFA 2-43",
    )  # fmt: skip
    denied = Decided(client_order_id="o1", order_id="id-1", status="denied", error=error)
    rest.router.orders["o1"] = denied
    reply = await rest.call("POST", f"{PREFIX}/orders", order())
    assert (reply.status, reply.code) == (422, "leverage")
    told = reply.body
    assert (told["field"], told["rule"], told["citation"]) == (
        "quantity", "us_fx_leverage", "NFA 2-43",
    )  # fmt: skip
    assert (told["outcome"], told["retry"], told["order_status"]) == ("none", "new_id", "denied")


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (order(quantity=1.5), 400, "wrong_type", "quantity"),
        (order(quantity=1), 400, "wrong_type", "quantity"),
        (order(quantity="1e3"), 400, "bad_decimal", "quantity"),
        (order(quantity="\u0661"), 400, "bad_decimal", "quantity"),
        (order("o1\n"), 400, "bad_format", "client_order_id"),
        (order(side="long"), 400, "unknown_value", "side"),
        (order(size="1"), 400, "unknown_field", "size"),
        ({"side": "buy"}, 400, "missing_field", "client_order_id"),
        ([], 400, "wrong_type", None),
        (b"{", 400, "malformed", None),
        (b"\xff\xfe", 400, "malformed", None),
        (b'{"side":' + b"[" * 5_000, 400, "wrong_type", "side"),
        (order(quantity="0"), 422, "invalid_order", "quantity"),
        (order(type="limit"), 422, "invalid_order", "limit_price"),
        (order(account="acc-9"), 403, "forbidden", "account"),
        (order(valid_until_ns=1), 422, "clock_not_measured", "valid_until_ns"),
    ],
)
async def test_bad_words_name_the_field_and_the_fix(
    rest: RestWorld, body: Any, status: int, code: str, field: str | None
) -> None:
    reply = await rest.call("POST", f"{PREFIX}/orders", body)
    assert (reply.status, reply.code, reply.body.get("field")) == (status, code, field)
    assert not rest.router.of(Submit)


async def test_an_order_is_read_by_either_id_and_carries_its_version(rest: RestWorld) -> None:
    rest.router.answers["order.get"] = one({"order_id": "x", "version": 3})
    reply = await rest.call("GET", f"{PREFIX}/orders/o1")
    assert (reply.status, reply.headers["etag"]) == (200, '"3"')
    assert rest.router.asked[-1].args == {"client_order_id": "o1"}
    unknown = refusal("unknown_order", "no such order")
    rest.router.answers["order.get"] = QueryAnswer(ref=0, error=unknown)
    reply = await rest.call("GET", f"{PREFIX}/orders/o1")
    assert (reply.status, reply.code) == (404, "unknown_order")
    assert [query.args for query in rest.router.asked[-2:]] == [
        {"client_order_id": "o1"}, {"order_id": "o1"},
    ]  # fmt: skip


async def test_an_amend_is_guarded_by_a_version_from_the_header_or_the_body(
    rest: RestWorld,
) -> None:
    path, body = f"{PREFIX}/orders/o1", {"limit_price": "1.1"}
    for headers, given, version in (
        ([("If-Match", '"7"')], body, 7),
        ([("If-Match", "*")], body, None),
        ([], body | {"if_version": 5}, 5),
        ([("If-Match", '"5"')], body | {"if_version": 5}, 5),
    ):
        reply = await rest.call("PATCH", path, given, headers=headers)
        assert reply.status == 200, reply.body
        amend = rest.router.of(Submit)[-1].command
        assert isinstance(amend, Amend)
        assert (amend.amend.client_order_id, amend.amend.if_version) == ("o1", version)
    reply = await rest.call("PATCH", path, body | {"if_version": 5}, headers=[("If-Match", '"6"')])
    assert (reply.status, reply.code) == (422, "invalid_order")
    reply = await rest.call("PATCH", path, body, headers=[("If-Match", "W/7")])
    assert (reply.status, reply.code) == (400, "bad_format")
    reply = await rest.call("PATCH", path, {})
    assert (reply.status, reply.body["field"]) == (422, "quantity")


async def test_a_stale_amend_is_a_failed_precondition(rest: RestWorld) -> None:
    rest.router.errors[Amend] = refusal("stale_version", "it moved", field="if_version")
    reply = await rest.call("PATCH", f"{PREFIX}/orders/o1", {"quantity": "5"})
    assert (reply.status, reply.code) == (412, "stale_version")


@pytest.mark.parametrize(
    ("query", "selector"),
    [
        ("all=true", {"all": True}),
        ("tag=t1", {"tag": "t1"}),
        ("instrument=EUR/USD", {"instrument": "EUR/USD"}),
        ("instrument=EUR%2FUSD", {"instrument": "EUR/USD"}),
        (f"account={ACCOUNT}&include_external=1", {"account": ACCOUNT, "include_external": True}),
    ],
)
async def test_many_orders_are_canceled_by_an_explicit_selector(
    rest: RestWorld, query: str, selector: dict[str, Any]
) -> None:
    reply = await rest.call("DELETE", f"{PREFIX}/orders?{query}")
    assert reply.status == 200
    cancel = rest.router.of(Submit)[-1].command
    assert isinstance(cancel, Cancel)
    assert {n: v for n, v in msgspec.structs.asdict(cancel.cancel).items() if v} == selector


@pytest.mark.parametrize("query", ["", "?all=false", "?all=true&tag=t1", "?include_external=true"])
async def test_a_cancel_without_exactly_one_selector_is_refused(
    rest: RestWorld, query: str
) -> None:
    reply = await rest.call("DELETE", f"{PREFIX}/orders{query}")
    assert (reply.status, reply.code) == (422, "invalid_cancel")
    assert not rest.router.of(Submit)


async def test_one_order_is_canceled_under_the_key_given(rest: RestWorld) -> None:
    path = f"{PREFIX}/orders/o1"
    await rest.call("DELETE", path, headers=[("Idempotency-Key", "k-1")])
    submit = rest.router.of(Submit)[-1]
    assert (submit.request_id, submit.command.cancel.client_order_id) == ("k-1", "o1")
    await rest.call("DELETE", path)
    await rest.call("DELETE", path)
    first, second = (submit.request_id for submit in rest.router.of(Submit)[-2:])
    assert first != second
    reply = await rest.call("DELETE", path, headers=[("Idempotency-Key", "no spaces")])
    assert (reply.status, reply.code, reply.body["field"]) == (
        400, "bad_format", "Idempotency-Key",
    )  # fmt: skip


async def test_a_batch_shows_each_decision_refusals_among_them(rest: RestWorld) -> None:
    rest.router.orders["b"] = Decided(client_order_id="b", error=refusal("x", "no"))
    reply = await rest.call("POST", f"{PREFIX}/batches", {"orders": [order("a"), order("b")]})
    assert reply.status == 200
    good, bad = reply.body["decided"]
    assert "error" not in good
    assert bad["error"]["code"] == "x"
    assert isinstance(rest.router.of(Submit)[-1].command, Batch)
    reply = await rest.call("POST", f"{PREFIX}/batches", {"orders": [order("b")]})
    assert (reply.status, reply.body["decided"][0]["error"]["code"]) == (200, "x")


async def test_a_preview_is_a_dry_run(rest: RestWorld) -> None:
    reply = await rest.call("POST", f"{PREFIX}/previews", order())
    assert (reply.status, reply.body) == (200, {"verdicts": []})
    assert rest.router.of(Submit)[-1].command.dry_run


async def test_a_close_is_named_by_the_body_or_the_key(rest: RestWorld) -> None:
    path, body = f"{PREFIX}/positions/close", {"account": ACCOUNT, "instrument": "EUR/USD"}
    for given, headers, name in (
        (body | {"client_order_id": "c1", "percent": "50"}, [], "c1"),
        (body, [("Idempotency-Key", "k1")], "k1"),
        (body | {"client_order_id": "c2"}, [("Idempotency-Key", "k1")], "c2"),
    ):
        assert (await rest.call("POST", path, given, headers=headers)).status == 201
        close = rest.router.of(Submit)[-1].command
        assert isinstance(close, ClosePosition)
        assert close.client_order_id == name
    reply = await rest.call("POST", path, body)
    assert (reply.status, reply.code) == (422, "missing_id")
    reply = await rest.call("POST", path, body | {"client_order_id": "c", "percent": "101"})
    assert (reply.status, reply.body["field"]) == (422, "percent")


async def test_a_signal_is_passed_on_as_it_came(rest: RestWorld) -> None:
    path, body = f"{PREFIX}/signals", {"strategy": "x", "id": "s1"}
    assert (await rest.call("POST", path, body)).status == 201
    command = rest.router.of(Submit)[-1].command
    assert command == TakeSignal(signal=body)
    await rest.call("POST", f"{path}?dry_run=true", body, headers=[("Idempotency-Key", "k1")])
    command = rest.router.of(Submit)[-1].command
    assert command == TakeSignal(signal=body, signal_id="k1", dry_run=True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"price": 1.1}, "price"),
        ({"price": 1}, "price"),
        ({"price": None}, "price"),
        ({"price": {"deep": "1"}}, "price"),
        ({"price": ["1"]}, "price"),
        ({"price": "1" * 201}, "price"),
        ({"p" * 65: "1"}, "p" * 65),
    ],
)
async def test_a_signal_is_texts_by_name(rest: RestWorld, body: Any, field: str) -> None:
    reply = await rest.call("POST", f"{PREFIX}/signals", body)
    assert (reply.status, reply.body["field"]) == (400, field)


# -- waiting for the outcome


def a_row(status: str, **terms: str) -> QueryAnswer:
    return one({"order_id": "x", "status": status, "terms": terms})


async def test_waiting_answers_with_what_the_broker_did(rest: RestWorld) -> None:
    rest.router.answers["order.get"] = a_row("filled")
    reply = await rest.call("POST", f"{PREFIX}/orders?wait=outcome", order())
    assert (reply.status, reply.body["order"]["status"]) == (201, "filled")
    assert not rest.rest.desk._watches


async def test_waiting_goes_on_until_an_order_that_cannot_rest_has_ended(rest: RestWorld) -> None:
    rest.router.answers["order.get"] = a_row("live")
    asked = asyncio.ensure_future(
        rest.call("POST", f"{PREFIX}/orders?wait=outcome&wait_ms=5000", order())
    )
    await asyncio.sleep(0.05)
    assert not asked.done()
    rest.router.answers["order.get"] = a_row("canceled")
    name = rest.router.orders["o1"].order_id
    update = an_update(rest.router.head() + 1, name="o1")
    rest.router.publish(replace(update, body=replace(update.body, order_id=name)))
    assert (await asked).body["order"]["status"] == "canceled"


async def test_a_resting_order_has_its_outcome_when_it_works(rest: RestWorld) -> None:
    rest.router.answers["order.get"] = a_row("live", type="limit", time_in_force="gtc")
    body = order(type="limit", limit_price="1.1")
    reply = await rest.call("POST", f"{PREFIX}/orders?wait=outcome&wait_ms=5000", body)
    assert reply.body["order"]["status"] == "live"
    rest.router.answers["order.get"] = a_row("live", type="limit", time_in_force="ioc")
    reply = await rest.call("POST", f"{PREFIX}/orders?wait=outcome&wait_ms=50", order("o2"))
    assert reply.body["order"]["status"] == "live"  # the wait was over


async def test_a_wait_that_is_over_tells_how_the_order_stands(rest: RestWorld) -> None:
    rest.router.answers["order.get"] = a_row(Status.UNKNOWN.value)
    reply = await rest.call("POST", f"{PREFIX}/orders?wait=outcome&wait_ms=30", order())
    assert (reply.status, reply.body["order"]["status"]) == (201, "unknown")


async def test_a_router_lost_while_waiting_leaves_the_decision(rest: RestWorld) -> None:
    rest.router.answers["order.get"] = a_row("sending")
    asked = asyncio.ensure_future(
        rest.call("POST", f"{PREFIX}/orders?wait=outcome&wait_ms=200", order())
    )
    await asyncio.sleep(0.05)
    rest.router.lose()
    reply = await asked
    assert reply.status == 201
    assert "order" not in reply.body


# -- reads


async def test_pages_of_orders_go_on_before_the_last_row(rest: RestWorld) -> None:
    rest.router.answers["orders.list"] = raw_rows({"order_id": "b"}, {"order_id": "a"})
    reply = await rest.call("GET", f"{PREFIX}/orders?status=all&limit=2&before=c")
    assert reply.body == {
        "position": 7, "rows": [{"order_id": "b"}, {"order_id": "a"}], "next": "a",
    }  # fmt: skip
    assert rest.router.asked[-1].args == {"status": "all", "limit": 2, "before": "c"}
    reply = await rest.call("GET", f"{PREFIX}/orders?limit=3")
    assert reply.body["next"] is None


async def test_pages_of_a_stream_go_on_after_the_last_number(rest: RestWorld) -> None:
    rest.router.answers["executions.since"] = raw_rows({"seq": 4}, {"seq": 9})
    reply = await rest.call("GET", f"{PREFIX}/executions?after=3&limit=2")
    assert reply.body["next"] == 9
    assert (await rest.call("GET", f"{PREFIX}/executions")).body["next"] is None
    rest.router.answers["transactions.since"] = raw_rows()
    reply = await rest.call("GET", f"{PREFIX}/transactions?account={ACCOUNT}")
    assert (reply.status, reply.body["next"]) == (200, None)


async def test_reads_become_the_protocol_s_queries(rest: RestWorld) -> None:
    for path, what, args in (
        ("/positions", "positions.list", {}),
        ("/accounts", "accounts.list", {}),
        (f"/accounts/{ACCOUNT}", "account.get", {"account": ACCOUNT}),
        ("/instruments", "instruments.list", {}),
        ("/quotes?instruments=EUR/USD,USD/JPY", "quote.get", {"instrument": "EUR/USD,USD/JPY"}),
        ("/connections", "connections.list", {}),
    ):
        rest.router.answers[what] = one({}) if "accounts/" in path else raw_rows()
        assert (await rest.call("GET", PREFIX + path)).status == 200
        assert (rest.router.asked[-1].what, rest.router.asked[-1].args) == (what, args)


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("limit=0", "out_of_range", "limit"),
        ("limit=501", "out_of_range", "limit"),
        ("limit=ten", "wrong_type", "limit"),
        ("limit=null", "wrong_type", "limit"),
        ("limit=1&limit=2", "malformed", "limit"),
        ("status=odd", "unknown_value", "status"),
        ("colour=red", "unknown_field", "colour"),
        ("tag=a%0A", "bad_format", "tag"),
        ("tag=%FF", "malformed", None),
        ("tag", "malformed", None),
        ("&".join(f"x{n}=1" for n in range(40)), "malformed", None),
        ("tag=" + "a" * 5000, "out_of_range", None),
    ],
)
async def test_a_query_string_is_taken_as_strictly_as_a_body(
    rest: RestWorld, query: str, code: str, field: str | None
) -> None:
    reply = await rest.call("GET", f"{PREFIX}/orders?{query}")
    assert (reply.status, reply.code, reply.body.get("field")) == (400, code, field)


async def test_a_path_without_a_query_takes_none(rest: RestWorld) -> None:
    reply = await rest.call("GET", f"{PREFIX}/accounts?x=1")
    assert (reply.status, reply.code, reply.body["field"]) == (400, "unknown_field", "x")


# -- where the router is away


async def test_without_a_router_nothing_was_sent(rest: RestWorld) -> None:
    rest.router.lose()
    for method, path, body in (
        ("POST", "/orders", order()), ("GET", "/orders", None), ("DELETE", "/orders/o1", None),
    ):  # fmt: skip
        reply = await rest.call(method, PREFIX + path, body)
        assert (reply.status, reply.code) == (503, "router_unavailable")
        assert (reply.body["outcome"], reply.body["retry"]) == ("none", "same_id")
        assert reply.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("method", "path", "body", "outcome"),
    [
        ("POST", "/orders", order(), "unknown"),
        ("DELETE", "/orders/o1", None, "unknown"),
        ("POST", "/previews", order(), "none"),
        ("POST", "/signals?dry_run=true", {"a": "b"}, "none"),
        ("POST", "/signals", {"a": "b"}, "unknown"),
        ("GET", "/positions", None, "none"),
    ],
)
async def test_a_router_lost_on_the_way_leaves_a_command_in_doubt(
    rest: RestWorld, method: str, path: str, body: Any, outcome: str
) -> None:
    rest.router.is_silent = True
    asked = asyncio.ensure_future(rest.call(method, PREFIX + path, body))
    await asyncio.sleep(0.05)
    rest.router.lose()
    reply = await asked
    assert (reply.status, reply.code, reply.body["outcome"]) == (
        503, "router_unavailable", outcome,
    )  # fmt: skip


async def test_a_silent_router_is_given_up_in_time(rest: RestWorld) -> None:
    rest.router.is_silent = True
    reply = await rest.call("POST", f"{PREFIX}/orders", order())
    assert (reply.status, reply.code, reply.body["outcome"]) == (504, "no_answer", "unknown")
    late = rest.router.of(Submit)[-1]
    rest.rest.deliver(Answer(ref=late.ref))  # nobody asks any more


async def test_stopping_waits_for_what_is_under_way(tmp_path: Path) -> None:
    async with a_rest(tmp_path) as rest:
        rest.router.is_silent = True
        asked = asyncio.ensure_future(rest.call("POST", f"{PREFIX}/orders", order()))
        await asyncio.sleep(0.05)
        stopping = asyncio.ensure_future(rest.rest.stop())
        await asyncio.sleep(0.05)
        (submit,) = rest.router.of(Submit)
        rest.rest.deliver(Answer(ref=submit.ref, decided=(Decided(order_id="x"),)))
        assert (await asked).status == 201
        await stopping


async def test_stopping_answers_what_nobody_answered_in_time(tmp_path: Path) -> None:
    async with a_rest(tmp_path, drain_ms_max=50) as rest:
        rest.router.is_silent = True
        asked = asyncio.ensure_future(rest.call("POST", f"{PREFIX}/orders", order()))
        await asyncio.sleep(0.02)
        await rest.rest.stop()
        assert (await asked).code == "router_unavailable"


async def test_an_answer_to_a_client_that_left_is_nothing(rest: RestWorld) -> None:
    rest.router.is_silent = True
    _, writer = await asyncio.open_connection("127.0.0.1", rest.port)
    head = f"GET {PREFIX}/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {rest.world.token}"
    writer.write(head.encode() + b"\r\n\r\n")
    await asyncio.sleep(0.05)
    writer.transport.abort()
    await asyncio.sleep(0.05)
    rest.router.lose()
    assert (await rest.call("GET", f"{PREFIX}/orders")).status == 503


# -- rates and permits


async def test_a_token_over_its_rate_is_told_to_wait_and_cancels_still_pass(
    tmp_path: Path,
) -> None:
    limits = {"commands_per_s": 1, "commands_burst": 1}
    async with a_rest(tmp_path, limits=_limits(**limits)) as rest:
        assert (await rest.call("POST", f"{PREFIX}/orders", order("a"))).status == 201
        reply = await rest.call("POST", f"{PREFIX}/orders", order("b"))
        assert (reply.status, reply.code, reply.body["outcome"]) == (429, "rate_limited", "none")
        assert reply.headers["retry-after"] == "1"
        assert (await rest.call("DELETE", f"{PREFIX}/orders/a")).status == 200
        other = mint(rest, Scope.TRADE)
        assert (await rest.call("POST", f"{PREFIX}/orders", order("c"), token=other)).status == 201


def _limits(**words: int) -> Any:
    from gateway.settings import Limits

    return Limits(**words)


def mint(rest: RestWorld, *scopes: Scope) -> str:
    token = rest.world.mint(*scopes)
    rest.world.server._tokens.refresh()
    return token


async def test_too_many_requests_under_way_are_refused(tmp_path: Path) -> None:
    async with a_rest(tmp_path, limits=_limits(in_flight_max=1)) as rest:
        rest.router.is_silent = True
        first = asyncio.ensure_future(rest.call("GET", f"{PREFIX}/orders"))
        await asyncio.sleep(0.05)
        reply = await rest.call("GET", f"{PREFIX}/orders")
        assert (reply.status, reply.code) == (429, "rate_limited")
        rest.router.lose()
        await first


async def test_the_token_unheard_for_longest_is_forgotten(
    rest: RestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.rest_desk.CALLERS_MAX", 2)
    for _ in range(4):
        await rest.call("GET", f"{PREFIX}/orders", token=mint(rest, Scope.READ))
    assert len(rest.rest.desk._callers) == 2


# -- tokens


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Bearer fg_wrong")],
        [("Authorization", "Basic abc")],
        [("Authorization", "")],
    ],
)
async def test_without_a_good_token_nothing_is_said(
    rest: RestWorld, headers: list[tuple[str, str]]
) -> None:
    for operation in OPERATIONS:
        path = PREFIX + operation.path.replace("{id}", "x")
        reply = await rest.call(operation.method, path, token=None, headers=headers)
        assert (reply.status, reply.code) == (401, "unauthorized")
        assert reply.headers["www-authenticate"] == "Bearer"
    two = [("Authorization", f"Bearer {rest.world.token}")] * 2
    assert (await rest.call("GET", f"{PREFIX}/orders", token=None, headers=two)).status == 401
    assert not rest.router.asked


async def test_a_revoked_token_ends_within_a_second(rest: RestWorld) -> None:
    token = mint(rest, Scope.TRADE)
    assert (await rest.call("GET", f"{PREFIX}/orders", token=token)).status == 200
    (revoked,) = [t for t in rest.world.store.list() if t.id == rest.world.store.list()[-1].id]
    rest.world.store.revoke(revoked.id)
    async with asyncio.timeout(1):
        while (await rest.call("GET", f"{PREFIX}/orders", token=token)).status != 401:
            await asyncio.sleep(0.01)
    reply = await rest.call("POST", f"{PREFIX}/orders", order(), token=token)
    assert reply.status == 401
    assert not rest.router.of(Submit)


# -- paths and methods


@pytest.mark.parametrize(
    "path", ["/", "/api/v1", "/api/v1/", "/api/v1/orders/", "/api/v1/nothing/x", "/api/v2/orders",
             "/api/v1/orders/%FF", "/api/v1/orders/a%0Ab", "/api/v1/orders/a/b", "//"],
)  # fmt: skip
async def test_an_unknown_path_is_a_problem(rest: RestWorld, path: str) -> None:
    reply = await rest.call("GET", path)
    assert (reply.status, reply.code) == (404, "not_found")


@pytest.mark.parametrize("method", ["PUT", "TRACE", "DELETE"])
async def test_an_unknown_method_says_which_are_known(rest: RestWorld, method: str) -> None:
    reply = await rest.call(method, f"{PREFIX}/positions")
    assert (reply.status, reply.code) == (405, "method_not_allowed")
    assert reply.headers["allow"] == "GET, HEAD, OPTIONS"
    reply = await rest.call(method, f"{PREFIX}/openapi.json")
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_head_is_get_without_a_body(rest: RestWorld) -> None:
    rest.router.answers["orders.list"] = raw_rows()
    reply = await rest.call("HEAD", f"{PREFIX}/orders")
    assert (reply.status, reply.raw) == (200, b"")
    assert int(reply.headers["content-length"]) > 0


async def test_the_descriptions_and_the_page_need_no_token(rest: RestWorld) -> None:
    for name, kind in (
        ("openapi.json", "application/json"), ("asyncapi.json", "application/json"),
        ("docs", "text/html; charset=utf-8"),
    ):  # fmt: skip
        reply = await rest.call("GET", f"{PREFIX}/{name}", token=None)
        assert (reply.status, reply.headers["content-type"]) == (200, kind)
        assert reply.raw


# -- HTTP itself


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"FOO / HTTP/1.1\r\n\r\n",
        b"GET * HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 10_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: 1\r\n" % n for n in range(200)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_a_problem_too(rest: RestWorld, data: bytes) -> None:
    reply = await rest.raw(data)
    assert (reply.status, reply.code) == (400, "bad_request")
    assert b"Traceback" not in reply.raw
    assert (await rest.call("GET", f"{PREFIX}/docs")).status == 200


async def test_a_body_beyond_the_limit_is_refused_before_it_is_read(rest: RestWorld) -> None:
    reply = await rest.call("POST", f"{PREFIX}/orders", b'"' + b"a" * 70_000 + b'"')
    assert (reply.status, reply.code) == (413, "too_large")
    head = (
        f"POST {PREFIX}/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {rest.world.token}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"4000\r\n" + b"a" * 0x4000 + b"\r\n"
    reply = await rest.raw(head.encode() + chunk * 6)
    assert (reply.status, reply.code) == (413, "too_large")


async def test_a_body_may_come_in_pieces(rest: RestWorld) -> None:
    body = msgspec.json.encode(order())
    reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
    head = (
        f"POST {PREFIX}/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {rest.world.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Expect: 100-continue\r\n\r\n"
    )
    writer.write(head.encode())
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(body[:10])
    await asyncio.sleep(0.02)
    writer.write(body[10:])
    assert (await read_reply(reader)).status == 201
    writer.close()


async def test_a_body_that_does_not_come_is_not_waited_for(
    rest: RestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.rest_reading.BODY_TIMEOUT_S", 0.05)
    head = (
        f"POST {PREFIX}/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {rest.world.token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
    )
    reply = await rest.raw(head.encode())
    assert (reply.status, reply.code) == (408, "request_timeout")


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Type", "application/x-www-form-urlencoded")],
        [("Content-Type", "text/plain")],
        [("Content-Type", "application/json"), ("Content-Encoding", "gzip")],
        [("Content-Type", "application/json"), ("Content-Encoding", "deflate")],
    ],
)
async def test_a_body_is_plain_json(rest: RestWorld, headers: list[tuple[str, str]]) -> None:
    reply = await rest.call("POST", f"{PREFIX}/orders", order(), headers=headers)
    assert (reply.status, reply.code) == (415, "unsupported_media_type")


async def test_a_slow_opening_is_cut(tmp_path: Path) -> None:
    async with a_rest(tmp_path, open_timeout_ms=50) as rest:
        reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
        writer.write(b"GET / HTTP/1.1\r\nHost:")
        async with asyncio.timeout(2):
            assert await reader.read() == b""
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
        writer.write(f"GET {PREFIX}/docs HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await read_reply(reader)).status == 200
        await asyncio.sleep(0.1)
        writer.write(f"GET {PREFIX}/docs HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (await read_reply(reader)).status == 200
        writer.close()


async def test_connections_have_a_maximum(rest: RestWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.rest_server.CONNECTIONS_MAX", 1)
    _, first = await asyncio.open_connection("127.0.0.1", rest.port)
    await asyncio.sleep(0.02)
    reader, second = await asyncio.open_connection("127.0.0.1", rest.port)
    second.write(f"GET {PREFIX}/docs HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 2) == b""
    first.close()
    second.close()


async def test_a_bug_of_ours_is_a_problem_without_its_traceback(
    rest: RestWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("secret words")

    monkeypatch.setattr(rest.rest.desk, "find_fault", broken)
    reply = await rest.call("GET", f"{PREFIX}/orders")
    assert (reply.status, reply.code, reply.body["outcome"]) == (503, "internal", "unknown")
    assert b"secret" not in reply.raw
    assert b"Traceback" not in reply.raw


async def test_without_a_certificate_only_loopback_is_served(rest: RestWorld) -> None:
    import socket

    from gateway.rest_server import RestServer

    server = RestServer(rest.router, rest.world.server, rest.tickets, "e2")
    sock = socket.create_server(("0.0.0.0", 0))
    with pytest.raises(ValueError, match="loopback"):
        await server.start([sock])
    sock.close()
    await server.stop()


async def test_every_error_of_the_protocol_has_a_status_of_its_kind() -> None:
    for category in Category:
        for outcome in Outcome:
            error = ErrorInfo(
                code="any", category=category, outcome=outcome, retry=Retry.NEVER, message="m"
            )
            assert 400 <= status_of(error) <= 504
    closed = ErrorInfo(
        code="market_closed", category=Category.VENUE, outcome=Outcome.NONE, retry=Retry.NEW_ID,
        message="m",
    )  # fmt: skip
    assert status_of(closed) == 422


async def test_a_place_by_websocket_and_by_rest_are_one_command(rest: RestWorld) -> None:
    client = await rest.world.logged_in()
    client.send({"t": "order.new", "id": "r", "cseq": 1, "order": order("ws")})
    await client.next()
    await rest.call("POST", f"{PREFIX}/orders", order("ws"))
    first, second = rest.router.of(Submit)
    assert isinstance(first.command, Place)
    assert first.command == second.command
    await client.close()


async def test_an_origin_allowed_is_told_so(rest: RestWorld) -> None:
    reply = await rest.call("GET", f"{PREFIX}/orders", headers=[("Origin", ORIGIN)])
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    assert reply.headers["vary"] == "Origin"
    assert "etag" in reply.headers["access-control-expose-headers"].lower()
    reply = await rest.call("GET", f"{PREFIX}/nothing", headers=[("Origin", ORIGIN)])
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (404, ORIGIN)
    reply = await rest.call("OPTIONS", f"{PREFIX}/orders", token=None, headers=[("Origin", ORIGIN)])
    assert (reply.status, reply.raw) == (204, b"")
    assert reply.headers["access-control-allow-methods"] == "DELETE, GET, HEAD, OPTIONS, POST"
    assert "Idempotency-Key" in reply.headers["access-control-allow-headers"]
    reply = await rest.call("OPTIONS", f"{PREFIX}/docs", token=None)
    assert (reply.status, reply.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
