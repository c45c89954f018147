"""Whether an upgrade is let in: path, origin, token, subprotocol, in this order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus

import msgspec
from msgspec import Struct
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from domain.errors import Category, ErrorInfo
from gateway.authority import Principal
from gateway.codec import CODECS, Codec
from gateway.errors import refusal
from gateway.settings import PATHS


class Admitted(Struct, frozen=True):
    """The upgrade may go on."""

    principal: Principal
    codec: Codec


class Refused(Struct, frozen=True):
    """The upgrade ends here."""

    status: HTTPStatus
    error: ErrorInfo


FindToken = Callable[[str], Principal | None]


def admit(request: Request, origins: Sequence[str], find: FindToken) -> Admitted | Refused:
    """Judges the request's own words; the WebSocket headers are the library's to judge."""
    if request.path.partition("?")[0] not in PATHS:
        error = refusal("not_found", "the WebSocket is at /ws")
        return Refused(HTTPStatus.NOT_FOUND, error)
    # A page in a browser always sends its origin; programs send none and have the token.
    given = request.headers.get_all("Origin")
    if given and (len(given) > 1 or given[0] not in origins):
        error = refusal("foreign_origin", "this origin is not allowed", Category.AUTH, "Origin")
        return Refused(HTTPStatus.FORBIDDEN, error)
    principal = _find_principal(request.headers, find)
    if principal is None:
        message = "send Authorization: Bearer with a token that is in force"
        error = refusal("unauthorized", message, Category.AUTH, "Authorization")
        return Refused(HTTPStatus.UNAUTHORIZED, error)
    codec = _find_codec(request.headers)
    if codec is None:
        message = f"offer one of {', '.join(CODECS)}"
        error = refusal("no_common_subprotocol", message, field="Sec-WebSocket-Protocol")
        return Refused(HTTPStatus.BAD_REQUEST, error)
    return Admitted(principal, codec)


def _find_principal(headers: Headers, find: FindToken) -> Principal | None:
    given = headers.get_all("Authorization")
    if len(given) != 1:
        return None
    scheme, _, text = given[0].partition(" ")
    return find(text.strip()) if scheme.lower() == "bearer" else None


def _find_codec(headers: Headers) -> Codec | None:
    """The first the client offers that we speak: its order is its preference."""
    for line in headers.get_all("Sec-WebSocket-Protocol"):
        for name in line.split(","):
            if (codec := CODECS.get(name.strip())) is not None:
                return codec
    return None


def refuse(response: Response, error: ErrorInfo) -> Response:
    """The library's refusal with the protocol's error object as its body."""
    body = msgspec.json.encode({"error": error})
    headers = response.headers
    for name in ("Content-Type", "Content-Length"):
        if name in headers:
            del headers[name]
    headers["Content-Type"] = "application/json"
    headers["Content-Length"] = str(len(body))
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after_ms is not None:
        headers["Retry-After"] = str(-(-error.retry_after_ms // 1000))
    response.body = body
    return response
