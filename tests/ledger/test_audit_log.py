from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from bench.audit_copies import (
    DEPLOYMENT,
    MUTATIONS,
    check,
    copy_of,
    entries_in,
    write_anew,
    write_log,
)
from domain.records import Record
from ledger.audit_format import Head, encode_record
from ledger.audit_heads import AuditSettings, HeadFile, newest, places_of, read_heads
from ledger.audit_log import AuditDamaged, AuditError, AuditLog
from ledger.audit_verification import compare, prove, read_entries, segments_of, verify
from ledger.journal import LocalJournal
from ledger.reader import JournalReader
from tests.ledger import journal_stories


def open_log(directory: Path, segment_bytes: int = 1 << 26) -> AuditLog:
    return AuditLog(directory, DEPLOYMENT, segment_bytes)


def a_journal(directory: Path, records: Sequence[Record]) -> LocalJournal:
    journal = journal_stories.open_journal(journal_stories.make(directory))
    for record in records:
        journal.append(record)
    journal.commit()
    return journal


def follow_into(log: AuditLog, journal: Path) -> int:
    """Writes down all the journal has; how many records that were."""
    tail = log.follow(JournalReader(journal))
    count = 0
    while records := tail.read():
        log.append(records)
        count += len(records)
    tail.close()
    return count


def test_every_record_of_the_journal_is_an_entry_and_the_log_is_whole(tmp_path: Path) -> None:
    a_journal(tmp_path / "journal", [check(number) for number in range(1, 31)]).close()
    log = open_log(tmp_path / "audit", 4096)
    assert follow_into(log, tmp_path / "journal") == 30
    head = log.seal.head(7)
    log.close()
    entries = list(read_entries(tmp_path / "audit"))
    assert entries == [encode_record(check(number)) for number in range(1, 31)]
    report = verify(tmp_path / "audit", [head])
    assert (report.faults, report.entries, report.after_head) == ((), 30, 0)
    assert report.segments > 2


@pytest.mark.parametrize("cut", range(0, 1500, 37))
def test_a_log_killed_anywhere_goes_on_without_a_gap_or_a_repeat(tmp_path: Path, cut: int) -> None:
    a_journal(tmp_path / "journal", [check(number) for number in range(1, 13)]).close()
    log = open_log(tmp_path / "audit", 4096)
    follow_into(log, tmp_path / "journal")
    whole = log.seal.head(1)
    log.close()
    last = segments_of(tmp_path / "audit")[-1]
    data = last.read_bytes()
    last.write_bytes(data[: max(len(data) - cut, 0)])
    again = open_log(tmp_path / "audit", 4096)
    follow_into(again, tmp_path / "journal")
    assert again.seal.head(1) == whole
    again.close()
    assert not verify(tmp_path / "audit", [whole]).faults


def test_zeros_where_a_line_was_to_be_are_cut_off(tmp_path: Path) -> None:
    write_log(tmp_path, 5)
    last = segments_of(tmp_path)[-1]
    whole = last.read_bytes()
    last.write_bytes(whole + bytes(300) + b"\n" + bytes(50))
    log = open_log(tmp_path)
    assert log.seal.size == 5
    log.close()
    assert last.read_bytes() == whole


def test_a_changed_entry_stops_the_writer_and_is_kept_as_evidence(tmp_path: Path) -> None:
    write_log(tmp_path, 5)
    path = segments_of(tmp_path)[0]
    path.write_bytes(path.read_bytes().replace(b"1.0850", b"1.0851", 1))
    was = path.read_bytes()
    with pytest.raises(AuditDamaged, match="fillgate audit verify"):
        open_log(tmp_path)
    assert path.read_bytes() == was


