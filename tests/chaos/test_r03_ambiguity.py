"""Some orders of unknown outcome, an outage among them; `make soak` has ten thousand."""

from __future__ import annotations

import pytest

from bench.ambiguity import LookBack, Outage, is_evidence
from bench.goals.r03_ambiguity import GOAL
from bench.hand_edge import STREAM
from domain import events as ev
from domain.lifecycle import Status
from domain.records import Record, Settled
from domain.streams import Notice, NoticeKind, OrderUpdate, StreamUpdate

S = 1_000_000_000


@pytest.mark.asyncio
async def test_orders_of_unknown_outcome_end_by_evidence_alone() -> None:
    tally = await GOAL.run(GOAL.short, 11)

    assert tally.violations == 0, tally.details
    assert tally.trials >= GOAL.short
    assert tally.counts["proved absent"] > 0
    assert len(tally.samples_us["resolved"]) > 0


def update(seq: int, at_s: float, event: ev.OrderEvent, status: Status) -> StreamUpdate:
    body = OrderUpdate(
        order_id="o", client_order_id="o", status=status, version=seq, filled=0, leaves=1,
        event=event, account="paper",
    )  # fmt: skip
    return StreamUpdate(stream=STREAM, seq=seq, at_ns=int(at_s * S), body=body)


def alarm(at_s: float) -> StreamUpdate:
    body = Notice(kind=NoticeKind.UNKNOWN_ORDER, scope="s", message="m", order_id="o")
    return StreamUpdate(stream="admin", seq=1, at_ns=int(at_s * S), body=body)


def look_back(*updates: StreamUpdate, outages: tuple[Outage, ...] = ()) -> LookBack:
    cause = Settled(why="a test")
    return LookBack([Record(number=1, epoch=1, at_ns=1, cause=cause, updates=updates)], [*outages])


DOUBT = update(1, 10, ev.OutcomeUnknown(at_ns=1, reason="lost"), Status.UNKNOWN)
ACCEPTED = ev.Accepted(at_ns=1, broker_order_id="b1")


def test_an_end_without_the_venues_word_is_a_fault() -> None:
    assert is_evidence(ACCEPTED)
    assert is_evidence(ev.NotPlaced(at_ns=1, evidence=("no", "no again")))
    assert not is_evidence(ev.NotPlaced(at_ns=1, evidence=("no",)))
    assert not is_evidence(ev.Canceled(at_ns=1, reason="it took too long"))
    end = update(2, 11, ev.Canceled(at_ns=1, reason="it took too long"), Status.CANCELED)
    assert "without evidence" in look_back(DOUBT, end).found.faults[0]


def test_a_doubt_without_an_end_is_a_fault() -> None:
    assert look_back(DOUBT).found.faults == ["o is still UNKNOWN"]


def test_a_doubt_of_an_outage_is_timed_from_its_end() -> None:
    end = update(2, 15, ACCEPTED, Status.LIVE)
    found = look_back(DOUBT, end, outages=(Outage("paper", 9 * S, 14 * S),)).found
    assert (found.resolved_us, found.after_outage_us) == ([], [1_000_000])
    elsewhere = look_back(DOUBT, end, outages=(Outage("other", 9 * S, 14 * S),)).found
    assert (elsewhere.resolved_us, elsewhere.after_outage_us) == ([5_000_000], [])


@pytest.mark.parametrize(("alarms", "faults"), [((), 1), ((45,), 0), ((75,), 1)])
def test_a_long_doubt_needs_an_alarm_in_time(alarms: tuple[int, ...], faults: int) -> None:
    end = update(2, 80, ACCEPTED, Status.LIVE)
    assert len(look_back(DOUBT, *map(alarm, alarms), end).found.faults) == faults
