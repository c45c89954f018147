"""Who may ask what: one function, one table over all request types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from domain.errors import ErrorInfo
from domain.records import HaltScope
from gateway import wire
from gateway.errors import forbidden
from gateway.wire import Role, Scope

TRADE, READ, ADMIN, COPY = Scope.TRADE, Scope.READ, Scope.ADMIN, Scope.DROP_COPY
_TRADERS = frozenset({TRADE})
_READERS = frozenset({TRADE, READ})
_ALL = frozenset(Scope)

ANY_OF: dict[type[wire.Request], frozenset[Scope]] = {
    wire.OrderNew: _TRADERS,
    wire.OrderAmend: _TRADERS,
    wire.OrderCancel: _TRADERS,
    wire.OrderBatch: _TRADERS,
    wire.OrderPreview: _TRADERS,
    wire.SignalNew: _TRADERS,
    wire.PositionClose: _TRADERS,
    wire.PositionAmend: _TRADERS,
    wire.GuardSet: _TRADERS,
    wire.HaltTrading: frozenset({TRADE, ADMIN}),
    wire.ResumeTrading: frozenset({TRADE, ADMIN}),
    wire.BreakerReset: frozenset({ADMIN}),
    wire.OrderResolve: frozenset({ADMIN}),
    wire.OrderGet: _READERS,
    wire.OrdersList: _READERS,
    wire.ExecutionsSince: _READERS,
    wire.PositionsList: _READERS,
    wire.AccountsList: _READERS,
    wire.AccountGet: _READERS,
    wire.InstrumentsList: _READERS,
    wire.QuoteGet: _READERS,
    wire.TransactionsSince: _READERS,
    wire.ConnectionsList: _READERS,
    wire.Sub: _ALL,
    wire.Unsub: _ALL,
    wire.Ack: _ALL,
    wire.Ping: _ALL,
}
assert ANY_OF.keys() == set(wire.REQUESTS)

BY_ROLE: dict[Role, frozenset[Scope]] = {
    Role.TRADE: frozenset({TRADE, READ, ADMIN}),
    Role.READ: frozenset({READ, ADMIN}),
    Role.DROP_COPY: frozenset({COPY}),
}
assert BY_ROLE.keys() == set(Role)

# A token that may trade may also only look.
_NEEDED: dict[Role, frozenset[Scope]] = {
    Role.TRADE: _TRADERS,
    Role.READ: frozenset({READ, TRADE, ADMIN}),
    Role.DROP_COPY: frozenset({COPY}),
}
assert _NEEDED.keys() == set(Role)

_OWN_HALTS = frozenset({HaltScope.OWNER, HaltScope.ACCOUNT})
_ACCOUNT_IN: dict[type[wire.Request], str] = {
    wire.OrderNew: "order",
    wire.OrderPreview: "order",
    wire.OrderCancel: "cancel",
    wire.PositionClose: "close",
    wire.PositionAmend: "protect",
    wire.GuardSet: "guard",
}
"""Where a request names an account further down; elsewhere it is a field of its own, or none."""


TOKEN_ID_CHARS = 12
"""A token's id in lists and logs: the first characters of its hash."""


class Principal(Struct, frozen=True, kw_only=True):
    """Whom a token speaks for, and what it allows."""

    token_id: str
    owner: str
    scopes: frozenset[Scope]
    expires_ns: int | None = None


class Subject(Struct, frozen=True, kw_only=True):
    """Who asks: an owner, what the session may do, and the owner's accounts."""

    owner: str
    scopes: frozenset[Scope]
    accounts: frozenset[str] = frozenset()

    @property
    def is_admin(self) -> bool:
        """True where the session carries the admin scope."""
        return ADMIN in self.scopes


def scopes_of(role: Role, token: Iterable[Scope]) -> frozenset[Scope]:
    """The scopes a session gets in a role; empty where the token does not allow the role."""
    held = frozenset(token)
    if not held & _NEEDED[role]:
        return frozenset()
    return (held & BY_ROLE[role]) or frozenset({READ})


def authorize(subject: Subject, request: wire.Request) -> ErrorInfo | None:
    """None where the subject may ask this, of these accounts and streams; else why not."""
    needed = ANY_OF[type(request)]
    if not subject.scopes & needed:
        words = " or ".join(sorted(scope.value for scope in needed))
        return forbidden(f"this request needs the scope {words}", "t")
    if isinstance(request, wire.HaltTrading | wire.ResumeTrading):
        return _authorize_halt(subject, request)
    if isinstance(request, wire.Sub):
        return _authorize_streams(subject, request.streams)
    return _authorize_accounts(subject, request)


def _authorize_halt(
    subject: Subject, request: wire.HaltTrading | wire.ResumeTrading
) -> ErrorInfo | None:
    asked: Any = request.halt if isinstance(request, wire.HaltTrading) else request.resume
    if subject.is_admin:
        return None
    if asked.scope not in _OWN_HALTS:
        return forbidden(f"the scope {asked.scope.value} needs an admin token", "scope")
    own = {subject.owner} if asked.scope is HaltScope.OWNER else subject.accounts
    return None if asked.subject in own else forbidden("not yours", "subject")


def _authorize_accounts(subject: Subject, request: wire.Request) -> ErrorInfo | None:
    if isinstance(request, wire.OrderBatch):
        parts: list[tuple[str, Any]] = [
            (f"orders[{index}].", order) for index, order in enumerate(request.orders)
        ]
    else:
        name = _ACCOUNT_IN.get(type(request))
        parts = [("", request)] if name is None else [(f"{name}.", getattr(request, name))]
    for prefix, part in parts:
        account = getattr(part, "account", None)
        if account is not None and account not in subject.accounts:
            return forbidden("not an account of yours; see accounts.list", f"{prefix}account")
    return None


def _authorize_streams(subject: Subject, streams: Iterable[str]) -> ErrorInfo | None:
    for name in streams:
        if not may_follow(subject, name):
            return forbidden("not a stream you may follow", f"streams.{name}")
    return None


def may_follow(subject: Subject, stream: str) -> bool:
    """True where the stream exists for this subject."""
    kind, _, member = stream.partition("/")
    match kind:
        case "orders":
            return bool(member) and (member == subject.owner or subject.is_admin)
        case "account" | "transactions":
            return bool(member) and (member in subject.accounts or subject.is_admin)
        case "connections":
            return not member
        case "admin":
            return not member and subject.is_admin
        case "quotes":
            return bool(member) and bool(subject.scopes & _READERS)
        case _:
            return False
