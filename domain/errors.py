"""What may have happened when something went wrong, in words a program acts on (PROTOCOL 4)."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct


class Category(Enum):
    """Who can do something about it."""

    CLIENT = "client"
    AUTH = "auth"
    RISK = "risk"
    RATE = "rate"
    VENUE = "venue"
    SYSTEM = "system"


class Outcome(Enum):
    """What may have happened to the order. `unknown` is an answer; a guess is not."""

    NONE = "none"
    APPLIED = "applied"
    UNKNOWN = "unknown"


class Retry(Enum):
    """How to try again: not at all, unchanged, or as a new order."""

    NEVER = "never"
    SAME_ID = "same_id"
    NEW_ID = "new_id"


class UnifiedError(Enum):
    """The common names users of broker libraries know; each broker's words map to one of them."""

    AUTH = "AuthError"
    RATE_LIMIT = "RateLimitError"
    INSUFFICIENT_FUNDS = "InsufficientFundsError"
    INVALID_ORDER = "InvalidOrderError"
    MARKET_CLOSED = "MarketClosedError"
    SYMBOL_NOT_FOUND = "SymbolNotFoundError"
    CONNECTION = "ConnectionError"


class VenueError(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The broker's own words, and the unified name for them."""

    code: str
    message: str
    unified: UnifiedError


class ErrorInfo(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The error object of the protocol; REST wraps the same in problem+json (RFC 9457)."""

    code: str
    category: Category
    outcome: Outcome
    retry: Retry
    message: str
    field: str | None = None
    retry_after_ms: int | None = None
    rule: str | None = None
    citation: str | None = None
    venue: VenueError | None = None
