from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from msgspec.structs import replace

from domain import events as ev
from domain.accounts import ConnectionState, SessionState
from domain.findings import Finding, FindingKind
from domain.lifecycle import Order, Origin, Status
from domain.orders import CancelOrder
from domain.portfolio import Lot
from domain.records import (
    Changed,
    EpochStarted,
    Guard,
    GuardKind,
    Halted,
    HaltScope,
    Record,
    Reported,
    Resumed,
    Settled,
    Synced,
)
from domain.streams import (
    BalancesUpdate,
    ConnectionUpdate,
    Notice,
    NoticeKind,
    PositionUpdate,
    StreamUpdate,
)
from ledger.projection import Books, Feed, UnreadableState, change_digest
from tests.ledger.book_stories import BRACKET, Router, account_snapshot, position

SEEDS = range(6)


def fold(records: list[Record], books: Books | None = None) -> Books:
    books = books or Books()
    for record in records:
        assert books.apply(record) == ()
    return books


def sent(router: Router) -> Order:
    while (order := router.order()).status is not Status.SENDING:
        pass
    return order


@pytest.mark.parametrize("seed", SEEDS)
def test_the_books_hold_every_order_as_the_lifecycle_leaves_it(seed: int):
    router = Router(seed).live_on(300)
    books = fold(router.records)
    assert set(books.orders.all_ids()) == set(router.orders)
    for order_id, order in router.orders.items():
        kept = books.orders.get(order_id)
        assert kept is not None
        assert replace(kept, received_ns=0) == replace(order, received_ns=0)
    assert books.heads == router.seqs


@pytest.mark.parametrize("seed", SEEDS)
def test_a_snapshot_and_its_tail_make_the_same_books_as_the_whole_journal(seed: int):
    records = Router(seed).live_on(200).records
    whole = fold(records)
    for cut in range(0, len(records), 13):
        half = Books.from_bytes(fold(records[:cut]).to_bytes())
        assert fold(records[cut:], half) == whole
        assert half.to_bytes() == whole.to_bytes()


def test_a_record_folded_twice_counts_once():
    records = Router(1).live_on(100).records
    books = fold(records)
    before = books.to_bytes()
    for record in records:
        assert books.apply(record) == ()
    assert books.to_bytes() == before


def test_a_record_left_out_is_our_own_bug():
    records = Router(1).live_on(5).records
    with pytest.raises(AssertionError):
        Books().apply(records[1])


def test_an_order_is_found_by_all_of_its_names():
    router = Router()
    order = sent(router)
    again = router.report(
        order,
        router.event(order, ev.Accepted),
        router.event(order, ev.Replaced),
    )
    books = fold(router.records)
    index = books.orders
    assert index.of_client("ann", order.client_order_id or "") == again
    assert index.at_venue(order.venue_client_id or "") == again
    assert [index.at_broker("oanda-1", leg) for leg in again.legs] == [again, again]
    assert index.open_of("ann")[-1] == index.open_at("oanda-1")[-1] == again
    assert index.open_of("bob") == index.open_at("oanda-2") == []
    assert index.last_intent("oanda-1") == order.intent


@pytest.mark.parametrize("name", ["", "nobody's"])
def test_a_name_nobody_has_finds_no_order(name: str):
    router = Router()
    sent(router)
    index = fold(router.records).orders
    assert index.get(name) is None
    assert index.of_client("ann", name) is None
    assert index.at_venue(name) is None
    assert index.at_broker("oanda-1", name) is None
    assert index.of_entry(name, name) is None
    assert index.digest("ann", name) is None
    assert index.last_intent(name) == 0


def test_an_order_that_ended_keeps_its_client_order_id_for_ever():
    router = Router()
    order = sent(router)
    router.report(order, router.event(order, ev.Rejected))
    books = Books.from_bytes(fold(router.records).to_bytes())
    kept = books.orders.of_client("ann", order.client_order_id or "")
    assert kept is not None
    assert kept.status is Status.REJECTED
    assert order.order_id not in books.orders.open
    digest = f"d-{(order.client_order_id or '').removeprefix('c-')}"
    assert books.orders.digest("ann", order.client_order_id or "") == digest


