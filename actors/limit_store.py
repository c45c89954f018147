"""Limits that two persons change: proposed with one admin token, approved with another in time.

They are kept in a file beside the settings, whose `[compliance]` they come before. The router
writes every step into the journal, and compliance screens by what was approved a moment later,
without a restart. Whoever may edit `fillgate.toml` can change limits there too; at the next start
the audit trail tells of it.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from compliance.settings import ComplianceSettings, find_faults
from gateway.authority import TOKEN_ID_CHARS, Principal
from gateway.private_file import locked, replace_whole
from gateway.wire import Scope

VALID_NS = 24 * 3_600 * 1_000_000_000
APPLIES_AFTER_NS = 3_000_000_000
"""So long after its approval a change is screened by: the journal has it before."""
OPEN_MAX = 20
KEPT_MAX = 1_000
REASON_CHARS = (3, 200)
ID_BYTES = 4
CHANGEABLE = tuple(
    field.name
    for field in msgspec.structs.fields(ComplianceSettings)
    if isinstance(field.default, (int, bool)) or type(field.default).__name__ == "Decimal"
)


class Step(Enum):
    """How far a change has come."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"


class LimitChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """New values, what they were when it was proposed, and who did what when (token ids)."""

    id: str
    new: dict[str, str]
    old: dict[str, str]
    reason: str
    by: str
    at_ns: int
    step: Step = Step.PROPOSED
    decided_by: str = ""
    decided_ns: int = 0

    def is_open(self, now_ns: int) -> bool:
        """True while it can still be decided."""
        return self.step is Step.PROPOSED and now_ns < self.at_ns + VALID_NS


class LimitFile(Struct, frozen=True, kw_only=True):
    """The file's content, the oldest change first."""

    changes: tuple[LimitChange, ...] = ()
    version: int = 1


class LimitRefused(Exception):
    """A step that may not be taken; the text names the field and the fix."""


class LimitStore:
    """The changes of one deployment; `settings` are those of its file."""

    def __init__(self, path: Path, settings: ComplianceSettings) -> None:
        self._path = path
        self._settings = settings

    def list(self) -> tuple[LimitChange, ...]:
        """All that are kept. Raises LimitRefused."""
        return read_changes(self._path)

    def in_force(self, now_ns: int) -> ComplianceSettings:
        """The settings with every change that is approved, and has been for a moment."""
        return apply(self._settings, self.list(), now_ns - APPLIES_AFTER_NS)

    def propose(
        self, who: Principal, new: dict[str, str], reason: str, now_ns: int, luck: bytes
    ) -> LimitChange:
        """A new change, for another to approve. Raises LimitRefused."""
        by = _admin(who)
        least, most = REASON_CHARS
        if not least <= len(reason) <= most:
            raise LimitRefused(f"reason: say why, in {least} to {most} characters")
        with locked(self._path):
            changes = self.list()
            if sum(change.is_open(now_ns) for change in changes) >= OPEN_MAX:
                raise LimitRefused(f"{OPEN_MAX} changes wait to be decided; decide some first")
            before = apply(self._settings, changes, now_ns)
            _check(before, new)
            old = {name: str(getattr(before, name)) for name in new}
            change = LimitChange(
                id=luck[:ID_BYTES].hex(), new=new, old=old, reason=reason, by=by, at_ns=now_ns
            )
            self._write((*changes, change))
        return change

    def decide(self, who: Principal, change_id: str, step: Step, now_ns: int) -> LimitChange:
        """Approves or rejects; nobody approves his own. Raises LimitRefused."""
        by = _admin(who)
        with locked(self._path):
            changes = self.list()
            found = next((change for change in changes if change.id == change_id), None)
            if found is None:
                raise LimitRefused(f"no change {change_id}; `fillgate limits show` lists them")
            if not found.is_open(now_ns):
                word = found.step.value if found.step is not Step.PROPOSED else "too old"
                raise LimitRefused(f"change {change_id} is {word}; propose it again")
            if step is Step.APPROVED:
                if found.by == by:
                    raise LimitRefused(
                        "who proposes a change cannot approve it: another token must"
                    )
                _check(apply(self._settings, changes, now_ns), found.new)
            decided = replace(found, step=step, decided_by=by, decided_ns=now_ns)
            self._write(tuple(decided if change is found else change for change in changes))
        return decided

    def _write(self, changes: tuple[LimitChange, ...]) -> None:
        """Whole and on the disk; only what was rejected or ran out is ever forgotten."""
        extra = len(changes) - KEPT_MAX
        for change in changes if extra > 0 else ():
            if change.step is Step.REJECTED and extra > 0:
                changes = tuple(one for one in changes if one is not change)
                extra -= 1
        data = msgspec.json.format(msgspec.json.encode(LimitFile(changes=changes)))
        replace_whole(self._path, data)


def read_changes(path: Path) -> tuple[LimitChange, ...]:
    """The file's changes; none where there is no file. Raises LimitRefused."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=LimitFile).changes
    except FileNotFoundError:
        return ()
    except (msgspec.MsgspecError, UnicodeDecodeError, OSError) as trouble:
        raise LimitRefused(f"{path.name} cannot be read: {trouble}") from trouble


def apply(
    settings: ComplianceSettings, changes: tuple[LimitChange, ...], until_ns: int
) -> ComplianceSettings:
    """The settings after all that was approved by then, in the order of approval."""
    approved = [one for one in changes if one.step is Step.APPROVED and one.decided_ns <= until_ns]
    for change in sorted(approved, key=lambda one: one.decided_ns):
        settings = _changed(settings, change.new)
    return settings


def _changed(settings: ComplianceSettings, new: dict[str, str]) -> ComplianceSettings:
    words: dict[str, Any] = msgspec.to_builtins(settings) | new
    return msgspec.convert(words, ComplianceSettings, strict=False)


def _check(settings: ComplianceSettings, new: dict[str, str]) -> None:
    unknown = [name for name in new if name not in CHANGEABLE]
    if unknown or not new:
        raise LimitRefused(f"{', '.join(unknown) or 'nothing'}: say KEY=VALUE of {CHANGEABLE}")
    try:
        faults = find_faults(_changed(settings, new))
    except msgspec.ValidationError as trouble:
        raise LimitRefused(str(trouble)) from None
    if faults:
        raise LimitRefused("; ".join(faults))


def _admin(who: Principal) -> str:
    if Scope.ADMIN not in who.scopes:
        raise LimitRefused("limits are changed with a token that has the scope admin")
    return who.token_id[:TOKEN_ID_CHARS]
