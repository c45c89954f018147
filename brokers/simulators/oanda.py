"""OANDA v20 on loopback: `async with OandaSimulator(settings) as sim: sim.url`.

REST and both chunked streams over the matching engine, bearer tokens, rate limits, faults on
request. The answer to a request is written before its transactions appear on the stream,
unless hostility says otherwise. `python -m brokers.simulators.oanda --help` runs it alone.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from brokers.simulators.book import Account, Quote
from brokers.simulators.bookkeeping import Clocks
from brokers.simulators.candles import Candles
from brokers.simulators.control import Control, count_client_ids
from brokers.simulators.engine import Engine
from brokers.simulators.facts import AnyFact
from brokers.simulators.feed import Feed, MarketClock
from brokers.simulators.hostility import KIND, Fate, Hostility, draw_fate
from brokers.simulators.market_hours import next_roll_ns
from brokers.simulators.oanda_bodies import rfc3339, unix
from brokers.simulators.oanda_dialect import OandaDialect
from brokers.simulators.oanda_replies import ENCODER, Call, Reply, error_reply
from brokers.simulators.oanda_settings import Login, OandaSettings
from brokers.simulators.oanda_streams import OandaStreams
from brokers.simulators.state import StateFile
from brokers.simulators.ticks import Tick, generate, read_aligned, tick_files

__all__ = ["Login", "OandaSettings", "OandaSimulator"]

WRITES = frozenset({"POST", "PUT", "PATCH"})
BODY_BYTES_MAX = 65_536
TIMER_S = 0.25
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


class OandaSimulator:
    """One simulated OANDA. Times come from `now_ns`, luck from the seed."""

    def __init__(
        self,
        settings: OandaSettings | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.settings = settings = settings or OandaSettings()
        self.clock = MarketClock(now_ns, settings.clock == "ticks")
        self.luck = Random(settings.seed)  # noqa: S311 - a simulator's luck is seeded
        self.orders_by_client_id: Counter[str] = Counter()
        self.requests_seen: deque[dict[str, Any]] = deque(maxlen=settings.requests_seen_max)
        self._candles = Candles()
        self._tasks: set[asyncio.Task[None]] = set()
        self._requests = 0
        self.url = self.stream_url = ""
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
        self.player = Feed(settings.feed, self._source, self.feed, self.clock)
        self._control = Control(self)
        self._state = StateFile(Path(settings.state)) if settings.state else None
        self._next_roll_ns = 0
        self.be_hostile(settings.hostility)

    # -- life

    async def __aenter__(self) -> OandaSimulator:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Restores state, starts the market and listens."""
        if self._state is not None:
            self._state.load(self.engine)
        self._next_roll_ns = next_roll_ns(self.clock.market_ns())
        server = web.Server(self._handle, access_log=None, keepalive_timeout=600.0)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.settings.host, self.settings.port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = self.stream_url = f"http://{host}:{port}"
        self._spawn(self._keep_time())
        if self._state is not None:
            self._spawn(self._keep_state(self._state))
        if self.settings.feed.source != "none":
            await self.player.begin()

    async def stop(self) -> None:
        """Stops the market, drops the streams, saves the state."""
        await self.player.stop()
        self.streams.cut_all()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._runner.cleanup()
        if self._state is not None:
            await self._state.save(self.engine)

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep_time(self) -> None:
        """Ends orders and days on time, even while the market is silent."""
        while True:
            await asyncio.sleep(TIMER_S)
            for account in self.engine.accounts.values():
                self.engine.expire(account)
            market_ns = self.clock.market_ns()
            if market_ns >= self._next_roll_ns:
                self._next_roll_ns = next_roll_ns(market_ns)
                self.engine.holdings.charge_financing()

    async def _keep_state(self, state: StateFile) -> None:
        while True:
            await asyncio.sleep(self.settings.state_every_ms / 1000)
            await state.save(self.engine)

    def be_hostile(self, hostility: Hostility) -> None:
        """Sets the faults from now on."""
        self.hostility = self.streams.hostility = hostility
        is_guarded = hostility.unique_client_ids
        self.engine.client_ids = self.settings.engine.client_ids if is_guarded else "off"

    # -- the market

    def _source(self) -> Iterator[Tick]:
        feed = self.settings.feed
        if feed.source == "files":
            return read_aligned(tick_files(Path(feed.ticks or "")))
        start_ns = self.clock.now_ns()
        return generate(self.engine.listings, self.luck, start_ns, feed.gap_ms)

    def feed(self, tick: Tick) -> None:
        """Takes one tick into the market; unknown instruments are ignored."""
        listing = self.engine.listings.get(tick.instrument)
        if listing is None:
            return
        self.clock.saw(tick.at_ns)
        self.engine.quote(
            Quote(
                instrument=tick.instrument,
                bid=tick.bid.quantize(listing.tick),
                ask=tick.ask.quantize(listing.tick),
                at_ns=self.clock.now_ns() if self.settings.restamp else tick.at_ns,
                bid_left=tick.bid_size,
                ask_left=tick.ask_size,
            )
        )

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

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if path.startswith("/sim/"):
            return await self._handle_control(request, path)
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
                self._remember(call, access)
        hostility = self.hostility
        fate = KIND if hostility.is_kind else draw_fate(hostility, self.luck, method in WRITES)
        return await self._meet_fate(request, fate, lambda: self._act(handler, call, access))

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

    async def _meet_fate(
        self, request: web.BaseRequest, fate: Fate, act: Callable[[], Reply]
    ) -> web.StreamResponse:
        if fate is KIND and not self.hostility.stream_first:
            return self._respond(act())
        if fate.late_ms is not None:
            asyncio.get_running_loop().call_later(fate.late_ms / 1000, act)
        reply = act() if fate.applied else error_reply(503, "Service Unavailable")
        if fate.delay_ms:
            await asyncio.sleep(fate.delay_ms / 1000)
        if self.hostility.stream_first:
            # Let the stream's task write before this answer is written.
            for _ in range(3):
                await asyncio.sleep(0)
        if fate.lost:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return self._respond(error_reply(502, "Bad Gateway") if fate.failed else reply)

    def _respond(self, reply: Reply) -> web.Response:
        return web.Response(
            body=reply.body,
            status=reply.status,
            headers={"Content-Type": "application/json", "RequestID": str(self._requests)},
        )

    def _remember(self, call: Call, access: _Access) -> None:
        self.requests_seen.append(
            {
                "at_ns": self.clock.now_ns(),
                "monotonic_ns": time.monotonic_ns(),
                "account": call.account.id,
                "by": access.name,
                "body": call.body.decode("utf-8", "replace"),
            }
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

    async def _handle_control(self, request: web.BaseRequest, path: str) -> web.Response:
        if "Origin" in request.headers:
            # No web page has business here.
            return web.Response(status=403)
        status, body = await self._control.answer(request.method, path, await request.read())
        return web.Response(status=status, body=body, content_type="application/json")


def _refuse_account(name: str) -> Reply:
    """An account id that is none, or that this token may not see."""
    groups = name.split("-")
    if len(groups) != 4 or not all(x.isdigit() for x in groups):
        return error_reply(400, "Invalid value specified for 'accountID'")
    return error_reply(403, UNAUTHORIZED)


if __name__ == "__main__":
    from brokers.simulators.serve import main

    sys.exit(main())
