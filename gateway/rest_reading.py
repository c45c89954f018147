"""What an HTTP request says, decoded strictly: body, query string, path and conditions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, get_args
from urllib.parse import parse_qsl, unquote

import msgspec
from aiohttp import hdrs
from aiohttp.web_request import BaseRequest
from msgspec import Struct

from domain.errors import ErrorInfo
from gateway import wire
from gateway.errors import from_decode_error, refusal
from gateway.rest_operations import Operation
from gateway.strict import strict_twin

BODY_TIMEOUT_S = 5.0
QUERY_CHARS_MAX = 4_096
QUERY_FIELDS_MAX = 32
_NAMES = {
    False: re.compile(r"[A-Za-z0-9][A-Za-z0-9._:\-]{0,63}"),
    True: re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,63}"),
}
"""Of orders, and of accounts (as the settings allow them)."""
CLOSE = {"Connection": "close"}
"""Where the rest of a body is not going to be read."""


class Refused(Exception):
    """Ends a request with an error; caught in `handle` alone."""

    def __init__(self, error: ErrorInfo, headers: Mapping[str, str] | None = None) -> None:
        self.error = error
        self.headers = headers


async def read_body(http: BaseRequest, kind: Any, limit: int) -> Any:
    """The body as the type of the operation, None where it takes none."""
    if kind is None:
        return None
    if http.content_type != "application/json" or hdrs.CONTENT_ENCODING in http.headers:
        message = "send JSON, uncompressed, with Content-Type: application/json"
        raise Refused(refusal("unsupported_media_type", message, field="Content-Type"), CLOSE)
    data = await _read_bytes(http, limit)
    try:
        return decode_body(kind, data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as trouble:
        error = from_decode_error(trouble)
        if error.code == "malformed":
            error = refusal("malformed", "the body is not valid JSON in UTF-8")
        raise Refused(error) from None


async def _read_bytes(http: BaseRequest, limit: int) -> bytes:
    too_large = Refused(refusal("too_large", f"a body has at most {limit} bytes"), CLOSE)
    if (http.content_length or 0) > limit:
        raise too_large
    if http.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await http.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if http.content.is_eof():
        return http.content.read_nowait()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            data = await _read_to_end(http, limit)
    except TimeoutError:
        slow = refusal("request_timeout", "send the whole body in time")
        raise Refused(slow, CLOSE) from None
    if data is None:
        raise too_large
    return data


async def _read_to_end(http: BaseRequest, limit: int) -> bytes | None:
    data = bytearray()
    async for chunk in http.content.iter_any():
        data += chunk
        if len(data) > limit:
            return None
    return bytes(data)


@cache
def _body_decoder(kind: Any) -> tuple[Any, Any]:
    is_struct = isinstance(kind, type) and issubclass(kind, Struct)
    strict = strict_twin(kind) if is_struct else kind
    return msgspec.json.Decoder(strict).decode, kind if is_struct else None


def decode_body(kind: Any, data: bytes) -> Any:
    """A body, strictly. Raises msgspec's errors, which name the field."""
    decode, struct = _body_decoder(kind)
    strict = decode(data)
    return strict if struct is None else msgspec.convert(strict, struct, from_attributes=True)


def read_query(operation: Operation, text: str) -> Any:
    """The query string as the operation's type, None where it takes none."""
    pairs = _read_pairs(text) if text else []
    given = dict(pairs)
    if len(given) < len(pairs):
        raise Refused(refusal("malformed", "each name at most once", field=pairs[-1][0][:200]))
    if operation.query is None and not pairs:
        return None
    if operation.query is None:
        name = pairs[0][0][:200]
        raise Refused(refusal("unknown_field", "there is no such field here", field=name))
    for name in _numbers(operation.query) & given.keys():
        # A lax reading would take the word for nothing at all.
        if given[name].lower() == "null":
            fix = "send a number or true or false, or leave it out"
            raise Refused(refusal("wrong_type", fix, field=name))
    strict = convert(given, strict_twin(operation.query), None, is_text=True)
    return msgspec.convert(strict, operation.query, from_attributes=True)


def _read_pairs(text: str) -> list[tuple[str, str]]:
    if len(text) > QUERY_CHARS_MAX:
        raise Refused(refusal("out_of_range", f"at most {QUERY_CHARS_MAX} characters of query"))
    try:
        return parse_qsl(
            text, keep_blank_values=True, strict_parsing=True, errors="strict",
            max_num_fields=QUERY_FIELDS_MAX,
        )  # fmt: skip
    except ValueError:
        error = refusal("malformed", "the query string is name=value pairs in UTF-8")
        raise Refused(error) from None


@cache
def _numbers(query: type[Struct]) -> frozenset[str]:
    """The fields that are not texts."""
    fields = msgspec.structs.fields(query)
    return frozenset(field.name for field in fields if not _may_be_text(field.type))


def _may_be_text(kind: Any) -> bool:
    return kind is str or any(_may_be_text(inner) for inner in get_args(kind))


def convert(value: Any, kind: Any, field: str | None, is_text: bool = False) -> Any:
    """A value as the type, `is_text` where numbers are spelled out; `field` is its name."""
    try:
        return msgspec.convert(value, kind, strict=not is_text)
    except msgspec.ValidationError as trouble:
        error = from_decode_error(trouble)
        named = msgspec.structs.replace(error, field=field or error.field)
        raise Refused(named) from None


def read_name(operation: Operation, name: str) -> str:
    """The last part of the path, percent-decoded; what cannot name a thing names none."""
    try:
        text = unquote(name, errors="strict")
    except UnicodeDecodeError:
        text = ""
    if name and not _NAMES[operation.request is wire.AccountGet].fullmatch(text):
        raise Refused(refusal("not_found", "there is nothing of this name"))
    return text


def read_version(text: str | None) -> int | None:
    """Of `If-Match: "7"`; any version where there is none, or `*`."""
    if text is None or text.strip() == "*":
        return None
    digits = text.strip().removeprefix('"').removesuffix('"')
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        message = 'send the version as in ETag, such as "7"'
        raise Refused(refusal("bad_format", message, field="If-Match"))
    return int(digits)


def strip(error: ErrorInfo, prefix: str) -> ErrorInfo:
    """The field as it stands in the body, which is a part of the protocol's request."""
    if prefix and error.field is not None and error.field.startswith(prefix):
        return msgspec.structs.replace(error, field=error.field.removeprefix(prefix))
    return error
