"""What a process leaves behind it: send marks, signs of life, paths, halts and held facts."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from router_world import ACCOUNT, OWNER, PAPER, connection_settings, new_order

from actors import messages as m
from actors import outbox as outbox_module
from actors.beacon import SILENCE_MS_MAX, Beacon, Declared, boot_ns, read_beacon
from actors.clocks import SYSTEM_CLOCKS
from actors.gate import is_halted
from actors.marks import SLOTS, Marks, read_boot_id
from actors.outbox import Outbox, SeenEvents, Waiting
from actors.paths import Paths, connection_role
from domain import events as ev
from domain.orders import OrderType, Side, TimeInForce
from domain.records import Halted, HaltScope

# -- send marks


def open_marks(path: Path, boot_id: str = "boot-1", after: int = 0) -> Marks:
    """Marks that vouch for every intent after one."""
    marks = Marks(path, boot_id)
    marks.vouch_after(after)
    return marks


def test_an_intent_without_its_mark_was_never_sent(tmp_path: Path) -> None:
    marks = open_marks(tmp_path / "a.marks")
    assert marks.last == 0
    marks.write(1, 1)
    marks.write(3, 1)
    assert [marks.has(n) for n in (1, 2, 3, 4)] == [True, False, True, False]
    assert marks.last == 3
    marks.close()


def test_marks_are_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    before = open_marks(tmp_path / "a.marks")
    before.write(7, 2)
    after = Marks(tmp_path / "a.marks", "boot-1")
    assert (after.last, after.has(7), after.has(6)) == (7, True, False)
    before.close()
    after.close()


def test_a_slot_used_again_counts_as_sent(tmp_path: Path) -> None:
    marks = open_marks(tmp_path / "a.marks")
    marks.write(5 + SLOTS, 1)
    assert marks.has(5)
    assert not marks.has(5 + 2 * SLOTS)
    marks.close()


def test_marks_prove_nothing_of_what_was_sent_before_the_machine_s_boot(tmp_path: Path) -> None:
    before = open_marks(tmp_path / "a.marks")
    before.write(4, 1)
    before.close()
    marks = Marks(tmp_path / "a.marks", "boot-2")
    assert marks.has(5)  # the power may have gone with its mark
    marks.vouch_after(5)
    assert [marks.has(n) for n in (3, 4, 5, 6)] == [True, True, True, False]
    marks.vouch_after(9)  # a later router changes nothing: this file saw it all
    assert not marks.has(6)
    marks.close()
    again = Marks(tmp_path / "a.marks", "boot-2")
    assert [again.has(n) for n in (5, 6)] == [True, False]
    again.close()


def test_where_another_machine_sends_too_only_one_s_own_intents_are_proven(tmp_path: Path) -> None:
    marks = open_marks(tmp_path / "a.marks")
    marks.is_shared = True
    marks.write(4, 1)
    marks.vouch_after(4)
    assert not marks.has(5)
    marks.vouch_after(9)  # five to nine were given out elsewhere
    assert [marks.has(n) for n in (5, 9, 10)] == [True, True, False]
    marks.close()


def test_marks_go_by_the_machine_s_own_boot(tmp_path: Path) -> None:
    open_marks(tmp_path / "a.marks", read_boot_id()).close()
    marks = Marks(tmp_path / "a.marks")
    assert not marks.has(1)
    marks.close()


def test_marks_survive_a_process_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.marks"
    program = (
        "import os, signal; from pathlib import Path; from actors.marks import Marks;"
        f"Marks(Path({str(path)!r})).write(9, 1); os.kill(os.getpid(), signal.SIGKILL)"
    )
    child = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False
    )
    assert child.returncode == -9
    marks = Marks(path)
    assert marks.has(9)
    marks.close()


# -- signs of life


def test_a_process_declares_what_it_does(tmp_path: Path) -> None:
    beacon = Beacon(tmp_path / "a.beacon")
    first = read_beacon(tmp_path / "a.beacon")
    assert first is not None
    assert (first.pid, first.declared) == (os.getpid(), Declared.STARTING)
    beacon.declare(Declared.COMMITTING)
    then = read_beacon(tmp_path / "a.beacon")
    assert then is not None
    assert then.declared is Declared.COMMITTING
    assert first.since_ns <= then.since_ns <= boot_ns()
    beacon.stop()


def test_a_process_beats_by_itself_until_it_stops(tmp_path: Path) -> None:
    path = tmp_path / "a.beacon"
    beacon = Beacon(path)
    first = read_beacon(path)
    assert first is not None
    deadline = time.monotonic() + 10
    while (now := read_beacon(path)) is not None and now.beat_ns == first.beat_ns:
        assert time.monotonic() < deadline
        os.sched_yield()
    beacon.stop()


def test_where_nobody_ever_lived_there_is_no_sign_of_life(tmp_path: Path) -> None:
    assert read_beacon(tmp_path / "none") is None
    (tmp_path / "half").write_bytes(b"123")
    assert read_beacon(tmp_path / "half") is None
    (tmp_path / "zeros").write_bytes(bytes(4096))
    assert read_beacon(tmp_path / "zeros") is None
    (tmp_path / "dead").write_bytes(struct.pack("<QQQQ", 12, Declared.WORKING, 1, 2))
    reading = read_beacon(tmp_path / "dead")
    assert reading is not None
    assert (reading.pid, reading.beat_ns) == (12, 2)


def test_a_working_process_is_granted_the_least_silence() -> None:
    assert min(SILENCE_MS_MAX, key=SILENCE_MS_MAX.__getitem__) is Declared.WORKING


def test_the_two_clocks_are_utc_and_boot() -> None:
    assert abs(SYSTEM_CLOCKS.utc_ns() - time.time_ns()) < 60_000_000_000
    assert SYSTEM_CLOCKS.boot_ns() <= boot_ns()


# -- paths


def test_everything_of_a_deployment_is_private_and_has_its_place(short_folder: Path) -> None:
    paths = Paths(short_folder / "home")
    paths.make()
    try:
        assert all(
            path.stat().st_mode & 0o077 == 0 for path in (paths.home, paths.logs, paths.runtime)
        )
        assert paths.settings.parent == paths.journal.parent == paths.home
        assert paths.tokens.parent == paths.first_token.parent == paths.home
        assert paths.book("sim").parent.is_dir()
        assert paths.marks(PAPER).parent.is_dir()
        assert paths.ready.parent == paths.beacon("router").parent == paths.runtime
        longest = paths.socket(connection_role("c" * 64))
        assert len(str(longest)) <= 107
    finally:
        paths.runtime.rmdir()


def test_two_homes_never_share_a_runtime_folder(tmp_path: Path) -> None:
    one, other = Paths(tmp_path / "one"), Paths(tmp_path / "other")
    assert one.runtime != other.runtime
    assert one.runtime == Paths(tmp_path / "x" / ".." / "one").runtime


def test_a_runtime_folder_of_another_user_is_refused(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(short_folder / "home")
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    with pytest.raises(PermissionError):
        paths.make()
    paths.runtime.rmdir()


# -- halts

HALTS = {
    "all": (HaltScope.ALL, "*", True),
    "all, whatever it names": (HaltScope.ALL, "x", True),
    "owner": (HaltScope.OWNER, OWNER, True),
    "another owner": (HaltScope.OWNER, "bob", False),
    "account": (HaltScope.ACCOUNT, ACCOUNT, True),
    "another account": (HaltScope.ACCOUNT, "acc-9", False),
    "connection": (HaltScope.CONNECTION, PAPER, True),
    "broker": (HaltScope.BROKER, "oanda", True),
    "another broker": (HaltScope.BROKER, "alpaca", False),
    "instrument": (HaltScope.INSTRUMENT, "EUR/USD", True),
    "another instrument": (HaltScope.INSTRUMENT, "USD/JPY", False),
    "tag": (HaltScope.TAG, "grid", True),
    "another tag": (HaltScope.TAG, "other", False),
}


@pytest.mark.parametrize("case", HALTS)
def test_a_halt_covers_what_it_names(case: str) -> None:
    scope, subject, covered = HALTS[case]
    halt = Halted(scope=scope, subject=subject, by="ops", reason="stop")
    order = new_order(tag="grid")
    assert is_halted(order, (halt,), connection_settings()) is covered


def test_without_a_halt_nothing_is_halted() -> None:
    assert not is_halted(new_order(), (), connection_settings())


# -- facts told and held


def state(intent: int) -> m.Item:
    return m.GateRefused(intent=intent, reason="stale")


def test_facts_are_numbered_and_held_until_freed() -> None:
    outbox = Outbox(PAPER, "i1")
    told = [outbox.add(state(n), str(n)) for n in (1, 2, 3)]
    assert [items.first for items in told] == [1, 2, 3]
    outbox.free("another", 3)
    assert outbox.again() == told
    outbox.free("i1", 2)
    assert outbox.again() == told[2:]
    assert [outbox.speaks_of(n) for n in (2, 3)] == [False, True]
    outbox.free("i1", 99)
    assert outbox.again() == []


def test_an_outbox_knows_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "ITEMS_MAX", 2)
    outbox = Outbox(PAPER, "i1")
    outbox.add(state(1), None)
    assert not outbox.is_full
    outbox.add(state(2), None)
    assert outbox.is_full


def fill(name: str, client: str | None = "v-1") -> ev.Fill:
    return ev.Fill(
        at_ns=1, execution_id=name, broker_execution_id=name, broker_order_id="b-1",
        instrument="EUR/USD", side=Side.BUY, quantity=Decimal(1), price=Decimal(1),
        venue_client_id=client,
    )  # fmt: skip


def creation(client: str | None = "v-1") -> ev.External:
    return ev.External(
        at_ns=1, broker_order_id="b-1", instrument="EUR/USD", side=Side.BUY, quantity=Decimal(1),
        order_type=OrderType.LIMIT, time_in_force=TimeInForce.GTC, venue_client_id=client,
    )  # fmt: skip


def test_a_fact_seen_by_two_roads_is_told_once() -> None:
    seen = SeenEvents()
    accepted = ev.Accepted(at_ns=5, broker_order_id="b-1", venue_client_id="v-1")
    assert seen.new_of([creation(), accepted, fill("x-1")]) == (creation(), fill("x-1"))
    assert seen.new_of([accepted, fill("x-1"), fill("x-2")]) == (fill("x-2"),)


def test_refusals_at_different_times_are_different() -> None:
    seen = SeenEvents()
    error: Any = {"code": "X"}
    first, second = (
        ev.CancelRefused(at_ns=at_ns, error=error, broker_order_id="b-1") for at_ns in (1, 2)
    )
    assert seen.new_of([first, first, second]) == (first, second)


def test_what_was_seen_longest_ago_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "SEEN_MAX", 2)
    seen = SeenEvents()
    seen.new_of([fill("x-1"), fill("x-2"), fill("x-3")])
    assert seen.new_of([fill("x-3"), fill("x-1")]) == (fill("x-1"),)


def test_events_of_an_order_wait_for_its_answer() -> None:
    waiting = Waiting()
    assert waiting.hold((fill("x-1"),), "10") == (fill("x-1"),)
    waiting.expect("v-1")
    assert waiting.hold((creation(),), "10") == ()
    assert waiting.hold((fill("x-1"),), "11") == ()
    assert waiting.cursor("12") == "10"
    assert waiting.answered("v-1") == (creation(), fill("x-1"))
    assert waiting.answered("v-1") == ()
    assert waiting.cursor("12") == "12"
    assert waiting.hold((fill("x-3"),), "12") == (fill("x-3"),)


def test_what_comes_after_takes_along_what_waits_so_that_fills_keep_their_order() -> None:
    waiting = Waiting()
    waiting.expect("v-1")
    waiting.expect("v-3")
    first, later, third = fill("x-1"), fill("x-2", "v-2"), fill("x-3", "v-3")
    assert waiting.hold((first,), "10") == ()
    assert waiting.hold((later,), "11") == (first, later)
    assert waiting.hold((first,), "12") == ()
    assert waiting.hold((third,), "13") == ()
    assert waiting.answered("v-3") == (first, third)
    assert waiting.hold((third,), "14") == (third,)
    assert waiting.hold((first,), "15") == ()
    assert waiting.hold((first,), "16") == ()
    assert waiting.answered("v-1") == (first, first)


def test_what_waits_can_be_told_though_the_answer_is_still_awaited() -> None:
    waiting = Waiting()
    waiting.expect("v-1")
    waiting.hold((creation(), fill("x-1")), "10")
    assert waiting.release() == (creation(), fill("x-1"))
    assert waiting.cursor("12") == "12"
    assert waiting.hold((fill("x-2"),), "12") == ()
    assert waiting.answered("v-1") == (fill("x-2"),)
