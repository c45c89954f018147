"""What compliance said is written down, also where no order comes of it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from router_world import World

from actors import messages as m
from compliance.leases import Returned
from domain.records import Checked, Leased, LeaseWord, Ruled


@pytest.fixture
def world() -> World:
    return World().open()


def of(world: World, kind: type) -> list[object]:
    return [record.cause for record in world.records() if isinstance(record.cause, kind)]


def test_what_compliance_screens_by_is_written_down_once_an_epoch(world: World) -> None:
    before = len(of(world, Ruled))
    told = m.Loaded(incarnation="k9", settings='{"max_quantity":"5"}')
    world.router.from_compliance(told)
    world.router.from_compliance(told)
    found = of(world, Ruled)
    assert len(found) == before + 1
    assert isinstance(found[-1], Ruled)
    assert (found[-1].incarnation, found[-1].settings) == ("k9", '{"max_quantity":"5"}')


def test_the_firms_credit_is_durable_before_it_is_lent(world: World) -> None:
    world.router.lend(Decimal(1_000))
    world.router.from_compliance(m.Loaded(incarnation="k9"))
    [lent] = of(world, Leased)
    assert isinstance(lent, Leased)
    assert (lent.shard, lent.word, lent.amount) == ("compliance", LeaseWord.LENT, 1_000)
    world.router.from_compliance(
        Returned(shard="compliance", epoch=lent.epoch, number=lent.number, amount=Decimal(400))
    )
    world.router.from_compliance(m.Wanted(shard="compliance", more=Decimal(100)))
    words = [(each.word, each.amount) for each in of(world, Leased) if isinstance(each, Leased)]
    assert words[1:] == [(LeaseWord.RETURNED, 400), (LeaseWord.LENT, 500)]


def test_what_was_said_of_an_amend_is_written_down_passed_or_denied(world: World) -> None:
    world.live()
    world.amend(limit_price=Decimal("1.08000"))
    [passed] = of(world, Checked)
    assert isinstance(passed, Checked)
    assert passed.is_amend
    assert passed.command.limit_price == Decimal("1.08000")
    assert passed.verdicts[-1].violation is None
    assert passed.screened_ns > 0