def test_two_writers_are_one_too_many(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    with pytest.raises(AuditError, match="held by another process"):
        open_log(tmp_path)
    log.close()
    log.close()
    open_log(tmp_path).close()


def test_another_deployments_log_is_left_alone(tmp_path: Path) -> None:
    write_log(tmp_path, 5)
    with pytest.raises(AuditDamaged, match="belongs to"):
        AuditLog(tmp_path, "d-other")


def test_a_missing_segment_stops_the_writer(tmp_path: Path) -> None:
    write_log(tmp_path, 40, 4096)
    segments_of(tmp_path)[1].unlink()
    with pytest.raises(AuditDamaged, match="of its segments only"):
        open_log(tmp_path)
    assert "is gone" in verify(tmp_path, []).faults[0]


def test_what_a_journal_lost_in_a_power_cut_stays_and_what_it_says_now_follows(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "before", tmp_path / "after"
    a_journal(first, [check(number) for number in range(1, 9)]).close()
    log = open_log(tmp_path / "audit")
    follow_into(log, first)
    log.close()
    told_anew = [check(1), check(2), *(journal_stories.note(number) for number in range(3, 6))]
    a_journal(second, told_anew).close()
    log = open_log(tmp_path / "audit")
    assert follow_into(log, second) == 3
    log.close()
    entries = list(read_entries(tmp_path / "audit"))
    assert entries == [encode_record(r) for r in (*map(check, range(1, 9)), *told_anew[2:])]
    assert compare(tmp_path / "audit", JournalReader(second), 0) == []


def test_a_journal_that_shares_nothing_with_the_log_stops_it(tmp_path: Path) -> None:
    write_log(tmp_path / "audit", 5)
    a_journal(tmp_path / "journal", [journal_stories.note(n) for n in range(1, 9)]).close()
    log = open_log(tmp_path / "audit")
    with pytest.raises(AuditDamaged, match="is in the journal"):
        log.follow(JournalReader(tmp_path / "journal"))
    log.close()


def test_a_segment_just_begun_finds_its_place_in_the_one_before(tmp_path: Path) -> None:
    a_journal(tmp_path / "journal", [check(number) for number in range(1, 13)]).close()
    log = open_log(tmp_path / "audit", 4096)
    follow_into(log, tmp_path / "journal")
    log.close()
    last = segments_of(tmp_path / "audit")[-1]
    header = last.read_bytes().partition(b"\n")[0] + b"\n"
    for kept in (header, header[:-20]):  # its first line alone, and not even that
        last.write_bytes(kept)
        again = open_log(tmp_path / "audit", 4096)
        follow_into(again, tmp_path / "journal")
        assert again.seal.size == 12
        again.close()


@pytest.mark.parametrize("kind", MUTATIONS)
def test_a_mutated_log_is_told_from_the_real_one(tmp_path: Path, kind: str) -> None:
    heads = write_log(tmp_path / "log", 40, 8192)
    assert not verify(tmp_path / "log", heads).faults
    for seed in range(12):
        copy = copy_of(tmp_path / "log", tmp_path / "copy")
        MUTATIONS[kind](copy, Random(seed))
        assert verify(copy, heads).faults, seed


def test_bytes_that_are_no_text_are_a_fault_like_any_other(tmp_path: Path) -> None:
    heads = write_log(tmp_path / "log", 3)
    (path,) = segments_of(tmp_path / "log")
    path.write_bytes(path.read_bytes().replace(DEPLOYMENT.encode(), b"d-\xb8est", 1))
    (fault,) = verify(tmp_path / "log", heads).faults
    assert "first line" in fault
    (tmp_path / "heads").write_bytes(b'{"deployment": "\xb8"}\n')
    assert read_heads(tmp_path / "heads")[1] == [f"{tmp_path / 'heads'}, line 1: is no head"]


def test_only_a_head_tells_that_all_was_written_anew(tmp_path: Path) -> None:
    heads = write_log(tmp_path, 20)
    paths = segments_of(tmp_path)
    entries = [entries_in(path) for path in paths]
    entries[0][3] = entries[0][3].replace(b'"epoch":1', b'"epoch":2')
    write_anew(paths, entries)
    assert not verify(tmp_path, []).faults
    assert "entries 1 to" in verify(tmp_path, heads).faults[0]


def test_entries_newer_than_any_head_are_compared_with_the_journal(tmp_path: Path) -> None:
    a_journal(tmp_path / "journal", [check(number) for number in range(1, 9)]).close()
    log = open_log(tmp_path / "audit")
    follow_into(log, tmp_path / "journal")
    log.append([check(9)])
    log.close()
    journal = JournalReader(tmp_path / "journal")
    assert compare(tmp_path / "audit", journal, 9) == []
    assert compare(tmp_path / "audit", journal, 6) == [
        "record 9 is not in the audit log as the journal has it"
    ]


def test_the_proofs_of_some_entries_hold_for_them_alone(tmp_path: Path) -> None:
    heads = write_log(tmp_path, 35, 8192)
    head, entries = heads[-1], list(read_entries(tmp_path))
    proofs = {proof.entry: proof for proof in prove(tmp_path, head, (3, 35, 36, 17))}
    assert sorted(proofs) == [3, 17, 35]
    assert all(proof.holds(entries[number - 1], head) for number, proof in proofs.items())
    assert not proofs[3].holds(entries[3], head)
    assert not proofs[3].holds(entries[2], heads[0])


def test_too_many_proofs_at_once_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.audit_verification.PROVED_MAX", 3)
    heads = write_log(tmp_path, 5)
    with pytest.raises(AuditError, match="at most 3"):
        list(prove(tmp_path, heads[-1], range(1, 6)))


def test_nothing_is_no_log(tmp_path: Path) -> None:
    assert "no audit log" in verify(tmp_path / "none", []).faults[0]


def test_no_more_faults_are_told_than_a_reader_wants(tmp_path: Path) -> None:
    heads = write_log(tmp_path, 500)
    wrong = [Head(deployment="d", size=h.size, root="", chain="", at_ns=0) for h in heads]
    assert len(verify(tmp_path, wrong).faults) == 20


def test_heads_are_appended_and_read_back(tmp_path: Path) -> None:
    heads = write_log(tmp_path / "log", 30)
    place = HeadFile(tmp_path / "heads.jsonl")
    for head in heads:
        place.put(head)
    assert read_heads(place.path) == (heads, [])
    assert newest(heads) == heads[-1]
    assert place.path.stat().st_mode & 0o777 == 0o600


def test_a_head_that_is_none_or_goes_back_is_a_fault_and_a_torn_one_is_not(tmp_path: Path) -> None:
    heads = write_log(tmp_path / "log", 30)
    place = HeadFile(tmp_path / "heads.jsonl")
    for head in (heads[1], heads[0]):
        place.put(head)
    with place.path.open("ab") as file:
        file.write(b"{}\n{torn")
    found, faults = read_heads(place.path)
    assert found == [heads[1], heads[0]]
    assert [fault.partition(", ")[2] for fault in faults] == [
        "line 2: goes back to 10 entries",
        "line 3: is no head",
    ]


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_heads_go_to_syslog_too(tmp_path: Path, family: socket.AddressFamily) -> None:
    head = write_log(tmp_path / "log", 10)[-1]
    with socket.socket(family, socket.SOCK_DGRAM) as listener:
        is_path = family == socket.AF_UNIX
        listener.bind(str(tmp_path / "log.sock") if is_path else ("127.0.0.1", 0))
        listener.settimeout(5)
        at = str(tmp_path / "log.sock") if is_path else f"127.0.0.1:{listener.getsockname()[1]}"
        settings = AuditSettings(syslog=at, heads_file=str(tmp_path / "second.jsonl"))
        for place in places_of(tmp_path / "first.jsonl", settings):
            place.put(head)
        assert listener.recv(4096).startswith(b"<109>fillgate audit head {")
    assert read_heads(tmp_path / "first.jsonl") == read_heads(tmp_path / "second.jsonl")
