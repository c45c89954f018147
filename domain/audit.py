"""One row per check, broker call, log-in and admin act; never a secret, owners by pseudonym."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct


class Retention(Enum):
    """How long a record must be kept, by class (COMPLIANCE.md 12); periods are data elsewhere."""

    ORDER = "order"
    LEDGER = "ledger"
    ACCOUNT = "account"
    SYSTEM = "system"
    AUDIT = "audit"


AUDIT_SCHEMA = 1


class AuditRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who did what to what, when, how it ended, and how long it took."""

    at_ns: int
    actor: str
    act: str
    subject: str
    outcome: str
    owner: str | None = None
    duration_us: int | None = None
    detail: dict[str, str] = {}
    retention: Retention = Retention.AUDIT
    schema: int = AUDIT_SCHEMA
