"""C1: is nothing screened by a compliance actor that is gone, and all as before by the next?

A deployment of real processes with orders resting at the venue. In each trial the compliance
actor is killed (or stopped, and the watchdog ends it): a new order must be refused with outcome
`none`, a cancel must pass, and soon a new order is screened again. The digest of all that the next
incarnation knows must be the digest a fresh reading of the same book gives.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import suppress
from decimal import Decimal
from random import Random

from actors.replay import Replay, Table
from bench.goal import Goal, Tally
from bench.world import ACCOUNT, World, world
from compliance.digest import digest_of
from domain.errors import Outcome
from domain.orders import CancelOrder, NewOrder, OrderType, Side, TimeInForce
from gateway.client import Client, ConnectionLostError, Refused

REFUSED_S_MAX = 1.0
GIVE_UP_S = 20.0
POLL_S = 0.005
RESTING = 20
REFUSED, AGAIN, CANCELED = "refused", "screening again", "cancel passed"


async def run(trials: int, seed: int) -> Tally:
    """Kills or stops compliance so many times."""
    tally = Tally(trials=trials, samples_us={REFUSED: [], AGAIN: [], CANCELED: []})
    async with world() as deployment:
        trial = Trial(deployment, tally)
        async with trial.client:
            await trial.settle()
            for number in range(seed, seed + trials):
                await trial.run(number)
    return tally


class Trial:
    """One deployment, one client, and what is done to compliance."""

    def __init__(self, deployment: World, tally: Tally) -> None:
        self._world = deployment
        self._tally = tally
        self._names = 0
        self.client = Client.connect(deployment.url, deployment.token, "c1")

    async def settle(self) -> None:
        """Orders that rest far from the market: what the next incarnation must know."""
        for _ in range(RESTING):
            await self._until_screened(time.monotonic() + GIVE_UP_S)

    async def run(self, seed: int) -> None:
        """Ends or stops the actor once, and watches."""
        pid = self._world.pid("compliance")
        began = time.monotonic()
        os.kill(pid, Random(seed).choice((signal.SIGKILL, signal.SIGSTOP)))
        refused = await self._until_refused(began, seed)
        if refused is None:
            return
        canceled = time.monotonic()
        with suppress(ConnectionLostError):
            decided = await self.client.cancel(CancelOrder(client_order_id=refused))
            if decided[0].error is not None:
                self._tell(seed, f"a cancel was refused: {decided[0].error.code}")
        self._sample(CANCELED, canceled)
        await self._until_screened(began + GIVE_UP_S)
        self._sample(AGAIN, began)
        if fault := await asyncio.to_thread(find_lost_state, self._world):
            self._tell(seed, fault)

    async def _until_refused(self, began: float, seed: int) -> str | None:
        """A resting order's name once a new one was refused; None where none was in time."""
        name = f"c1-{self._names}"
        while time.monotonic() - began <= REFUSED_S_MAX:
            try:
                async with asyncio.timeout(REFUSED_S_MAX):
                    await self._place()
            except Refused as refusal:
                if refusal.error.outcome is not Outcome.NONE:
                    self._tell(seed, f"refused with outcome {refusal.error.outcome.value}")
                self._sample(REFUSED, began)
                return name
            except TimeoutError:
                break
            await asyncio.sleep(POLL_S)
        self._tell(seed, "no new order was refused within a second")
        return None

    async def _until_screened(self, until: float) -> None:
        while time.monotonic() < until:
            with suppress(Refused, ConnectionLostError):
                await self._place()
                return
            await asyncio.sleep(POLL_S)
        raise TimeoutError("nothing was screened any more")

    async def _place(self) -> None:
        name = f"c1-{self._names + 1}"
        await self.client.place(
            NewOrder(
                client_order_id=name,
                instrument="EUR/USD",
                side=Side.BUY,
                quantity=Decimal(100),
                type=OrderType.LIMIT,
                time_in_force=TimeInForce.GTC,
                limit_price=Decimal("0.5"),
                account=ACCOUNT,
            )
        )
        self._names += 1

    def _sample(self, what: str, began: float) -> None:
        self._tally.samples_us[what].append(int((time.monotonic() - began) * 1_000_000))

    def _tell(self, seed: int, what: str) -> None:
        self._tally.violations += 1
        self._tally.details.append(f"seed {seed}: {what}")


def find_lost_state(deployment: World) -> str | None:
    """Compares what compliance said it knew when it was loaded with the journal up to there."""
    told = None
    for path in sorted(deployment.paths.logs.glob("compliance*")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        told = next((line for line in reversed(lines) if line.get("message") == "book"), told)
    if told is None:
        return "compliance never said what it knew"
    position = told["fillgate.position"]
    book = Replay((Table(),), {}).book_at(deployment.records(), position)
    return None if digest_of(book) == told["fillgate.state"] else f"another state at {position}"


GOAL = Goal(
    id="C1",
    says="compliance killed or stopped: new orders refused within 1 s with outcome none, cancels "
    "pass, screening again within 3 s with exactly the earlier state",
    unit="kills",
    short=2,
    long=200,
    batch=20,
    run=run,
    bars_us={f"{REFUSED} p99": 1_000_000, f"{AGAIN} max": 3_000_000},
)
