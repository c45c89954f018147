"""Which notices are due: when an alarm begins, again while it stands, and when it is over. Pure.

An alarm that flaps is one alarm: it is over once it has been away for `CALM_S`. What could not
be told stays due.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

from actors.observer.alarms import BY_ID, Severity
from actors.observer.judge import Key, Standing

NS = 1_000_000_000
CALM_S = 60


class NoticeState(Enum):
    """What a notice says of its alarm."""

    BEGUN = "begun"
    STANDS = "still stands"
    OVER = "over"


class OperatorNotice(Struct, frozen=True):
    """One alarm to be told to people."""

    state: NoticeState
    standing: Standing


class Known(Struct, kw_only=True):
    """What people know of an alarm: when they were told last, and when it last stood."""

    standing: Standing
    told_ns: int = 0
    stood_ns: int = 0


class Notices:
    """Keeps what people know; `due` asks, `told` confirms."""

    def __init__(self, repeat_s: dict[Severity, int], known: tuple[Known, ...] = ()) -> None:
        self._repeat_s = repeat_s
        # An alarm of an earlier release's catalogue is not told any more.
        self._known = {one.standing.key: one for one in known if one.standing.id in BY_ID}

    @property
    def known(self) -> tuple[Known, ...]:
        """What must outlive the process, so that nobody is told twice."""
        return tuple(self._known.values())

    def due(self, standing: list[Standing], now_ns: int) -> list[OperatorNotice]:
        """What people should be told now."""
        for one in standing:
            known = self._known.setdefault(one.key, Known(standing=one))
            known.standing, known.stood_ns = one, now_ns
        found = []
        for key in list(self._known):
            notice = self._due_of(key, now_ns)
            if notice is not None:
                found.append(notice)
        return found

    def _due_of(self, key: Key, now_ns: int) -> OperatorNotice | None:
        known = self._known[key]
        if known.stood_ns < now_ns:
            if now_ns - known.stood_ns < CALM_S * NS:
                return None
            if not known.told_ns:
                del self._known[key]
                return None
            return OperatorNotice(NoticeState.OVER, known.standing)
        if not known.told_ns:
            return OperatorNotice(NoticeState.BEGUN, known.standing)
        repeat_s = self._repeat_s[known.standing.severity]
        if repeat_s and now_ns - known.told_ns >= repeat_s * NS:
            return OperatorNotice(NoticeState.STANDS, known.standing)
        return None

    def told(self, notices: list[OperatorNotice], now_ns: int) -> None:
        """These were sent."""
        for notice in notices:
            key = notice.standing.key
            if notice.state is NoticeState.OVER:
                del self._known[key]
            else:
                self._known[key].told_ns = now_ns


def to_text(notices: list[OperatorNotice], deployment: str) -> tuple[str, str]:
    """A message's title and body; several alarms of one moment are one message."""
    first = notices[0]
    more = f" and {len(notices) - 1} more" if len(notices) > 1 else ""
    grade = "over" if first.state is NoticeState.OVER else first.standing.severity.value
    title = f"Fillgate {deployment}: [{grade}] {first.standing.id}{more}"
    return title, "\n\n".join(_paragraph(notice) for notice in notices)


def _paragraph(notice: OperatorNotice) -> str:
    standing = notice.standing
    alarm = BY_ID[standing.id]
    place = f"{standing.role} {standing.label}".strip()
    return (
        f"{alarm.id} at {place}: {notice.state.value}\n"
        f"{alarm.says} ({alarm.metric} {standing.value:g})\n"
        f"For your money: {alarm.money}.\n"
        f"Runbook: {alarm.runbook}"
    )
