"""A server that is full, restarted, read-only, failing over, unsafe or away, in clear words."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.faults import (
    JournalError,
    JournalExists,
    JournalFailed,
    JournalFull,
    JournalTooNew,
    JournalUnreachable,
    JournalUnsafe,
)
from ledger.journal import Journal, JournalSettings
from ledger.places import Place, init, is_made, open_journal, reader_of
from tests.ledger.journal_backends import PostgresBackend
from tests.ledger.journal_stories import DEPLOYMENT, note, write_commits
from tests.ledger.test_journal_backends import UNMEASURED
from tests.postgres_server import ROLE, SERVER_USER, PostgresServer, fresh_schema, postgres

CRASHES = 3
SECRET = "hunter2-do-not-tell"


def place(url: str, schema: str = "j", patience_ms: int = 10_000) -> Place:
    settings = JournalSettings(backend="postgres", schema=schema, patience_ms=patience_ms)
    return Place(directory=Path(), deployment_id=DEPLOYMENT, settings=settings, url=url)


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that this test may hurt."""
    with postgres() as server:
        yield server


# -- restart and failover


def test_a_server_that_crashes_under_load_loses_nothing_it_acknowledged(
    own_server: PostgresServer,
):
    stored = PostgresBackend(own_server, "j").make()
    child = subprocess.Popen(
        stored.child("go"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=UNMEASURED
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"go\n")
    child.stdin.flush()
    said: list[bytes] = []
    stdout = child.stdout
    reading = threading.Thread(target=lambda: said.extend(stdout))
    reading.start()
    for _ in range(CRASHES):
        before = len(said)
        while len(said) < before + 50:
            time.sleep(0.01)
        own_server.crash()
    before = len(said)
    while len(said) < before + 50:  # it went on by itself, in the same process
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    reading.join()
    told = int(said[-1])
    journal = stored.open()
    found = list(journal.replay())
    assert told <= len(found) <= told + 2
    assert found == [note(number) for number in range(1, len(found) + 1)]
    journal.close()


def test_a_server_that_stays_away_is_a_failed_commit_and_then_no_start(
    own_server: PostgresServer,
):
    here = place(own_server.url(), patience_ms=300)
    init(here)
    journal = open_journal(here)
    write_commits(journal, 2)
    follower = reader_of(here).follow()
    own_server.stop()
    journal.append(note(3))
    with pytest.raises(JournalFailed, match="could not be learned"):
        journal.commit()
    journal.close()
    with pytest.raises(JournalUnreachable, match="start its server"):
        open_journal(here)
    with pytest.raises(JournalUnreachable):
        is_made(here)
    for _ in range(2):
        with pytest.raises(JournalUnreachable):
            follower.read()
    with pytest.raises(OSError, match="cannot be reached"):
        journal.write_snapshot(2, b"state")
    own_server.start()
    assert follower.read() == [note(1), note(2)]
    follower.close()
    journal = open_journal(here)
    assert journal.durable == 2
    journal.close()


def test_a_journal_follows_its_database_to_the_standby_and_loses_nothing(
    own_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
):
    with own_server.standby() as standby:
        own_server.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        own_server.execute("SELECT pg_reload_conf()")
        here = place(
            f"postgresql:///postgres?user={ROLE}&host={own_server.folder},{standby.folder}"
        )
        init(here)
        journal = open_journal(here)
        write_commits(journal, 20)
        own_server.stop(signal.SIGQUIT)
        promoting = threading.Timer(0.5, standby.promote)
        promoting.start()
        write_commits(journal, 20)
        promoting.join()
        journal.close()
        assert list(reader_of(here).replay()) == [note(number) for number in range(1, 41)]


def test_a_server_that_turns_read_only_is_a_failed_commit(own_server: PostgresServer):
    here = place(own_server.url(), patience_ms=300)
    init(here)
    journal = open_journal(here)
    write_commits(journal, 1)
    own_server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    own_server.execute("SELECT pg_reload_conf()")
    time.sleep(0.2)
    journal.append(note(2))
    with pytest.raises(JournalFailed, match="read-only"):
        journal.commit()
    journal.close()
    with pytest.raises(JournalUnreachable, match="read-only"):
        open_journal(here)
    assert list(reader_of(here).replay()) == [note(1)]


# -- full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB that the server may write to."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    folder = Path(tempfile.mkdtemp(prefix="fgpg-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    shutil.chown(folder, SERVER_USER, SERVER_USER)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


def test_a_full_server_refuses_the_commit_whole_and_takes_the_next_when_there_is_room(
    small_disk: Path, own_server: PostgresServer
):
    stored = PostgresBackend(own_server, "j").make()
    own_server.execute(f"CREATE TABLESPACE small LOCATION '{small_disk}'")
    own_server.execute("ALTER TABLE j.record SET TABLESPACE small")
    journal = stored.open()
    ordinary = fill_up(journal)
    for _ in range(2):
        journal.append(note(ordinary + 1, "x" * 5000))
        with pytest.raises(JournalFull, match="free disk space there"):
            journal.commit()
        assert (journal.last, journal.durable) == (ordinary, ordinary)
    own_server.execute("ALTER TABLE j.record SET TABLESPACE pg_default")
    journal.append(note(ordinary + 1))
    assert journal.commit() == ordinary + 1
    journal.close()
    assert stored.reader().verify().records == ordinary + 1


def fill_up(journal: Journal) -> int:
    for _ in range(10_000):
        journal.append(note(journal.last + 1, "x" * 5000))
        try:
            journal.commit()
        except JournalFull:
            return journal.durable
    pytest.fail("the server never became full")


# -- unsafe, unreadable, secret


def test_a_server_that_acknowledges_before_it_wrote_is_refused(postgres_server: PostgresServer):
    words = {"options": "-csynchronous_commit%3Doff"}
    careless = place(postgres_server.url(**words), fresh_schema())
    with pytest.raises(JournalUnsafe, match="set synchronous_commit = on"):
        init(careless)
    init(place(postgres_server.url(), careless.settings.schema))
    with pytest.raises(JournalUnsafe, match="synchronous_commit is off"):
        open_journal(careless)


def test_a_server_without_fsync_is_refused():
    with postgres("fsync=off") as server, pytest.raises(JournalUnsafe, match="fsync is off"):
        init(place(server.url()))


def test_tables_of_a_newer_release_are_refused(stored: PostgresBackend):
    stored.make()
    stored.sql("UPDATE {}.lease SET format = 2")
    with pytest.raises(JournalTooNew):
        stored.open()


def test_a_schema_that_is_there_and_empty_may_be_used(stored: PostgresBackend):
    stored.server.execute(f"CREATE SCHEMA {stored.schema}")
    stored.make().open().close()


def test_of_two_inits_at_once_one_makes_the_journal(stored: PostgresBackend):
    outcomes: list[str] = []

    def try_init() -> None:
        try:
            init(stored.place)
            outcomes.append("made")
        except JournalExists:
            outcomes.append("exists")

    tries = [threading.Thread(target=try_init) for _ in range(4)]
    for each in tries:
        each.start()
    for each in tries:
        each.join()
    assert sorted(outcomes) == ["exists", "exists", "exists", "made"]
    stored.open().close()


def test_a_role_without_rights_is_told_what_it_lacks(stored: PostgresBackend):
    stored.make()
    stored.server.execute(f"CREATE ROLE {stored.schema} LOGIN")
    url = stored.server.url().replace(f"user={ROLE}", f"user={stored.schema}")
    with pytest.raises(JournalFailed, match="permission denied"):
        open_journal(place(url, stored.schema))


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://u:{SECRET}@127.0.0.1:1/db",
        f"postgresql://u:{SECRET}@127.0.0.1:1/db?nonsense=1",
        f"postgres/{SECRET}",
    ],
)
def test_the_url_is_told_to_nobody(url: str):
    here = place(url)
    with pytest.raises(JournalError) as caught:
        open_journal(here)
    told = "".join(traceback.format_exception(caught.value)) + str(caught.value)
    assert SECRET not in told
    assert caught.value.__context__ is None or SECRET not in str(caught.value.__cause__)
    if "nonsense" not in url and "@" in url:
        assert SECRET not in repr(here) + here.where


