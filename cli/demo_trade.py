"""The demo's trading: the strategy's acts through the client, and a log of all it was told."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from cli.dealer import Act, Scene
from cli.sight import Sight
from cli.strategy import DECKS, Strategy
from cli.trouble import Trouble
from domain.commands import ClosePosition
from domain.events import Accepted, Canceled, Expired, Fill, Rejected, Triggered
from domain.instruments import AssetClass, Instrument
from domain.lifecycle import Status
from domain.orders import AmendOrder, CancelOrder, NewOrder, Side, TimeInForce
from domain.quotes import Quote
from domain.streams import OrderUpdate, StreamUpdate
from gateway import wire
from gateway.client import Client
from gateway.client_terms import Refused

PACE_S = 0.02
PRICES_S = 15.0
QUIET_S = 1.0
QUIET_S_MAX = 30.0
VENUE_OUTCOMES = (Accepted, Triggered, Fill, Rejected, Canceled, Expired)
UNDER_WAY = frozenset({Status.RECEIVED, Status.READY, Status.SENDING, Status.UNKNOWN})


class ClientLog:
    """Everything the client library applied, in its order, and how long outcomes took."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.sight = Sight()
        self.updates: list[StreamUpdate] = []
        self.latencies_ns: list[int] = []
        self._sent_ns: dict[str, int] = {}

    def sending(self, client_order_id: str) -> None:
        """An order is about to be sent."""
        self._sent_ns[client_order_id] = time.perf_counter_ns()

    def take(self, event: wire.Ev) -> None:
        """One event."""
        now_ns = time.perf_counter_ns()
        if event.stream != self.stream:
            return
        self.updates.append(
            StreamUpdate(stream=event.stream, seq=event.seq, at_ns=event.at_ns, body=event.body)
        )
        body = event.body
        if not isinstance(body, OrderUpdate):
            return
        if isinstance(body.event, VENUE_OUTCOMES):
            sent_ns = self._sent_ns.pop(body.client_order_id or "", None)
            if sent_ns is not None:
                self.latencies_ns.append(now_ns - sent_ns)
        self.sight.apply(body)


