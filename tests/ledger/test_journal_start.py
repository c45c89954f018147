from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from domain.records import SCHEMA
from ledger.codec import decode, encode
from ledger.disk import FileLock
from ledger.faults import (
    JournalCorrupt,
    JournalExists,
    JournalFailed,
    JournalForeign,
    JournalLocked,
    JournalMissing,
    JournalTooNew,
)
from ledger.journal import JournalSettings, init
from ledger.reader import JournalReader
from ledger.segment import HEADER_BYTES, Header, encode_header
from tests.ledger.journal_stories import (
    DEPLOYMENT,
    SMALL,
    first_segment,
    make,
    note,
    open_journal,
    write_commits,
)

CHILD = Path(__file__).with_name("journal_child.py")


def test_init_alone_makes_a_journal(tmp_path: Path):
    with pytest.raises(JournalMissing, match="fillgate init"):
        open_journal(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(JournalMissing, match="fillgate init"):
        open_journal(tmp_path / "empty")


def test_init_leaves_a_journal_alone_that_is_there(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    write_commits(journal, 1)
    journal.close()
    before = first_segment(tmp_path).read_bytes()
    with pytest.raises(JournalExists):
        make(tmp_path)
    assert first_segment(tmp_path).read_bytes() == before


def test_an_init_that_died_half_way_can_be_run_again(tmp_path: Path):
    (tmp_path / "segment-00000001.tmp").write_bytes(b"half")
    make(tmp_path)
    open_journal(tmp_path).close()
    assert not list(tmp_path.glob("*.tmp"))


def test_a_foreign_segment_among_ours_is_refused(tmp_path: Path):
    journal = open_journal(make(tmp_path / "ours"))
    write_commits(journal, 40, 4)
    journal.close()
    file = tmp_path / "ours" / "segment-00000002.log"
    file.write_bytes(encode_header(Header("theirs", 2, 20)) + file.read_bytes()[HEADER_BYTES:])
    with pytest.raises(JournalForeign):
        open_journal(tmp_path / "ours")
    assert "theirs" in JournalReader(tmp_path / "ours").verify().faults[0]


def test_the_default_settings_are_64_mib_and_a_quarter_in_reserve():
    assert JournalSettings() == JournalSettings(
        segment_bytes=67_108_864, reserve_bytes=16_777_216, snapshots_kept=2
    )


def test_a_record_of_the_release_before_is_read_and_keeps_its_schema():
    record = decode(encode(note(3)), SCHEMA - 1, 3, "file")
    assert (record.number, record.cause, record.schema) == (3, note(3).cause, SCHEMA - 1)


def test_a_record_two_releases_old_is_refused():
    with pytest.raises(JournalCorrupt, match="one release at a time"):
        decode(encode(note(3)), SCHEMA - 2, 3, "file")


def test_a_file_of_a_newer_format_is_refused(tmp_path: Path):
    file = first_segment(make(tmp_path))
    header = encode_header(Header(DEPLOYMENT, 1, 1, format=2))
    file.write_bytes(header + file.read_bytes()[len(header) :])
    with pytest.raises(JournalTooNew):
        open_journal(tmp_path)


def test_a_segment_that_cannot_be_read_is_a_failure_to_open(tmp_path: Path):
    make(tmp_path)
    (tmp_path / "segment-00000002.log").mkdir()
    with pytest.raises(JournalFailed, match="could not be opened"):
        open_journal(tmp_path)


def test_a_journal_has_one_writer_and_names_it(tmp_path: Path):
    make(tmp_path)
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(tmp_path), "hold"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if "COVERAGE" not in name},
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n"
        with pytest.raises(JournalLocked, match=str(child.pid)) as caught:
            open_journal(tmp_path)
        assert caught.value.holder == child.pid
        with pytest.raises(JournalLocked):
            init(tmp_path, DEPLOYMENT, SMALL)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    open_journal(tmp_path).close()


def test_a_holder_that_left_no_pid_is_still_a_holder(tmp_path: Path):
    lock = FileLock(tmp_path)
    (tmp_path / "journal.lock").write_text("")
    with pytest.raises(JournalLocked, match="another process"):
        FileLock(tmp_path)
    lock.release()
    lock.release()


def test_no_child_inherits_the_lock_or_a_segment(tmp_path: Path):
    journal = open_journal(make(tmp_path))
    ours = {
        int(entry)
        for entry in os.listdir("/proc/self/fd")
        if _target(int(entry)).startswith(str(tmp_path))
    }
    assert len(ours) == 2
    assert not any(os.get_inheritable(fd) for fd in ours)
    journal.close()


def _target(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""
