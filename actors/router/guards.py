"""Sessions and their guards: a promise to cancel for a client that falls silent.

A guard belongs to the session, not the socket. It is journaled, survives a restart of the
router (every session then counts as silent from that moment), and is lifted by its client. It
cancels what that session placed and nothing else: the stops that protect a position stay.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from actors.router.changes import Changes
from actors.router.desk import Desk
from actors.router.trail import Trail
from domain.commands import Cancel, Login, Logout, SessionReplaced, Submit
from domain.errors import Category, ErrorInfo, Outcome, Retry
from domain.orders import CancelOrder
from domain.records import Guard, GuardKind
from domain.streams import NoticeKind

MS = 1_000_000
MOVING_MS = 3_000
"""What a session gets to reach another edge, beside its grace, when its own sent it away."""
SESSIONS_MAX = 100_000
"""Beyond it, sessions that are away and that no guard needs are forgotten, the oldest first."""


class Presence(Struct, kw_only=True):
    """Where a session is, or since when (boot clock) it is silent; dead-man: last sign."""

    generation: int = 0
    edge: Any = None
    silent_since_ns: int | None = None
    sign_ns: int = 0


class Guards:
    """Who is there, and what must be canceled for those who are not."""

    def __init__(self, desk: Desk, changes: Changes) -> None:
        self._desk = desk
        self._changes = changes
        self._sessions: dict[tuple[str, str], Presence] = {}
        self.trail = Trail(desk)

    def recover(self) -> None:
        """After a restart every guarded session is silent from now on."""
        for guard in self._desk.books.guards.values():
            presence = Presence(silent_since_ns=self._desk.boot_ns, sign_ns=self._desk.boot_ns)
            self._sessions[(guard.owner, guard.session)] = presence

    def login(self, edge: Any, login: Login) -> ErrorInfo | None:
        """Takes the session to this edge; refuses one older than what is there."""
        presence = self._find(login)
        if login.generation < presence.generation:
            self.trail.stale(login)
            return ErrorInfo(
                code="stale_generation",
                category=Category.AUTH,
                outcome=Outcome.NONE,
                retry=Retry.NEVER,
                message=f"generation {presence.generation} of this session logged in since",
                field="generation",
            )
        if presence.edge not in (None, edge):
            told = SessionReplaced(
                owner=login.owner, session=login.session, generation=login.generation
            )
            self._desk.to_edges.append((presence.edge, told))
        presence.generation, presence.edge = login.generation, edge
        presence.silent_since_ns, presence.sign_ns = None, self._desk.boot_ns
        self.trail.login(login)
        return None

    def _find(self, login: Login) -> Presence:
        key = (login.owner, login.session)
        if key not in self._sessions and len(self._sessions) >= SESSIONS_MAX:
            self._forget_one()
        return self._sessions.setdefault(key, Presence())

    def _forget_one(self) -> None:
        guarded = {(g.owner, g.session) for g in self._desk.books.guards.values()}
        for key, presence in self._sessions.items():
            if presence.edge is None and key not in guarded:
                del self._sessions[key]
                return

    def logout(self, logout: Logout) -> None:
        """The session's socket closed."""
        self.trail.logout(logout)
        presence = self._sessions.get((logout.owner, logout.session))
        if presence is not None and presence.generation == logout.generation:
            moment_ns = MOVING_MS * MS if logout.is_moving else 0
            presence.edge, presence.silent_since_ns = None, self._desk.boot_ns + moment_ns

    def edge_lost(self, edge: Any) -> None:
        """All sessions of an edge fell silent."""
        for presence in self._sessions.values():
            if presence.edge is edge:
                presence.edge, presence.silent_since_ns = None, self._desk.boot_ns

    def sign(self, owner: str, session: str) -> None:
        """A command came: a dead-man guard starts anew."""
        presence = self._sessions.get((owner, session))
        if presence is not None:
            presence.sign_ns = self._desk.boot_ns

    def tick(self) -> None:
        """Fires the guards whose grace is over, and writes down who came and went."""
        self.trail.tick()
        for guard in tuple(self._desk.books.guards.values()):
            presence = self._sessions.get((guard.owner, guard.session))
            if presence is not None and self._is_due(guard, presence):
                self._fire(guard)

    def _is_due(self, guard: Guard, presence: Presence) -> bool:
        if guard.kind is GuardKind.DEAD_MAN:
            since: int | None = presence.sign_ns
        else:
            since = presence.silent_since_ns
        return since is not None and self._desk.boot_ns - since >= guard.grace_ms * MS

    def _fire(self, guard: Guard) -> None:
        """Cancels what the guard covers, and disarms it: it has done its work."""
        desk = self._desk
        wanted = CancelOrder(
            all=True, tag=guard.tag, instrument=guard.instrument, account=guard.account
        )
        request = f"guard:{guard.session}:{guard.kind.value}:{desk.books.number}"
        submit = Submit(
            ref=0, owner=guard.owner, session="", cseq=0, request_id=request,
            command=Cancel(cancel=wanted), received_ns=desk.now_ns,
        )  # fmt: skip
        self._changes.cancel(submit, wanted, session=guard.session)
        disarmed = Guard(
            owner=guard.owner, session=guard.session, kind=guard.kind, grace_ms=guard.grace_ms,
            armed=False, tag=guard.tag, instrument=guard.instrument, account=guard.account,
        )  # fmt: skip
        draft = desk.draft(disarmed, guard.owner)
        what = f"{guard.kind.value} of session {guard.session} fired"
        draft.notice(NoticeKind.GUARD_FIRED, f"orders/{guard.owner}", what, None)
        draft.close()
