"""The simulated Alpaca's /stream: who listens to trade_updates, and what each is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from aiohttp import web
from msgspec import Struct

from brokers.simulators.alpaca_settings import AlpacaSettings
from brokers.simulators.alpaca_sockets import Codec, Peer, codec_for
from brokers.simulators.book import Account
from brokers.simulators.hostility import Hostility, disturb

STREAMS = ("trade_updates",)
Authorize = Callable[[str, str], "Account | None"]


class _Listener(Struct):
    """A connection, the account it is for once that is known, and the streams it wants."""

    peer: Peer
    account: Account | None = None
    streams: tuple[str, ...] = ()


class TradeStream:
    """Open connections of /stream. Frames are binary, as Alpaca's paper host sends them."""

    def __init__(self, settings: AlpacaSettings, authorize: Authorize, luck: Random) -> None:
        self._settings = settings
        self._authorize = authorize
        self._luck = luck
        self._listeners: dict[int, _Listener] = {}
        self.hostility = Hostility()

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._listeners)

    def cut_all(self) -> None:
        """Ends them all."""
        for listener in self._listeners.values():
            listener.peer.cut()

    def is_heard(self, account: Account) -> bool:
        """True where someone listens to the account."""
        return any(x.account is account and x.streams for x in self._listeners.values())

    async def open(self, request: web.BaseRequest, account: Account | None) -> web.StreamResponse:
        """Serves a connection; its headers may have said for which account."""
        if len(self._listeners) >= self._settings.trade_connections_max:
            return web.Response(status=429)
        peer = Peer(codec_for(request), self._settings.binary_frames)
        listener = _Listener(peer, account)
        self._listeners[id(listener)] = listener
        timer = asyncio.get_running_loop().call_later(
            self._settings.auth_timeout_ms / 1000, self._check_authorized, listener
        )
        try:
            return await peer.run(request, lambda message: self._hear(listener, message))
        finally:
            timer.cancel()
            del self._listeners[id(listener)]

    def _check_authorized(self, listener: _Listener) -> None:
        if listener.account is None:
            listener.peer.close()

    def _hear(self, listener: _Listener, message: dict[str, Any] | None) -> None:
        action = message.get("action") if message is not None else None
        data = message.get("data") if message is not None else None
        data = data if isinstance(data, dict) else {}
        if action in ("auth", "authenticate") and message is not None:
            key = message.get("key", data.get("key_id"))
            secret = message.get("secret", data.get("secret_key"))
            self._log_in(listener, str(key), str(secret))
        elif action != "listen":
            _say(listener, "listening", {"error": f"unknown action {str(action)[:40]}"})
        elif listener.account is None:
            _say(listener, "authorization", {"status": "unauthorized", "action": "listen"})
        else:
            wanted = data.get("streams")
            names = wanted if isinstance(wanted, list) else []
            listener.streams = tuple(x for x in STREAMS if x in names)
            _say(listener, "listening", {"streams": list(listener.streams)})

    def _log_in(self, listener: _Listener, key: str, secret: str) -> None:
        listener.account = self._authorize(key, secret)
        is_known = listener.account is not None
        status = "authorized" if is_known else "unauthorized"
        _say(listener, "authorization", {"status": status, "action": "authenticate"})
        if not is_known:
            listener.peer.close()

    def tell(self, account: Account, events: list[dict[str, Any]]) -> None:
        """Tells events: after the answer that is about to be written, unless hostile."""
        if not events:
            return
        if self.hostility.stream_first:
            self._publish(account, events)
        else:
            asyncio.get_running_loop().call_soon(self._publish, account, events)

    def _publish(self, account: Account, events: list[dict[str, Any]]) -> None:
        encoded: dict[Codec, list[bytes]] = {}
        for listener in self._listeners.values():
            if listener.account is not account or not listener.streams:
                continue
            codec = listener.peer.codec
            if codec not in encoded:
                encoded[codec] = [
                    codec.encode({"stream": "trade_updates", "data": x}) for x in events
                ]
            for frame in disturb(self.hostility, self._luck, encoded[codec]):
                self._tell_frame(listener, frame)

    def _tell_frame(self, listener: _Listener, frame: bytes) -> None:
        if self.hostility.silent:
            return
        if self.hostility.cut_stream and self._luck.random() < self.hostility.cut_stream:
            listener.peer.cut()
        else:
            listener.peer.tell_frame(frame)


def _say(listener: _Listener, stream: str, data: dict[str, Any]) -> None:
    listener.peer.tell({"stream": stream, "data": data})
