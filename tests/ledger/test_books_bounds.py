"""What the books forget, and what they must not."""

from __future__ import annotations

from decimal import Decimal

import pytest

from domain import events as ev
from domain import ids
from domain.lifecycle import Status, apply
from domain.orders import CancelOrder, NewOrder, OrderType, Side, TimeInForce
from domain.records import Cause, Changed, Ordered, Record
from domain.streams import Notice, NoticeKind, OrderUpdate, StreamUpdate, order_update
from ledger import projection
from ledger.order_index import begin
from ledger.projection import Books

OWNER = "o-1"


def write(books: Books, cause: Cause, *updates: StreamUpdate) -> None:
    number = books.number + 1
    record = Record(
        number=number, epoch=1, at_ns=number, cause=cause, updates=updates, owner=OWNER
    )  # fmt: skip
    assert books.apply(record) == ()


def change(books: Books, request_id: str, *orders: str, session: str = "s-1") -> None:
    command = CancelOrder(all=True)
    cause = Changed(
        request_id=request_id, command=command, owner=OWNER, session=session, cseq=books.number,
        orders=orders,
    )  # fmt: skip
    write(books, cause)


def send(books: Books, name: str) -> str:
    terms = NewOrder(
        client_order_id=name, instrument="EUR/USD", side=Side.BUY, quantity=Decimal(1),
        type=OrderType.MARKET, time_in_force=TimeInForce.FOK,
    )  # fmt: skip
    cause = Ordered(command=terms, digest="d", session="s-1", cseq=1, received_ns=1)
    event = ev.Sending(
        at_ns=1, connection="c", account="a", intent=1, attempt=1, venue_client_id="v", verdict="",
    )  # fmt: skip
    write(books, cause, _told(books, begin(cause, OWNER), event))
    return ids.order_id(OWNER, name)


def end(books: Books, order_id: str) -> None:
    order = books.orders.open[order_id]
    event = ev.Canceled(at_ns=2, reason="over")
    write(books, projection.Changed(
        request_id="end", command=CancelOrder(all=True), owner="other", session="s", cseq=1,
        orders=(),
    ), _told(books, order, event))  # fmt: skip


def _told(books: Books, order, event) -> StreamUpdate:
    after = apply(order, event)
    stream = f"orders/{OWNER}"
    seq = books.heads.get(stream, 0) + 1
    body = order_update(after, event)
    assert isinstance(body, OrderUpdate)
    return StreamUpdate(stream=stream, seq=seq, at_ns=1, body=body)


@pytest.fixture
def books(monkeypatch: pytest.MonkeyPatch) -> Books:
    monkeypatch.setattr(projection, "CHANGES_MAX", 3)
    monkeypatch.setattr(projection, "SESSIONS_MAX", 3)
    return Books()


def test_the_oldest_change_is_forgotten_beyond_the_limit(books: Books) -> None:
    for number in range(5):
        change(books, f"r-{number}")
    known = [books.change(OWNER, f"r-{number}") is not None for number in range(5)]
    assert known == [False, False, True, True, True]


def test_a_change_of_an_open_order_is_not_forgotten(books: Books) -> None:
    order_id = send(books, "o-1")
    change(books, "r-open", order_id)
    for number in range(20):
        change(books, f"r-{number}")
    assert books.change(OWNER, "r-open") is not None
    assert len(books.changes[OWNER]) <= 4
    end(books, order_id)
    assert books.orders.get(order_id).status is Status.CANCELED
    for number in range(20, 40):
        change(books, f"r-{number}")
    assert books.change(OWNER, "r-open") is None


def test_the_session_silent_for_longest_is_forgotten_beyond_the_limit(books: Books) -> None:
    for name in ("a", "b", "c", "a", "d"):
        change(books, f"r-{books.number}", session=name)
    assert [bool(books.last_cseq(OWNER, name)) for name in "abcd"] == [True, False, True, True]


@pytest.mark.parametrize(("tail_max", "kept"), [(0, 1), (1, 2), (2, 3)])
def test_a_stream_keeps_its_newest_entries_whatever_the_limit(tail_max: int, kept: int) -> None:
    books = Books(tail_max=tail_max)
    for seq in range(1, 10):
        body = Notice(kind=NoticeKind.BREAK, scope="all", message=str(seq))
        update = StreamUpdate(stream="admin", seq=seq, at_ns=1, body=body)
        write(books, Changed(
            request_id=str(seq), command=CancelOrder(all=True), owner="x", session="s", cseq=1,
            orders=(),
        ), update)  # fmt: skip
    assert len(books.tails["admin"]) == kept
    assert books.tails["admin"][-1].seq == 9
