"""The simulated OANDA's two streams: who listens, and what each is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from random import Random

from aiohttp import web
from msgspec import Struct

from brokers.simulators.book import Account, Quote
from brokers.simulators.facts import AnyFact
from brokers.simulators.hostility import Hostility, disturb
from brokers.simulators.oanda_bodies import BadRequest, rfc3339
from brokers.simulators.oanda_reads import OandaReads
from brokers.simulators.oanda_replies import ENCODER, Call, Reply, error_reply
from brokers.simulators.oanda_settings import OandaSettings
from brokers.simulators.oanda_views import Stamp, transaction
from brokers.simulators.streams import Listener


class _Subscription(Struct):
    """An open stream and what it is about."""

    listener: Listener
    account: Account
    stamp: Stamp
    instruments: frozenset[str] | None = None


class OandaStreams:
    """Open streams. `hostility` may be set at any time; luck and time are the simulator's."""

    def __init__(
        self, settings: OandaSettings, reads: OandaReads, luck: Random, now_ns: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._reads = reads
        self._luck = luck
        self._now_ns = now_ns
        self._subscriptions: dict[int, _Subscription] = {}
        self.hostility = Hostility()

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._subscriptions)

    def cut_all(self) -> None:
        """Ends them all."""
        for subscription in self._subscriptions.values():
            subscription.listener.cut()

    def tell_quote(self, quote: Quote) -> None:
        """Tells a new price to those who asked for it."""
        lines: dict[Stamp, bytes] = {}
        for subscription in self._subscriptions.values():
            wanted = subscription.instruments
            if wanted is None or quote.instrument not in wanted:
                continue
            stamp = subscription.stamp
            if stamp not in lines:
                lines[stamp] = self._reads.price_line(quote.instrument, stamp) or b""
            self._tell_line(subscription, lines[stamp])

    def tell_act(self, account: Account, act: list[AnyFact], lines: list[bytes]) -> None:
        """Tells an act: after the answer that is about to be written, unless hostile."""
        if not self._subscriptions:
            return
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
            if self.hostility.spares_streams:
                subscription.listener.tell(*own)
                continue
            for line in disturb(self.hostility, self._luck, own):
                self._tell_line(subscription, line)

    def _tell_line(self, subscription: _Subscription, line: bytes) -> None:
        if self.hostility.silent:
            return
        if self.hostility.cut_stream and self._luck.random() < self.hostility.cut_stream:
            subscription.listener.cut()
        else:
            subscription.listener.tell(line)

    async def open(
        self, request: web.BaseRequest, call: Call, tail: list[str]
    ) -> web.StreamResponse | Reply:
        """Serves a stream until it ends; or why not."""
        if request.method != "GET":
            return error_reply(405, "Method Not Allowed")
        if len(self._subscriptions) >= self._settings.streams_max:
            return error_reply(429, "Too many streams")
        if tail == ["transactions", "stream"]:
            return await self._run(request, _Subscription(Listener(), call.account, call.stamp))
        if tail != ["pricing", "stream"]:
            return error_reply(404, "The path specified does not exist")
        wanted = call.parameters()
        try:
            names = self._reads.priced(wanted.get("instruments"))
        except BadRequest as error:
            return error_reply(400, str(error))
        subscription = _Subscription(Listener(), call.account, call.stamp, frozenset(names))
        if wanted.get("snapshot", "true").lower() != "false":
            for name in names:
                line = self._reads.price_line(name, call.stamp)
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
                    self._settings.heartbeat_ms / 1000,
                )
            return web.Response()
        finally:
            del self._subscriptions[key]

    def _heartbeat(self, subscription: _Subscription) -> bytes:
        if self.hostility.silent:
            return b""
        beat = {"type": "HEARTBEAT", "time": subscription.stamp(self._now_ns())}
        if subscription.instruments is None:
            beat["lastTransactionID"] = str(subscription.account.last_id)
        return ENCODER.encode(beat)
