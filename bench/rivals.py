"""How others place the same order: bare aiohttp, oandapyV20, alpaca-py and ccxt, unmodified.

Each keeps its connection, sends one order after the other, and is timed from the call until
the caller has the broker's answer. The first two trade a spare account of the same simulator
that Fillgate trades at; the last two know no OANDA and face the stub.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from typing import Any

import aiohttp
import ccxt.async_support as ccxt
import msgspec
import oandapyV20
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import MarketOrderRequest
from msgspec import Struct
from oandapyV20.endpoints.orders import OrderCreate

from bench.stub import SYMBOL
from bench.workload import Ticket

ENCODER = msgspec.json.Encoder()
SIMULATOR = "the simulator that Fillgate trades at"
STUB = "an idle stub"


class Venue(Struct, frozen=True, kw_only=True):
    """Where the rivals trade."""

    simulator_url: str
    stub_url: str
    account: str
    token: str


class WrongAnswer(Exception):
    """The order was not filled: the rival's times would mean nothing."""


class Rival(ABC):
    """One client library. `faces` says what answers it."""

    name: str
    faces: str

    @abstractmethod
    async def open(self) -> None:
        """Connects, and loads what the library needs before its first order."""

    @abstractmethod
    async def trade(self, tickets: list[Ticket]) -> list[int]:
        """Places the orders one after the other; the ns each took. Raises WrongAnswer."""

    @abstractmethod
    async def close(self) -> None:
        """Disconnects."""


def market_order(ticket: Ticket, name: str) -> dict[str, Any]:
    """The order in OANDA's words, with the same fields as Fillgate's own."""
    return {
        "order": {
            "type": "MARKET",
            "instrument": ticket.instrument.replace("/", "_"),
            "units": str(ticket.units),
            "timeInForce": "FOK",
            "clientExtensions": {"id": f"{name}-{ticket.number}"},
        }
    }


class RawAiohttp(Rival):
    """The floor: one kept session, bytes out, bytes in, nothing parsed."""

    name, faces = "raw_aiohttp", SIMULATOR

    def __init__(self, venue: Venue) -> None:
        self._url = f"{venue.simulator_url}/v3/accounts/{venue.account}/orders"
        self._token = venue.token
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Makes the session."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        self._session = aiohttp.ClientSession(headers=headers)

    async def trade(self, tickets: list[Ticket]) -> list[int]:
        """POST, read the answer."""
        assert self._session is not None
        took = []
        for ticket in tickets:
            start = time.perf_counter_ns()
            body = ENCODER.encode(market_order(ticket, self.name))
            async with self._session.post(self._url, data=body) as response:
                answer = await response.read()
            took.append(time.perf_counter_ns() - start)
            if b"orderFillTransaction" not in answer:
                raise WrongAnswer(answer[:500])
        return took

    async def close(self) -> None:
        """Closes the session."""
        if self._session is not None:
            await self._session.close()


class OandapyV20(Rival):
    """OANDA's dialect by its best known library: requests, in a thread of its own."""

    name, faces = "oandapyV20", SIMULATOR

    def __init__(self, venue: Venue) -> None:
        self._account = venue.account
        # The library has no setting for a host: its table of environments is the place.
        oandapyV20.oandapyV20.TRADING_ENVIRONMENTS["practice"]["api"] = venue.simulator_url
        self._api = oandapyV20.API(access_token=venue.token, environment="practice")

    async def open(self) -> None:
        """Connects with the first order."""

    async def trade(self, tickets: list[Ticket]) -> list[int]:
        """`API.request(OrderCreate)`."""
        return await asyncio.to_thread(self._trade, tickets)

    def _trade(self, tickets: list[Ticket]) -> list[int]:
        took = []
        for ticket in tickets:
            start = time.perf_counter_ns()
            order = OrderCreate(self._account, data=market_order(ticket, self.name))
            answer = self._api.request(order)
            took.append(time.perf_counter_ns() - start)
            if "orderFillTransaction" not in answer:
                raise WrongAnswer(answer)
        return took

    async def close(self) -> None:
        """Closes the session."""
        self._api.close()


class AlpacaPy(Rival):
    """Alpaca's own library: requests and pydantic, in a thread of its own."""

    name, faces = "alpaca_py", STUB

    def __init__(self, venue: Venue) -> None:
        self._client = TradingClient("key", "secret", url_override=venue.stub_url)

    async def open(self) -> None:
        """Connects with the first order."""

    async def trade(self, tickets: list[Ticket]) -> list[int]:
        """`TradingClient.submit_order`."""
        return await asyncio.to_thread(self._trade, tickets)

    def _trade(self, tickets: list[Ticket]) -> list[int]:
        took = []
        for ticket in tickets:
            start = time.perf_counter_ns()
            request = MarketOrderRequest(
                symbol=SYMBOL,
                qty=abs(ticket.units),
                side=OrderSide.BUY if ticket.units > 0 else OrderSide.SELL,
                time_in_force=TimeInForce.GTC,
                client_order_id=f"{self.name}-{ticket.number}",
            )
            order: Any = self._client.submit_order(request)
            took.append(time.perf_counter_ns() - start)
            if order.status != "filled":
                raise WrongAnswer(order)
        return took

    async def close(self) -> None:
        """Leaves the session to the collector: the library has no way to close it."""


class CcxtAsync(Rival):
    """ccxt's asyncio form, speaking Alpaca; its rate limiter is off."""

    name, faces = "ccxt_async", STUB

    def __init__(self, venue: Venue) -> None:
        self._url = venue.stub_url
        self._exchange: Any = None

    async def open(self) -> None:
        """Loads the markets."""
        self._exchange = ccxt.alpaca(
            {"apiKey": "key", "secret": "secret", "enableRateLimit": False}
        )
        self._exchange.urls["api"] = dict.fromkeys(("broker", "trader", "market"), self._url)
        await self._exchange.load_markets()

    async def trade(self, tickets: list[Ticket]) -> list[int]:
        """`exchange.create_order`."""
        took = []
        for ticket in tickets:
            start = time.perf_counter_ns()
            side = "buy" if ticket.units > 0 else "sell"
            order = await self._exchange.create_order(SYMBOL, "market", side, abs(ticket.units))
            took.append(time.perf_counter_ns() - start)
            if order["status"] != "closed":
                raise WrongAnswer(order)
        return took

    async def close(self) -> None:
        """Closes the session."""
        if self._exchange is not None:
            await self._exchange.close()


RIVALS: tuple[type[RawAiohttp | OandapyV20 | AlpacaPy | CcxtAsync], ...] = (
    RawAiohttp,
    OandapyV20,
    AlpacaPy,
    CcxtAsync,
)
