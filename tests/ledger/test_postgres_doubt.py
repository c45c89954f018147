"""A commit whose answer is lost: each record is there once or not at all, and we know which."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from ledger.faults import JournalFailed
from ledger.journal import Journal
from ledger.places import Place, open_journal
from tests.ledger.cutting_proxy import ANSWER, REQUEST, CuttingProxy
from tests.ledger.journal_backends import PostgresBackend
from tests.ledger.journal_stories import note, write_commits
from tests.postgres_server import ROLE, PostgresServer, fresh_schema

WAYS = {"request": REQUEST, "answer": ANSWER}
POINTS = {"request": 250, "answer": 30}
"""So many bytes at least has a commit's exchange each way: the sweep goes through them all."""


@pytest.fixture
def proxy(postgres_server: PostgresServer) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(postgres_server.socket)
    yield proxy
    proxy.close()


@pytest.fixture
def far(postgres_server: PostgresServer, proxy: CuttingProxy) -> PostgresBackend:
    """A journal that is reached through the proxy."""
    url = f"postgresql://{ROLE}@127.0.0.1:{proxy.port}/postgres?sslmode=disable&gssencmode=disable"
    return PostgresBackend(postgres_server, fresh_schema(), url).make()


def near(far: PostgresBackend) -> PostgresBackend:
    """The same journal without the proxy."""
    return PostgresBackend(far.server, far.schema)


def impatient(far: PostgresBackend) -> Place:
    words = {name: getattr(far.place, name) for name in Place.__struct_fields__}
    settings = {
        name: getattr(far.place.settings, name) for name in far.place.settings.__struct_fields__
    }
    settings["patience_ms"] = 200
    return Place(**{**words, "settings": type(far.place.settings)(**settings)})


def commit_two(journal: Journal) -> int:
    for _ in range(2):
        journal.append(note(journal.last + 1))
    return journal.commit()


def assert_whole(far: PostgresBackend, last: int) -> None:
    assert near(far).reader().verify().faults == ()
    assert list(near(far).reader().replay()) == [note(number) for number in range(1, last + 1)]


@pytest.mark.parametrize("way", WAYS)
def test_a_link_cut_at_any_byte_of_a_commit_is_nobodys_trouble(
    far: PostgresBackend, proxy: CuttingProxy, way: str
):
    journal = open_journal(far.place)
    point = 0
    while True:
        cuts = proxy.cuts
        proxy.arm(WAYS[way], point)
        before = journal.durable
        assert commit_two(journal) == before + 2
        # Past the last byte of the exchange no cut comes: that point is the end of the sweep.
        if proxy.cuts == cuts:
            break
        point += 1
    assert point >= POINTS[way]
    assert journal.durable == 2 * (point + 1)
    proxy.arm(WAYS[way], 1 << 30)
    journal.close()
    assert_whole(far, 2 * (point + 1))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("point", [0, 1, 60, 200])
def test_a_link_that_stays_cut_is_a_failed_commit_and_a_new_start_knows(
    far: PostgresBackend, proxy: CuttingProxy, way: str, point: int
):
    journal = open_journal(impatient(far))
    commit_two(journal)
    proxy.is_up = False
    proxy.arm(WAYS[way], min(point, 20 if way == "answer" else point))
    with pytest.raises(JournalFailed, match="could not be learned"):
        commit_two(journal)
    with pytest.raises(JournalFailed, match="open it again"):
        journal.append(note(5))
    with pytest.raises(JournalFailed, match="could not be learned"):
        journal.settle()
    journal.close()
    again = near(far).open()
    assert again.durable == (4 if way == "answer" else 2)
    commit_two(again)
    assert_whole(far, again.durable)
    again.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_link_that_falls_silent_is_given_up_and_what_comes_late_is_void(
    far: PostgresBackend, proxy: CuttingProxy, way: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ledger.postgres_commit.ANSWER_S_MAX", 0.2)
    journal = open_journal(far.place)
    for point in (0, 5, 20, 35):
        proxy.arm(WAYS[way], point, is_silent=True)
        before = journal.durable
        assert commit_two(journal) == before + 2
        # Now the old session's request arrives at the server, after it was written anew.
        proxy.let_go()
        time.sleep(0.05)
        assert commit_two(journal) == before + 4
    assert_whole(far, journal.durable)
    journal.close()


def test_sessions_ended_by_the_server_all_the_time_lose_nothing(stored: PostgresBackend):
    journal = stored.make().open()
    stop = threading.Event()

    def end_sessions() -> None:
        while not stop.wait(0.02):
            stored.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name IN ('fillgate router', 'fillgate lease')"
            )

    ending = threading.Thread(target=end_sessions)
    ending.start()
    try:
        for number in range(1, 301):
            assert commit_two(journal) == 2 * number
    finally:
        stop.set()
        ending.join()
    journal.close()
    assert list(stored.reader().replay()) == [note(number) for number in range(1, 601)]


def test_a_statement_canceled_by_an_operator_is_written_again(stored: PostgresBackend):
    journal = stored.make().open()
    write_commits(journal, 1)
    with stored.database.connect("test") as session:
        session.execute("BEGIN")
        session.execute(stored.database.text("SELECT FROM {lease} FOR UPDATE"))
        committing = threading.Thread(target=commit_two, args=(journal,))
        committing.start()
        time.sleep(0.1)
        stored.sql(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'fillgate router' AND wait_event_type = 'Lock'"
        )
        time.sleep(0.1)
        session.execute("ROLLBACK")
        committing.join(10)
    assert journal.durable == 3
    journal.close()


def test_another_who_took_over_meanwhile_is_a_failed_commit(
    far: PostgresBackend, proxy: CuttingProxy
):
    journal = open_journal(far.place)
    commit_two(journal)
    proxy.is_up = False
    proxy.arm(ANSWER, 0)
    other: list[Journal] = []

    def take_over() -> None:
        other.append(near(far).open())
        proxy.is_up = True

    taking = threading.Timer(0.3, take_over)
    taking.start()
    with pytest.raises(JournalFailed, match="taken over by process"):
        commit_two(journal)
    taking.join()
    assert other[0].durable == 4
    other[0].close()
    journal.close()
    assert_whole(far, 4)


def test_a_server_that_knows_less_than_it_said_is_not_believed(
    far: PostgresBackend, proxy: CuttingProxy
):
    journal = open_journal(far.place)
    commit_two(journal)
    commit_two(journal)
    near(far).cut(3)
    proxy.arm(REQUEST, 0)
    with pytest.raises(JournalFailed, match="the server knows 2 records, we were told 4"):
        commit_two(journal)
    journal.close()
