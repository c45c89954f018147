"""A disk that is full, slow or broken: what is taken, what leaves, and when it is over."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors import messages as m
from actors.router import actor, writer
from actors.router.sides import ConnectionSide
from domain import commands as c
from domain.errors import Outcome, Retry
from domain.ids import halt_word
from domain.orders import CancelOrder, NewOrder
from domain.records import GuardKind, HaltScope
from domain.streams import NoticeKind
from ledger.disk import Disk
from ledger.faults import JournalLost
from ledger.journal import JournalSettings, LocalJournal, init
from tests.actors.router_world import MS, PAPER, FakeLink, World, new_order
from tests.actors.writer_world import quiet, tick
from tests.ledger.journal_stories import FailingDisk

SMALL = JournalSettings(segment_bytes=16_384, reserve_bytes=4_096, prepare_in_background=False)


class StallingDisk(FailingDisk):
    """A sync waits while the gate is shut."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.fails_once = False

    def sync(self, fd: int) -> None:
        if self.fails_once:
            self.fails_once = False
            raise OSError(errno.EIO, "once")
        super().sync(fd)
        assert self.gate.wait(10)


@pytest.fixture
def disk() -> Iterator[StallingDisk]:
    made = StallingDisk()
    yield made
    made.gate.set()


@pytest.fixture
def world(tmp_path: Path, disk: Disk) -> Iterator[World]:
    init(tmp_path / "journal", "test", SMALL)
    journal = LocalJournal(tmp_path / "journal", "test", SMALL, disk)
    yield World(journal=journal).open()
    journal.close()


def code_of(answer: Any) -> str | None:
    decided = answer if isinstance(answer, c.Decided) else answer.decided[0]
    return decided.error and decided.error.code


def stall(world: World, disk: StallingDisk) -> None:
    """Commits are slow enough to be made beside the loop, and now one does not end."""
    world.router.writer._careful_until_ns = world.boot_ns + 60_000 * MS
    disk.gate.clear()


def fill_up(world: World, disk: FailingDisk) -> int:
    disk.fill_up()
    for number in range(1_000):
        if world.router.desk.closed is not None:
            return number
        world.live(f"f-{number}")
    pytest.fail("the journal never became full")


# -- full


def test_a_full_disk_refuses_new_orders_and_lets_cancels_through(
    world: World, disk: StallingDisk
) -> None:
    world.live("o-1")
    fill_up(world, disk)
    refused = world.place(new_order("o-2"))
    assert refused.error is not None
    assert (refused.error.code, refused.error.outcome) == ("journal_full", Outcome.NONE)
    assert refused.error.retry is Retry.SAME_ID
    assert world.cancel("o-1").error is None
    assert world.last(PAPER, m.SendCancel).order_id == world.order("o-1").order_id
    assert world.order("o-1").pending is not None
    assert len(world.records()) == world.journal.durable


def test_what_a_broker_tells_is_written_into_the_reserve(world: World, disk: StallingDisk) -> None:
    world.live("o-1")
    fill_up(world, disk)
    world.fill("o-1", quantity=400)
    assert world.records()[-1].updates
    assert world.last(PAPER, m.Freed).last == world.numbers[PAPER]


def test_an_order_that_was_taken_is_known_while_the_disk_is_full(
    world: World, disk: StallingDisk
) -> None:
    world.live("o-1")
    fill_up(world, disk)
    again = world.place(new_order("o-1"))
    assert (again.dup, again.error) == (True, None)


def test_an_amend_that_only_lowers_passes_and_any_other_is_refused(
    world: World, disk: StallingDisk
) -> None:
    world.live("o-1")
    fill_up(world, disk)
    for words in ({"quantity": Decimal(1001)}, {"limit_price": Decimal("1.08")}, {}):
        answer = world.amend(**words)
        assert answer is not None
        assert answer.error is not None
        assert answer.error.code == "journal_full"
    assert world.amend(quantity=Decimal(500)) is not None
    assert world.last(PAPER, m.SendAmend).terms.quantity == Decimal(500)


