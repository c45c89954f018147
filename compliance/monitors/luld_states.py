"""The states of the LULD plan from quotes and bands: normal, straddle and limit state, pause.

A limit state begins when the best offer stands at the lower band, or the best bid at the upper,
without crossing; after 15 seconds of it trading pauses for five minutes.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from compliance.luld import CITATION, LIMIT_STATE_S_MAX, PAUSE_MINUTES, Band
from compliance.monitors.alert import Alert, AlertKind

_NS_PER_S = 1_000_000_000


class State(Enum):
    """Where a stock stands."""

    NORMAL = "normal"
    STRADDLE = "straddle"
    LIMIT = "limit"
    PAUSED = "paused"


class LuldState(Struct, frozen=True, kw_only=True):
    """A stock's state since a moment; a pause ends at `until_ns`."""

    symbol: str
    state: State = State.NORMAL
    since_ns: int = 0
    until_ns: int = 0


class Touch(Struct, frozen=True, kw_only=True):
    """The national best bid and offer at a moment, and the band then."""

    bid: Decimal
    ask: Decimal
    band: Band
    at_ns: int


def step(held: LuldState, touch: Touch) -> tuple[LuldState, Alert | None]:
    """The state after a quote, and an alert where it changed for the worse."""
    if held.state is State.PAUSED and touch.at_ns < held.until_ns:
        return held, None
    now = classify(touch)
    if held.state is State.LIMIT and pauses_after(touch.at_ns - held.since_ns):
        # Whatever the quote is now: the limit state was not over in time.
        began_ns = held.since_ns + LIMIT_STATE_S_MAX * _NS_PER_S
        until_ns = began_ns + PAUSE_MINUTES * 60 * _NS_PER_S
        if touch.at_ns < until_ns:
            after = replace(held, state=State.PAUSED, since_ns=began_ns, until_ns=until_ns)
            return after, _alert(AlertKind.TRADING_PAUSE, held.symbol, touch, "paused")
    if now is held.state:
        return held, None
    after = LuldState(symbol=held.symbol, state=now, since_ns=touch.at_ns)
    if now is not State.LIMIT:
        return after, None
    return after, _alert(AlertKind.LIMIT_STATE, held.symbol, touch, "in a limit state")


def classify(touch: Touch) -> State:
    """The state a quote alone would be."""
    bid, ask, band = touch.bid, touch.ask, touch.band
    if bid >= ask:
        return State.NORMAL
    if ask == band.low or bid == band.high:
        return State.LIMIT
    return State.STRADDLE if bid < band.low or ask > band.high else State.NORMAL


def pauses_after(limit_state_ns: int) -> bool:
    """True once a limit state has lasted its time."""
    return limit_state_ns >= LIMIT_STATE_S_MAX * _NS_PER_S


def _alert(kind: AlertKind, symbol: str, touch: Touch, what: str) -> Alert:
    return Alert(
        kind=kind,
        subject=symbol,
        instrument=symbol,
        at_ns=touch.at_ns,
        citation=CITATION,
        message=f"{symbol} is {what}",
        numbers={"low": str(touch.band.low), "high": str(touch.band.high)},
    )