def test_a_killed_writer_leaves_no_session_behind(stored: PostgresBackend):
    child = subprocess.Popen(
        stored.make().child("hold"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=UNMEASURED
    )
    assert child.stdout is not None
    child.stdout.readline()
    child.kill()
    child.communicate()
    started = time.monotonic()
    stored.open().close()
    assert time.monotonic() - started < 1.0


def test_a_start_that_fails_late_leaves_the_journal_to_others(
    stored: PostgresBackend, monkeypatch: pytest.MonkeyPatch
):
    stored.make()
    with monkeypatch.context() as patch:
        patch.setattr("ledger.postgres_commit._COMMIT", "nonsense {lease} {record}")
        with pytest.raises(JournalFailed, match="syntax error"):
            open_journal(stored.place)
    open_journal(stored.place).close()


def test_a_commit_that_the_server_refuses_outright_is_a_failed_one(stored: PostgresBackend):
    journal = stored.make().open()
    write_commits(journal, 1)
    stored.sql("ALTER TABLE {}.record ADD CHECK (number < 2)")
    journal.append(note(2))
    with pytest.raises(JournalFailed, match="violates check constraint"):
        journal.commit()
    journal.close()


def test_the_driver_is_not_loaded_for_a_local_journal():
    code = "import sys, ledger.places, actors.roles; sys.exit('psycopg' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