def test_an_order_that_waits_for_a_credit_waits_on(world: World, disk: StallingDisk) -> None:
    for number in range(5):
        world.place(new_order(f"o-{number}"))
    assert world.status("o-4") == "ready"
    world.router.desk.closed = writer.refusals.JOURNAL_FULL
    world.accept("o-0")
    assert world.status("o-4") == "ready"
    world.router.desk.closed = None
    world.pass_ms(1)
    assert world.status("o-4") == "sending"


def test_an_order_being_screened_when_the_disk_fills_is_refused(
    world: World, disk: StallingDisk
) -> None:
    world.holds_verdicts = True
    assert world.say(c.Place(order=new_order("o-1"))) is None
    world.router.desk.closed = writer.refusals.JOURNAL_FULL
    world.holds_verdicts = False
    world.settle()
    assert code_of(world.answer(world._refs)) == "journal_full"
    assert world.sent(PAPER, m.Dispatch) == []


def test_room_again_is_noticed_by_itself_and_people_are_told_of_both(
    world: World, disk: StallingDisk
) -> None:
    fill_up(world, disk)
    assert not world.router._standing().is_trading or world.router._stand() is None
    disk.failing = {}
    tick(world, 50)
    assert world.router.desk.closed is None
    assert code_of(world.place(new_order("o-2"))) is None
    kinds = [notice.kind for notice in world.notices()]
    assert kinds == [NoticeKind.JOURNAL, NoticeKind.JOURNAL]
    assert "cancels alone" in world.notices()[0].message


def test_edges_hear_that_no_order_gets_through(world: World, disk: StallingDisk) -> None:
    world.router._stand()
    assert world.last("edge-0", m.Standing).is_trading
    fill_up(world, disk)
    world.router._stand()
    assert not world.last("edge-0", m.Standing).is_trading


def test_when_the_reserve_is_used_up_cancels_still_leave_and_all_is_written_later(
    world: World, disk: StallingDisk
) -> None:
    for number in range(12):
        world.live(f"o-{number}")
    fill_up(world, disk)
    for number in range(12):
        world.say(c.Cancel(cancel=CancelOrder(client_order_id=f"o-{number}")))
        world.fill(f"o-{number}", quantity=1, execution=f"x-{number}")
    assert world.router.writer.is_busy
    assert len(world.sent(PAPER, m.SendCancel)) == 12
    freed = world.last(PAPER, m.Freed).last
    assert freed < world.numbers[PAPER]
    disk.failing = {}
    quiet(world)
    assert world.last(PAPER, m.Freed).last == world.numbers[PAPER]
    assert all(world.answer(ref) is not None for ref in range(1, world._refs + 1))
    assert [r.number for r in world.records()] == list(range(1, world.journal.durable + 1))


def test_a_start_on_a_full_disk_takes_cancels(world: World, disk: StallingDisk) -> None:
    world.live("o-1")
    fill_up(world, disk)
    world.restart()
    world.open()
    assert code_of(world.place(new_order("o-9"))) == "journal_full"
    world.cancel("o-1")
    assert world.last(PAPER, m.SendCancel).order_id == world.order("o-1").order_id


# -- in doubt


@pytest.mark.parametrize("operation", ["write", "sync"])
def test_an_order_whose_commit_failed_leaves_only_when_it_is_durable(
    world: World, disk: StallingDisk, operation: str
) -> None:
    disk.failing = {operation: errno.EIO}
    before = world.journal.durable
    assert world.say(c.Place(order=new_order("o-1"))) is None
    assert world.router.writer.is_busy
    assert (world.sent(PAPER, m.Dispatch), world.journal.durable) == ([], before)
    disk.failing = {}
    quiet(world)
    assert len(world.sent(PAPER, m.Dispatch)) == 1
    assert world.records()[before].cause.command.client_order_id == "o-1"


def test_after_a_failure_cancels_alone_are_taken_until_all_is_calm(
    world: World, disk: StallingDisk
) -> None:
    world.live("o-1")
    disk.failing = {"sync": errno.EIO}
    world.say(c.Cancel(cancel=CancelOrder(client_order_id="o-1")))
    tick(world, 10)
    assert code_of(world.place(new_order("o-2"))) == "journal_unavailable"
    disk.failing = {}
    quiet(world)
    assert code_of(world.place(new_order("o-2"))) == "journal_unavailable"
    tick(world, 1_001)
    assert code_of(world.place(new_order("o-2"))) is None


