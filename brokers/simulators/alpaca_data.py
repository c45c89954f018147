"""The simulated Alpaca's market data: the latest over REST, and everything over WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from aiohttp import web
from msgspec import Struct, field

from brokers.simulators.alpaca_listings import is_crypto
from brokers.simulators.alpaca_replies import Call, Reply, invalid
from brokers.simulators.alpaca_settings import AlpacaSettings
from brokers.simulators.alpaca_sockets import TEXT_CODEC, Codec, Peer, codec_for
from brokers.simulators.alpaca_tape import Point, Tape
from brokers.simulators.book import Account, Listing
from brokers.simulators.hostility import Hostility
from brokers.simulators.netting_engine import NetEngine

CRYPTO = "crypto"
FEEDS = {
    ("v2", "iex"): "iex",
    ("v2", "sip"): "sip",
    ("v1beta3", "crypto", "us"): CRYPTO,
}
"""Which feed a stream's path asks for."""
CHANNELS = {"q": "quotes", "t": "trades", "s": "statuses", "l": "lulds", "d": "dailyBars"}
OF_CRYPTO = ("trades", "quotes")
ERRORS = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    408: "v2 not enabled",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
}
Authorize = Callable[[str, str], "Account | None"]


class _Follower(Struct):
    """A connection and what it follows."""

    peer: Peer
    feed: str
    account: Account | None = None
    wanted: dict[str, set[str]] = field(default_factory=dict)

    def fits(self, point: Point) -> bool:
        """True where it follows the point."""
        names = self.wanted.get(CHANNELS[point["T"]])
        return names is not None and ("*" in names or point["S"] in names)


class DataStreams:
    """Open market data connections."""

    def __init__(
        self, settings: AlpacaSettings, engine: NetEngine, authorize: Authorize, luck: Random
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._authorize = authorize
        self._luck = luck
        self._followers: dict[int, _Follower] = {}
        self.hostility = Hostility()

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._followers)

    def cut_all(self) -> None:
        """Ends them all."""
        for follower in self._followers.values():
            follower.peer.cut()

    # -- connections

    async def open(
        self, request: web.BaseRequest, feed: str, account: Account | None
    ) -> web.StreamResponse:
        """Serves a connection; its headers may have said for which account."""
        follower = _Follower(Peer(codec_for(request), is_binary=False), feed)
        follower.peer.tell([{"T": "success", "msg": "connected"}])
        self._followers[id(follower)] = follower
        timer = asyncio.get_running_loop().call_later(
            self._settings.auth_timeout_ms / 1000, self._check_authorized, follower
        )
        if account is not None:
            self._admit(follower, account)
        try:
            return await follower.peer.run(request, lambda heard: self._hear(follower, heard))
        finally:
            timer.cancel()
            del self._followers[id(follower)]

    def _check_authorized(self, follower: _Follower) -> None:
        if follower.account is None:
            _refuse(follower, 404, is_end=True)

    def _hear(self, follower: _Follower, message: dict[str, Any] | None) -> None:
        action = message.get("action") if message is not None else None
        if message is None or action not in ("auth", "subscribe", "unsubscribe"):
            _refuse(follower, 400)
        elif action == "auth":
            self._log_in(follower, str(message.get("key")), str(message.get("secret")))
        elif follower.account is None:
            _refuse(follower, 401)
        else:
            self._subscribe(follower, message, is_more=action == "subscribe")

    def _log_in(self, follower: _Follower, key: str, secret: str) -> None:
        if follower.account is not None:
            _refuse(follower, 403)
            return
        account = self._authorize(key, secret)
        if account is None:
            _refuse(follower, 402, is_end=True)
        else:
            self._admit(follower, account)

    def _admit(self, follower: _Follower, account: Account) -> None:
        if follower.feed not in (*self._settings.feeds, CRYPTO):
            _refuse(follower, 409, is_end=True)
            return
        mine = [
            x
            for x in self._followers.values()
            if x.account is account and x.feed == follower.feed and not x.peer.is_cut
        ]
        if len(mine) >= self._settings.data_connections_max:
            _refuse(follower, 406, is_end=True)
            return
        follower.account = account
        follower.peer.tell([{"T": "success", "msg": "authenticated"}])

    def _subscribe(self, follower: _Follower, message: dict[str, Any], is_more: bool) -> None:
        channels = OF_CRYPTO if follower.feed == CRYPTO else tuple(CHANNELS.values())
        asked = {name: x for name, x in message.items() if name != "action"}
        if not all(_is_names(x) for x in asked.values()):
            _refuse(follower, 400)
            return
        if any(names and name not in channels for name, names in asked.items()):
            _refuse(follower, 410)
            return
        wanted = {name: set(follower.wanted.get(name, ())) for name in channels}
        for name in channels:
            names = set(asked.get(name, ()))
            wanted[name] = wanted[name] | names if is_more else wanted[name] - names
        if sum(len(x) for x in wanted.values()) > self._settings.channels_max:
            _refuse(follower, 405)
            return
        follower.wanted = wanted
        told = {name: sorted(names) for name, names in wanted.items()}
        follower.peer.tell([{"T": "subscription", **told}])

    # -- what is told

    def tell(self, listing: Listing, points: list[Point]) -> None:
        """Tells what has come onto the tape to those who follow it."""
        frames: dict[tuple[Codec, tuple[int, ...]], bytes] = {}
        if self.hostility.silent:
            return
        is_coin = is_crypto(listing)
        for follower in self._followers.values():
            if (follower.feed == CRYPTO) is not is_coin or follower.account is None:
                continue
            which = tuple(i for i, point in enumerate(points) if follower.fits(point))
            if not which:
                continue
            codec = follower.peer.codec
            if (codec, which) not in frames:
                frames[codec, which] = codec.encode([points[i] for i in which])
            if self.hostility.cut_stream and self._luck.random() < self.hostility.cut_stream:
                follower.peer.cut()
            else:
                follower.peer.tell_frame(frames[codec, which])


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(x, str) for x in value)


