"""A paper broker's settings, from ours: the accounts of all connections that trade over it."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.cluster import free_port
from actors.paths import Paths
from actors.settings import PAPER_TOKEN, Settings, SimulatorSettings
from brokers.simulators.book import AccountSettings
from brokers.simulators.engine import EngineSettings
from brokers.simulators.feed import FeedSettings
from brokers.simulators.oanda import Login, OandaSettings

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
