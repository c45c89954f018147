"""Tokens and settings are files that people change: what changed, told to the audit trail.

What was told last is kept in a file beside them, written after the journal has it: a crash between
the two tells it twice, never not at all. Changes made while nothing ran are told at the next start.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from actors.limit_store import LimitChange, LimitRefused, Step, read_changes
from actors.paths import Paths
from domain.trail import Act, Audited
from gateway.private_file import stamp_of
from gateway.tokens import Token, TokenError, read_tokens

LOOK_TICKS = 20
CHANGES_MAX = 200
"""Of one change of the settings, so many keys are told one by one."""
VALUE_CHARS_MAX = 200
ABSENT = "absent"

log = structlog.get_logger()


class Told(Struct, kw_only=True):
    """Tokens by id, and whether they are revoked; changes of limits by id, and their step;
    settings by dotted key (None: never told).
    """

    tokens: dict[str, bool] = {}
    limits: dict[str, str] = {}
    settings: dict[str, str] | None = None


class FilesTrail:
    """Compares the files with what was told; `take` gives what is new."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._state = paths.home / "trail.json"
        self._told = _read(self._state)
        self._stamp: object = ()
        self._limits_stamp: object = ()
        self._ticks = 0
        self._is_due = False

    def take(self) -> list[Audited]:
        """What changed since it was told last; the caller writes it down before the next call."""
        if self._is_due:
            self._keep()
        found = [] if self._ticks else self._find_settings()
        if self._ticks % LOOK_TICKS == 0:
            found += self._find_tokens() + self._find_limits()
        self._ticks += 1
        self._is_due = bool(found) or self._is_due
        return found

    def _keep(self) -> None:
        self._is_due = False
        draft = self._state.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(self._told))
        draft.chmod(0o600)
        draft.replace(self._state)

    def _find_tokens(self) -> list[Audited]:
        stamp = stamp_of(self._paths.tokens)
        if stamp == self._stamp:
            return []
        try:
            tokens = {token.id: token for token in read_tokens(self._paths.tokens)}
        except TokenError as trouble:
            log.warning("tokens cannot be read", why=str(trouble))
            return []
        self._stamp = stamp
        told, now = self._told.tokens, {name: one.revoked for name, one in tokens.items()}
        made = [_made(one) for name, one in tokens.items() if name not in told]
        ended = [
            _revoked(one) for name, one in tokens.items() if one.revoked and not told.get(name)
        ]
        gone = [
            Audited(act=Act.BEARER_REMOVED, by="system", subject=name)
            for name in told.keys() - now.keys()
        ]
        self._told.tokens = now
        return made + ended + gone

    def _find_limits(self) -> list[Audited]:
        stamp = stamp_of(self._paths.limits)
        if stamp == self._limits_stamp:
            return []
        try:
            changes = read_changes(self._paths.limits)
        except LimitRefused as trouble:
            log.warning("limits cannot be read", why=str(trouble))
            return []
        self._limits_stamp = stamp
        told = self._told.limits
        found = [_proposed(change) for change in changes if change.id not in told]
        found += [
            _decided(change)
            for change in changes
            if change.step is not Step.PROPOSED and told.get(change.id) != change.step.value
        ]
        self._told.limits = {change.id: change.step.value for change in changes}
        return found

    def _find_settings(self) -> list[Audited]:
        try:
            now = flatten(tomllib.loads(self._paths.settings.read_text()))
        except (OSError, tomllib.TOMLDecodeError):
            return []
        before, self._told.settings = self._told.settings, now
        self._is_due = before != now
        if before is None:
            return []
        changed = sorted(
            key for key in before.keys() | now.keys() if before.get(key) != now.get(key)
        )
        found = [
            Audited(
                act=Act.SETTING_CHANGED, by="system", subject=key,
                detail={"old": before.get(key, ABSENT), "new": now.get(key, ABSENT)},
            )
            for key in changed[:CHANGES_MAX]
        ]  # fmt: skip
        if len(changed) > CHANGES_MAX:
            more = {"more": str(len(changed) - CHANGES_MAX)}
            found.append(Audited(act=Act.SETTING_CHANGED, by="system", subject="*", detail=more))
        return found


def flatten(value: Any, prefix: str = "") -> dict[str, str]:
    """A settings file as dotted keys; a section that comes often is told by its `id` or number."""
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        pairs = [(str(one.get("id", number)), one) for number, one in enumerate(value)]
    else:
        return {prefix: str(value)[:VALUE_CHARS_MAX]}
    found: dict[str, str] = {}
    for name, inner in pairs:
        found |= flatten(inner, f"{prefix}.{name}" if prefix else name)
    return found


def _made(token: Token) -> Audited:
    scopes = ",".join(scope.value for scope in token.scopes)
    detail = {"owner": token.owner, "scopes": scopes}
    if token.label:
        detail["label"] = token.label
    by = token.by or "system"
    return Audited(act=Act.BEARER_MADE, by=by, subject=token.id, detail=detail)


def _revoked(token: Token) -> Audited:
    by, detail = token.revoked_by or "system", {"owner": token.owner}
    return Audited(act=Act.BEARER_REVOKED, by=by, subject=token.id, detail=detail)


def _proposed(change: LimitChange) -> Audited:
    detail = {"reason": change.reason}
    detail |= {name: f"{change.old[name]} -> {value}" for name, value in change.new.items()}
    return Audited(act=Act.LIMIT_PROPOSED, by=change.by, subject=change.id, detail=detail)


def _decided(change: LimitChange) -> Audited:
    act = Act.LIMIT_APPROVED if change.step is Step.APPROVED else Act.LIMIT_REJECTED
    detail = {name: f"{change.old[name]} -> {value}" for name, value in change.new.items()}
    return Audited(act=act, by=change.decided_by, subject=change.id, detail=detail)


def _read(path: Path) -> Told:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Told)
    except (OSError, msgspec.MsgspecError):
        return Told()
