"""What a monitor found: for people to look at."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct


class AlertKind(Enum):
    """What it may be."""

    SPOOF = "spoof"
    LAYERING = "layering"
    MARKING_THE_CLOSE = "marking_the_close"
    WASH_TRADE = "wash_trade"
    SELF_TRADE = "self_trade"
    STRUCTURING = "structuring"
    LIMIT_STATE = "limit_state"
    TRADING_PAUSE = "trading_pause"
    MARGIN_CLOSE_OUT = "margin_close_out"


class Alert(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One finding: of whom, in what, by which numbers and orders. `at_ns` is what completed it."""

    kind: AlertKind
    subject: str
    instrument: str
    at_ns: int
    citation: str
    message: str
    numbers: dict[str, str] = {}
    orders: tuple[str, ...] = ()
