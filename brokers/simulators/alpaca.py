"""Alpaca on loopback: `async with AlpacaSimulator(settings) as sim: sim.url`.

Trading REST v2, the trade_updates stream, market data over REST and WebSockets, all on one
port, over the netting engine; keys, rate limits, faults on request.
`python -m brokers.simulators.alpaca --help` runs it alone.
"""

from __future__ import annotations

import asyncio
import heapq
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from hmac import compare_digest
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import msgspec
from aiohttp import web
from msgspec.structs import replace

from brokers.simulators.alpaca_data import FEEDS, DataStreams, LatestData
from brokers.simulators.alpaca_dialect import AlpacaDialect, Handler
from brokers.simulators.alpaca_listings import ALIASES
from brokers.simulators.alpaca_replies import (
    ENCODER,
    INTERNAL,
    TOO_MANY,
    UNAUTHORIZED,
    Call,
    Refused,
    Reply,
    not_found,
    refusal_reply,
)
from brokers.simulators.alpaca_settings import AlpacaLogin, AlpacaSettings
from brokers.simulators.alpaca_tape import HALTED, RESTRICTED, RESUMED, Tape, band, status
from brokers.simulators.alpaca_trade_stream import TradeStream
from brokers.simulators.alpaca_words import execution_ids, order_ids
from brokers.simulators.book import Account, Listing, Order, Quote
from brokers.simulators.bookkeeping import Clocks
from brokers.simulators.control import count_client_ids
from brokers.simulators.facts import AnyFact
from brokers.simulators.hostility import Hostility
from brokers.simulators.market_hours import NS, next_roll_ns
from brokers.simulators.netting_engine import NetEngine
from brokers.simulators.plain_http import BODY_BYTES_MAX
from brokers.simulators.server import WRITES, Server
from brokers.simulators.ticks import Tick, generate, read_aligned, tick_files

__all__ = ["AlpacaLogin", "AlpacaSettings", "AlpacaSimulator"]

MINUTE_S = 60
UNLIMITED = 1_000_000
NO_ACCESS = Refused(401, UNAUTHORIZED, "request is not authorized")
NO_PATH = not_found("endpoint not found")


class BandBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The prices a stock may trade between."""

    symbol: str
    low: Decimal
    high: Decimal


class _Access:
    """A key, its account, and how many requests its minute has left."""

    def __init__(self, login: AlpacaLogin, account: Account, limit: int | None) -> None:
        self.login = login
        self.account = account
        self._limit = limit or UNLIMITED
        self._used = 0
        self._minute = 0

    def is_too_fast(self, now_ns: int) -> bool:
        """Takes one request; True where the minute has none left."""
        minute = now_ns // NS // MINUTE_S
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += 1
        return self._used > self._limit

    def headers(self) -> dict[str, str]:
        """What the client is told of its limit."""
        return {
            "X-RateLimit-Limit": str(self._limit),
            "X-RateLimit-Remaining": str(max(0, self._limit - self._used)),
            "X-RateLimit-Reset": str((self._minute + 1) * MINUTE_S),
        }


class _Streams:
    """All WebSockets, as the server knows them."""

    def __init__(self, trades: TradeStream, data: DataStreams) -> None:
        self._parts = (trades, data)

    @property
    def count(self) -> int:
        """How many are open."""
        return sum(x.count for x in self._parts)

    @property
    def hostility(self) -> Hostility:
        """The faults that hold."""
        return self._parts[0].hostility

    @hostility.setter
    def hostility(self, hostility: Hostility) -> None:
        for part in self._parts:
            part.hostility = hostility

    def cut_all(self) -> None:
        """Ends them all."""
        for part in self._parts:
            part.cut_all()


class AlpacaSimulator(Server):
    """One simulated Alpaca. Times come from `now_ns`, luck from the seed."""

    engine: NetEngine
    streams: _Streams

    def __init__(
        self,
        settings: AlpacaSettings | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.settings = settings = settings or AlpacaSettings()
        super().__init__(settings, now_ns)
        clocks = Clocks(now_ns, self.clock.market_ns)
        self._events: list[dict[str, Any]] = []
        # The engine tells of its accounts' creation while it is made: the streams come after.
        self._trades: TradeStream | None = None
        self.engine = NetEngine(settings.engine, clocks, self._tell, self._tell_quote)
        self.engine.note = self._note
        self.tape = Tape(self.engine.listings, self.engine.quotes)
        # Ids are new in every run; the market's luck is the seed's alone.
        self._id_luck = Random(f"{settings.seed} {now_ns()}")  # noqa: S311 - names, no secrets
        self.dialect = AlpacaDialect(self.engine, settings, self._id_luck)
        if settings.venue_ms:
            self.dialect.later = self._later
        self._latest = LatestData(self.engine, self.tape)
        self._trades = TradeStream(settings, self._authorize, self.luck)
        self._data = DataStreams(settings, self.engine, self._authorize, self.luck)
        self.streams = _Streams(self._trades, self._data)
        self._access = {x.key_id: self._access_of(x) for x in settings.logins}
        self._next_roll_ns = 0
        self.add_control("/sim/halts", self._halt)
        self.add_control("/sim/bands", self._band)
        self.add_control("/sim/restrictions", self._restrict)
        self.add_control("/sim/volumes", self._volume)
        self.be_hostile(settings.hostility)

    def _access_of(self, login: AlpacaLogin) -> _Access:
        accounts = self.engine.accounts
        account = accounts[login.account] if login.account else next(iter(accounts.values()))
        return _Access(login, account, self.settings.requests_per_min)

    def _later(self, act: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(self.settings.venue_ms / 1000, act)

    def order_name(self, account: Account, number: int) -> str:
        """The UUID of an order."""
        return order_ids(account).of(number)

    def fill_name(self, account: Account, number: int) -> str:
        """The UUID of an execution."""
        return execution_ids(account).of(number)

    def keep_time(self) -> None:
        """Opens and closes the day, ends orders on time, and keeps the day's last values."""
        if not self._next_roll_ns:
            self.engine.finish_pending()
        self.engine.watch_session()
        for account in self.engine.accounts.values():
            self.engine.expire(account)
        market_ns = self.clock.market_ns()
        if market_ns >= self._next_roll_ns:
            if self._next_roll_ns:
                self._keep_last()
            self._next_roll_ns = next_roll_ns(market_ns)

    def _keep_last(self) -> None:
        views, purse = self.dialect.views, self.engine.purse
        for account in self.engine.accounts.values():
            views.last_equity[account.id] = purse.funds(account).equity
        views.last_price = {x: quote.mid for x, quote in self.engine.quotes.items()}

    # -- the market

    def take_quote(self, quote: Quote) -> None:
        """Gives a new touch to the engine."""
        self.engine.quote(quote)

    def feed(self, tick: Tick) -> None:
        """Takes one tick into the market, under the name it is listed by."""
        name = ALIASES.get(tick.instrument)
        super().feed(tick if name is None else replace(tick, instrument=name))

    def _source(self) -> Iterator[Tick]:
        """Recorded ticks, again and again, beside generated ones of what is not recorded."""
        feed = self.settings.feed
        if feed.source != "files":
            return super()._source()
        paths = tick_files(Path(feed.ticks or ""))
        recorded = {ALIASES.get(x.instrument, x.instrument) for x in read_aligned(paths)}
        rest = {x: y for x, y in self.engine.listings.items() if x not in recorded}
        first = next(read_aligned(paths))
        made = generate(rest, self.luck, first.at_ns, feed.gap_ms) if rest else iter(())
        return heapq.merge(_again(paths), made, key=lambda tick: tick.at_ns)

    def _tell_quote(self, quote: Quote) -> None:
        if quote.instrument in self.engine.halted:
            return  # exchanges withdraw their quotes
        points = self.tape.take(quote)
        self._data.tell(self.engine.listings[quote.instrument], points)

    def _halt(self, asked: dict[str, Any]) -> Any:
        """POST /sim/halts: halts or resumes one symbol."""
        listing, is_halted = self._listing_of(asked), bool(asked.get("halted", True))
        (self.engine.halted.add if is_halted else self.engine.halted.discard)(listing.symbol)
        self._say(listing, HALTED if is_halted else RESUMED)
        return {"halted": sorted(self.engine.halted)}

    def _band(self, asked: dict[str, Any]) -> Any:
        """POST /sim/bands: publishes the prices one stock may trade between."""
        listing = self._listing_of(asked)
        body = msgspec.convert(asked, BandBody, strict=False)
        if not 0 < body.low < body.high:
            raise ValueError("low: must be above zero and below high")
        told = band(listing.symbol, body.low, body.high, self.clock.now_ns())
        self._data.tell(listing, [told])
        return asked

    def _restrict(self, asked: dict[str, Any]) -> Any:
        """POST /sim/restrictions: says that Rule 201 restricts short sales of one stock."""
        self._say(self._listing_of(asked), RESTRICTED)
        return asked

    def _volume(self, asked: dict[str, Any]) -> Any:
        """POST /sim/volumes: publishes a daily bar of one stock, with that volume."""
        listing = self._listing_of(asked)
        volume = msgspec.convert(asked.get("volume"), int, strict=False)
        self._data.tell(listing, [self.tape.bar(listing.symbol, volume)])
        return asked

    def _listing_of(self, asked: dict[str, Any]) -> Listing:
        listing = self.engine.listings.get(str(asked.get("symbol")))
        if listing is None:
            raise ValueError("symbol: name one that is listed")
        return listing

    def _say(self, listing: Listing, words: dict[str, str]) -> None:
        self._data.tell(listing, [status(listing.symbol, words, self.clock.now_ns())])

    # -- what happens to orders

    def _note(self, account: Account, order: Order, fact: AnyFact) -> None:
        if self._trades is None or not self._trades.is_heard(account):
            return
        event = self.dialect.views.event(account, order, fact)
        if event is not None:
            self._events.append(event)

    def _tell(self, account: Account, act: list[AnyFact]) -> None:
        count_client_ids(act, self.orders_by_client_id)
        if len(self.orders_by_client_id) > self.settings.client_ids_max:
            self.orders_by_client_id.clear()
        events, self._events = self._events, []
        if self._trades is not None:
            self._trades.tell(account, events)

    # -- requests

    def _authorize(self, key_id: str, secret: str) -> Account | None:
        access = self._find_access(key_id, secret)
        return None if access is None else access.account

    def _find_access(self, key_id: str, secret: str) -> _Access | None:
        access = self._access.get(key_id)
        if access is None or not compare_digest(access.login.secret.encode(), secret.encode()):
            return None
        return access

    async def handle(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        """Answers a request, or opens a WebSocket."""
        key_id = request.headers.get("APCA-API-KEY-ID", "")
        access = self._find_access(key_id, request.headers.get("APCA-API-SECRET-KEY", ""))
        account = access.account if access is not None else None
        parts = tuple(unquote(x) for x in path.split("/")[1:])
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._open_stream(request, parts, account)
        if access is None:
            return self._respond(refusal_reply(NO_ACCESS), {})
        if access.is_too_fast(self.clock.now_ns()):
            refused = Refused(429, TOO_MANY, "rate limit exceeded")
            return self._respond(refusal_reply(refused), access.headers())
        call = Call(access.account, query=query)
        methods = self._find_route(parts, call)
        handler = methods.get(request.method)
        if handler is None:
            refused = NO_PATH if not methods else Refused(405, 40510000, "method not allowed")
            return self._respond(refusal_reply(refused), access.headers())
        return await self._handle_call(request, call, access, handler)

    async def _handle_call(
        self, request: web.BaseRequest, call: Call, access: _Access, handler: Handler
    ) -> web.StreamResponse:
        if request.method in WRITES:
            call.body = await request.read()
            if len(call.body) > BODY_BYTES_MAX:
                return self.trouble(413, "request body is too large")
            if request.method == "POST":
                self.remember(call.account.id, access.login.name, call.body)
        fate = self.draw_fate(request.method)
        return await self.meet_fate(
            request, fate, lambda: self._respond(self._act(handler, call, access), access.headers())
        )

    async def _open_stream(
        self, request: web.BaseRequest, parts: tuple[str, ...], account: Account | None
    ) -> web.StreamResponse:
        if parts == ("stream",):
            assert self._trades is not None
            return await self._trades.open(request, account)
        feed = FEEDS.get(parts)
        if feed is None:
            return self._respond(refusal_reply(NO_PATH), {})
        return await self._data.open(request, feed, account)

    def _find_route(self, parts: tuple[str, ...], call: Call) -> dict[str, Handler]:
        if parts[0] == "v2" and (found := self.dialect.routes.get(parts[1:])) is not None:
            return found
        latest = self._latest.routes.get(parts)
        if latest is not None:
            return {"GET": latest}
        if len(parts) == 5 and parts[:2] == ("v2", "stocks"):
            call.spec = parts[2]
            latest = self._latest.routes.get((*parts[:2], "*", *parts[3:]))
            return {} if latest is None else {"GET": latest}
        # A coin's name may come with its stroke.
        size = 3 if parts[1:2] == ("account",) else 2
        call.spec = "/".join(parts[size:])
        return self.dialect.routes.get((*parts[1:size], "*"), {}) if call.spec else {}

    def _act(self, handler: Handler, call: Call, access: _Access) -> Reply:
        self.engine.books.by = access.login.name
        reply = self.dialect.answer(handler, call)
        self.engine.books.by = ""
        return reply

    def trouble(self, status: int, message: str) -> web.Response:
        """Alpaca's body for a failure of its own."""
        body = ENCODER.encode({"code": INTERNAL, "message": message})
        return self._respond(Reply(status, body), {})

    def _respond(self, reply: Reply, headers: dict[str, str]) -> web.Response:
        name = UUID(int=self._id_luck.getrandbits(128), version=4).hex
        kind = {"Content-Type": "application/json"} if reply.body else {}
        return web.Response(
            body=reply.body or None,
            status=reply.status,
            headers={"X-Request-ID": name, **kind, **headers},
        )


def _again(paths: list[Path]) -> Iterator[Tick]:
    """The recorded ticks for ever, each round a second after the last."""
    shift_ns = 0
    while True:
        first_ns = last_ns = None
        for tick in read_aligned(paths):
            first_ns = tick.at_ns if first_ns is None else first_ns
            last_ns = tick.at_ns
            yield replace(tick, at_ns=tick.at_ns + shift_ns)
        if first_ns is None or last_ns is None:
            return
        shift_ns += last_ns - first_ns + NS


if __name__ == "__main__":
    from brokers.simulators.serve import main

    sys.exit(main(name="alpaca"))
