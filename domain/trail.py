"""What people and programs did to the deployment beside trading: the audit trail's own causes."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct


class Act(Enum):
    """What was done, or tried."""

    LOGIN = "login"
    LOGOUT = "logout"
    LOGIN_REFUSED = "login.refused"
    BEARER_MADE = "token.create"
    BEARER_REVOKED = "token.revoke"
    BEARER_REMOVED = "token.remove"
    SETTING_CHANGED = "setting.change"
    LIMIT_PROPOSED = "limit.propose"
    LIMIT_APPROVED = "limit.approve"
    LIMIT_REJECTED = "limit.reject"


class Audited(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="audited"):
    """Someone did something; `count` times within the minute before.

    `by` is an owner, a token's id or a system user, never a name of a person or a secret.
    """

    act: Act
    by: str
    subject: str
    detail: dict[str, str] = {}
    count: int = 1


def words_of(audited: Audited) -> str:
    """One line for people."""
    detail = ", ".join(f"{name} {value}" for name, value in audited.detail.items())
    times = f" {audited.count} times" if audited.count > 1 else ""
    return f"{audited.by}: {audited.act.value} {audited.subject}{times}" + (
        f" ({detail})" if detail else ""
    )
