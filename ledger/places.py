"""Where a deployment's journal is, in its home or in PostgreSQL, and one way to each for both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from domain.records import Record
from ledger import journal
from ledger.chain import holds_journal, read_chain
from ledger.disk import find_holder
from ledger.faults import JournalMissing
from ledger.following import Followable
from ledger.journal import Journal, JournalSettings, LocalJournal
from ledger.reader import JournalReader, Progress
from ledger.snapshot import Snapshot
from ledger.verification import JournalReport

if TYPE_CHECKING:
    from ledger.postgres import Database


class Reader(Followable, Protocol):
    """Reads beside a running writer; holds no lock and changes nothing."""

    def replay(self, after: int = 0, on_progress: Progress | None = None) -> Iterator[Record]:
        """The records there are now after number `after`. Raises JournalError."""

    def snapshots(self) -> Iterator[Snapshot]:
        """Valid snapshots, newest first. Raises JournalError."""

    def verify(self) -> JournalReport:
        """Reads every byte; lists faults and raises none."""


class Place(Struct, frozen=True, kw_only=True):
    """Where, under which settings, and whose; without a deployment id anyone's will do.

    `url` is PostgreSQL's, and a secret.
    """

    directory: Path
    settings: JournalSettings = JournalSettings()
    deployment_id: str | None = None
    url: str = ""

    def __repr__(self) -> str:
        return f"Place({self.where})"

    @property
    def is_local(self) -> bool:
        """Whether it is files in the deployment's home."""
        return self.settings.backend == "local"

    @property
    def where(self) -> str:
        """In words for people; without the secret."""
        return str(self.directory) if self.is_local else database_of(self).where


def find_url_fault(url: str) -> str | None:
    """Why it is no URL of a database, without a word of what it says; None where it is one."""
    from ledger.postgres import is_url

    return None if is_url(url) else "holds no PostgreSQL URL (postgresql://user@host/database)"


def init(place: Place) -> None:
    """Makes a new journal. Raises JournalExists, JournalLocked, JournalUnreachable."""
    assert place.deployment_id is not None
    if place.is_local:
        journal.init(place.directory, place.deployment_id, place.settings)
        return
    from ledger import postgres

    postgres.init(database_of(place), place.deployment_id)


def check(place: Place) -> str:
    """Whose journal it is. Raises JournalMissing, JournalForeign and the like."""
    if place.is_local:
        return read_chain(place.directory, place.deployment_id).deployment_id
    from ledger.postgres_reader import PostgresReader

    return PostgresReader(database_of(place), place.deployment_id).check()


def is_made(place: Place) -> bool:
    """Whether there is a journal, whosesoever. Raises JournalUnreachable."""
    if place.is_local:
        return holds_journal(place.directory)
    from ledger.postgres_reader import PostgresReader

    try:
        PostgresReader(database_of(place)).check()
    except JournalMissing:
        return False
    return True


def open_journal(place: Place) -> Journal:
    """Becomes the one who writes. Raises JournalError."""
    assert place.deployment_id is not None
    if place.is_local:
        return LocalJournal(place.directory, place.deployment_id, place.settings)
    from ledger.postgres_journal import PostgresJournal

    return PostgresJournal(database_of(place), place.deployment_id, place.settings)


def reader_of(place: Place) -> Reader:
    """Reads without becoming that."""
    if place.is_local:
        return JournalReader(place.directory, place.deployment_id)
    from ledger.postgres_reader import PostgresReader

    return PostgresReader(database_of(place), place.deployment_id)


def holder_of(place: Place) -> str | None:
    """Which process holds it, in words; None where nobody does. Raises JournalError."""
    if place.is_local:
        return find_holder(place.directory)
    from ledger.postgres_reader import PostgresReader

    found = PostgresReader(database_of(place), place.deployment_id).holder()
    return f"process {found[0]} on {found[1]}" if found else None


def database_of(place: Place) -> Database:
    """The database of a place that is not local. Raises JournalUnreachable."""
    # Only who uses PostgreSQL pays for loading its driver.
    from ledger.postgres import Database

    return Database(place.url, place.settings.schema)
