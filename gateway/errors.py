"""The protocol's error object for everything the gateway itself refuses."""

from __future__ import annotations

import re

import msgspec

from domain.errors import Category, ErrorInfo, Outcome, Retry
from domain.orders import Fault

TEXT_CHARS_MAX = 200

_PATH = re.compile(r" - at `(?:[^`]* in )?\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"^Object contains unknown field `([^`]*)`")
_MISSING = re.compile(r"^Object missing required field `([^`]*)`")
_DECIMAL = "send a decimal as text, at most 18 digits before the point and 12 after it"
_FIXES = (
    (re.compile(r"^Invalid enum value"), "unknown_value", "use one of the documented words"),
    (re.compile(r"^Expected `str` matching regex .*\[0-9\]\{1,18\}"), "bad_decimal", _DECIMAL),
    (re.compile(r"^Expected `[^`]*`, got"), "wrong_type", "send the type named"),
    (re.compile(r"^Expected `str` matching regex"), "bad_format", "keep to the characters allowed"),
    (re.compile(r"^Expected `[^`]*`"), "out_of_range", "keep within the bound named"),
)


def refusal(
    code: str, message: str, category: Category = Category.CLIENT, field: str | None = None
) -> ErrorInfo:
    """An error after which nothing has happened and the same words will fail again."""
    return ErrorInfo(
        code=code,
        category=category,
        outcome=Outcome.NONE,
        retry=Retry.NEVER,
        message=message,
        field=field,
    )


def forbidden(message: str, field: str | None = None) -> ErrorInfo:
    """The token, or the session's role, does not allow it."""
    return refusal("forbidden", message, Category.AUTH, field)


def from_fault(fault: Fault, prefix: str) -> ErrorInfo:
    """A contradiction in an order's own words; the field is named from the message's root."""
    return refusal("invalid_order", fault.message, field=f"{prefix}.{fault.field}")


def from_decode_error(error: Exception) -> ErrorInfo:
    """Names the field and the fix for a message that could not be read."""
    if not isinstance(error, msgspec.ValidationError):
        return refusal("malformed", "the bytes are not a message of this subprotocol")
    text = str(error)
    found = _PATH.search(text)
    path = found[1] if found else ""
    reason = text[: found.start()] if found else text
    for pattern, code, fix in (
        (_UNKNOWN, "unknown_field", "there is no such field here; remove it"),
        (_MISSING, "missing_field", "this field is required; add it"),
    ):
        if named := pattern.match(reason):
            field = f"{path}.{named[1]}" if path else named[1]
            return refusal(code, fix, field=field[:TEXT_CHARS_MAX])
    return _from_reason(reason, path)


def _from_reason(reason: str, path: str) -> ErrorInfo:
    field = path[:TEXT_CHARS_MAX] or None
    if path == "t":
        return refusal("unknown_request", "there is no request of this type", field=field)
    if " regex " in reason:
        code, fix = next((c, f) for p, c, f in _FIXES[1:] if p.match(reason))
        return refusal(code, fix, field=field)
    for pattern, code, fix in _FIXES:
        if pattern.match(reason):
            message = f"{reason[:TEXT_CHARS_MAX]}: {_DECIMAL if _is_number(reason) else fix}"
            return refusal(code, message, field=field)
    return refusal("invalid_message", reason[:TEXT_CHARS_MAX], field=field)


def _is_number(reason: str) -> bool:
    """True where a number stands in the place of a decimal text."""
    return "`str" in reason and reason.endswith(("got `float`", "got `int`"))


def rate_limited(what: str, wait_ms: int) -> ErrorInfo:
    """Over a rate: nothing happened, and the same words may be sent again after the wait."""
    return ErrorInfo(
        code="rate_limited",
        category=Category.RATE,
        outcome=Outcome.NONE,
        retry=Retry.SAME_ID,
        retry_after_ms=wait_ms,
        message=f"over the rate of {what}; wait as told",
    )


def going_away(wait_ms: int) -> ErrorInfo:
    """The server stops; another takes the client, and all it asks again, after the wait."""
    return ErrorInfo(
        code="going_away",
        category=Category.SYSTEM,
        outcome=Outcome.NONE,
        retry=Retry.SAME_ID,
        retry_after_ms=wait_ms,
        message="the server stops; connect again",
    )


def router_unavailable(outcome: Outcome) -> ErrorInfo:
    """The router is away; a command already on its way to it may have been written down."""
    return ErrorInfo(
        code="router_unavailable",
        category=Category.SYSTEM,
        outcome=outcome,
        retry=Retry.SAME_ID,
        retry_after_ms=250,
        message="the router does not answer; send the same request again",
    )


def no_answer(outcome: Outcome) -> ErrorInfo:
    """The router took the request and stayed silent for the whole answer timeout."""
    return ErrorInfo(
        code="no_answer",
        category=Category.SYSTEM,
        outcome=outcome,
        retry=Retry.SAME_ID,
        message="no answer in time; send the same request again",
    )