def test_a_fill_after_the_end_is_kept_and_marked():
    router = Router()
    order = router.report(sent(router), ev.Canceled(at_ns=1, reason="asked"))
    router.report(order, router.event(order, ev.Fill))
    kept = fold(router.records).orders.get(order.order_id)
    assert kept is not None
    assert kept.late_fill
    assert kept.filled > 0


def test_a_second_attempt_leaves_both_venue_ids_findable():
    router = Router()
    order = sent(router)
    first = order.venue_client_id or ""
    order = router.report(order, ev.NeverSent(at_ns=1, reason="mark"))
    order = router.report(order, router.event(order, ev.Sending))
    books = fold(router.records)
    assert books.orders.at_venue(first) == books.orders.at_venue(order.venue_client_id or "")


def test_a_child_names_the_entry_it_came_from():
    router = Router()
    entry = router.order(bracket=BRACKET)
    fill = router.event(entry, ev.Fill)
    assert isinstance(fill, ev.Fill)
    entry = router.report(entry, fill)
    router.orders.clear()
    child = router.discover(parent_execution=fill.broker_execution_id)
    books = Books.from_bytes(fold(router.records).to_bytes())
    kept = books.orders.get(child.order_id)
    assert kept is not None
    assert (kept.origin, kept.parent_order_id) == (Origin.CHILD, entry.order_id)
    assert books.orders.of_entry("oanda-1", fill.broker_execution_id) is not None


def test_an_external_order_is_found_by_the_brokers_id():
    router = Router()
    order = router.discover()
    kept = fold(router.records).orders.at_broker("oanda-1", order.legs[0])
    assert kept is not None
    assert (kept.origin, kept.status, kept.owner) == (Origin.EXTERNAL, Status.LIVE, "ann")


def test_an_event_of_an_order_nobody_made_is_a_break():
    router = Router()
    order = sent(router)
    router.records.clear()
    router.seqs.clear()
    router.report(order, router.event(order, ev.Accepted))
    (found,) = Books().apply(router.records[0])
    assert found.order_id == order.order_id
    assert "nobody made" in found.what


def test_an_event_without_a_row_is_a_break_and_changes_nothing():
    router = Router()
    order = sent(router)
    books = fold(router.records)
    told = router.write(Settled(why="x"))
    body = router.records[0].updates[0].body
    bad = msgspec.structs.replace(body, order_id=order.order_id, event=ev.Readied(at_ns=1))
    update = StreamUpdate(stream="orders/ann", seq=books.heads["orders/ann"] + 1, at_ns=1, body=bad)
    (found,) = books.apply(replace(told, updates=(update,)))
    assert "Readied does not follow" in found.what
    assert books.orders.get(order.order_id) == router.orders[order.order_id]


def test_an_order_told_otherwise_than_it_folds_is_a_break():
    router = Router()
    order = sent(router)
    books = fold(router.records)
    router.report(order, router.event(order, ev.Accepted))
    record = router.records[-1]
    body = replace(record.updates[0].body, version=9)
    (found,) = books.apply(replace(record, updates=(replace(record.updates[0], body=body),)))
    assert "told as live v9, folded to live v2" in found.what


def test_the_same_client_order_id_twice_is_a_break():
    router = Router()
    order = sent(router)
    books = fold(router.records)
    again = replace(router.records[-1], number=len(router.records) + 1, updates=())
    (found,) = books.apply(again)
    assert "ordered before" in found.what
    assert books.orders.get(order.order_id) == order


def test_a_hole_in_a_stream_is_a_break():
    router = Router()
    sent(router)
    books = fold(router.records)
    router.seqs["orders/ann"] += 1
    record = router.write(Settled(why="x"), PositionUpdate(position=position("c", "EUR/USD", "1")))
    (found,) = books.apply(record)
    assert found.what.startswith("orders/ann goes from")


