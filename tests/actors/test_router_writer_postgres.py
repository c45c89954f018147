"""The same on a journal in PostgreSQL, which has no reserve: what its server refuses waits."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from actors import messages as m
from domain import commands as c
from domain.orders import CancelOrder
from ledger import places
from ledger.journal import JournalSettings
from ledger.places import Place
from tests.actors.router_world import PAPER, World, new_order
from tests.actors.writer_world import quiet as turn_until_quiet
from tests.actors.writer_world import tick
from tests.postgres_server import PostgresServer, fresh_schema

quiet = partial(turn_until_quiet, seconds=10)

FULL = """
    CREATE FUNCTION {0}.refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER full_disk BEFORE INSERT ON {0}.record EXECUTE FUNCTION {0}.refuse()
"""


@pytest.fixture
def schema() -> str:
    return fresh_schema()


@pytest.fixture
def world(postgres_server: PostgresServer, schema: str) -> Iterator[World]:
    settings = JournalSettings(backend="postgres", schema=schema)
    place = Place(
        directory=Path(), settings=settings, deployment_id="test", url=postgres_server.url()
    )  # fmt: skip
    places.init(place)
    journal = places.open_journal(place)
    world = World(journal=journal)
    quiet(world)
    world.open()
    yield world
    quiet(world)
    journal.close()


def code_of(answer: c.Decided) -> str | None:
    return answer.error and answer.error.code


def test_a_server_without_room_takes_no_new_orders_and_cancels_leave(
    world: World, postgres_server: PostgresServer, schema: str
) -> None:
    world.live("o-1")
    quiet(world)
    postgres_server.execute(FULL.format(schema))
    assert world.say(c.Place(order=new_order("o-2"))) is None
    assert world.say(c.Cancel(cancel=CancelOrder(client_order_id="o-1"))) is None
    tick(world, 10)
    assert code_of(world.place(new_order("o-3"))) == "journal_full"
    assert len(world.sent(PAPER, m.SendCancel)) == 1
    assert len(world.sent(PAPER, m.Dispatch)) == 1
    postgres_server.execute(f"DROP TRIGGER full_disk ON {schema}.record")
    quiet(world)
    assert len(world.sent(PAPER, m.Dispatch)) == 2
    tick(world, 1_001)
    assert code_of(world.place(new_order("o-3"))) is None
    assert [record.number for record in world.records()] == list(
        range(1, world.journal.durable + 1)
    )


def test_a_server_that_does_not_answer_holds_back_no_cancel(
    world: World, postgres_server: PostgresServer, schema: str
) -> None:
    world.live("o-1")
    quiet(world)
    with psycopg.connect(postgres_server.url()) as other:
        other.execute(f"SELECT * FROM {schema}.lease FOR UPDATE")
        assert world.say(c.Place(order=new_order("o-2"))) is None
        assert world.say(c.Cancel(cancel=CancelOrder(client_order_id="o-1"))) is None
        assert len(world.sent(PAPER, m.SendCancel)) == 1
        tick(world, 300)
        assert code_of(world.place(new_order("o-3"))) == "journal_unavailable"
    quiet(world)
    assert len(world.sent(PAPER, m.Dispatch)) == 2


def test_a_commit_that_the_server_refuses_is_written_once_it_takes_it(
    world: World, postgres_server: PostgresServer, schema: str
) -> None:
    last = world.journal.durable
    postgres_server.execute(
        f"ALTER TABLE {schema}.record ADD CONSTRAINT c CHECK (number <= {last})"
    )
    assert world.say(c.Place(order=new_order("o-1"))) is None
    tick(world, 10)
    assert code_of(world.place(new_order("o-2"))) == "journal_unavailable"
    postgres_server.execute(f"ALTER TABLE {schema}.record DROP CONSTRAINT c")
    quiet(world)
    assert len(world.sent(PAPER, m.Dispatch)) == 1
