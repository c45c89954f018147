"""OANDA v20 on loopback: `async with OandaSimulator(settings) as sim: sim.url`.

REST and both chunked streams over the matching engine, bearer tokens, rate limits, faults on
request. The answer to a request is written before its transactions appear on the stream,
unless hostility says otherwise. `python -m brokers.simulators.oanda --help` runs it alone.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from urllib.parse import unquote

from aiohttp import web

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
from brokers.simulators.server import BODY_BYTES_MAX, Server

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

    async def handle(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        """Answers a request."""
        self._requests += 1
        parts = path.split("/")
        access = self._access.get(request.headers.get("Authorization", ""))
        if access is None:
            return self._respond(error_reply(401, UNAUTHORIZED))
        if access.is_too_fast(asyncio.get_running_loop().time()):
            return self._respond(error_reply(429, "Rate limit violation. Too many requests."))
        if parts[1:3] != ["v3", "accounts"] or len(parts) == 3:
            return self._respond(self._answer_outside(request, access, parts, query))
        account = access.accounts.get(parts[3])
        if account is None:
            return self._respond(_refuse_account(parts[3]))
        tail = [unquote(x) if "%" in x else x for x in parts[4:]]
        stamp = unix if request.headers.get("Accept-Datetime-Format") == "UNIX" else rfc3339
        call = Call(account, "", b"", query, stamp)
        if tail[-1:] == ["stream"]:
            found = await self.streams.open(request, call, tail)
            return self._respond(found) if isinstance(found, Reply) else found
        return await self._handle_call(request, call, tail, access)

    async def _handle_call(
        self, request: web.BaseRequest, call: Call, tail: list[str], access: _Access
    ) -> web.StreamResponse:
        method = request.method
        handlers = self._find_route(call, tail)
        if handlers is None:
            return self._respond(error_reply(404, "The path specified does not exist"))
        handler = handlers.get(method)
        if handler is None:
            return self._respond(error_reply(405, "Method Not Allowed"))
        if method in WRITES:
            call.body = await request.read()
            if len(call.body) > BODY_BYTES_MAX:
                return self._respond(error_reply(400, "The request body is too large"))
            if method == "POST":
                self.remember(call.account.id, access.name, call.body)
        fate = self.draw_fate(method)
        return await self.meet_fate(
            request, fate, lambda: self._respond(self._act(handler, call, access))
        )

    def _find_route(self, call: Call, tail: list[str]) -> dict[str, Callable[[Call], Reply]] | None:
        routes = self.dialect.routes
        found = routes.get(tuple(tail))
        if found is not None:
            return found
        if len(tail) < 2:
            return None
        call.spec = tail[1]
        return routes.get((tail[0], "*", *tail[2:]))

    def _act(self, handler: Callable[[Call], Reply], call: Call, access: _Access) -> Reply:
        self.engine.books.by = access.name
        reply = self.dialect.answer(handler, call)
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

    def _answer_outside(
        self, request: web.BaseRequest, access: _Access, parts: list[str], query: str
    ) -> Reply:
        """The paths that name no account."""
        if parts[1:] in (["v3", "accounts"], ["v3", "accounts", ""]):
            if request.method != "GET":
                return error_reply(405, "Method Not Allowed")
            rows = [{"id": name, "tags": []} for name in access.accounts]
            return Reply(200, ENCODER.encode({"accounts": rows}))
        if parts[1:3] == ["v3", "instruments"] and parts[4:] == ["candles"]:
            account = next(iter(access.accounts.values()))
            call = Call(account, parts[3], b"", query, rfc3339)
            if request.method != "GET":
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
