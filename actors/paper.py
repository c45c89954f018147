"""A paper broker: its settings, from ours, and its own book, in the agreement's words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from actors.cluster import free_port
from actors.paths import Paths
from actors.settings import PAPER_TOKEN, Settings, SimulatorSettings
from brokers.simulators.book import AccountSettings
from brokers.simulators.engine import EngineSettings
from brokers.simulators.feed import FeedSettings
from brokers.simulators.oanda import Login, OandaSettings
from ledger.agreement import VenueBook, VenueFill, VenueOrder

STATE_EVERY_MS = 30_000
"""A paper book is kept at every clean end; between, seldom: writing it stalls the paper broker."""


def paper_settings(simulator: SimulatorSettings, settings: Settings, paths: Paths) -> bytes:
    """What the simulator's process reads, as JSON; its port is fixed here and stays."""
    accounts = tuple(
        AccountSettings(
            id=connection.broker_account_id,
            currency=connection.currency,
            balance=Decimal(simulator.balance),
        )
        for connection in settings.connections
        if connection.simulator == simulator.id
    )
    accounts += tuple(
        AccountSettings(id=name, balance=Decimal(simulator.balance)) for name in simulator.accounts
    )
    if simulator.ticks:
        feed = FeedSettings(source="files", ticks=simulator.ticks, speed=simulator.speed, loop=True)
    else:
        feed = FeedSettings(source="generator", speed=simulator.speed)
    wanted = OandaSettings(
        port=simulator.port or free_port(),
        seed=simulator.seed,
        engine=EngineSettings(accounts=accounts),
        logins=(Login(token=PAPER_TOKEN),),
        feed=feed,
        state=str(paths.book(simulator.id)),
        state_every_ms=STATE_EVERY_MS,
    )
    return msgspec.json.encode(wanted)


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