def _refuse(follower: _Follower, code: int, is_end: bool = False) -> None:
    follower.peer.tell([{"T": "error", "code": code, "msg": ERRORS[code]}])
    if is_end:
        follower.peer.close()


class LatestData:
    """Answers the REST paths for the latest quotes and trades."""

    def __init__(self, engine: NetEngine, tape: Tape) -> None:
        self._engine = engine
        self._tape = tape
        one: dict[str, Callable[[str], Point]] = {"quotes": tape.quote, "trades": tape.trade}
        self.routes: dict[tuple[str, ...], Callable[[Call], Reply]] = {}
        for word, render in one.items():
            self.routes["v2", "stocks", word, "latest"] = self._many(word, render, False)
            self.routes["v2", "stocks", "*", word, "latest"] = self._single(word, render)
            self.routes["v1beta3", "crypto", "us", "latest", word] = self._many(word, render, True)

    def _many(
        self, word: str, render: Callable[[str], Point], is_coin: bool
    ) -> Callable[[Call], Reply]:
        def answer(call: Call) -> Reply:
            symbols = [x for x in call.parameters().get("symbols", "").split(",") if x]
            if not symbols:
                raise invalid("symbols is required")
            found = [x for x in symbols if self._knows(x, is_coin)]
            return Reply(200, TEXT_CODEC.encode({word: {x: render(x) for x in found}}))

        return answer

    def _single(self, word: str, render: Callable[[str], Point]) -> Callable[[Call], Reply]:
        def answer(call: Call) -> Reply:
            if not self._knows(call.spec, is_coin=False):
                raise invalid(f"invalid symbol: {call.spec[:40]}")
            return Reply(
                200, TEXT_CODEC.encode({"symbol": call.spec, word[:-1]: render(call.spec)})
            )

        return answer

    def _knows(self, symbol: str, is_coin: bool) -> bool:
        listing = self._engine.listings.get(symbol)
        return listing is not None and is_crypto(listing) is is_coin and self._tape.knows(symbol)
