"""The audit trail beside the orders: log-ins, refused ones, tokens, settings.

Nothing here waits on an order's way and no order waits for it: acts are kept until the tick and
go into its batch. What repeats (a client whose line flaps, someone who guesses tokens) is written
at once the first time, then once a minute with its count, so that nobody fills the journal.
"""

from __future__ import annotations

from collections import OrderedDict

from msgspec import Struct
from msgspec.structs import replace

from actors.router.desk import Desk
from actors.router.files_trail import FilesTrail
from domain.audit import Retention
from domain.commands import Login, Logout, Refusals
from domain.streams import NoticeKind
from domain.trail import Act, Audited, words_of

QUIET_NS = 60_000_000_000
KEPT_MAX = 10_000
"""So many different acts are counted at once; beyond it the oldest is written as it stands."""
A_TICK_MAX = 500

Key = tuple[Act, str, str]


class Repeats(Struct, kw_only=True):
    """An act written at `since_ns` (boot clock), and how often it came again."""

    last: Audited
    since_ns: int
    count: int = 0


class Trail:
    """Collects acts; `tick` writes them down."""

    def __init__(self, desk: Desk) -> None:
        self.files: FilesTrail | None = None
        self._desk = desk
        self._waiting: list[tuple[Audited, str | None]] = []
        self._kept: OrderedDict[Key, tuple[Repeats, str | None]] = OrderedDict()

    def login(self, login: Login) -> None:
        """A session came, or came back."""
        detail = {"token": login.token, "from": login.peer}
        self._note(Act.LOGIN, login.owner, login.session, detail)

    def logout(self, logout: Logout) -> None:
        """Its socket closed."""
        self._note(Act.LOGOUT, logout.owner, logout.session, {})

    def stale(self, login: Login) -> None:
        """An older generation of a session was refused."""
        detail = {"session": login.session, "why": "stale_generation"}
        self._note(Act.LOGIN_REFUSED, login.owner, login.peer, detail)

    def refused(self, refusals: Refusals) -> None:
        """Upgrades and calls that an edge let not in."""
        for one in refusals.refused:
            act = Audited(
                act=Act.LOGIN_REFUSED, by="unknown", subject=one.peer, detail={"why": one.code},
                count=one.count,
            )  # fmt: skip
            self.write(act)

    def write(self, audited: Audited, owner: str | None = None) -> None:
        """This act, once, whatever came before."""
        self._waiting.append((audited, owner))

    def _note(self, act: Act, owner: str, subject: str, detail: dict[str, str]) -> None:
        told = {name: value for name, value in detail.items() if value}
        audited = Audited(act=act, by=owner, subject=subject, detail=told)
        key = (act, owner, subject)
        kept = self._kept.get(key)
        if kept is not None:
            kept[0].last, kept[0].count = audited, kept[0].count + 1
            return
        self._kept[key] = (Repeats(last=audited, since_ns=self._desk.boot_ns), owner)
        self.write(audited, owner)
        if len(self._kept) > KEPT_MAX:
            self._settle(*self._kept.popitem(last=False)[1])

    def _settle(self, repeats: Repeats, owner: str | None) -> None:
        if repeats.count:
            self.write(replace(repeats.last, count=repeats.count), owner)

    def tick(self) -> None:
        """Drafts what waits; the tick's batch commits it."""
        if self.files is not None:
            for audited in self.files.take():
                self.write(audited)
        while self._kept:
            key, (repeats, owner) = next(iter(self._kept.items()))
            if self._desk.boot_ns - repeats.since_ns < QUIET_NS:
                break
            del self._kept[key]
            self._settle(repeats, owner)
            if repeats.count:
                # It goes on: the next minute is counted as well.
                again = Repeats(last=repeats.last, since_ns=self._desk.boot_ns)
                self._kept[key] = (again, owner)
        due, self._waiting = self._waiting[:A_TICK_MAX], self._waiting[A_TICK_MAX:]
        for audited, owner in due:
            draft = self._desk.draft(audited, owner, Retention.AUDIT)
            scope = f"{audited.act.value}/{audited.subject}"
            draft.notice(NoticeKind.AUDIT, scope, words_of(audited), None)
            draft.close()
