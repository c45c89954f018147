"""Queries and streams: rows of one owner, bounded, and only what is durable."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from msgspec import msgpack
from msgspec.structs import replace
from router_world import (
    ACCOUNT,
    INSTRUMENTS,
    OTHER,
    OWNER,
    PAPER,
    World,
    connection_settings,
    market_order,
    new_order,
    over_the_wire,
)

from actors import messages as m
from actors import rows as rows_module
from actors.router.sides import EdgeSide
from domain import commands as c


@pytest.fixture
def world() -> World:
    other = connection_settings(id="paper-2", owner=OTHER, account="acc-2")
    return World(connection_settings(), other).open()


def ask(world: World, what: str, owner: str = OWNER, **args: Any) -> c.QueryAnswer:
    answer = world.send(c.Query(ref=7, owner=owner, what=what, args=args))
    assert isinstance(answer, c.QueryAnswer)
    assert answer.ref == 7
    return answer


def rows(world: World, what: str, owner: str = OWNER, **args: Any) -> Any:
    answer = ask(world, what, owner, **args)
    assert answer.error is None
    assert answer.body is not None
    assert answer.position == world.router.desk.books.number
    return msgpack.decode(answer.body)


def refusal(world: World, what: str, owner: str = OWNER, **args: Any) -> str:
    answer = ask(world, what, owner, **args)
    assert answer.error is not None
    return answer.error.code


def test_an_order_by_either_id(world: World) -> None:
    world.live(tag="grid")
    world.fill(quantity=400)
    row = rows(world, "order.get", client_order_id="o-1")
    assert (row["status"], row["common_status"]) == ("partially_filled", "partially_filled")
    assert (row["filled"], row["leaves"], row["average_price"]) == ("400", "600", "1.10000")
    assert (row["legs"], row["side"], row["account"]) == (["b-o-1"], "buy", ACCOUNT)
    assert rows(world, "order.get", order_id=row["order_id"]) == row


def test_another_owner_s_order_is_not_there(world: World) -> None:
    world.live()
    theirs = world.order().order_id
    assert refusal(world, "order.get", OTHER, order_id=theirs) == "unknown_order"
    assert refusal(world, "order.get", OTHER, client_order_id="o-1") == "unknown_order"
    assert rows(world, "orders.list", OTHER, status="all") == []


def names(found: list[dict[str, Any]]) -> list[str]:
    return [row["client_order_id"] for row in found]


def test_orders_by_status_newest_first(world: World) -> None:
    world.live("o-1")
    world.live("o-2")
    world.live("o-3", instrument="USD/JPY", limit_price=Decimal(149), tag="grid")
    world.fill("o-2")
    assert names(rows(world, "orders.list")) == ["o-3", "o-1"]
    assert names(rows(world, "orders.list", status="filled")) == ["o-2"]
    assert set(names(rows(world, "orders.list", status="all"))) == {"o-1", "o-2", "o-3"}
    assert names(rows(world, "orders.list", instrument="USD/JPY")) == ["o-3"]
    assert names(rows(world, "orders.list", tag="grid")) == ["o-3"]
    assert names(rows(world, "orders.list", limit=1)) == ["o-3"]


def test_orders_by_account_and_time(world: World) -> None:
    world.live("o-1")
    world.pass_ms(1_000)
    later = world.utc_ns
    world.live("o-2")
    assert names(rows(world, "orders.list", account=ACCOUNT)) == ["o-2", "o-1"]
    assert rows(world, "orders.list", account="acc-9") == []
    assert names(rows(world, "orders.list", since_ns=later)) == ["o-2"]
    assert names(rows(world, "orders.list", until_ns=later - 1)) == ["o-1"]


def test_executions_after_a_number(world: World) -> None:
    world.live()
    world.fill(quantity=400, execution="x-1")
    world.fill(quantity=600, execution="x-2")
    found = rows(world, "executions.since")
    assert [row["body"]["event"]["broker_execution_id"] for row in found] == ["x-1", "x-2"]
    after = found[0]["seq"]
    assert [row["seq"] for row in rows(world, "executions.since", after=after)] == [after + 1]
    assert rows(world, "executions.since", OTHER) == []


def test_executions_behind_many_other_updates_are_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "ROWS_MAX", 3)
    for number in range(4):
        world.live(f"o-{number}")
    world.fill("o-0")
    assert len(rows(world, "executions.since")) == 1


def test_a_list_asked_from_too_far_back_says_so_instead_of_nothing(world: World) -> None:
    world.router.desk.books.tail_max = 1
    for number in range(4):
        world.live(f"o-{number}")
    world.fill("o-0")
    assert refusal(world, "executions.since") == "too_old"


def test_positions_and_accounts_of_the_owner_alone(world: World) -> None:
    world.place(market_order())
    world.accept()
    world.fill()
    assert [row["instrument"] for row in rows(world, "positions.list")] == ["EUR/USD"]
    assert rows(world, "positions.list", OTHER) == []
    assert rows(world, "positions.list", account="acc-2") == []
    assert [row["account"] for row in rows(world, "accounts.list")] == [ACCOUNT]
    found = rows(world, "account.get", account=ACCOUNT)
    assert found["account"]["account"] == ACCOUNT
    assert len(found["balances"]) == 1
    assert refusal(world, "account.get", account="acc-2") == "unknown_account"


def test_instruments_and_quotes(world: World) -> None:
    listed = [row["symbol"] for row in rows(world, "instruments.list")]
    assert listed == sorted(i.symbol for i in INSTRUMENTS)
    assert rows(world, "instruments.list", "carol") == []
    both = rows(world, "quote.get", instrument="EUR/USD,USD/JPY,XXX/YYY")
    assert [row["instrument"] for row in both] == ["EUR/USD", "USD/JPY"]
    assert refusal(world, "quote.get", instrument="XXX/YYY") == "unknown_instrument"


def test_what_only_the_ledger_has_is_asked_again(world: World) -> None:
    assert refusal(world, "transactions.since", account=ACCOUNT) == "ledger_unavailable"
    assert refusal(world, "orders.list", before="o") == "unknown_order"
    order_id = world.live("o-1").order_id
    assert refusal(world, "orders.list", before=order_id) == "ledger_unavailable"


def test_a_read_never_claims_a_record_that_is_not_there(world: World) -> None:
    there = world.router.desk.books.number
    for ahead, code in ((0, None), (1, "not_there_yet")):
        query = c.Query(ref=7, owner=OWNER, what="orders.list", at_least=there + ahead)
        error = world.send(query).error
        assert (error.code if error else None) == code


def test_transactions_are_the_account_owner_s(world: World) -> None:
    assert refusal(world, "transactions.since", account="acc-2") == "unknown_account"


def test_connections_show_how_they_stand(world: World) -> None:
    world.place()
    (row,) = rows(world, "connections.list")
    assert (row["connection"], row["state"], row["in_flight"]) == (PAPER, "connected", 1)
    world.lose_connection()
    (row,) = rows(world, "connections.list")
    assert row["state"] == "disconnected"


def test_what_this_release_cannot_answer_is_said(world: World) -> None:
    assert refusal(world, "statements.list") == "unsupported_request"


def test_a_query_sees_nothing_that_is_not_durable(world: World) -> None:
    """Both in one turn: the answer must not overtake the commit."""
    side, edge = EdgeSide(world.router), world.links["edge-0"]
    world.live()
    begin = len(world.effects)
    cancel = c.Submit(
        ref=500, owner=OWNER, session="s-1", cseq=9, request_id="r", received_ns=1,
        command=c.Cancel(cancel=c.CancelOrder(client_order_id="o-1")),
    )  # fmt: skip
    query = c.Query(ref=501, owner=OWNER, what="orders.list")
    side.received(edge, over_the_wire(cancel, "router"))  # type: ignore[arg-type]
    side.received(edge, over_the_wire(query, "router"))  # type: ignore[arg-type]
    world.settle()
    done = [n if n == "durable" else type(e).__name__ for n, e in world.effects[begin:]]
    assert done.index("durable") < done.index("QueryAnswer")


# -- streams


def test_what_is_older_than_memory_is_the_ledger_s_to_read(world: World) -> None:
    world.router.desk.books.tail_max = 1
    for number in range(3):
        world.live(f"o-{number}")
    asked = c.ReadStream(ref=9, owner=OWNER, stream=f"orders/{OWNER}", after=0, limit=3)
    assert world.send(asked) == m.TooOld(read=replace(asked, head=6))


def read(world: World, stream: str, after: int = 0, limit: int = 100) -> c.StreamPage:
    asked = c.ReadStream(ref=9, owner=OWNER, stream=stream, after=after, limit=limit)
    page = world.send(asked)
    assert isinstance(page, c.StreamPage)
    return page


def test_a_stream_is_read_from_where_the_reader_was(world: World) -> None:
    world.live()
    world.fill(quantity=400)
    page = read(world, f"orders/{OWNER}", after=1)
    assert ([u.seq for u in page.updates], page.head) == ([2, 3], 3)
    assert read(world, f"orders/{OWNER}", after=3).updates == ()
    assert [u.seq for u in read(world, f"orders/{OWNER}", limit=1).updates] == [1]
    empty = read(world, "transactions/acc-1")
    assert (empty.updates, empty.head) == ((), 0)


def test_what_the_ledger_does_not_have_is_read_from_the_journal() -> None:
    async def story() -> None:
        world = World().open()
        world.router._loop = asyncio.get_running_loop()
        world.router.desk.books.tail_max = 1
        for number in range(3):
            world.live(f"o-{number}")
        begin = len(world.effects)
        asked = c.ReadStream(
            ref=9, owner=OWNER, stream=f"orders/{OWNER}", after=0, limit=3, from_journal=True
        )
        side, edge = EdgeSide(world.router), world.links["edge-0"]
        side.received(edge, over_the_wire(asked, "router"))  # type: ignore[arg-type]
        while len(world.effects) == begin:
            await asyncio.sleep(0.001)
        (page,) = world.sent("edge-0", c.StreamPage)
        assert ([u.seq for u in page.updates], page.head) == ([1, 2, 3], 6)

    asyncio.run(story())


def test_an_old_stream_shorter_than_asked_is_read_whole() -> None:
    async def story() -> None:
        world = World().open()
        world.router._loop = asyncio.get_running_loop()
        world.router.desk.books.tail_max = 1
        for number in range(3):
            world.live(f"o-{number}")
        asked = c.ReadStream(
            ref=9, owner=OWNER, stream=f"orders/{OWNER}", after=1, limit=99, from_journal=True
        )
        side, edge = EdgeSide(world.router), world.links["edge-0"]
        side.received(edge, over_the_wire(asked, "router"))  # type: ignore[arg-type]
        while not world.sent("edge-0", c.StreamPage):
            await asyncio.sleep(0.001)
        assert [u.seq for u in world.last("edge-0").updates] == [2, 3, 4, 5, 6]

    asyncio.run(story())


def test_published_updates_go_to_every_edge_with_their_owner(world: World) -> None:
    world.bring_edge("edge-1")
    world.place(new_order())
    for edge in ("edge-0", "edge-1"):
        told = world.last(edge, c.Published)
        assert told.owner == OWNER
        assert [u.stream for u in told.updates] == [f"orders/{OWNER}"]


def snap(world: World, stream: str) -> tuple[int, Any]:
    answer = ask(world, "snapshot", stream=stream)
    assert answer.error is None
    assert answer.body is not None
    return answer.position, msgpack.decode(answer.body)


def test_a_snapshot_of_orders_is_those_open_at_the_number_it_names(world: World) -> None:
    world.live("o-1")
    world.live("o-2")
    world.fill("o-2", quantity=1000)
    position, found = snap(world, f"orders/{OWNER}")
    assert position == world.router.desk.books.heads[f"orders/{OWNER}"] > 0
    assert [row["client_order_id"] for row in found] == ["o-1"]


def test_a_snapshot_of_an_account_has_its_balances_and_what_it_holds(world: World) -> None:
    world.live("o-1")
    world.fill(quantity=400)
    position, found = snap(world, f"account/{ACCOUNT}")
    assert position == world.router.desk.books.heads[f"account/{ACCOUNT}"]
    assert found["account"]["account"] == ACCOUNT
    assert len(found["balances"]) == 1
    assert [held["quantity"] for held in found["positions"]] == ["400"]


def test_other_streams_have_a_state_as_well_and_unknown_ones_none(world: World) -> None:
    _, connections = snap(world, "connections")
    assert connections == [{"connection": PAPER, "state": "connected"}]
    assert snap(world, "admin")[1] == []
    assert snap(world, f"transactions/{ACCOUNT}") == (0, [])
    assert refusal(world, "snapshot", stream="nothing/here") == "unknown_stream"
