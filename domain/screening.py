"""What compliance is asked and what it answers: candidates, context words, verdicts."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from msgspec import Struct

from domain.orders import NewOrder


class Candidate(Struct, frozen=True, kw_only=True):
    """An account the router could send the order to, best first."""

    connection: str
    account: str


class Violation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rule's refusal: which, on whose authority, the numbers, and what would pass.

    `code` is stable and machine-readable; `numbers` are named decimals as strings;
    `would_pass` is a sentence such as "largest quantity that fits: 12000".
    """

    code: str
    rule: str
    citation: str
    message: str
    field: str | None = None
    numbers: dict[str, str] = {}
    would_pass: str | None = None


class Verdict(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer for one candidate; a passed one holds a reservation at `incarnation`.

    `closes_lot` is set where FIFO chose the lot an order must close.
    """

    id: str
    incarnation: str
    candidate: Candidate
    violation: Violation | None = None
    warnings: tuple[Violation, ...] = ()


class Screened(Struct, frozen=True, kw_only=True):
    """An order that compliance let pass, with its verdict: the only kind that can be sent."""

    order: NewOrder
    order_id: str
    verdict: Verdict


class Rate(Struct, frozen=True, kw_only=True):
    """Bid and ask used for a decision, journaled with it so that replay is exact."""

    instrument: str
    bid: Decimal
    ask: Decimal
    received_ns: int


class ScreenRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="screen"):
    """One order to screen against its candidates, with the rates to use.

    `replaces_order_id` is set for an amend: the order's own reservation is then left out
    and the new total screened. `is_dry_run` asks for every rule's verdict and reserves nothing.
    """

    number: int
    owner: str
    order_id: str
    order: NewOrder
    candidates: tuple[Candidate, ...]
    rates: tuple[Rate, ...]
    now_ns: int
    replaces_order_id: str | None = None
    is_dry_run: bool = False
    trace: str | None = None


class RuleOutcome(Enum):
    """What one rule said."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    WARN = "warn"
    DENY = "deny"


class Ruling(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule's word on one candidate: `numbers` are what it compared, `violation` why not."""

    account: str
    rule: str
    citation: str
    outcome: RuleOutcome
    numbers: dict[str, str] = {}
    violation: Violation | None = None


class ScreenAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="screened"):
    """A verdict per candidate looked at; the last one passed, or none did.

    `all_violations` is filled for a dry run only: every rule that says no, per candidate; and so
    is `rulings`: every rule that was asked.
    """

    number: int
    verdicts: tuple[Verdict, ...]
    all_violations: tuple[Violation, ...] = ()
    rulings: tuple[Ruling, ...] = ()

    @property
    def passed(self) -> Verdict | None:
        """The verdict that let the order pass, holding its reservation."""
        last = self.verdicts[-1] if self.verdicts else None
        return last if last is not None and last.violation is None else None
