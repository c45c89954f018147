"""Looking for what became of orders: soon, together, not fooled by a broker that stood still."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from connection_world import Wired
from virtual_time import in_virtual_time

from actors import messages as m
from brokers.adapter import BrokerError, VenueOrder
from domain import events as ev


def wanted(wired: Wired, intent: int) -> m.LookUp:
    of = wired.dispatch(intent)
    return m.LookUp(epoch=1, order_id=of.order_id, venue_client_id=of.venue_client_id, cursor="0")


def place(wired: Wired, intent: int) -> None:
    """Into the venue's book, and nobody is told."""
    of = wired.dispatch(intent)
    wired.venue.skips = 99
    instrument = wired.connection.instruments[of.order.instrument]
    wired.venue.place(
        VenueOrder(order=of.order, instrument=instrument, venue_client_id=of.venue_client_id)
    )


def counts(wired: Wired, what: str) -> int:
    return [asked.what for asked in wired.venue.requests].count(what)


@in_virtual_time
async def test_an_order_that_is_there_is_found_before_the_horizon(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    place(wired, 1)
    wired.hear(link, wanted(wired, 1))
    await asyncio.sleep(0.1)
    assert isinstance(wired.items(m.Told)[-1].events[0], ev.External)
    await wired.stop()


@in_virtual_time
async def test_the_horizon_begins_when_the_broker_answers_again(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.venue.is_down = True
    wired.hear(link, wanted(wired, 1))
    await asyncio.sleep(10)
    wired.venue.is_down = False
    # It goes on, and books what waited at its door after it has answered reads.
    await asyncio.sleep(0.7)
    place(wired, 1)
    await asyncio.sleep(1)
    assert wired.items(m.NoTrace) == []
    assert isinstance(wired.items(m.Told)[-1].events[0], ev.External)
    await wired.stop()


@in_virtual_time
async def test_a_broker_that_is_back_is_asked_within_half_a_second(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    wired.venue.is_down = True
    wired.hear(link, wanted(wired, 1))
    await asyncio.sleep(1_000)
    place(wired, 1)
    wired.venue.is_down = False
    await asyncio.sleep(0.6)
    assert isinstance(wired.items(m.Told)[-1].events[0], ev.External)
    await wired.stop()


@in_virtual_time
async def test_one_round_looks_for_all_that_are_due(tmp_path: Path) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    before = counts(wired, "account")
    for intent in range(1, 21):
        place(wired, intent)
        wired.hear(link, wanted(wired, intent))
    await asyncio.sleep(0.3)
    # The first looks alone; the others, who came meanwhile, together.
    assert counts(wired, "account") - before == 2
    assert counts(wired, "look_up") == 20
    assert {e.venue_client_id for e in wired.events()} == {
        wired.dispatch(intent).venue_client_id for intent in range(1, 21)
    }
    await wired.stop()


@in_virtual_time
async def test_what_fails_for_one_order_alone_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()
    bad = wired.dispatch(1).venue_client_id
    look_up = wired.connection.adapter.parse_looked_up

    def refuse(name: str, *rest: object) -> object:
        if name == bad:
            raise BrokerError("unreadable")
        return look_up(name, *rest)

    monkeypatch.setattr(wired.connection.adapter, "parse_looked_up", refuse)
    for intent in (1, 2):
        wired.hear(link, wanted(wired, intent))
    await asyncio.sleep(2)
    (found,) = wired.items(m.NoTrace)
    assert found.order_id == wired.dispatch(2).order_id
    await wired.stop()


@in_virtual_time
async def test_working_orders_that_cannot_be_read_prove_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wired = Wired(tmp_path)
    link = await wired.up()

    def refuse(*_rest: object) -> object:
        raise BrokerError("unreadable")

    monkeypatch.setattr(wired.connection.adapter, "parse_open_orders", refuse)
    wired.hear(link, wanted(wired, 1))
    await asyncio.sleep(60)
    assert wired.items(m.NoTrace) == []
    await wired.stop()
