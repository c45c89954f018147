"""A paper broker: its settings, from ours, and its own book, in the agreement's words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from actors.cluster import free_port
from actors.paths import Paths
from actors.settings import Settings, SimulatorSettings
from brokers.registry import PAPER_TOKEN
from brokers.simulators.alpaca_listings import ENGINE
from brokers.simulators.alpaca_settings import AlpacaLogin, AlpacaSettings
from brokers.simulators.book import AccountSettings
from brokers.simulators.feed import FeedSettings
from brokers.simulators.oanda_settings import Login, OandaSettings
from brokers.simulators.server_settings import ServerSettings
from brokers.simulators.venue import EngineSettings
from ledger.agreement import VenueBook, VenueFill, VenueOrder

STATE_EVERY_MS = 30_000
"""A paper book is kept at every clean end; between, seldom: writing it stalls the paper broker."""


def paper_settings(simulator: SimulatorSettings, settings: Settings, paths: Paths) -> bytes:
    """What the simulator's process reads, as JSON; its port is fixed here and stays."""
    currencies = {
        connection.broker_account_id: connection.currency
        for connection in settings.connections
        if connection.simulator == simulator.id
    }
    currencies |= {name: "USD" for name in simulator.accounts}
    if simulator.ticks:
        feed = FeedSettings(source="files", ticks=simulator.ticks, speed=simulator.speed, loop=True)
    else:
        feed = FeedSettings(source="generator", speed=simulator.speed)
    shared: dict[str, Any] = {
        "port": simulator.port or free_port(),
        "seed": simulator.seed,
        "feed": feed,
        "state": str(paths.book(simulator.id)),
        "state_every_ms": STATE_EVERY_MS,
    }
    accounts = tuple(
        AccountSettings(
            id=name,
            currency=currency,
            balance=Decimal(simulator.balance),
            netting=simulator.broker in NETTING,
        )
        for name, currency in currencies.items()
    )
    is_market = simulator.hours == "market"
    if simulator.limits:
        shared |= LIMITS[simulator.broker]
    return msgspec.json.encode(DIALECTS[simulator.broker](accounts, is_market, shared))


Accounts = tuple[AccountSettings, ...]


def _oanda(accounts: Accounts, is_market: bool, shared: dict[str, Any]) -> ServerSettings:
    engine = EngineSettings(accounts=accounts, hours="forex" if is_market else "always")
    return OandaSettings(engine=engine, logins=(Login(token=PAPER_TOKEN),), **shared)


def _alpaca(accounts: Accounts, is_market: bool, shared: dict[str, Any]) -> ServerSettings:
    """A key opens one account: `paper` the first, and each account's own name itself."""
    keys = {"paper": None} | {x.id: x.id for x in accounts}
    logins = tuple(
        AlpacaLogin(key_id=key, secret=PAPER_TOKEN, name=key, account=name)
        for key, name in keys.items()
    )
    hours = "nyse" if is_market else "always"
    engine = replace(ENGINE, accounts=accounts, hours=hours)
    return AlpacaSettings(engine=engine, logins=logins, **shared)


DIALECTS = {"oanda": _oanda, "alpaca": _alpaca}
LIMITS = {"oanda": {"requests_per_s": 120}, "alpaca": {"requests_per_min": 200}}
"""Above these the brokers answer 429 (BROKERS.md)."""
NETTING = frozenset({"alpaca"})


def venue_book(raw: Any, account: str | None = None) -> VenueBook:
    """The simulator's book in the words of the agreement: one account's, or all."""
    return VenueBook(
        orders=tuple(
            VenueOrder(
                broker_order_id=str(order["id"]),
                client_id=order["client_order_id"],
                is_working=order["state"] == "working",
            )
            for order in raw["orders"]
            if account is None or order["account"] == account
        ),
        fills=tuple(
            VenueFill(
                broker_execution_id=str(fill["transaction_id"]),
                broker_order_id=str(fill["order_id"]),
                quantity=abs(Decimal(fill["units"])),
                price=Decimal(fill["price"]),
            )
            for fill in raw["fills"]
            if account is None or fill["account"] == account
        ),
    )
