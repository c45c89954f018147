"""An order's trail through the journal, and the time between its marks."""

from __future__ import annotations

from decimal import Decimal

from bench.contender import Stamps
from bench.report import count_outcomes
from bench.segments import DURABLE, Trail, median_split, split, trails
from domain.errors import Category, ErrorInfo, Outcome, Retry
from domain.events import Accepted, Denied, Fill, OrderEvent, Rejected
from domain.lifecycle import Status
from domain.orders import NewOrder, Side
from domain.records import Ordered, Record, Reported, Settled
from domain.streams import OrderUpdate, StreamUpdate
from gateway import wire

US = 1_000
ORDER = NewOrder(client_order_id="a-1", instrument="EUR/USD", side=Side.BUY, quantity=Decimal(5))
ORDERED = Ordered(command=ORDER, digest="d", session="s", cseq=1, received_ns=1)
REPORTED = Reported(connection="c", incarnation="i", first=1, last=2)
ERROR = ErrorInfo(
    code="x", category=Category.CLIENT, outcome=Outcome.NONE, retry=Retry.NEVER, message="no"
)


def update(event: OrderEvent, name: str = "a-1") -> StreamUpdate:
    body = OrderUpdate(
        order_id="o", client_order_id=name, status=Status.FILLED, version=1,
        filled=Decimal(5), leaves=Decimal(0), event=event,
    )  # fmt: skip
    return StreamUpdate(stream="orders/me", seq=1, at_ns=1, body=body)


def fill(at_ns: int) -> Fill:
    return Fill(
        at_ns=at_ns, execution_id="e", broker_execution_id="2", broker_order_id="1",
        instrument="EUR/USD", side=Side.BUY, quantity=Decimal(5), price=Decimal("1.1"),
    )  # fmt: skip


def record(number: int, at_ns: int, cause: object, *updates: StreamUpdate) -> Record:
    return Record(number=number, epoch=1, at_ns=at_ns, cause=cause, updates=updates)  # type: ignore[arg-type]


def test_an_order_and_its_outcome_are_two_records() -> None:
    found = trails(
        [
            record(1, 100, ORDERED),
            record(
                2,
                300,
                REPORTED,
                update(Accepted(at_ns=200, broker_order_id="1")),
                update(fill(200)),
            ),
        ]
    )
    expected = Trail(ordered_ns=100, reported_ns=300, broker_ns=200, ordered=1, reported=1)
    assert found == {"a-1": expected}


def test_an_outcome_in_two_pieces_is_counted_and_timed_from_the_first() -> None:
    found = trails(
        [
            record(1, 100, ORDERED),
            record(2, 300, REPORTED, update(Accepted(at_ns=200, broker_order_id="1"))),
            record(3, 400, REPORTED, update(fill(200))),
            record(4, 500, Settled(why="x"), update(fill(200))),
        ]
    )["a-1"]
    assert (found.reported, found.reported_ns, found.settled) == (2, 300, 1)


def test_segments_run_from_mark_to_mark() -> None:
    stamps = Stamps(sent_ns=0, durable_ns=150 * US, outcome_ns=1_000 * US)
    way = Trail(ordered_ns=100 * US, broker_ns=400 * US, reported_ns=600 * US)
    found = split([stamps], [way])
    medians = {name: round(part.p50_us, -1) for name, part in found.items()}
    assert medians == {
        "client_to_router": 100,
        "router_to_broker": 300,
        "broker_to_router": 200,
        "router_to_client": 400,
        DURABLE: 150,
    }


def test_the_median_of_segments_is_taken_number_by_number() -> None:
    runs = [
        split([Stamps(sent_ns=0, durable_ns=n * US, outcome_ns=n * US)], [Trail()])
        for n in (10, 90, 20)
    ]
    assert median_split(runs)[DURABLE] == runs[2][DURABLE]


def test_outcomes_are_counted_by_what_the_client_was_told() -> None:
    told = [
        update(fill(1)),
        update(Rejected(at_ns=1, error=ERROR), "a-2"),
        update(Denied(at_ns=1, error=ERROR), "a-3"),
    ]
    events = [wire.Ev(stream=u.stream, seq=u.seq, at_ns=u.at_ns, body=u.body) for u in told]
    found = count_outcomes(events)
    assert (found.filled, found.rejected, found.denied) == ({"a-1"}, 1, 1)