class Trader:
    """Plays the strategy until enough orders were placed, then leaves nothing open."""

    def __init__(self, client: Client, log: ClientLog, strategy: Strategy) -> None:
        self._client = client
        self._log = log
        self._strategy = strategy
        self._quotes: dict[str, Quote] = {}
        self._instruments: dict[str, Instrument] = {}
        self._accounts: dict[str, str] = {}
        self.placed = 0
        self.durable: set[str] = set()
        self.acts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    async def prepare(self, wanted: list[str]) -> list[str]:
        """Learns what can be traded and waits for prices. Raises Trouble, Refused."""
        client = self._client
        res = await client.query(wire.InstrumentsList)
        listed = msgspec.convert(res.body, list[Instrument], strict=False)
        self._instruments = {one.symbol: one for one in listed if _is_fit(one, wanted)}
        res = await client.query(wire.ConnectionsList)
        rows = msgspec.convert(res.body, list[dict[str, Any]], strict=False)
        self._accounts = {row["connection"]: row["account"] for row in rows}
        if not self._instruments or not self._accounts:
            fix = "use ticks of what the paper brokers list, with USD on one side"
            raise Trouble("there is nothing the demo could trade", fix, "no_instrument")
        return sorted(self._instruments)

    async def watch(self) -> None:
        """Keeps the newest quote of every instrument, for ever."""
        async with asyncio.TaskGroup() as tasks:
            for symbol in self._instruments:
                tasks.create_task(self._watch_one(symbol))

    async def _watch_one(self, symbol: str) -> None:
        async for quote in self._client.quotes(symbol):
            self._quotes[symbol] = quote

    async def trade(self, orders: int, tell: Callable[[int], None]) -> None:
        """Plays until so many orders were placed."""
        try:
            async with asyncio.timeout(PRICES_S):
                while len(self._quotes) < len(self._instruments):
                    await asyncio.sleep(PACE_S)
        except TimeoutError:
            missing = ", ".join(sorted(self._instruments.keys() - self._quotes.keys()))
            fix = "see `fillgate doctor`, and the simulator's log in the home"
            raise Trouble(f"no prices came for {missing}", fix, "no_prices") from None
        symbols = sorted(self._instruments)
        turn = 0
        while self.placed < orders:
            await self._act(self._strategy.next(self._scene(symbols[turn % len(symbols)])))
            turn += 1
            tell(self.placed)
            await asyncio.sleep(PACE_S)

    def _account_of(self, symbol: str) -> str:
        """The account at the broker that quotes it."""
        return self._accounts[self._quotes[symbol].connection]

    def _scene(self, symbol: str) -> Scene:
        return Scene(
            instrument=self._instruments[symbol],
            account=self._account_of(symbol),
            quote=self._quotes[symbol],
            sight=self._log.sight,
            now_ns=time.time_ns(),
        )

    async def _act(self, act: Act) -> None:
        self.acts[_name(act)] += 1
        try:
            await self._send(act)
        except Refused as refusal:
            self.refused[refusal.error.code] += 1

    async def _send(self, act: Act) -> None:
        match act:
            case NewOrder():
                self.placed += 1
                self._log.sight.placed(act)
                self._log.sending(act.client_order_id)
                await self._client.place(act)
                self.durable.add(act.client_order_id)
            case ClosePosition():
                self.placed += 1
                self._log.sight.named(act.client_order_id)
                self._log.sending(act.client_order_id)
                res = await self._client.command(wire.PositionClose, close=act)
                if all(one.error is None for one in res.decided):
                    self.durable.add(act.client_order_id)
            case AmendOrder():
                await self._client.amend(act)
            case CancelOrder():
                await self._client.cancel(act)

    async def finish(self) -> None:
        """Cancels its own orders, trades back what they added, and waits until nothing moves."""
        sight = self._log.sight
        for order in self._client.orders.open():
            if order.order_id in sight.own:
                with contextlib.suppress(Refused):
                    await self._client.cancel(CancelOrder(order_id=order.order_id))
        await self._until_quiet()
        for symbol, net in sorted(sight.net.items()):
            if net:
                await self._act(self._opposite(symbol, net))
        await self._until_quiet()

    def _opposite(self, symbol: str, net: Decimal) -> NewOrder:
        is_coin = self._instruments[symbol].asset_class is AssetClass.CRYPTO
        return NewOrder(
            client_order_id=f"close-{time.time_ns():x}",
            instrument=symbol,
            side=Side.SELL if net > 0 else Side.BUY,
            quantity=abs(net),
            time_in_force=TimeInForce.IOC if is_coin else TimeInForce.FOK,
            account=self._account_of(symbol),
        )

    async def _until_quiet(self) -> None:
        """Until no order is on its way and the stream has said nothing for a while."""
        deadline = time.monotonic() + QUIET_S_MAX
        while time.monotonic() < deadline:
            seen = len(self._log.updates)
            await asyncio.sleep(QUIET_S)
            moving = any(
                order.status in UNDER_WAY or order.pending for order in self._client.orders.open()
            )
            if not moving and len(self._log.updates) == seen:
                return


def _is_fit(instrument: Instrument, wanted: list[str]) -> bool:
    """What has USD on one side can be valued in a USD account by its own price alone."""
    has_dollar = "USD" in (instrument.base_currency, instrument.quote_currency)
    return has_dollar and instrument.asset_class in DECKS and instrument.symbol in wanted


def _name(act: Act) -> str:
    return {
        NewOrder: "place", AmendOrder: "amend", CancelOrder: "cancel", ClosePosition: "close",
    }[type(act)]  # fmt: skip


def kinds_of(updates: list[StreamUpdate]) -> dict[str, Any]:
    """How often each kind of event came."""
    found = Counter(
        type(update.body.event).__name__.lower()
        for update in updates
        if isinstance(update.body, OrderUpdate)
    )
    return dict(sorted(found.items()))
