"""What a connection follows the prices of: what is pinned, what is watched, what was until lately.

Pure; clocks come in as `now_ns` and must not run backwards.
"""

from __future__ import annotations

from collections.abc import Iterable

LINGER_NS = 30 * 1_000_000_000
"""An instrument nobody wants is followed so much longer, so that subscribers who come and go
do not churn the broker's stream."""
INSTRUMENTS_MAX = 500
"""Of one connection. Beyond it the pinned come first, then those watched longest."""


class Following:
    """The set followed, settled anew whenever wishes change."""

    def __init__(
        self, *, instruments_max: int = INSTRUMENTS_MAX, linger_ns: int = LINGER_NS
    ) -> None:
        self._instruments_max = instruments_max
        self._linger_ns = linger_ns
        self._until_ns: dict[str, int] = {}
        self.lingering = 0
        self.is_full = False

    @property
    def instruments(self) -> tuple[str, ...]:
        """Those followed, as last settled."""
        return tuple(self._until_ns)

    def settle(self, pinned: Iterable[str], watched: Iterable[str], now_ns: int) -> tuple[str, ...]:
        """What is to be followed from now on; who finds no room waits for it."""
        watched = dict.fromkeys(watched)
        wanted = dict.fromkeys(pinned)
        wanted |= {name: None for name in self._until_ns if name in watched}
        wanted |= watched
        kept = dict.fromkeys(list(wanted)[: self._instruments_max], now_ns + self._linger_ns)
        self.is_full = len(wanted) >= self._instruments_max
        room = self._instruments_max - len(kept)
        gone = [
            name for name, until in self._until_ns.items() if name not in kept and until > now_ns
        ]
        # The last to be left is the likeliest to be wanted again.
        gone = sorted(gone, key=self._until_ns.__getitem__, reverse=True)[:room]
        self.lingering = len(gone)
        self._until_ns = kept | {name: self._until_ns[name] for name in gone}
        return self.instruments