def test_a_failure_of_a_moment_holds_up_nobody_for_long(world: World, disk: StallingDisk) -> None:
    disk.fails_once = True
    world.place(new_order("o-1"))
    assert len(world.sent(PAPER, m.Dispatch)) == 1
    assert world.router.desk.closed is writer.refusals.JOURNAL_UNAVAILABLE


def test_a_journal_that_is_another_s_ends_the_router(world: World) -> None:
    world.journal.close()
    with pytest.raises(JournalLost):
        world.place()


def test_a_journal_lost_beside_the_loop_ends_the_router_on_it(
    world: World, disk: StallingDisk
) -> None:
    disk.failing = {"sync": errno.EIO}
    world.say(c.Place(order=new_order("o-1")))
    world.journal.close()
    with pytest.raises(JournalLost):
        quiet(world)


# -- stalled


def test_while_a_commit_stalls_cancels_leave_and_orders_wait(
    world: World, disk: StallingDisk
) -> None:
    world.live("o-1")
    stall(world, disk)
    assert world.say(c.Place(order=new_order("o-2"))) is None
    assert world.say(c.Cancel(cancel=CancelOrder(client_order_id="o-1"))) is None
    assert len(world.sent(PAPER, m.SendCancel)) == 1
    assert len(world.sent(PAPER, m.Dispatch)) == 1
    disk.gate.set()
    quiet(world)
    assert len(world.sent(PAPER, m.Dispatch)) == 2
    assert world.answer(world._refs) is not None


def test_a_stalled_commit_that_is_no_hiccup_refuses_new_orders(
    world: World, disk: StallingDisk
) -> None:
    stall(world, disk)
    world.say(c.Place(order=new_order("o-1")))
    tick(world, 200)
    assert world.router.desk.closed is None
    tick(world, 100)
    assert code_of(world.place(new_order("o-2"))) == "journal_unavailable"
    asked = world.send(c.Query(ref=99, owner="alice", what="orders.list", args={}))
    assert asked.error.code == "journal_unavailable"
    disk.gate.set()
    quiet(world)
    tick(world, 1_001)
    assert code_of(world.place(new_order("o-2"))) is None


def test_what_a_broker_tells_in_a_stall_is_freed_only_once_it_is_durable(
    world: World, disk: StallingDisk
) -> None:
    world.live("o-1")
    stall(world, disk)
    world.fill("o-1", quantity=400)
    world.fill("o-1", quantity=600, execution="x-2")
    freed = world.last(PAPER, m.Freed).last
    assert freed == world.numbers[PAPER] - 2
    assert world.updates()[-1].seq < world.router.desk.books.heads["orders/alice"]
    disk.gate.set()
    quiet(world)
    assert world.last(PAPER, m.Freed).last == world.numbers[PAPER]
    assert world.updates()[-1].seq == world.router.desk.books.heads["orders/alice"]


def test_a_halt_reaches_the_gates_in_a_stall_and_its_end_does_not(
    world: World, disk: StallingDisk
) -> None:
    stall(world, disk)
    world.say(c.Place(order=new_order("o-1")))
    halt = c.Halt(scope=HaltScope.ALL, reason="test")
    assert world.say(halt) is None
    assert len(world.last(PAPER, m.SetHalts).halts) == 1
    word = halt_word("all", "*", "alice", "test")
    assert world.say(c.Resume(scope=HaltScope.ALL, confirm=word)) is None
    assert len(world.last(PAPER, m.SetHalts).halts) == 1
    disk.gate.set()
    quiet(world)
    assert world.last(PAPER, m.SetHalts).halts == ()


def test_no_halt_overtakes_the_end_of_another_in_a_stall(world: World, disk: StallingDisk) -> None:
    halt = c.Halt(scope=HaltScope.ALL, reason="test")
    world.say(halt)
    stall(world, disk)
    world.say(c.Place(order=new_order("o-1")))
    world.say(c.SetGuard(kind=GuardKind.DEAD_MAN, grace_ms=60_000))
    word = halt_word("all", "*", "alice", "test")
    world.say(c.Resume(scope=HaltScope.ALL, confirm=word))
    world.say(halt)
    before = len(world.sent(PAPER, m.SetHalts))
    assert len(world.last(PAPER, m.SetHalts).halts) == 1
    disk.gate.set()
    quiet(world)
    told = world.sent(PAPER, m.SetHalts)[before:]
    assert [len(message.halts) for message in told] == [0, 1]