def test_a_request_id_remembers_what_it_did_and_its_body():
    router = Router()
    cancel = CancelOrder(order_id="o-1")
    changed = Changed(
        request_id="r", command=cancel, owner="ann", session="s", cseq=7, orders=("o-1",)
    )
    router.write(changed)
    other = replace(changed, cseq=8, command=CancelOrder(all=True), orders=("o-2",))
    router.write(other)
    books = fold(router.records)
    change = books.change("ann", "r")
    assert change is not None
    assert (change.number, change.orders) == (1, ("o-1",))
    assert change.digest == change_digest(cancel) != change_digest(CancelOrder(all=True))
    assert books.change("bob", "r") is None
    assert (books.last_cseq("ann", "s"), books.last_cseq("ann", "t")) == (8, 0)


def test_the_last_cseq_never_falls():
    router = Router()
    changed = Changed(
        request_id="r", command=CancelOrder(), owner="ann", session="s", cseq=7, orders=()
    )
    router.write(changed)
    router.write(replace(changed, cseq=3, request_id="q"))
    assert fold(router.records).last_cseq("ann", "s") == 7


def test_a_feed_keeps_its_cursor_where_a_report_brings_none():
    router = Router()
    first = Reported(connection="c", incarnation="i1", first=1, last=4, cursor="100")
    router.write(first)
    router.write(replace(first, first=5, last=6, cursor=None))
    assert fold(router.records).feeds["c"] == Feed(incarnation="i1", last=6, cursor="100")


def test_a_new_incarnation_counts_its_events_from_the_start():
    router = Router()
    router.write(Reported(connection="c", incarnation="i1", first=1, last=4, cursor="100"))
    synced = Synced(connection="c", incarnation="i1", snapshot=account_snapshot("c", "101"))
    router.write(synced)
    books = fold(router.records)
    assert books.feeds["c"] == Feed(incarnation="i1", last=4, cursor="101")
    router.write(replace(synced, incarnation="i2"))
    fold(router.records[-1:], books)
    assert books.feeds["c"] == Feed(incarnation="i2", last=0, cursor="101")


def test_a_sync_replaces_what_the_account_holds_and_no_other():
    router = Router()
    held = [position(*each) for each in (("c", "EUR/USD", "5"), ("d", "EUR/USD", "6"))]
    router.write(Settled(why="x"), *[PositionUpdate(position=each) for each in held])
    now = position("c", "USD/JPY", "-3")
    snapshot = account_snapshot("c", "9", now)
    router.write(Synced(connection="c", incarnation="i", snapshot=snapshot))
    books = fold(router.records)
    assert books.positions == {
        ("c-account", "USD/JPY"): now,
        ("d-account", "EUR/USD"): held[1],
    }
    assert books.balances == {("c-account", "USD"): snapshot.balances}
    assert books.accounts == {"c-account": snapshot.account}


def test_a_position_at_zero_is_gone_unless_it_has_lots():
    router = Router()
    flat = position("c", "EUR/USD", "0")
    lot = Lot(
        lot_id="1",
        instrument="EUR/USD",
        quantity=Decimal(1),
        price=Decimal(1),
        opened_ns=1,
        opened_sequence=1,
    )
    hedged = replace(flat, lots=(lot, replace(lot, lot_id="2", quantity=Decimal(-1))))
    router.write(Settled(why="x"), PositionUpdate(position=hedged))
    books = fold(router.records)
    assert books.positions == {("c-account", "EUR/USD"): hedged}
    router.write(Settled(why="x"), PositionUpdate(position=flat))
    assert fold(router.records[-1:], books).positions == {}


