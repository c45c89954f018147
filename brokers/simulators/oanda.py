"""OANDA v20 on loopback: `async with OandaSimulator(settings) as sim: sim.url`.

REST and both chunked streams over the matching engine, bearer tokens, rate limits, faults on
request. The answer to a request is written before its transactions appear on the stream,
unless hostility says otherwise. `python -m brokers.simulators.oanda --help` runs it alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Literal
from urllib.parse import unquote

from aiohttp import web
from msgspec import Struct

from brokers.simulators.book import Account, Quote
from brokers.simulators.bookkeeping import Clocks
from brokers.simulators.candles import Candles
from brokers.simulators.control import Control, count_client_ids
from brokers.simulators.engine import Engine, EngineSettings
from brokers.simulators.facts import AnyFact
from brokers.simulators.feed import Feed, FeedSettings, MarketClock
from brokers.simulators.hostility import KIND, Fate, Hostility, disturb, draw_fate
from brokers.simulators.market_hours import next_roll_ns
from brokers.simulators.oanda_bodies import BadRequest, rfc3339, unix
from brokers.simulators.oanda_dialect import OandaDialect
from brokers.simulators.oanda_replies import ENCODER, Call, Reply, error_reply
from brokers.simulators.oanda_views import Stamp, transaction
from brokers.simulators.state import StateFile
from brokers.simulators.streams import Listener
from brokers.simulators.ticks import Tick, generate, read_aligned, tick_files

NS = 1_000_000_000
WRITES = frozenset({"POST", "PUT", "PATCH"})
BODY_BYTES_MAX = 65_536
TIMER_S = 0.25
UNAUTHORIZED = "Insufficient authorization to perform request."


class Login(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bearer token and the accounts it opens (none named: all). `name` shows in the book."""

    token: str = "paper-token"  # noqa: S105 - a simulator's
    name: str = "paper"
    accounts: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Login(name={self.name!r}, token=<secret>)"


class OandaSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of the simulator. `clock` says by whose time the hours are kept."""

    host: str = "127.0.0.1"
    port: int = 0
    engine: EngineSettings = EngineSettings()
    logins: tuple[Login, ...] = (Login(),)
    feed: FeedSettings = FeedSettings()
    hostility: Hostility = Hostility()
    clock: Literal["wall", "ticks"] = "wall"
    restamp: bool = True
    seed: int = 7
    heartbeat_ms: int = 5_000
    requests_per_s: int | None = None
    streams_max: int = 20
    requests_seen_max: int = 100_000
    client_ids_max: int = 1_000_000
    state: str | None = None
    state_every_ms: int = 1_000
    candles: bool = True

    def __post_init__(self) -> None:
        if not self.logins or len({x.token for x in self.logins}) != len(self.logins):
            raise ValueError("logins: one at least, and no token twice")
        known = {x.id for x in self.engine.accounts}
        for login in self.logins:
            if unknown := set(login.accounts) - known:
                raise ValueError(f"logins: {login.name} names unknown accounts {sorted(unknown)}")
        if self.heartbeat_ms <= 0 or self.state_every_ms <= 0:
            raise ValueError("heartbeat_ms and state_every_ms: must be above zero")
        if self.requests_per_s is not None and self.requests_per_s <= 0:
            raise ValueError("requests_per_s: must be above zero, or absent")


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


class _Subscription(Struct):
    """An open stream and what it is about."""

    listener: Listener
    account: Account
    stamp: Stamp
    instruments: frozenset[str] | None = None


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
        self._subscriptions: dict[int, _Subscription] = {}
        self.orders_by_client_id: Counter[str] = Counter()
        self.requests_seen: deque[dict[str, Any]] = deque(maxlen=settings.requests_seen_max)
        self._candles = Candles()
        self._is_serving = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._requests = 0
        self.url = self.stream_url = ""
        self.hostility = Hostility()
        clocks = Clocks(now_ns, self.clock.market_ns)
        # The engine tells of its accounts' creation while it is made: the dialect comes after.
        self._dialect: OandaDialect | None = None
        self.engine = Engine(settings.engine, clocks, self._tell, self._tell_quote)
        self.dialect = self._dialect = OandaDialect(self.engine, self._candles, lambda: self.url)
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
        self._is_serving = True
        self._spawn(self._keep_time())
        if self._state is not None:
            self._spawn(self._keep_state(self._state))
        if self.settings.feed.source != "none":
            self.player.start()
            await self.player.has_begun.wait()

    async def stop(self) -> None:
        """Stops the market, drops the streams, saves the state."""
        self._is_serving = False
        await self.player.stop()
        for subscription in list(self._subscriptions.values()):
            subscription.listener.cut()
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
        self.hostility = hostility
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
        lines: dict[Stamp, bytes] = {}
        for subscription in self._subscriptions.values():
            wanted = subscription.instruments
            if wanted is None or quote.instrument not in wanted:
                continue
            stamp = subscription.stamp
            if stamp not in lines:
                lines[stamp] = self.dialect.reads.price_line(quote.instrument, stamp) or b""
            self._tell_line(subscription, lines[stamp])

    # -- the event stream

    def _tell(self, account: Account, act: list[AnyFact]) -> None:
        if self._dialect is None:
            return
        raws = self._dialect.render(account, act)
        count_client_ids(act, self.orders_by_client_id)
        if len(self.orders_by_client_id) > self.settings.client_ids_max:
            self.orders_by_client_id.clear()
        if not self._is_serving or not self._subscriptions:
            return
        lines = [bytes(x) for x in raws]
        if self.hostility.stream_first:
            self._publish(account, act, lines)
        else:
            asyncio.get_running_loop().call_soon(self._publish, account, act, lines)

    def _publish(self, account: Account, act: list[AnyFact], lines: list[bytes]) -> None:
        for subscription in self._subscriptions.values():
            if subscription.instruments is not None or subscription.account is not account:
                continue
            own = lines
            if subscription.stamp is not rfc3339:
                own = [ENCODER.encode(transaction(account, x, subscription.stamp)) for x in act]
            for line in disturb(self.hostility, self.luck, own):
                self._tell_line(subscription, line)

    def _tell_line(self, subscription: _Subscription, line: bytes) -> None:
        if self.hostility.cut_stream and self.luck.random() < self.hostility.cut_stream:
            subscription.listener.cut()
        else:
            subscription.listener.tell(line)

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
            return await self._stream(request, call, tail)
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

    # -- streams

    async def _stream(
        self, request: web.BaseRequest, call: Call, tail: list[str]
    ) -> web.StreamResponse:
        if request.method != "GET":
            return self._respond(error_reply(405, "Method Not Allowed"))
        if len(self._subscriptions) >= self.settings.streams_max:
            return self._respond(error_reply(429, "Too many streams"))
        if tail == ["transactions", "stream"]:
            return await self._run(request, _Subscription(Listener(), call.account, call.stamp))
        if tail != ["pricing", "stream"]:
            return self._respond(error_reply(404, "The path specified does not exist"))
        wanted = call.parameters()
        try:
            names = self.dialect.reads.priced(wanted.get("instruments"))
        except BadRequest as error:
            return self._respond(error_reply(400, str(error)))
        subscription = _Subscription(Listener(), call.account, call.stamp, frozenset(names))
        if wanted.get("snapshot", "true").lower() != "false":
            for name in names:
                line = self.dialect.reads.price_line(name, call.stamp)
                if line is not None:
                    subscription.listener.tell(line)
        return await self._run(request, subscription)

    async def _run(
        self, request: web.BaseRequest, subscription: _Subscription
    ) -> web.StreamResponse:
        key = id(subscription)
        self._subscriptions[key] = subscription
        try:
            with contextlib.suppress(ConnectionError):
                return await subscription.listener.run(
                    request,
                    lambda: self._heartbeat(subscription),
                    self.settings.heartbeat_ms / 1000,
                )
            return web.Response()
        finally:
            del self._subscriptions[key]

    def _heartbeat(self, subscription: _Subscription) -> bytes:
        beat = {"type": "HEARTBEAT", "time": subscription.stamp(self.clock.now_ns())}
        if subscription.instruments is None:
            beat["lastTransactionID"] = str(subscription.account.last_id)
        return ENCODER.encode(beat)


def _refuse_account(name: str) -> Reply:
    """An account id that is none, or that this token may not see."""
    groups = name.split("-")
    if len(groups) != 4 or not all(x.isdigit() for x in groups):
        return error_reply(400, "Invalid value specified for 'accountID'")
    return error_reply(403, UNAUTHORIZED)


if __name__ == "__main__":
    from brokers.simulators.serve import main

    sys.exit(main())