def test_a_halt_does_not_overtake_the_router_s_own_introduction(
    world: World, disk: StallingDisk
) -> None:
    stall(world, disk)
    world.say(c.SetGuard(kind=GuardKind.DEAD_MAN, grace_ms=60_000))
    link = world.links[PAPER] = FakeLink(PAPER, "connection", world.effects)
    ConnectionSide(world.router, PAPER).link_up(link)
    world.say(c.Halt(scope=HaltScope.ALL, reason="test"))
    assert world.sent(PAPER, m.SetHalts) == []
    disk.gate.set()
    quiet(world)
    kinds = [type(message) for message in world.sent(PAPER)[-4:]]
    assert kinds.index(m.SetHalts) > kinds.index(m.Attach)


def test_compliance_that_comes_in_a_stall_gets_the_book_and_no_more(
    world: World, disk: StallingDisk
) -> None:
    world.live("o-1")
    stall(world, disk)
    world.fill("o-1", quantity=400)
    world.lose_compliance()
    world.bring_compliance()
    world.fill("o-1", quantity=100, execution="x-2")
    disk.gate.set()
    quiet(world)
    told = world.sent("compliance")
    book = max(i for i, message in enumerate(told) if isinstance(message, m.LoadBook))
    observed = [u for x in told[book:] if isinstance(x, m.Observe) for u in x.updates]
    assert [u.seq for u in observed if u.stream == "orders/alice"] == [
        world.router.desk.books.heads["orders/alice"]
    ]


def test_a_slow_commit_on_the_loop_sends_the_next_ones_beside_it(
    world: World, disk: StallingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = world.journal.commit

    def slow() -> int:
        world.boot_ns += 5_000 * MS
        return commit()

    with monkeypatch.context() as patch:
        patch.setattr(world.journal, "commit", slow)
        world.place(new_order("o-1"))
    # What waited for the loop meanwhile is refused, not sent late.
    assert code_of(world.place(new_order("o-2"))) == "journal_unavailable"
    assert world.router.writer._thread is not None
    assert not world.router.writer.is_busy


def test_the_longer_a_commit_took_the_longer_the_next_ones_go_beside_the_loop(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, writer = world.journal.commit, world.router.writer

    def slow() -> int:
        world.boot_ns += 50 * MS
        return commit()

    with monkeypatch.context() as patch:
        patch.setattr(world.journal, "commit", slow)
        world.place(new_order("o-1"))
    world.place(new_order("o-2"))
    assert writer._thread is not None
    world.boot_ns += 5_000 * MS
    with monkeypatch.context() as patch:
        patch.setattr(writer, "_hand_over", None)  # nothing goes there any more
        assert world.place(new_order("o-3")).error is None


def test_too_much_that_waits_refuses_even_cancels_and_does_not_say_that_nothing_happened(
    world: World, disk: StallingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actor, "BATCH_MAX", 1)
    world.live("o-1")
    stall(world, disk)
    world.fill("o-1", quantity=100)
    world.fill("o-1", quantity=100, execution="x-2")
    answer = world.cancel("o-1")
    assert answer.error is not None
    assert (answer.error.outcome, answer.error.retry) == (Outcome.UNKNOWN, Retry.SAME_ID)


def test_a_batch_of_orders_is_refused_at_once_only_where_all_of_it_is(
    world: World, disk: StallingDisk
) -> None:
    world.place(new_order("o-1"))
    stall(world, disk)
    world.say(c.Place(order=new_order("o-2")))
    tick(world, 300)
    mixed: tuple[NewOrder, ...] = (new_order("o-1"), new_order("o-3"))
    assert world.say(c.Batch(orders=mixed)) is None
    whole = world.say(c.Batch(orders=(new_order("o-4"), new_order("o-5"))))
    assert whole is not None
    assert {d.error and d.error.code for d in whole.decided} == {"journal_unavailable"}
    disk.gate.set()
    quiet(world)
    assert world.answer(world._refs - 1) is not None
