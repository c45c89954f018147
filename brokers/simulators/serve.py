"""Runs a simulator as a program: one JSON line when ready, a clean stop on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from msgspec import Struct
from msgspec.structs import replace

from brokers.simulators.alpaca import AlpacaLogin, AlpacaSettings, AlpacaSimulator
from brokers.simulators.alpaca_listings import ENGINE
from brokers.simulators.book import AccountSettings
from brokers.simulators.feed import FeedSettings
from brokers.simulators.hostility import Hostility
from brokers.simulators.oanda import Login, OandaSettings, OandaSimulator
from brokers.simulators.server import Server
from brokers.simulators.server_settings import ServerSettings
from brokers.simulators.state import BadState
from brokers.simulators.ticks import BadTicks
from brokers.simulators.venue import EngineSettings

# Long runs keep many small facts: full collections would stop the market for tens of ms.
GC_THRESHOLDS = (50_000, 20, 100)


Make = Callable[[argparse.Namespace, dict[str, Any]], ServerSettings]


class Dialect(Struct, frozen=True, kw_only=True):
    """What `serve` must know of a dialect: `make` adds its own settings to the shared ones."""

    title: str
    account: str
    hours: tuple[str, ...]
    settings: type[ServerSettings]
    make: Make
    server: Callable[[Any], Server]


def _make_oanda(asked: argparse.Namespace, shared: dict[str, Any]) -> ServerSettings:
    return OandaSettings(
        **shared,
        engine=EngineSettings(accounts=(account_from(asked),), hours=asked.hours),
        logins=(Login(token=asked.token or "paper-token"),),
        clock="ticks" if asked.ticks and asked.hours == "forex" else "wall",
        heartbeat_ms=asked.heartbeat_ms,
        requests_per_s=asked.requests_per_s,
    )


def _make_alpaca(asked: argparse.Namespace, shared: dict[str, Any]) -> ServerSettings:
    key_id, _, secret = (asked.token or "paper:paper").partition(":")
    accounts = (account_from(asked, netting=True),)
    return AlpacaSettings(
        **shared,
        engine=replace(ENGINE, accounts=accounts, hours=asked.hours),
        logins=(AlpacaLogin(key_id=key_id, secret=secret),),
        requests_per_min=asked.requests_per_min,
    )


DIALECTS = {
    "oanda": Dialect(
        title="OANDA v20",
        account="101-001-1000001-001",
        hours=("always", "forex"),
        settings=OandaSettings,
        make=_make_oanda,
        server=OandaSimulator,
    ),
    "alpaca": Dialect(
        title="Alpaca",
        account="PA0000000001",
        hours=("always", "nyse"),
        settings=AlpacaSettings,
        make=_make_alpaca,
        server=AlpacaSimulator,
    ),
}


def settings_from(arguments: list[str], name: str = "oanda") -> ServerSettings:
    """The settings a command line asks for. Raises ValueError, msgspec.ValidationError."""
    dialect = DIALECTS[name]
    asked = _parser(dialect).parse_args(arguments)
    if asked.settings is not None:
        return msgspec.json.decode(Path(asked.settings).read_bytes(), type=dialect.settings)
    source = "files" if asked.ticks else ("none" if asked.still else "generator")
    shared = {
        "host": asked.host,
        "port": asked.port,
        "seed": asked.seed,
        "feed": msgspec.convert(
            {
                "source": source,
                "ticks": asked.ticks,
                "speed": asked.speed,
                "loop": not asked.once,
            },
            type=FeedSettings,
        ),
        "hostility": msgspec.json.decode(asked.hostility, type=Hostility),
        "state": asked.state,
    }
    return dialect.make(asked, shared)


def account_from(asked: argparse.Namespace, **more: Any) -> AccountSettings:
    """The one account a command line opens."""
    return AccountSettings(
        id=asked.account, currency=asked.currency, balance=Decimal(asked.balance), **more
    )


def _parser(dialect: Dialect) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=f"A simulated {dialect.title} on loopback.")
    add = parser.add_argument
    add("--settings", help="a JSON file with everything; other options are then ignored")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0 takes a free one")
    add("--ticks", help="CSV file or folder to replay; without it a seeded market is made")
    add("--speed", type=float, default=1.0, help="of the replay; 0 is as fast as it goes")
    add("--once", action="store_true", help="play the ticks once, then leave the market still")
    add("--still", action="store_true", help="no market: quotes come from POST /sim/ticks")
    add("--hours", choices=dialect.hours, default="always")
    add("--seed", type=int, default=7)
    add("--account", default=dialect.account)
    add("--currency", default="USD")
    add("--balance", default="100000")
    add("--token", default=None, help="what opens the account; key:secret where there are two")
    add("--heartbeat-ms", type=int, default=5000)
    add("--requests-per-s", type=int, default=None, help="limit of OANDA's; none by default")
    add("--requests-per-min", type=int, default=None, help="limit of Alpaca's; none by default")
    add("--hostility", default="{}", help="faults, as JSON")
    add("--state", help="file the accounts are kept in")
    add("--facts", help="file to write the addresses to, beside standard output")
    return parser


def main(arguments: list[str] | None = None, name: str = "oanda") -> int:
    """Runs until told to stop. Returns the exit code: 0, or 2 for settings that are wrong."""
    try:
        words = sys.argv[1:] if arguments is None else arguments
        settings = settings_from(words, name)
        gc.set_threshold(*GC_THRESHOLDS)
        facts = _parser(DIALECTS[name]).parse_args(words).facts
        uvloop.run(_serve(DIALECTS[name], settings, facts))
    except (ValueError, msgspec.ValidationError, BadState, BadTicks, OSError) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 2
    return 0


async def _serve(dialect: Dialect, settings: ServerSettings, facts: str | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with dialect.server(settings) as simulator:
        ready = {"url": simulator.url, "stream_url": simulator.stream_url}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        if facts is not None:
            partial = Path(facts).with_suffix(".partial")
            partial.write_text(json.dumps(ready))
            partial.rename(facts)
        await stop.wait()
