"""Both homes of a journal behind one interface, for stories that must hold in either."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ledger import snapshot
from ledger.faults import JournalLocked
from ledger.journal import Journal, JournalSettings
from ledger.places import Place, Reader, init, open_journal, reader_of
from ledger.postgres import Database
from ledger.segment import encode_frame
from ledger.snapshot import Snapshot
from tests.ledger.journal_stories import DEPLOYMENT, first_segment, frame_ends
from tests.postgres_server import PostgresServer

CHILD = Path(__file__).with_name("journal_child.py")
ROOMY = JournalSettings(segment_bytes=1 << 18, reserve_bytes=512, prepare_in_background=False)
OPEN_S = 5.0


class Backend:
    """A place with nothing in it yet, and the ways to look at it and to hurt it."""

    place: Place

    def make(self) -> Backend:
        init(self.place)
        return self

    def open(self) -> Journal:
        """Waits for a holder that is just dying, as the router does."""
        deadline = time.monotonic() + OPEN_S
        while True:
            try:
                return open_journal(self.place)
            except JournalLocked:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def reader(self) -> Reader:
        return reader_of(self.place)

    def of(self, deployment_id: str) -> Place:
        words = {name: getattr(self.place, name) for name in Place.__struct_fields__}
        return Place(**{**words, "deployment_id": deployment_id})

    def child(self, what: object) -> list[str]:
        return [sys.executable, str(CHILD), self.where, str(what)]

    where: str

    def put(self, number: int, payload: bytes, schema: int) -> None:
        """A record of anybody's making, after the last."""
        raise NotImplementedError

    def damage(self, number: int) -> None:
        """Turns a bit of a record."""
        raise NotImplementedError

    def cut(self, number: int) -> None:
        """Takes away a record and all after it, as if there had been none."""
        raise NotImplementedError

    def replace_snapshot(self, number: int, data: bytes) -> None:
        raise NotImplementedError

    def foreign_snapshot(self, number: int) -> None:
        theirs = Snapshot(number=number, state=b"theirs")
        self.replace_snapshot(number, snapshot.encode("other", theirs))


class LocalBackend(Backend):
    """In a directory of one large segment."""

    def __init__(self, directory: Path) -> None:
        self.place = Place(directory=directory, deployment_id=DEPLOYMENT, settings=ROOMY)
        self.where = str(directory)

    def put(self, number: int, payload: bytes, schema: int) -> None:
        self._write(frame_ends(self._file)[number - 1], encode_frame(payload, number, 0, schema))

    def damage(self, number: int) -> None:
        at = frame_ends(self._file)[number - 1] + 40
        self._write(at, bytes([self._file.read_bytes()[at] ^ 1]))

    def cut(self, number: int) -> None:
        ends = frame_ends(self._file)
        self._write(ends[number - 1], bytes(ends[-1] - ends[number - 1]))

    def replace_snapshot(self, number: int, data: bytes) -> None:
        (self.place.directory / f"snapshot-{number:020d}.state").write_bytes(data)

    @property
    def _file(self) -> Path:
        return first_segment(self.place.directory)

    def _write(self, at: int, data: bytes) -> None:
        with self._file.open("r+b") as file:
            file.seek(at)
            file.write(data)


class PostgresBackend(Backend):
    """In a schema of its own on a real server."""

    def __init__(self, server: PostgresServer, schema: str, url: str | None = None) -> None:
        self.server = server
        self.schema = schema
        url = url or server.url()
        settings = JournalSettings(
            backend="postgres", schema=schema, lease_ms=1_000, patience_ms=10_000
        )
        self.place = Place(
            directory=Path(), deployment_id=DEPLOYMENT, settings=settings, url=url
        )  # fmt: skip
        self.database = Database(url, schema)
        self.where = f"{url}#{schema}"

    def put(self, number: int, payload: bytes, schema: int) -> None:
        self.sql("INSERT INTO {}.record VALUES (%s, %s)", number,
                 encode_frame(payload, number, 0, schema))  # fmt: skip
        self.sql("UPDATE {}.lease SET last = %s", number)

    def damage(self, number: int) -> None:
        query = "UPDATE {}.record SET frame = set_byte(frame, 40, get_byte(frame, 40) # 1)"
        self.sql(query + " WHERE number = %s", number)

    def cut(self, number: int) -> None:
        self.sql("DELETE FROM {}.record WHERE number >= %s", number)
        self.sql("UPDATE {}.lease SET last = %s", number - 1)

    def replace_snapshot(self, number: int, data: bytes) -> None:
        self.sql("UPDATE {}.snapshot SET state = %s WHERE number = %s", data, number)

    def sql(self, query: str, *words: object) -> list[tuple]:
        return self.server.execute(query.replace("{}", self.schema), *words)
