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
from gateway.tickets import SUBPROTOCOL


class Admitted(Struct, frozen=True):
    """The upgrade may go on."""

    principal: Principal
    codec: Codec


class Refused(Struct, frozen=True):
    """The upgrade ends here."""

    status: HTTPStatus
    error: ErrorInfo


class Doors(Struct, frozen=True):
    """Whom a bearer token, or a ticket from an origin, speaks for."""

    find_token: Callable[[str], Principal | None]
    take_ticket: Callable[[str, str], Principal | None]


def admit(request: Request, origins: Sequence[str], doors: Doors) -> Admitted | Refused:
    """Judges the request's own words; the WebSocket headers are the library's to judge."""
    if request.path.partition("?")[0] not in PATHS:
        error = refusal("not_found", "the WebSocket is at /ws")
        return Refused(HTTPStatus.NOT_FOUND, error)
    # A page in a browser always sends its origin; programs send none and have the token.
    given = request.headers.get_all("Origin")
    if given and (len(given) > 1 or given[0] not in origins):
        error = refusal("foreign_origin", "this origin is not allowed", Category.AUTH, "Origin")
        return Refused(HTTPStatus.FORBIDDEN, error)
    offered = _offered(request.headers)
    principal = _find_principal(request.headers, offered, doors)
    if principal is None:
        message = "send Authorization: Bearer with a token that is in force, or offer a new ticket"
        error = refusal("unauthorized", message, Category.AUTH, "Authorization")
        return Refused(HTTPStatus.UNAUTHORIZED, error)
    # The first the client offers that we speak: its order is its preference.
    codec = next((CODECS[name] for name in offered if name in CODECS), None)
    if codec is None:
        message = f"offer one of {', '.join(CODECS)}"
        error = refusal("no_common_subprotocol", message, field="Sec-WebSocket-Protocol")
        return Refused(HTTPStatus.BAD_REQUEST, error)
    return Admitted(principal, codec)


def _offered(headers: Headers) -> list[str]:
    lines = headers.get_all("Sec-WebSocket-Protocol")
    return [name.strip() for line in lines for name in line.split(",")]


def _find_principal(headers: Headers, offered: list[str], doors: Doors) -> Principal | None:
    """By exactly one token, or exactly one ticket and the origin it was made for."""
    given, origins = headers.get_all("Authorization"), headers.get_all("Origin")
    tickets = [name for name in offered if name.startswith(SUBPROTOCOL)]
    if len(given) + len(tickets) != 1:
        return None
    if tickets:
        text = tickets[0].removeprefix(SUBPROTOCOL)
        return doors.take_ticket(text, origins[0]) if origins else None
    scheme, _, text = given[0].partition(" ")
    return doors.find_token(text.strip()) if scheme.lower() == "bearer" else None


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
