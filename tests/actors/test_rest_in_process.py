"""REST on a whole deployment: real edge, router, compliance, connection, and a paper broker."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from deployment_in_process import ACCOUNT, OWNER
from rest_in_process import API, OTHER, Reply, RestWorld, a_limit, an_order, rest_world

from domain import events as ev
from domain.orders import NewOrder
from domain.records import Ordered
from domain.streams import OrderUpdate
from gateway import wire
from gateway.rest_operations import OPERATIONS
from gateway.wire import Scope
from ledger.agreement import compare_venue
from tests.shared_data import ROOT

pytestmark = pytest.mark.asyncio

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "8"))
SIGNAL = {"strategy": "trend", "symbol": "EURUSD", "action": "long", "id": "sig-1"}


@pytest_asyncio.fixture
async def rest(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RestWorld]:
    async with rest_world(short_folder, monkeypatch) as world:
        yield world


async def _agree(rest: RestWorld) -> None:
    """The journal, the books and the broker tell the same."""
    await rest.running.rest()
    records = list(rest.running.router.journal.replay())
    orders = rest.running.router.desk.books.orders
    updates = [update for record in records for update in record.updates]
    agreement = compare_venue(
        [o for name in orders.all_ids() if (o := orders.get(name))],
        updates,
        await rest.running.book(),
    )
    assert agreement.lost == agreement.doubled == agreement.differences == []


# -- signals


async def test_a_signal_reaches_the_broker_and_its_id_comes_back_with_the_fill(
    rest: RestWorld,
) -> None:
    first = await rest.call("POST", "/signals?wait=outcome", SIGNAL)
    assert (first.status, first.body["order"]["status"]) == (201, "filled")
    assert first.body["order"]["terms"]["signal_id"] == "sig-1"
    updates = [u.body for u in rest.running.edge.published if isinstance(u.body, OrderUpdate)]
    fills = [body for body in updates if isinstance(body.event, ev.Fill)]
    assert [(fill.signal_id, fill.client_order_id) for fill in fills] == [("sig-1", "sig-1")]
    causes = [record.cause for record in rest.running.router.journal.replay()]
    (ordered,) = (cause for cause in causes if isinstance(cause, Ordered))
    assert ordered.command.signal_id == "sig-1"
    (position,) = (await rest.call("GET", "/positions")).body["rows"]
    assert position["quantity"] == "1000"
    await _agree(rest)


async def test_a_signal_by_either_way_is_taken_once(rest: RestWorld) -> None:
    async with rest.client() as client:
        res = await client.query(wire.SignalNew, cseq=1, signal=SIGNAL)
        assert not res.decided[0].dup
    again = await rest.call("POST", "/signals", SIGNAL)
    assert (again.status, again.body["decided"][0]["dup"]) == (200, True)
    other = await rest.call("POST", "/signals", SIGNAL | {"action": "short"})
    assert (other.status, other.body["code"]) == (409, "id_conflict")
    await _agree(rest)


async def test_signals_open_trim_reverse_and_close(rest: RestWorld) -> None:
    async def held(action: str, number: int) -> str:
        signal = SIGNAL | {"action": action, "id": f"s-{number}"}
        reply = await rest.call("POST", "/signals?wait=outcome", signal)
        assert reply.status == 201, reply
        await rest.running.rest()
        rows = (await rest.call("GET", "/positions")).body["rows"]
        return rows[0]["quantity"] if rows else "0"

    assert await held("long", 1) == "1000"
    assert await held("long", 2) == "2000"
    assert await held("trim", 3) == "1000"
    assert await held("flip", 4) == "-1000"
    assert await held("exit", 5) == "0"
    flat = await rest.call("POST", "/signals", SIGNAL | {"action": "exit", "id": "s-6"})
    assert (flat.status, flat.body["code"], flat.body["field"]) == (409, "no_position", "action")
    await _agree(rest)


async def test_a_dry_run_shows_the_order_a_signal_would_become(rest: RestWorld) -> None:
    signal = {"strategy": "risk", "symbol": "EUR/USD", "action": "buy", "id": "r-1"}
    reply = await rest.call("POST", "/signals?dry_run=true", signal)
    assert reply.status == 200
    order = reply.body["order"]
    # 1 % of a million over 50 pips would be 2,000,000; the rule caps it.
    assert (order["quantity"], order["bracket"]["stop_loss"]["distance"]) == ("50000", "0.0050")
    assert reply.body["candidates"][0]["candidate"]["account"] == ACCOUNT
    assert reply.body["passes"]
    assert (await rest.call("GET", "/orders?status=all")).body["rows"] == []


# -- orders


async def test_an_order_lives_its_life_over_rest(rest: RestWorld) -> None:
    placed = await rest.call("POST", "/orders?wait=outcome", a_limit("l-1"))
    assert (placed.status, placed.body["order"]["status"]) == (201, "live")
    path = placed.headers["Location"]
    got = await rest.call("GET", path)
    assert got.headers["ETag"] == f'"{got.body["version"]}"'
    by_our_id = await rest.call("GET", f"/orders/{got.body['order_id']}")
    assert by_our_id.body == got.body
    stale = await rest.call("PATCH", path, {"limit_price": "1.07000"}, If_Match='"1"')
    assert (stale.status, stale.body["code"]) == (412, "stale_version")
    amended = await rest.call(
        "PATCH", path, {"limit_price": "1.07000"}, If_Match=got.headers["ETag"]
    )
    assert amended.status == 200
    await rest.running.rest()
    assert (await rest.call("GET", path)).body["terms"]["limit_price"] == "1.07000"
    assert (await rest.call("DELETE", f"/orders/{got.body['order_id']}")).status == 200
    await rest.running.rest()
    assert (await rest.call("GET", path)).body["status"] == "canceled"
    gone = await rest.call("DELETE", path)
    assert (gone.status, gone.body["code"]) == (409, "not_working")
    await _agree(rest)


async def test_the_same_order_twice_is_one_and_another_body_a_conflict(rest: RestWorld) -> None:
    replies = await asyncio.gather(
        *(rest.call("POST", "/orders?wait=outcome", an_order("o-1")) for _ in range(5))
    )
    assert sorted(reply.status for reply in replies) == [200, 200, 200, 200, 201]
    assert {reply.body["order"]["status"] for reply in replies} == {"filled"}
    other = await rest.call("POST", "/orders", an_order("o-1", quantity="2000"))
    assert (other.status, other.body["code"], other.body["field"]) == (
        409, "id_conflict", "client_order_id",
    )  # fmt: skip
    await _agree(rest)


async def test_cancel_all_takes_all_and_only_when_said(rest: RestWorld) -> None:
    for number in range(3):
        await rest.call("POST", "/orders?wait=outcome", a_limit(f"l-{number}"))
    assert (await rest.call("DELETE", "/orders")).status == 422
    assert len((await rest.call("GET", "/orders")).body["rows"]) == 3
    done = await rest.call("DELETE", "/orders?all=true", Idempotency_Key="all-1")
    assert len(done.body["decided"]) == 3
    await rest.running.rest()
    assert (await rest.call("GET", "/orders")).body["rows"] == []
    again = await rest.call("DELETE", "/orders?all=true", Idempotency_Key="all-1")
    assert [decided["dup"] for decided in again.body["decided"]] == [True] * 3


async def _answered(rest: RestWorld, path: str) -> Reply:
    """The answer once the ledger, which alone has it, has got there; 503 means: ask again."""
    while (reply := await rest.call("GET", path)).status == 503:
        await asyncio.sleep(0.05)
    return reply


async def test_pages_of_orders_name_each_once(rest: RestWorld) -> None:
    for number in range(5):
        await rest.call("POST", "/orders?wait=outcome", a_limit(f"l-{number}"))
    seen, path = [], "/orders?limit=2"
    for _ in range(3):
        page = (await _answered(rest, path)).body
        seen += [row["client_order_id"] for row in page["rows"]]
        path = f"/orders?limit=2&before={page['next']}"
    assert seen == ["l-4", "l-3", "l-2", "l-1", "l-0"]
    assert page["next"] is None
    unknown = await rest.call("GET", "/orders?before=nobody")
    assert (unknown.status, unknown.body["code"]) == (404, "unknown_order")


async def test_a_position_is_closed_in_part_and_whole(rest: RestWorld) -> None:
    await rest.call("POST", "/orders?wait=outcome", an_order("o-1"))
    close = {"account": ACCOUNT, "instrument": "EUR/USD", "percent": "25"}
    part = await rest.call("POST", "/positions/close?wait=outcome", close, Idempotency_Key="c-1")
    assert part.body["order"]["filled"] == "250"
    again = await rest.call("POST", "/positions/close", close, Idempotency_Key="c-1")
    assert again.body["decided"][0]["dup"]
    whole = await rest.call(
        "POST", "/positions/close?wait=outcome",
        {"account": ACCOUNT, "instrument": "EUR/USD", "client_order_id": "c-2"},
    )  # fmt: skip
    assert whole.body["order"]["filled"] == "750"
    none = await rest.call("POST", "/positions/close", close, Idempotency_Key="c-3")
    assert (none.status, none.body["code"]) == (409, "no_position")
    await _agree(rest)


async def test_a_lot_is_protected_by_new_orders_and_by_moving_its_bracket(
    rest: RestWorld,
) -> None:
    bracket = {"stop_loss": {"distance": "0.05000"}}
    await rest.call("POST", "/orders?wait=outcome", an_order("o-1", bracket=bracket))
    await rest.running.rest()
    (position,) = (await rest.call("GET", "/positions")).body["rows"]
    words = {
        "account": ACCOUNT,
        "lot_id": position["lots"][0]["lot_id"],
        "stop_loss": {"stop_price": "1.04000"},
        "take_profit": {"limit_price": "1.20000"},
    }
    reply = await rest.call("POST", "/positions/protect", words, Idempotency_Key="p-1")
    assert [decided.get("error") for decided in reply.body["decided"]] == [None, None]
    await rest.running.rest()
    guards = rest.running.router.desk.books.orders.open.values()
    stops = [g.external.stop_price for g in guards if g.external is not None]
    targets = [g.terms.limit_price for g in guards if g.terms is not None]
    assert (stops, targets) == ([Decimal("1.04")], [Decimal("1.2")])
    again = await rest.call("POST", "/positions/protect", words, Idempotency_Key="p-1")
    assert [decided["dup"] for decided in again.body["decided"]] == [True, True]
    await _agree(rest)


async def test_a_halt_stops_new_orders_and_a_resume_lets_them_pass(rest: RestWorld) -> None:
    halt = {"scope": "account", "subject": ACCOUNT, "reason": "lunch"}
    assert (await rest.call("POST", "/halts", halt)).body == {"confirmed": ["paper-1"], "ended": []}
    refused = await rest.call("POST", "/orders", an_order("o-1"))
    assert (refused.status, refused.body["outcome"]) == (422, "none")
    resume = {"scope": "account", "subject": ACCOUNT}
    asked = await rest.call("POST", "/halts/resume", resume)
    assert (asked.status, asked.body["code"]) == (422, "resume_unconfirmed")
    word = asked.body["detail"].rpartition("confirm=")[2]
    said = await rest.call("POST", "/halts/resume", resume | {"confirm": word})
    assert said.status == 200
    assert (await rest.call("POST", "/orders", an_order("o-2"))).status == 201


async def test_a_preview_tells_what_would_be_decided(rest: RestWorld) -> None:
    good = (await rest.call("POST", "/previews", an_order("o-1"))).body
    assert good["passes"]
    assert good["candidates"][0]["cost"].startswith("1.1")
    bad = (await rest.call("POST", "/previews", an_order("o-1", quantity="900000"))).body
    assert not bad["passes"]
    assert {violation["code"] for violation in bad["all_violations"]} >= {"max_quantity"}
    assert (await rest.call("GET", "/orders?status=all")).body["rows"] == []


async def test_another_owner_sees_and_touches_nothing(rest: RestWorld) -> None:
    await rest.call("POST", "/orders?wait=outcome", a_limit("l-1"))
    order_id = (await rest.call("GET", "/orders/l-1")).body["order_id"]
    bob = rest.mint(Scope.TRADE, owner=OTHER)
    rest.edge.server._tokens.refresh()
    for method, path in (
        ("GET", "/orders/l-1"), ("GET", f"/orders/{order_id}"), ("DELETE", f"/orders/{order_id}"),
    ):  # fmt: skip
        reply = await rest.call(method, path, token=bob)
        assert (reply.status, reply.body["code"]) == (404, "unknown_order")
    for path in ("/orders?status=all", "/positions", "/accounts", "/connections", "/executions"):
        assert (await rest.call("GET", path, token=bob)).body["rows"] == []
    assert (await rest.call("GET", f"/orders?before={order_id}", token=bob)).status == 404
    assert (await rest.call("DELETE", "/orders?all=true", token=bob)).body["decided"] == []
    assert (await rest.call("GET", "/orders/l-1")).body["status"] == "live"


# -- the same objects by both ways


async def test_rest_and_websocket_tell_the_same(rest: RestWorld) -> None:
    await rest.call("POST", "/orders?wait=outcome", an_order("o-1", tag="t"))
    await rest.call("POST", "/orders?wait=outcome", a_limit("l-1"))
    await rest.running.rest()
    moved = f"/transactions?account={ACCOUNT}"
    await _answered(rest, moved)
    reads: tuple[tuple[str, type[wire.Request], dict[str, Any]], ...] = (
        ("/orders?status=all", wire.OrdersList, {"status": "all"}),
        ("/orders/o-1", wire.OrderGet, {"client_order_id": "o-1"}),
        ("/positions", wire.PositionsList, {}),
        ("/accounts", wire.AccountsList, {}),
        (f"/accounts/{ACCOUNT}", wire.AccountGet, {"account": ACCOUNT}),
        ("/instruments", wire.InstrumentsList, {}),
        ("/executions", wire.ExecutionsSince, {}),
        (moved, wire.TransactionsSince, {"account": ACCOUNT}),
        ("/connections", wire.ConnectionsList, {}),
    )
    async with rest.client() as client:
        for path, request, words in reads:
            by_rest = (await rest.call("GET", path)).body
            res = await client.query(request, **words)
            assert by_rest.get("rows", by_rest) == msgspec.to_builtins(res.body), path
            if "rows" in by_rest:
                assert by_rest["position"] <= res.position  # the log-in is a record too
        order = msgspec.convert(an_order("p-1"), NewOrder)
        shown = (await client.query(wire.OrderPreview, order=order)).body
        by_rest = (await rest.call("POST", "/previews", an_order("p-1"))).body
        for told in (shown, by_rest):
            del told["verdicts"]  # each is numbered
        assert shown == by_rest


async def test_no_decimal_leaves_with_an_exponent(rest: RestWorld) -> None:
    account = (await rest.call("GET", f"/accounts/{ACCOUNT}")).body["account"]
    assert account["leverage"] == "50"


# -- the whole interface, generated


async def test_schemathesis_finds_nothing(rest: RestWorld, short_folder: Path) -> None:
    """All its checks over every operation: no 5xx, no answer beside its schema."""
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "--config-file",
        str(ROOT / "tests" / "actors" / "schemathesis.toml"), "run",
        f"{rest.base}{API}/openapi.json", "--header", f"Authorization: Bearer {rest.token}",
        "--checks", "all", "--phases", "examples,coverage,fuzzing,stateful",
        "--max-examples", str(EXAMPLES), "--seed", "1", "--generation-database", "none",
        "--request-timeout", "20", "--no-color", "--warnings", "off",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=short_folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests" / "actors")},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text
    assert f"{len(OPERATIONS)}/{len(OPERATIONS)}" in text
    assert "No issues found" in text
    await _agree(rest)


async def test_no_owner_s_word_is_missing_from_the_deployment(rest: RestWorld) -> None:
    assert rest.edge.accounts_of(OWNER) == {ACCOUNT}
    assert rest.edge.accounts_of(OTHER) == rest.edge.accounts_of("nobody") == frozenset()


# -- the documentation's own lines

PAGES = ("docs/wire-protocol.md", "docs/getting-started.md")


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("page", PAGES)
async def test_the_curl_lines_of_a_page_run_as_they_stand(
    rest: RestWorld, page: str, short_folder: Path
) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    blocks = [block for block in blocks if "curl" in block]
    assert blocks
    (short_folder / ".curlrc").write_text("fail-with-body\nmax-time = 20\n")
    words = {
        "API": rest.base + API, "AUTH": f"Authorization: Bearer {rest.token}",
        "CURL_HOME": str(short_folder), "PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1",
    }  # fmt: skip
    for block in blocks:
        process = await asyncio.create_subprocess_exec(
            "bash", "-euc", block, env=words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode == 0, block + output.decode()
        assert b'"error"' not in output, block + output.decode()
    await _agree(rest)
