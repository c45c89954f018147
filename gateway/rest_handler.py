"""One HTTP request of REST: origin, path, token, words; then the router's answer as HTTP.

A refusal is an `ErrorInfo` on its way and problem details at the end, whatever it was about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from aiohttp import hdrs, web
from aiohttp.web_request import BaseRequest

from domain.commands import Answer, Decided
from domain.errors import Category, ErrorInfo
from domain.lifecycle import TERMINAL, Status
from domain.orders import OrderType, TimeInForce
from gateway import wire
from gateway.authority import Principal
from gateway.errors import rate_limited, refusal
from gateway.rates import NS_PER_MS
from gateway.rest_desk import Caller, Reply, RestDesk, rows_of
from gateway.rest_operations import TICKET, Given, Methods, Operation, find_methods
from gateway.rest_problems import answer_problem, problem_of, respond
from gateway.rest_reading import (
    Refused,
    convert,
    read_body,
    read_name,
    read_query,
    read_version,
    strip,
)
from gateway.rest_words import Page, WaitQuery
from gateway.tickets import VALID_MS, TicketBox
from gateway.way import peer_of
from gateway.wire_bounds import ROWS_MAX, RequestId

LIST_ROWS_DEFAULT = 100
HEADERS_ALLOWED = "Authorization, Content-Type, Idempotency-Key, If-Match"
HEADERS_EXPOSED = "ETag, Location, Retry-After"
NOT_LET_IN = frozenset({"unauthorized", "foreign_origin"})
NEVER_RESTS = frozenset({TimeInForce.IOC.value, TimeInForce.FOK.value})
ENDED = frozenset(status.value for status in TERMINAL)
RESTING = frozenset({Status.LIVE.value, Status.PARTIALLY_FILLED.value})

_encode = msgspec.json.Encoder().encode

Documents = Mapping[str, tuple[str, bytes]]


class RestHandler:
    """Answers requests; `find_token` knows whom a bearer token speaks for."""

    def __init__(
        self,
        desk: RestDesk,
        tickets: TicketBox,
        find_token: Callable[[str], Principal | None],
        name: str,
        documents: Documents,
    ) -> None:
        self._desk = desk
        self._tickets = tickets
        self._find_token = find_token
        self._name = name
        self._documents = documents
        self._settings = desk.around.settings
        self._limit = self._settings.limits.message_bytes_in_max

    async def handle(self, http: BaseRequest) -> web.StreamResponse:
        """The response to one request."""
        origin = http.headers.get(hdrs.ORIGIN)
        path, _, query = http.raw_path.partition("?")
        try:
            if origin is not None:
                self._check_origin(http)
            response = await self._answer(http, path, query)
        except Refused as refused:
            if refused.error.code in NOT_LET_IN:
                self._desk.around.refused.note(peer_of(http.transport), refused.error.code)
            response = answer_problem(problem_of(refused.error, path), refused.headers)
        if origin is not None and origin in self._settings.origins:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = HEADERS_EXPOSED
            response.headers[hdrs.VARY] = hdrs.ORIGIN
        return response

    def _check_origin(self, http: BaseRequest) -> None:
        given = http.headers.getall(hdrs.ORIGIN)
        if len(given) > 1 or given[0] not in self._settings.origins:
            message = "this origin is not allowed"
            raise Refused(refusal("foreign_origin", message, Category.AUTH, "Origin"))

    async def _answer(self, http: BaseRequest, path: str, query: str) -> web.Response:
        method = hdrs.METH_GET if http.method == hdrs.METH_HEAD else http.method
        document = self._documents.get(path)
        methods, name = find_methods(path)
        if methods is None and document is None:
            raise Refused(refusal("not_found", "no such path; see /api/v1/openapi.json"))
        if method == hdrs.METH_OPTIONS:
            return respond(204, b"", _preflight(methods))
        if document is not None and method == hdrs.METH_GET:
            return respond(200, document[1], content_type=document[0])
        operation = (methods or {}).get(method)
        if operation is None:
            allowed = _allowed(methods)
            error = refusal("method_not_allowed", f"this path takes {allowed}")
            raise Refused(error, {"Allow": allowed})
        caller = self._desk.caller(self._authenticate(http))
        given = await self._read(http, operation, name, query)
        if operation is TICKET:
            return self._make_ticket(http, caller, given)
        return await self._perform(path, operation, caller, given)

    def _authenticate(self, http: BaseRequest) -> Principal:
        given = http.headers.getall(hdrs.AUTHORIZATION, ())
        if len(given) == 1:
            scheme, _, text = given[0].partition(" ")
            principal = self._find_token(text.strip()) if scheme.lower() == "bearer" else None
            if principal is not None:
                return principal
        message = "send Authorization: Bearer with a token that is in force"
        raise Refused(refusal("unauthorized", message, Category.AUTH, "Authorization"))

    # -- the request's words

    async def _read(self, http: BaseRequest, operation: Operation, name: str, query: str) -> Given:
        key = http.headers.get("Idempotency-Key")
        if key is not None:
            convert(key, RequestId, "Idempotency-Key")
        return Given(
            request_id=key or f"rest:{self._name}:{self._desk.around.next_ref()}",
            has_key=key is not None,
            name=read_name(operation, name),
            query=read_query(operation, query),
            body=await read_body(http, operation.body, self._limit),
            if_version=read_version(http.headers.get(hdrs.IF_MATCH)),
        )

    # -- the answer

    def _make_ticket(self, http: BaseRequest, caller: Caller, given: Given) -> web.Response:
        """For pages alone: a program has no origin, and needs no ticket."""
        origin = http.headers.get(hdrs.ORIGIN)
        if origin is None:
            message = "tickets are for browsers; a program sends its token at the upgrade"
            raise Refused(refusal("invalid_request", message, field="Origin"))
        fault = self._desk.find_fault(caller, TICKET_COST(id=given.request_id))
        if fault is not None:
            raise Refused(fault)
        text = self._tickets.make(caller.principal, origin)
        if text is None:
            raise Refused(rate_limited("tickets", VALID_MS))
        made = {"ticket": text, "origin": origin, "valid_for_ms": VALID_MS}
        return respond(201, _encode(made))

    async def _perform(
        self, path: str, operation: Operation, caller: Caller, given: Given
    ) -> web.Response:
        request = _build(operation, operation.build, given)
        fault = self._desk.find_fault(caller, request)
        if fault is not None:
            raise Refused(strip(fault, operation.prefix))
        wants_outcome = isinstance(given.query, WaitQuery) and given.query.wait is not None
        watches: dict[str, asyncio.Event] | None = {} if wants_outcome else None
        try:
            reply = await self._desk.ask(caller, request, watches)
            if operation.otherwise is not None and _is_unknown_order(reply):
                other = _build(operation, operation.otherwise, given)
                reply = await self._desk.ask(caller, other)
            if reply.error is not None:
                raise Refused(strip(reply.error, operation.prefix))
            if isinstance(reply, Answer) and reply.body is None:
                order = await self._await_outcome(caller, given, watches)
                return _decided(path, operation, reply, order)
        finally:
            self._desk.unwatch(watches or {})
        return _read_rows(operation, given, reply)

    async def _await_outcome(
        self, caller: Caller, given: Given, watches: dict[str, asyncio.Event] | None
    ) -> Any:
        """The order once the broker has had its say, or as it stands when the wait is over."""
        if not watches:
            return None
        clocks = self._desk.around.clocks
        until_ns = clocks.boot_ns() + given.query.wait_ms * NS_PER_MS
        ((order_id, event),) = watches.items()
        while True:
            event.clear()
            request = wire.OrderGet(id=given.request_id, order_id=order_id)
            row = rows_of(await self._desk.ask(caller, request))
            left_ns = until_ns - clocks.boot_ns()
            if row is None or _has_outcome(row) or left_ns <= 0:
                return row
            try:
                async with asyncio.timeout(left_ns / 1e9):
                    await event.wait()
            except TimeoutError:
                continue


TICKET_COST = wire.Ping
"""A ticket needs no scope of its own and counts as one request."""


def _build(
    operation: Operation, build: Callable[[Given], wire.Request | ErrorInfo], given: Given
) -> wire.Request:
    request = build(given)
    if isinstance(request, ErrorInfo):
        raise Refused(strip(request, operation.prefix))
    return request


def _is_unknown_order(reply: Reply) -> bool:
    return reply.error is not None and reply.error.code == "unknown_order"


def _has_outcome(row: Any) -> bool:
    """An order that cannot rest has one when it has ended; any other when it works."""
    if row["status"] in ENDED:
        return True
    terms = row["terms"] or {}
    # Absent means the default, which is a market order.
    rests = terms.get("type", OrderType.MARKET.value) != OrderType.MARKET.value
    return row["status"] in RESTING and rests and terms.get("time_in_force") not in NEVER_RESTS


def _decided(path: str, operation: Operation, reply: Answer, order: Any) -> web.Response:
    """One refused order is a problem; of several each stands in the list."""
    decided = reply.decided
    first = decided[0] if len(decided) == 1 else Decided()
    is_one = operation.name != "placeOrders"
    if is_one and first.error is not None:
        error = strip(first.error, operation.prefix)
        return answer_problem(problem_of(error, path, first))
    body: dict[str, Any] = {"decided": decided}
    if order is not None:
        body["order"] = order
    status = 200 if first.dup else operation.status
    headers = {}
    if status == 201 and first.client_order_id is not None:
        headers["Location"] = f"/api/v1/orders/{first.client_order_id}"
    return respond(status, _encode(body), headers)


def _read_rows(operation: Operation, given: Given, reply: Reply) -> web.Response:
    rows = rows_of(reply)
    if isinstance(reply, Answer) or getattr(operation.answer, "__origin__", None) is not Page:
        version = rows.get("version") if operation.name == "getOrder" else None
        return respond(200, _encode(rows), {"ETag": f'"{version}"'} if version is not None else {})
    page = {"position": reply.position, "rows": rows, "next": _next(given, rows)}
    return respond(200, _encode(page))


def _next(given: Given, rows: list[Any]) -> str | int | None:
    """What the next page is asked with: `before` for orders, `after` for streams."""
    limit = getattr(given.query, "limit", None)
    by_number = hasattr(given.query, "after")
    if not rows or not (by_number or hasattr(given.query, "before")):
        return None
    if len(rows) < (limit or (ROWS_MAX if by_number else LIST_ROWS_DEFAULT)):
        return None
    last: str | int = rows[-1]["seq"] if by_number else rows[-1]["order_id"]
    return last


def _allowed(methods: Methods | None) -> str:
    known = set(methods) if methods is not None else {hdrs.METH_GET}
    if hdrs.METH_GET in known:
        known.add(hdrs.METH_HEAD)
    return ", ".join(sorted(known | {hdrs.METH_OPTIONS}))


def _preflight(methods: Methods | None) -> dict[str, str]:
    allowed = _allowed(methods)
    return {
        "Allow": allowed,
        "Access-Control-Allow-Methods": allowed,
        "Access-Control-Allow-Headers": HEADERS_ALLOWED,
        "Access-Control-Max-Age": "600",
    }
