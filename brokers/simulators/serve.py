"""Runs a simulator as a program: one JSON line when ready, a clean stop on SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import sys
from decimal import Decimal
from pathlib import Path

import msgspec
import uvloop

from brokers.simulators.book import AccountSettings
from brokers.simulators.engine import EngineSettings
from brokers.simulators.feed import FeedSettings
from brokers.simulators.hostility import Hostility
from brokers.simulators.oanda import Login, OandaSettings, OandaSimulator
from brokers.simulators.state import BadState
from brokers.simulators.ticks import BadTicks

# Long runs keep many small facts: full collections would stop the market for tens of ms.
GC_THRESHOLDS = (50_000, 20, 100)


def settings_from(arguments: list[str]) -> OandaSettings:
    """The settings a command line asks for. Raises ValueError, msgspec.ValidationError."""
    asked = _parser().parse_args(arguments)
    if asked.settings is not None:
        return msgspec.json.decode(Path(asked.settings).read_bytes(), type=OandaSettings)
    source = "files" if asked.ticks else ("none" if asked.still else "generator")
    account = AccountSettings(
        id=asked.account, currency=asked.currency, balance=Decimal(asked.balance)
    )
    return OandaSettings(
        host=asked.host,
        port=asked.port,
        seed=asked.seed,
        engine=EngineSettings(accounts=(account,), hours=asked.hours),
        logins=(Login(token=asked.token),),
        clock="ticks" if asked.ticks and asked.hours == "forex" else "wall",
        feed=msgspec.convert(
            {
                "source": source,
                "ticks": asked.ticks,
                "speed": asked.speed,
                "loop": not asked.once,
            },
            type=FeedSettings,
        ),
        hostility=msgspec.json.decode(asked.hostility, type=Hostility),
        heartbeat_ms=asked.heartbeat_ms,
        requests_per_s=asked.requests_per_s,
        state=asked.state,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="A simulated OANDA v20 on loopback.")
    add = parser.add_argument
    add("--settings", help="a JSON file with everything; other options are then ignored")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0 takes a free one")
    add("--ticks", help="CSV file or folder to replay; without it a seeded market is made")
    add("--speed", type=float, default=1.0, help="of the replay; 0 is as fast as it goes")
    add("--once", action="store_true", help="play the ticks once, then leave the market still")
    add("--still", action="store_true", help="no market: quotes come from POST /sim/ticks")
    add("--hours", choices=("always", "forex"), default="always")
    add("--seed", type=int, default=7)
    add("--account", default="101-001-1000001-001")
    add("--currency", default="USD")
    add("--balance", default="100000")
    add("--token", default="paper-token")
    add("--heartbeat-ms", type=int, default=5000)
    add("--requests-per-s", type=int, default=None, help="limit of the broker; none by default")
    add("--hostility", default="{}", help="faults, as JSON")
    add("--state", help="file the accounts are kept in")
    add("--facts", help="file to write the addresses to, beside standard output")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Runs until told to stop. Returns the exit code: 0, or 2 for settings that are wrong."""
    try:
        words = sys.argv[1:] if arguments is None else arguments
        settings = settings_from(words)
        gc.set_threshold(*GC_THRESHOLDS)
        uvloop.run(_serve(settings, _parser().parse_args(words).facts))
    except (ValueError, msgspec.ValidationError, BadState, BadTicks, OSError) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 2
    return 0


async def _serve(settings: OandaSettings, facts: str | None = None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with OandaSimulator(settings) as simulator:
        ready = {"url": simulator.url, "stream_url": simulator.stream_url}
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()
        if facts is not None:
            partial = Path(facts).with_suffix(".partial")
            partial.write_text(json.dumps(ready))
            partial.rename(facts)
        await stop.wait()
