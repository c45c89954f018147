"""The audit trail: every log-in, log-out, refused one, token and setting, off the order's way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from router_world import OWNER, World

from actors.paths import Paths
from actors.router import trail as trail_module
from actors.router.files_trail import CHANGES_MAX, FilesTrail, flatten
from actors.router.sides import EdgeSide
from domain import commands as c
from domain.audit import Retention
from domain.streams import NoticeKind
from domain.trail import Act, Audited, words_of
from gateway.tokens import TokenStore, TokenTerms
from gateway.wire import Scope
from ledger.store_rows import find_act


@pytest.fixture
def world() -> World:
    return World().open()


def login(world: World, session: str = "s-1", generation: int = 1) -> None:
    word = c.Login(
        ref=900, owner=OWNER, session=session, generation=generation, token="t1", peer="192.0.2.7"
    )
    world.send(word)


def logout(world: World, session: str = "s-1", generation: int = 1) -> None:
    world.send(c.Logout(owner=OWNER, session=session, generation=generation))


def acts(world: World) -> list[Audited]:
    return [r.cause for r in world.records() if isinstance(r.cause, Audited)]


def test_a_log_in_waits_for_no_commit_and_is_written_with_the_tick(world: World) -> None:
    login(world)
    assert acts(world) == []
    world.pass_ms(50)
    (act,) = acts(world)
    assert (act.act, act.by, act.subject) == (Act.LOGIN, OWNER, "s-1")
    assert act.detail == {"token": "t1", "from": "192.0.2.7"}
    record = world.records()[-1]
    assert (record.owner, record.retention) == (OWNER, Retention.AUDIT)
    notice = world.notices()[-1]
    assert notice.kind is NoticeKind.AUDIT
    assert notice.message == f"{OWNER}: login s-1 (token t1, from 192.0.2.7)"
    row = find_act(record)
    assert row is not None
    assert (row.actor, row.act, row.subject) == (OWNER, "login", "s-1")


def test_a_line_that_flaps_is_written_once_a_minute_with_its_count(world: World) -> None:
    for generation in range(1, 101):
        login(world, generation=generation)
        logout(world, generation=generation)
    world.pass_ms(100)
    assert [(a.act, a.count) for a in acts(world)] == [(Act.LOGIN, 1), (Act.LOGOUT, 1)]
    world.pass_ms(60_000)
    assert [(a.act, a.count) for a in acts(world)][2:] == [(Act.LOGIN, 99), (Act.LOGOUT, 99)]
    login(world, generation=101)
    world.pass_ms(60_100)
    assert [(a.act, a.count) for a in acts(world)][4:] == [(Act.LOGIN, 1)]
    world.pass_ms(120_000)
    login(world, generation=102)
    world.pass_ms(50)
    assert len(acts(world)) == 6


def test_so_many_sessions_are_counted_and_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail_module, "KEPT_MAX", 3)
    for name in "aabcdd":
        login(world, session=name, generation=1)
    world.pass_ms(100)
    told = [(a.subject, a.count) for a in acts(world)]
    assert told == [("a", 1), ("b", 1), ("c", 1), ("d", 1), ("a", 1)]


def test_an_older_generation_that_is_refused_is_written_down(world: World) -> None:
    login(world, generation=5)
    login(world, generation=4)
    world.pass_ms(50)
    assert [a.act for a in acts(world)] == [Act.LOGIN, Act.LOGIN_REFUSED]
    assert acts(world)[1].detail == {"session": "s-1", "why": "stale_generation"}


def test_what_an_edge_refused_is_written_down_with_its_count(world: World) -> None:
    told = c.Refusals(refused=(c.Refusal(peer="192.0.2.9", code="unauthorized", count=40),))
    EdgeSide(world.router).received(world.links["edge-0"], told)  # type: ignore[arg-type]
    world.pass_ms(50)
    (act,) = acts(world)
    assert words_of(act) == "unknown: login.refused 192.0.2.9 40 times (why unauthorized)"
    row = find_act(world.records()[-1])
    assert row is not None
    assert row.detail == {"why": "unauthorized", "count": "40"}


# -- files


class Files:
    """A home's files, and what the trail takes from them."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder)
        self.store = TokenStore(self.paths.tokens)
        self.trail = FilesTrail(self.paths)

    def look(self) -> list[Audited]:
        found: list[Audited] = []
        for _ in range(25):
            found += self.trail.take()
        return found

    def again(self) -> list[Audited]:
        self.trail = FilesTrail(self.paths)
        return self.look()

    def mint(self, **words: Any) -> str:
        terms = TokenTerms(owner="o", scopes=(Scope.TRADE, Scope.ADMIN), **words)
        self.store.create(terms, 1, lambda size: bytes(size))
        return self.store.list()[-1].id


def test_tokens_made_revoked_and_removed_are_told_once_across_restarts(tmp_path: Path) -> None:
    files = Files(tmp_path)
    assert files.look() == []
    name = files.mint(by="root", label="desk")
    (made,) = files.look()
    assert words_of(made) == (
        f"root: token.create {name} (owner o, scopes trade,admin, label desk)"
    )
    assert files.again() == []
    files.store.revoke(name, "root")
    (ended,) = files.again()
    assert (ended.act, ended.by, ended.subject) == (Act.BEARER_REVOKED, "root", name)
    files.paths.tokens.unlink()
    (gone,) = files.look()
    assert gone.act is Act.BEARER_REMOVED
    assert files.again() == []


def test_tokens_that_cannot_be_read_are_told_once_they_can(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.paths.tokens.write_text("{")
    assert files.look() == []
    files.paths.tokens.unlink()
    files.mint()
    assert [one.act for one in files.look()] == [Act.BEARER_MADE]


def test_a_crash_before_the_journal_has_it_tells_it_again(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.mint()
    assert len(files.trail.take()) == 1
    assert [one.act for one in files.again()] == [Act.BEARER_MADE]


def test_settings_that_changed_between_two_starts_are_told_by_key(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.paths.settings.write_text('[a]\nb = 1\nc = "x"\n[[d]]\nid = "one"\ne = [1, 2]\n')
    assert files.again() == []
    files.paths.settings.write_text('[a]\nb = 2\n[[d]]\nid = "one"\ne = [1, 3]\n')
    told = {one.subject: one.detail for one in files.again()}
    assert told == {
        "a.b": {"old": "1", "new": "2"},
        "a.c": {"old": "x", "new": "absent"},
        "d.one.e": {"old": "[1, 2]", "new": "[1, 3]"},
    }
    assert files.again() == []
    files.paths.settings.write_text("not TOML")
    assert files.again() == []


def test_of_very_many_changed_settings_the_rest_is_a_number(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.paths.settings.write_text("a = 1")
    assert files.again() == []
    files.paths.settings.write_text("".join(f"k{n} = 1\n" for n in range(CHANGES_MAX + 9)))
    told = files.again()
    assert len(told) == CHANGES_MAX + 1
    assert told[-1].detail == {"more": "10"}


def test_a_settings_file_is_flat_by_dotted_keys() -> None:
    assert flatten({"a": {"b": 1}, "c": [], "d": [{"x": 1}]}) == {
        "a.b": "1", "c": "[]", "d.0.x": "1",
    }  # fmt: skip
