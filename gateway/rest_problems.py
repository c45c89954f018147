"""The protocol's error object as an HTTP answer: the status, and problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import msgspec
from aiohttp import web

from domain.commands import Decided
from domain.errors import Category, ErrorInfo
from gateway.rest_words import Problem

PROBLEM_TYPE = "application/problem+json"
PATH_CHARS_MAX = 200

BY_CODE = {
    "not_found": 404,
    "unknown_order": 404,
    "unknown_account": 404,
    "unknown_lot": 404,
    "unauthorized": 401,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "id_conflict": 409,
    "request_conflict": 409,
    "change_pending": 409,
    "not_working": 409,
    "no_position": 409,
    "stale_version": 412,
    "too_large": 413,
    "unsupported_media_type": 415,
    "no_answer": 504,
}
"""Where a code says more than its category."""

MALFORMED = frozenset(
    {
        "malformed", "unknown_field", "missing_field", "unknown_value", "bad_decimal",
        "wrong_type", "bad_format", "out_of_range", "invalid_message", "bad_request",
    }
)  # fmt: skip
"""The request's own words do not fit their schema; what contradicts itself otherwise is 422."""

BY_CATEGORY = {
    Category.CLIENT: 422,
    Category.AUTH: 403,
    Category.RISK: 422,
    Category.RATE: 429,
    Category.VENUE: 503,
    Category.SYSTEM: 503,
}
assert BY_CATEGORY.keys() == set(Category)

CAN_COME_LATER = frozenset({"market_closed"})

_encode = msgspec.json.Encoder().encode


def status_of(error: ErrorInfo) -> int:
    """The HTTP status of an error."""
    known = BY_CODE.get(error.code)
    if known is not None:
        return known
    if error.code in MALFORMED and error.category is Category.CLIENT:
        return 400
    if error.code in CAN_COME_LATER:
        return 422
    return BY_CATEGORY[error.category]


def problem_of(error: ErrorInfo, path: str, decided: Decided | None = None) -> Problem:
    """The error as problem details; `decided` names the order it is about."""
    decided = decided or Decided()
    return Problem(
        type=f"urn:fillgate:problem:{error.code}",
        title=error.code.replace("_", " ").capitalize(),
        status=status_of(error),
        detail=error.message,
        instance=quote(path[:PATH_CHARS_MAX], safe="/%:"),
        code=error.code,
        category=error.category,
        outcome=error.outcome,
        retry=error.retry,
        field=error.field,
        retry_after_ms=error.retry_after_ms,
        rule=error.rule,
        citation=error.citation,
        venue=error.venue,
        client_order_id=decided.client_order_id,
        order_id=decided.order_id,
        order_status=decided.status,
    )


def answer_problem(problem: Problem, headers: Mapping[str, str] | None = None) -> web.Response:
    """The response, with what its status asks for in headers."""
    told = dict(headers or ())
    if problem.status == 401:
        told["WWW-Authenticate"] = "Bearer"
    if problem.retry_after_ms is not None:
        told["Retry-After"] = str(-(-problem.retry_after_ms // 1000))
    return respond(problem.status, _encode(problem), told, PROBLEM_TYPE)


def respond(
    status: int,
    body: bytes,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> web.Response:
    """A response that no cache keeps and no browser guesses about."""
    told = {
        "Content-Type": content_type,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Server": "fillgate",
        **(headers or {}),
    }
    return web.Response(status=status, body=body, headers=told)
