"""Backups of a deployment: taken while it runs, restored as another deployment that waits.

A backup is the journal with its snapshots, the settings, the hashes of tokens, and the paper
brokers' books; `manifest.json` names each file with its checksum. Not in it: secrets, send marks
(of no use later), and the store, which is made of the journal anew.

The first deployment may still run, and what it did after the backup is not in it. So a restored
one has an id of its own, begins halted until a person lifts that, counts no open order as never
sent, and asks its brokers about each.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from actors.paths import Paths
from actors.settings import Settings, journal_place, load
from domain import events as ev
from domain.lifecycle import Break, Status, apply
from domain.records import Cause, Halted, HaltScope, Record, Settled
from domain.streams import Notice, NoticeKind, StreamUpdate, UpdateBody, order_update
from ledger import backup
from ledger.backup import Progress, write_file
from ledger.disk import make_directory, read_file, sync_directory
from ledger.places import reader_of
from ledger.projection import Books
from ledger.recovery import restore
from ledger.verification import verify

FORMAT = 1
MANIFEST = "manifest.json"
RESTORED_BY = "restore"
BYTES_MAX = 1 << 30
"""Of one small file of a deployment."""


class BackupError(Exception):
    """Trouble with a backup; the message names the fix."""


class File(Struct, frozen=True, kw_only=True):
    """One file of a backup."""

    bytes: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """What a backup holds: everything of the deployment up to the record."""

    format: int
    deployment: str
    record: int
    taken_ns: int
    files: dict[str, File]


class Restored(Struct, frozen=True, kw_only=True):
    """What became of a backup: the new deployment, and where its journal begins."""

    home: str
    deployment: str
    backup_of: str
    record: int
    unknown_orders: int


def back_up(paths: Paths, to: Path, now_ns: int, told: Progress) -> Manifest:
    """Copies the deployment into a new directory, and reads the copy. Raises BackupError."""
    settings = load(paths.settings)
    if not journal_place(paths, settings).is_local:
        raise BackupError(
            "the journal is in PostgreSQL; back that up with pg_basebackup and archived WAL "
            "(docs/operating.md, PostgreSQL journal)"
        )
    if to.exists() and any(to.iterdir()):
        raise BackupError(f"{to} is not empty; name a directory that is not there yet")
    make_directory(to)
    for name, path in _small_files(paths):
        make_directory((to / name).parent)
        write_file(to / name, read_file(path))
    copied = backup.copy(paths.journal, to / "journal", told)
    manifest = Manifest(
        format=FORMAT,
        deployment=copied.deployment_id,
        record=copied.last,
        taken_ns=now_ns,
        files={str(path.relative_to(to)): _file(path) for path in _all_files(to)},
    )
    # Last: a directory without it is no backup.
    write_file(to / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    sync_directory(to)
    _check_journal(to, manifest)
    return manifest


def check(backup_directory: Path) -> Manifest:
    """Reads every byte of a backup. Raises BackupError where anything is not as it was."""
    try:
        raw = (backup_directory / MANIFEST).read_bytes()
        manifest = msgspec.json.decode(raw, type=Manifest)
    except FileNotFoundError:
        fix = "name the directory that `fillgate backup` made"
        raise BackupError(f"{backup_directory} is no whole backup: no {MANIFEST}; {fix}") from None
    except msgspec.MsgspecError as error:
        raise BackupError(f"{backup_directory / MANIFEST} cannot be read: {error}") from error
    if manifest.format > FORMAT:
        raise BackupError(f"the backup has format {manifest.format}; this release reads {FORMAT}")
    for name, wanted in manifest.files.items():
        path = backup_directory / name
        found = _file(path) if path.is_file() else None
        if found != wanted:
            what = "damaged" if found else "gone"
            raise BackupError(f"{path} is {what}; restore from another backup")
    _check_journal(backup_directory, manifest)
    return manifest


def bring_back(
    backup_directory: Path, paths: Paths, deployment_id: str, now_ns: int, told: Progress
) -> Restored:
    """Makes a deployment of a backup, halted. Raises BackupError, JournalError, OSError."""
    if paths.home.exists() and any(paths.home.iterdir()):
        raise BackupError(f"{paths.home} is not empty; name a --home that is not there yet")
    manifest = check(backup_directory)
    paths.make()
    with _removed_if_not_done(paths.home):
        settings = _bring_back_files(backup_directory, paths, manifest, deployment_id)
        report = backup.make_journal(
            backup_directory / "journal", paths.journal, deployment_id, settings.journal, told
        )
        if report.faults or report.last != manifest.record:
            raise BackupError(f"the restored journal is not the backup's: {report}")
        books = restore(reader_of(journal_place(paths, settings))).books
        records = list(_first_records(books, manifest, now_ns))
        last = backup.append_to(paths.journal, deployment_id, settings.journal, records)
    return Restored(
        home=str(paths.home),
        deployment=deployment_id,
        backup_of=manifest.deployment,
        record=last,
        unknown_orders=len(records) - 1,
    )


@contextmanager
def _removed_if_not_done(home: Path) -> Iterator[None]:
    """Half a deployment is none, and would be in the way of the next try."""
    try:
        yield
    except BaseException:
        shutil.rmtree(home)
        raise


def _bring_back_files(
    backup_directory: Path, paths: Paths, manifest: Manifest, deployment_id: str
) -> Settings:
    text = (backup_directory / paths.settings.name).read_text()
    write_file(paths.settings, _rename(text, manifest.deployment, deployment_id).encode())
    settings = load(paths.settings)
    if settings.deployment.id != deployment_id:
        raise BackupError("the settings name the id elsewhere before [deployment]; move that first")
    for name in manifest.files:
        if not name.startswith("journal/") and name != paths.settings.name:
            write_file(paths.home / name, read_file(backup_directory / name))
    return settings


def _small_files(paths: Paths) -> Iterator[tuple[str, Path]]:
    books = sorted((paths.home / "paper").glob("*.json"))
    for path in (paths.settings, paths.tokens, *books):
        if path.is_file() and path.stat().st_size <= BYTES_MAX:
            yield str(path.relative_to(paths.home)), path


def _all_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def _file(path: Path) -> File:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return File(bytes=path.stat().st_size, sha256=digest.hexdigest())


def _check_journal(directory: Path, manifest: Manifest) -> None:
    report = verify(directory / "journal", manifest.deployment)
    if report.faults or report.last != manifest.record:
        what = report.faults[0] if report.faults else f"it ends with record {report.last}"
        raise BackupError(f"the journal in {directory} is not whole: {what}; take another backup")


def _rename(text: str, old: str, new: str) -> str:
    """The settings under another deployment id, everything else as it was written."""
    named = rf'(?m)^(\s*id\s*=\s*)(["\']){re.escape(old)}\2'
    renamed, count = re.subn(named, rf'\g<1>"{new}"', text, count=1)
    if count != 1:
        raise BackupError(f'the settings do not say id = "{old}" on a line of its own')
    return renamed


def _first_records(books: Books, manifest: Manifest, now_ns: int) -> Iterator[Record]:
    """Every order that may have left is in doubt, and nothing new leaves until a person says so."""
    heads = dict(books.heads)
    number = books.number

    def record(cause: Cause, stream: str, body: UpdateBody, owner: str | None) -> Record:
        nonlocal number
        number += 1
        heads[stream] = heads.get(stream, 0) + 1
        update = StreamUpdate(stream=stream, seq=heads[stream], at_ns=now_ns, body=body)
        return Record(
            number=number, epoch=books.epoch, at_ns=now_ns, cause=cause, updates=(update,),
            owner=owner,
        )  # fmt: skip

    why = f"restored from a backup of {manifest.deployment} at record {manifest.record}"
    for order in tuple(books.orders.open.values()):
        if order.status is Status.SENDING:
            event = ev.OutcomeUnknown(at_ns=now_ns, reason=why)
            after = apply(order, event)
            assert not isinstance(after, Break)
            body = order_update(after, event)
            yield record(Settled(why=why), f"orders/{order.owner}", body, order.owner)
    words = f"{why}: end the first one, compare with the brokers, then resume"
    halted = Halted(scope=HaltScope.ALL, subject="*", by=RESTORED_BY, reason=words)
    notice = Notice(kind=NoticeKind.HALTED, scope="all/*", message=words)
    yield record(halted, "admin", notice, None)
