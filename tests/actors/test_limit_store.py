"""Limits change by two persons, within their bounds, in time; compliance follows at once."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from actors import limit_store as module
from actors.compliance import ComplianceActor
from actors.limit_store import (
    APPLIES_AFTER_NS,
    CHANGEABLE,
    OPEN_MAX,
    VALID_NS,
    LimitRefused,
    LimitStore,
    Step,
)
from actors.paths import Paths
from actors.roles import follow_limits
from actors.router.files_trail import FilesTrail
from compliance.settings import ComplianceSettings
from domain.trail import Act, Audited
from gateway.authority import Principal
from gateway.backend import Clocks
from gateway.wire import Scope

NOW = 1_000_000_000_000
SETTINGS = ComplianceSettings(max_quantity=Decimal(1_000))
WANTED = {"max_quantity": "2000"}


def a_person(name: str, *scopes: Scope) -> Principal:
    return Principal(token_id=name * 64, owner="o", scopes=frozenset(scopes or (Scope.ADMIN,)))


ANN, BOB = a_person("a"), a_person("b")


@pytest.fixture
def store(tmp_path: Path) -> LimitStore:
    return LimitStore(tmp_path / "limits.json", SETTINGS)


def propose(store: LimitStore, new: dict[str, str] | None = None, **words: Any) -> str:
    plain: dict[str, Any] = {"who": ANN, "reason": "more room", "now_ns": NOW}
    number = len(store.list())
    wanted = WANTED if new is None else new
    return store.propose(new=wanted, luck=number.to_bytes(4, "big"), **(plain | words)).id


def test_what_one_proposes_and_another_approves_is_in_force_a_moment_later(
    store: LimitStore,
) -> None:
    change = store.decide(BOB, propose(store), Step.APPROVED, NOW)
    assert (change.by, change.decided_by) == ("a" * 12, "b" * 12)
    assert (change.old, change.new) == ({"max_quantity": "1000"}, WANTED)
    assert store.in_force(NOW + APPLIES_AFTER_NS - 1) == SETTINGS
    assert store.in_force(NOW + APPLIES_AFTER_NS).max_quantity == 2_000


def test_nobody_approves_his_own_change_and_anyone_may_reject_it(store: LimitStore) -> None:
    name = propose(store)
    with pytest.raises(LimitRefused, match="another token must"):
        store.decide(ANN, name, Step.APPROVED, NOW)
    store.decide(ANN, name, Step.REJECTED, NOW)
    with pytest.raises(LimitRefused, match="is rejected"):
        store.decide(BOB, name, Step.APPROVED, NOW)
    assert store.in_force(NOW + VALID_NS) == SETTINGS


def test_a_change_that_waited_too_long_is_no_more(store: LimitStore) -> None:
    name = propose(store)
    with pytest.raises(LimitRefused, match="too old"):
        store.decide(BOB, name, Step.APPROVED, NOW + VALID_NS)


def test_an_unknown_change_cannot_be_decided(store: LimitStore) -> None:
    with pytest.raises(LimitRefused, match="no change 00"):
        store.decide(BOB, "00", Step.APPROVED, NOW)


def test_only_an_admin_takes_part(store: LimitStore) -> None:
    trader = a_person("t", Scope.TRADE)
    with pytest.raises(LimitRefused, match="scope admin"):
        propose(store, who=trader)
    with pytest.raises(LimitRefused, match="scope admin"):
        store.decide(trader, propose(store), Step.APPROVED, NOW)


@pytest.mark.parametrize(
    ("new", "word"),
    [
        ({}, "nothing"),
        ({"no_such": "1"}, "no_such"),
        ({"restricted": "[]"}, "restricted"),
        ({"max_quantity": "much"}, "max_quantity"),
        ({"max_quantity": "-1"}, "max_quantity"),
        ({"quote_age_ms_max": "0"}, "quote_age_ms_max"),
        ({"quote_age_ms_max": "1.5"}, "quote_age_ms_max"),
    ],
)
def test_what_the_settings_would_not_take_is_refused(
    store: LimitStore, new: dict[str, str], word: str
) -> None:
    with pytest.raises(LimitRefused, match=word):
        propose(store, new)
    assert store.list() == ()


def test_a_reason_is_needed_and_so_many_wait_at_once(store: LimitStore) -> None:
    with pytest.raises(LimitRefused, match="reason"):
        propose(store, reason="")
    for _ in range(OPEN_MAX):
        propose(store)
    with pytest.raises(LimitRefused, match="wait to be decided"):
        propose(store)
    propose(store, now_ns=NOW + VALID_NS)


def test_of_very_many_changes_the_rejected_are_forgotten_first(
    store: LimitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_MAX", 2)
    kept = propose(store)
    store.decide(BOB, kept, Step.APPROVED, NOW)
    forgotten = propose(store)
    store.decide(BOB, forgotten, Step.REJECTED, NOW)
    propose(store, {"collar_percent": "3"})
    assert store.list()[0].id == kept
    assert forgotten not in {change.id for change in store.list()}


def test_later_approvals_come_on_top_of_earlier_ones(store: LimitStore) -> None:
    first, second = propose(store), propose(store, {"max_quantity": "3000"})
    store.decide(BOB, second, Step.APPROVED, NOW + 1)
    store.decide(BOB, first, Step.APPROVED, NOW + 2)
    assert store.in_force(NOW + APPLIES_AFTER_NS + 2).max_quantity == 2_000


def test_a_file_that_cannot_be_read_is_told(store: LimitStore, tmp_path: Path) -> None:
    (tmp_path / "limits.json").write_text("{")
    with pytest.raises(LimitRefused, match=r"limits\.json cannot be read"):
        store.list()


def test_whole_sections_and_lists_are_not_for_changing_this_way() -> None:
    assert {"max_quantity", "collar_percent", "blocks_on_unknown"} <= set(CHANGEABLE)
    assert not {"restricted", "market", "regimes", "halts"} & set(CHANGEABLE)


def test_every_step_is_told_to_the_audit_trail_once(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    store = LimitStore(paths.limits, SETTINGS)

    def look() -> list[Audited]:
        trail = FilesTrail(paths)
        return [one for _ in range(25) for one in trail.take()]

    name = propose(store)
    assert [(a.act, a.by, a.subject) for a in look()] == [(Act.LIMIT_PROPOSED, "a" * 12, name)]
    store.decide(BOB, name, Step.APPROVED, NOW)
    (approved,) = look()
    assert (approved.act, approved.by) == (Act.LIMIT_APPROVED, "b" * 12)
    assert approved.detail == {"max_quantity": "1000 -> 2000"}
    store.decide(BOB, propose(store), Step.REJECTED, NOW)
    assert [a.act for a in look()] == [Act.LIMIT_PROPOSED, Act.LIMIT_REJECTED]
    assert look() == []
    paths.limits.write_text("{")
    assert look() == []


@pytest.mark.asyncio
async def test_compliance_screens_by_a_change_without_a_restart(
    store: LimitStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.roles.LIMITS_LOOK_S", 0.001)
    actor = ComplianceActor(SETTINGS, "i")
    closed: list[bool] = []

    class Router:
        def close(self) -> None:
            closed.append(True)

    actor._router = Router()  # type: ignore[assignment]
    now_ns = NOW
    clocks = Clocks(lambda: now_ns, lambda: 0)
    task = asyncio.create_task(follow_limits(actor, store, SETTINGS, clocks))
    store.decide(BOB, propose(store), Step.APPROVED, NOW)
    await asyncio.sleep(0.02)
    assert (actor.incarnation, closed) == ("i", [])
    now_ns = NOW + APPLIES_AFTER_NS
    async with asyncio.timeout(5):
        while actor.incarnation != "i.1":
            await asyncio.sleep(0.001)
    assert closed == [True]
    (tmp_path / "limits.json").write_text("{")
    await asyncio.sleep(0.02)
    assert actor.incarnation == "i.1"
    task.cancel()
