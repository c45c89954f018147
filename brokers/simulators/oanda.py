"""OANDA v20 on loopback: `async with OandaSimulator(settings) as sim: sim.url`.

REST and both chunked streams over the matching engine, bearer tokens, rate limits, faults on
request. The answer to a request is written before its transactions appear on the stream,
unless hostility says otherwise. `python -m brokers.simulators.oanda --help` runs it alone.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from urllib.parse import unquote

from aiohttp import web
from msgspec import Struct

from brokers.simulators.book import Account, Quote
from brokers.simulators.bookkeeping import Clocks
from brokers.simulators.candles import Candles
from brokers.simulators.control import count_client_ids
from brokers.simulators.engine import Engine
from brokers.simulators.facts import AnyFact
from brokers.simulators.market_hours import next_roll_ns
from brokers.simulators.oanda_bodies import rfc3339, unix
from brokers.simulators.oanda_dialect import OandaDialect
from brokers.simulators.oanda_replies import ENCODER, Call, Reply, error_reply
from brokers.simulators.oanda_settings import Login, OandaSettings
from brokers.simulators.oanda_streams import OandaStreams
from brokers.simulators.plain_http import BODY_BYTES_MAX, Asked, status_line
from brokers.simulators.server import Server

__all__ = ["Login", "OandaSettings", "OandaSimulator"]

WRITES = frozenset({"POST", "PUT", "PATCH"})
UNAUTHORIZED = "Insufficient authorization to perform request."


class _Access:
    """What one login may reach, and how fast it asks."""

    def __init__(self, login: Login, accounts: dict[str, Account], limit: int | None) -> None:
        self.name = login.name
        names = login.accounts or tuple(accounts)
        self.accounts = {name: accounts[name] for name in names}
        self._limit = limit
        self._left = float(limit or 0)
        self._at = 0.0

    def is_too_fast(self, now: float) -> bool:
        """Takes one request from the bucket; True where it is empty."""
        if self._limit is None:
            return False
        self._left = min(float(self._limit), self._left + (now - self._at) * self._limit)
        self._at = now
        if self._left < 1.0:
            return True
        self._left -= 1.0
        return False


class _Known(Struct):
    """A request that names what it wants; a stream has no handler."""

    call: Call
    access: _Access
    tail: list[str]
    handler: Callable[[Call], Reply] | None = None


class OandaSimulator(Server):
    """One simulated OANDA. Times come from `now_ns`, luck from the seed."""

    engine: Engine
    streams: OandaStreams

    def __init__(
        self,
        settings: OandaSettings | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.settings = settings = settings or OandaSettings()
        super().__init__(settings, now_ns)
        self._candles = Candles()
        self._requests = 0
        clocks = Clocks(now_ns, self.clock.market_ns)
        # The engine tells of its accounts' creation while it is made: the streams come after.
        self._streams: OandaStreams | None = None
        self.engine = Engine(settings.engine, clocks, self._tell, self._tell_quote)
        self.dialect = OandaDialect(self.engine, self._candles, lambda: self.url)
        self.streams = OandaStreams(settings, self.dialect.reads, self.luck, now_ns)
        self._streams = self.streams
        self._access = {
            f"Bearer {x.token}": _Access(x, self.engine.accounts, settings.requests_per_s)
            for x in settings.logins
        }
        self._next_roll_ns = 0
        self.be_hostile(settings.hostility)

    def keep_time(self) -> None:
        """Ends orders on time, and the day at its roll."""
        for account in self.engine.accounts.values():
            self.engine.expire(account)
        market_ns = self.clock.market_ns()
        if market_ns >= self._next_roll_ns:
            if self._next_roll_ns:
                self.engine.holdings.charge_financing()
            self._next_roll_ns = next_roll_ns(market_ns)

    # -- the market

    def take_quote(self, quote: Quote) -> None:
        """Gives a new touch to the engine."""
        self.engine.quote(quote)

    def _tell_quote(self, quote: Quote) -> None:
        if self.settings.candles:
            self._candles.add(quote)
        self.streams.tell_quote(quote)

    def _tell(self, account: Account, act: list[AnyFact]) -> None:
        if self._streams is None:
            return
        raws = self.dialect.render(account, act)
        count_client_ids(act, self.orders_by_client_id)
        if len(self.orders_by_client_id) > self.settings.client_ids_max:
            self.orders_by_client_id.clear()
        self._streams.tell_act(account, act, [bytes(x) for x in raws])

    # -- requests

    def answer(self, asked: Asked) -> bytes | None:
        """Answers a request at once; a stream is nothing for that."""
        if asked.path.endswith("/stream"):
            return None
        found = self._look(asked.method, asked.path, asked.query, asked.headers)
        if isinstance(found, _Known):
            if found.handler is None:
                return None
            found = self._take_body(found, asked.method, asked.body) or self._act(found)
        head = (
            f"{status_line(found.status)}RequestID: {self._requests}\r\n"
            f"Content-Length: {len(found.body)}\r\n\r\n"
        )
        return head.encode("ascii") + found.body

    async def handle(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        """Answers a request, or opens a stream."""
        method = request.method
        found = self._look(method, path, query, request.headers)
        if isinstance(found, Reply):
            return self._respond(found)
        if found.handler is None:
            opened = await self.streams.open(request, found.call, found.tail)
            return self._respond(opened) if isinstance(opened, Reply) else opened
        body = await request.read() if method in WRITES else b""
        refusal = self._take_body(found, method, body)
        if refusal is not None:
            return self._respond(refusal)
        fate = self.draw_fate(method)
        return await self.meet_fate(request, fate, lambda: self._respond(self._act(found)))

    def _look(
        self, method: str, path: str, query: str, headers: Mapping[str, str]
    ) -> Reply | _Known:
        """What is asked, or why it is refused. Header names may be of either case."""
        self._requests += 1
        parts = path.split("/")
        access = self._access.get(headers.get("authorization", ""))
        if access is None:
            return error_reply(401, UNAUTHORIZED)
        if access.is_too_fast(asyncio.get_running_loop().time()):
            return error_reply(429, "Rate limit violation. Too many requests.")
        if parts[1:3] != ["v3", "accounts"] or len(parts) == 3:
            return self._answer_outside(method, access, parts, query)
        account = access.accounts.get(parts[3])
        if account is None:
            return _refuse_account(parts[3])
        tail = [unquote(x) if "%" in x else x for x in parts[4:]]
        stamp = unix if headers.get("accept-datetime-format") == "UNIX" else rfc3339
        known = _Known(Call(account, "", b"", query, stamp), access, tail)
        if tail[-1:] == ["stream"]:
            return known
        handlers = self._find_route(known.call, tail)
        if handlers is None:
            return error_reply(404, "The path specified does not exist")
        known.handler = handlers.get(method)
        return known if known.handler is not None else error_reply(405, "Method Not Allowed")

    def _take_body(self, known: _Known, method: str, body: bytes) -> Reply | None:
        """Why it cannot be taken; None where it was."""
        if method not in WRITES:
            return None
        if len(body) > BODY_BYTES_MAX:
            return error_reply(400, "The request body is too large")
        known.call.body = body
        if method == "POST":
            self.remember(known.call.account.id, known.access.name, body)
        return None

    def _find_route(self, call: Call, tail: list[str]) -> dict[str, Callable[[Call], Reply]] | None:
        routes = self.dialect.routes
        found = routes.get(tuple(tail))
        if found is not None:
            return found
        if len(tail) < 2:
            return None
        call.spec = tail[1]
        return routes.get((tail[0], "*", *tail[2:]))

    def _act(self, known: _Known) -> Reply:
        assert known.handler is not None
        self.engine.books.by = known.access.name
        reply = self.dialect.answer(known.handler, known.call)
        self.engine.books.by = ""
        return reply

    def trouble(self, status: int, message: str) -> web.Response:
        """OANDA's body for a failure of its own."""
        return self._respond(error_reply(status, message))

    def _respond(self, reply: Reply) -> web.Response:
        return web.Response(
            body=reply.body,
            status=reply.status,
            headers={"Content-Type": "application/json", "RequestID": str(self._requests)},
        )

    def _answer_outside(self, method: str, access: _Access, parts: list[str], query: str) -> Reply:
        """The paths that name no account."""
        if parts[1:] in (["v3", "accounts"], ["v3", "accounts", ""]):
            if method != "GET":
                return error_reply(405, "Method Not Allowed")
            rows = [{"id": name, "tags": []} for name in access.accounts]
            return Reply(200, ENCODER.encode({"accounts": rows}))
        if parts[1:3] == ["v3", "instruments"] and parts[4:] == ["candles"]:
            account = next(iter(access.accounts.values()))
            call = Call(account, parts[3], b"", query, rfc3339)
            if method != "GET":
                return error_reply(405, "Method Not Allowed")
            return self.dialect.answer(
                lambda asked: self.dialect.reads.candles(
                    asked.spec, asked.parameters(), asked.stamp
                ),
                call,
            )
        return error_reply(404, "The path specified does not exist")


def _refuse_account(name: str) -> Reply:
    """An account id that is none, or that this token may not see."""
    groups = name.split("-")
    if len(groups) != 4 or not all(x.isdigit() for x in groups):
        return error_reply(400, "Invalid value specified for 'accountID'")
    return error_reply(403, UNAUTHORIZED)


if __name__ == "__main__":
    from brokers.simulators.serve import main

    sys.exit(main())