def test_halts_and_guards_stand_until_they_are_lifted():
    router = Router()
    halt = Halted(scope=HaltScope.ALL, subject="*", by="ops", reason="test")
    guard = Guard(owner="ann", session="s", kind=GuardKind.DEAD_MAN, grace_ms=5)
    router.write(halt)
    router.write(guard)
    router.write(replace(guard, tag="t"))
    books = Books.from_bytes(fold(router.records).to_bytes())
    assert books.halts == {(HaltScope.ALL, "*"): halt}
    assert list(books.guards.values()) == [guard, replace(guard, tag="t")]
    router.write(Resumed(scope=HaltScope.ALL, subject="*", by="ops"))
    router.write(replace(guard, armed=False))
    fold(router.records[-2:], books)
    assert books.halts == {}
    assert list(books.guards.values()) == [replace(guard, tag="t")]


def test_the_books_know_the_epoch_and_each_connections_state():
    router = Router()
    started = EpochStarted(boot_id="b", incarnation="r1")
    state = ConnectionState(connection="c", state=SessionState.CONNECTED, reason="", since_ns=1)
    router.write(started, ConnectionUpdate(connection=state))
    books = fold(router.records)
    assert (books.epoch, books.epoch_started) == (1, started)
    assert books.connections == {"c": state}


def test_a_notice_is_kept_for_those_who_read_the_stream():
    router = Router()
    notice = Notice(kind=NoticeKind.BREAK, scope="c", message="look here")
    router.write(Settled(why="x"), notice)
    read = fold(router.records).read("orders/ann", 0, 5)
    assert read is not None
    assert [update.body for update in read] == [notice]


def test_a_stream_is_read_from_its_tail_as_far_as_that_reaches():
    router = Router()
    for _ in range(9):
        router.write(Settled(why="x"), PositionUpdate(position=position("c", "EUR/USD", "1")))
    books = fold(router.records, Books(tail_max=3))
    read = books.read("orders/ann", 6, 2)
    assert read is not None
    assert [update.seq for update in read] == [7, 8]
    assert books.read("orders/ann", 9, 5) == []
    assert books.read("orders/ann", 2, 5) is None
    assert books.read("orders/bob", 0, 5) == []
    assert 3 <= len(books.tails["orders/ann"]) <= 6


def test_bytes_that_are_no_books_are_refused():
    with pytest.raises(UnreadableState):
        Books.from_bytes(b"rubbish")
    newer = msgspec.msgpack.decode(Books().to_bytes())
    newer["format"] = 3
    with pytest.raises(UnreadableState, match="format 3"):
        Books.from_bytes(msgspec.msgpack.encode(newer))


def test_new_books_share_nothing():
    fold(Router(3).live_on(20).records)
    assert Books() == Books.from_bytes(Books().to_bytes())
    assert Books().number == 0
    assert Books().orders.all_ids() == []


def test_the_trading_of_an_account_that_can_trade_stocks_is_remembered() -> None:
    router = Router()
    snapshot = account_snapshot("alpaca-1", "1")
    account = replace(snapshot.account, can_trade_stocks=True)
    cause = Synced(
        connection="alpaca-1", incarnation="i", snapshot=replace(snapshot, account=account)
    )
    router.write(cause, BalancesUpdate(balances=snapshot.balances))
    books = Books.from_bytes(fold(router.records).to_bytes())
    history = books.histories[account.account]
    assert [close.equity for close in history.closes] == [snapshot.balances.equity]


def test_of_other_accounts_only_what_was_found_is_remembered() -> None:
    router = Router()
    snapshot = account_snapshot("oanda-1", "1")
    name = snapshot.account.account
    cause = Synced(connection="oanda-1", incarnation="i", snapshot=snapshot)
    router.write(cause, BalancesUpdate(balances=snapshot.balances))
    assert fold(router.records).histories == {}
    finding = Finding(
        id="f", kind=FindingKind.GOOD_FAITH, account=name, day="2026-11-16", at_ns=1, rule="r",
        citation="c", message="m",
    )  # fmt: skip
    notice = Notice(kind=NoticeKind.FINDING, scope="account/x", message="m", finding=finding)
    router.write(Settled(why="found"), notice)
    assert fold(router.records).histories[name].findings == {"f": finding}
