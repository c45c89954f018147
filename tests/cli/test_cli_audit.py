"""`fillgate audit` over a real journal's audit log, with nothing running."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from actors.paths import Paths
from actors.settings import journal_place, load
from ledger.audit_heads import HeadFile
from ledger.audit_log import AuditLog
from ledger.audit_verification import segments_of
from ledger.places import reader_of
from tests.cli.cli_world import VIOLATION, Story, call, call_json, make_home


def audited(folder: Path, unheaded: bool = False) -> Paths:
    """A home whose journal has a sent and a denied order, both in the audit log."""
    paths = make_home(folder)
    story = Story(paths)
    sent = story.place("c-1")
    story.report((sent, story.fill(sent)))
    story.place("c-2", VIOLATION)
    story.close()
    settings = load(paths.settings)
    log = AuditLog(paths.audit, settings.deployment.id)
    place = HeadFile(paths.audit_heads)
    tail = log.follow(reader_of(journal_place(paths, settings)))
    while records := tail.read(2):
        log.append(records)
        if not unheaded or not paths.audit_heads.exists():
            place.put(log.seal.head(5))
    tail.close()
    log.close()
    return paths


def test_an_untouched_log_is_whole(tmp_path: Path) -> None:
    home = audited(tmp_path).home
    told = call(home, "audit", "verify")
    assert told.exit_code == 0
    assert "4 entries in 1 segments, 2 heads" in told.stdout
    assert "whole: every entry" in told.stdout


def test_entries_no_head_covers_are_told_and_compared_with_the_journal(tmp_path: Path) -> None:
    home = audited(tmp_path, unheaded=True).home
    assert "2 entries are newer than the newest head" in call(home, "audit", "verify").stdout
    assert call_json(home, "audit", "verify")["after_head"] == 2


def test_a_truncated_log_is_a_fault_and_a_failure(tmp_path: Path) -> None:
    paths = audited(tmp_path)
    path = segments_of(paths.audit)[0]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    told = call(paths.home, "audit", "verify")
    assert told.exit_code == 1
    assert "a head speaks of 4 entries, but only 3 are here" in told.stdout


def test_a_log_and_its_heads_made_anew_are_told_by_a_copy_kept_elsewhere(tmp_path: Path) -> None:
    paths = audited(tmp_path)
    kept = tmp_path / "kept.jsonl"
    paths.audit_heads.rename(kept)
    path = segments_of(paths.audit)[0]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    alone = call(paths.home, "audit", "verify")
    assert "no head anywhere" in alone.stdout
    told = call_json(paths.home, "audit", "verify", "--heads", str(kept))
    assert told["faults"] == ["a head speaks of 4 entries, but only 3 are here"]


def test_the_second_place_of_the_settings_is_read_too(tmp_path: Path) -> None:
    paths = audited(tmp_path)
    second = tmp_path / "second.jsonl"
    paths.audit_heads.rename(second)
    text = paths.settings.read_text()
    line = '#heads_file = "/mnt/elsewhere/audit-heads.jsonl"'
    assert line in text
    paths.settings.write_text(text.replace(line, f'heads_file = "{second}"'))
    assert call_json(paths.home, "audit", "verify")["heads"] == 2


def test_an_orders_entries_are_exported_with_proofs_that_hold(tmp_path: Path) -> None:
    paths = audited(tmp_path)
    out = tmp_path / "export.jsonl"
    assert call(paths.home, "audit", "export", "--order", "c-1", "--out", str(out)).exit_code == 0
    head, *lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert head["head"]["size"] == 4
    assert [line["record"]["number"] for line in lines] == [2, 3]
    assert [line["proof"]["entry"] for line in lines] == [2, 3]
    told = call(paths.home, "audit", "check", str(out), "--heads", str(paths.audit_heads))
    assert "2 entries, each proved" in told.stdout
    assert call_json(paths.home, "audit", "check", str(out))["entries"] == 2


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"quantity":"1000"', '"quantity":"1001"', "line 2: the proof does not hold"),
        ('{"head":', '{"haed":', "it is no export"),
    ],
)
def test_a_changed_export_is_refused(tmp_path: Path, old: str, new: str, fault: str) -> None:
    paths = audited(tmp_path)
    out = tmp_path / "export.jsonl"
    call(paths.home, "audit", "export", "--order", "c-1", "--out", str(out))
    out.write_text(out.read_text().replace(old, new, 1))
    assert fault in call(paths.home, "audit", "check", str(out)).stderr


def test_an_export_against_a_head_you_did_not_keep_is_refused(tmp_path: Path) -> None:
    paths = audited(tmp_path)
    out, kept = tmp_path / "export.jsonl", tmp_path / "kept.jsonl"
    call(paths.home, "audit", "export", "--out", str(out))
    kept.write_bytes(paths.audit_heads.read_bytes().splitlines(keepends=True)[0])
    told = call(paths.home, "audit", "check", str(out), "--heads", str(kept))
    assert "not among those you kept" in told.stderr


def test_everything_is_exported_where_nothing_is_chosen(tmp_path: Path) -> None:
    paths = audited(tmp_path)
    lines = call(paths.home, "audit", "export", "--no-proofs").stdout.splitlines()
    assert [json.loads(line)["record"]["number"] for line in lines[1:]] == [1, 2, 3, 4]
    some = call(paths.home, "audit", "export", "--from", "2", "--to", "3").stdout.splitlines()
    assert [json.loads(line)["record"]["number"] for line in some[1:]] == [2, 3]


def test_an_order_nobody_knows_and_a_log_without_heads_cannot_be_exported(tmp_path: Path) -> None:
    paths = audited(tmp_path)
    told = json.loads(call(paths.home, "audit", "export", "--order", "c-9").stdout)
    assert told["error"]["code"] == "unknown_order"
    paths.audit_heads.unlink()
    assert "no head" in call(paths.home, "audit", "export").stdout
