"""Who was not let in: counted by address and reason, told at once, then at most once a minute."""

from __future__ import annotations

from collections import Counter

from domain.commands import Refusal, Refusals

QUIET_NS = 60_000_000_000
PEERS_MAX = 50
"""Of so many addresses and reasons a minute tells; the rest are one sum."""
OTHERS = "others"


class RefusedLogins:
    """What an edge refused since it last told the router."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._told_ns: int | None = None

    def note(self, peer: str, code: str) -> None:
        """One more."""
        key = (peer, code)
        if key not in self._counts and len(self._counts) >= PEERS_MAX:
            key = (OTHERS, code)
        self._counts[key] += 1

    def take(self, now_ns: int) -> Refusals | None:
        """What is to be told now, or None."""
        is_quiet = self._told_ns is not None and now_ns - self._told_ns < QUIET_NS
        if not self._counts or is_quiet:
            return None
        self._told_ns = now_ns
        counts, self._counts = self._counts, Counter()
        refused = (Refusal(peer=p, code=code, count=n) for (p, code), n in counts.items())
        return Refusals(refused=tuple(refused))
