"""S6: planted secrets turn up nowhere after a run with crashes.

Secrets of every kind are planted where secrets belong: a broker's token and notice addresses in
files, clients' tokens with the clients, tickets with the browser. Orders are traded, every role
is killed (some by SIGABRT, which would leave a core), wrong tokens are tried, the API is read.
Then every byte that the deployment left or shows is searched: its home and runtime (journal, WAL,
store, logs, Ray's session), shared memory, each process's environment and command line, and all
answers. A secret is looked for as it is, in Base64, and percent-encoded.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from random import Random
from urllib.parse import quote

import aiohttp
import psutil

from actors.paths import LEDGER_ROLE, connection_role
from bench.goal import Goal, Tally
from bench.world import CONNECTION_ROLE, OWNER, World, WorldOptions, world
from brokers.simulators.book import AccountSettings
from brokers.simulators.engine import EngineSettings
from brokers.simulators.oanda import Login, OandaSettings, OandaSimulator
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from gateway.client import Client, ConnectionLostError, Refused
from gateway.tokens import TokenStore, TokenTerms
from gateway.wire import Scope

PLANTED = 50
ADDRESSES, WRONG, TICKETS = 10, 8, 5
CHUNK_BYTES = 1 << 20
NO_CORE = re.compile(r"^Max core file size\s+0\s+0\s", re.MULTILINE)
SETTLE_S = 3.0
BACK_S = 40.0
ORIGIN = "https://desk.example"
READS = (
    "/api/v1/openapi.json", "/api/v1/orders?status=all", "/api/v1/connections", "/api/v1/accounts",
    "/api/v1/instruments", "/api/v1/positions", "/api/v1/nothing",
)  # fmt: skip
HEALTH = ("/healthz", "/readyz", "/metrics")
CANARY_ACCOUNT = "101-001-1000009-001"
CANARY_ROLE = connection_role("canary")
ABORTED, KILLED = ("router", CANARY_ROLE), ("edge-0", "compliance", CONNECTION_ROLE, LEDGER_ROLE)
SETTINGS = """
[[connections]]
id = "canary"
owner = "{owner}"
broker = "oanda"
broker_account_id = "{account}"
account = "canary"
api_url = "{api_url}"
stream_url = "{stream_url}"
token_file = "{folder}/broker.token"

[alarms]
urls_file = "{folder}/notices"

[gateway]
origins = ["{origin}"]
"""


async def run(trials: int, seed: int) -> Tally:
    """Plants as many secrets; each one found anywhere is a violation."""
    luck = Random(seed)
    with tempfile.TemporaryDirectory(prefix="fg-s06-") as folder:
        kinds = _plant(trials, luck, Path(folder))
        settings = OandaSettings(
            engine=EngineSettings(
                accounts=(AccountSettings(id=CANARY_ACCOUNT, balance=Decimal(100_000)),)
            ),
            logins=(Login(token=kinds["broker"][0]),),
        )
        async with OandaSimulator(settings) as broker:
            extra = SETTINGS.format(
                owner=OWNER, account=CANARY_ACCOUNT, api_url=broker.url,
                stream_url=broker.stream_url, folder=folder, origin=ORIGIN,
            )  # fmt: skip
            async with world(WorldOptions(extra=extra)) as deployment:
                answers = await _live(deployment, kinds, luck)
                return _search(deployment, kinds, answers, seed)


Kinds = dict[str, list[str]]
"""The planted secrets by kind."""


def _plant(trials: int, luck: Random, folder: Path) -> Kinds:
    """Those that stand in files; the others are made by the deployment itself."""
    made = [f"canary-{luck.randbytes(18).hex()}" for _ in range(1 + ADDRESSES + WRONG)]
    kinds = {"broker": made[:1], "notice": made[1 : 1 + ADDRESSES], "wrong": made[1 + ADDRESSES :]}
    (folder / "broker.token").write_text(kinds["broker"][0])
    # Nobody listens there: every notice fails, which is when secrets like to be told.
    lines = [f"json://me:{one}@127.0.0.1:9/hook" for one in kinds["notice"]]
    (folder / "notices").write_text("\n".join(lines))
    kinds["client"] = [""] * (trials - len(made) - TICKETS - 1)
    return kinds


async def _live(deployment: World, kinds: Kinds, luck: Random) -> list[bytes]:
    """Trades, reads, errs and crashes; returns every answer's bytes."""
    store = TokenStore(deployment.paths.tokens)
    terms = TokenTerms(owner=OWNER, scopes=(Scope.READ, Scope.TRADE))
    count = len(kinds["client"])
    kinds["client"] = [store.create(terms, time.time_ns(), os.urandom) for _ in range(count)]
    kinds["ray"] = [(deployment.paths.runtime / "ray.token").read_text()]
    await asyncio.sleep(0.5)  # edges look at tokens every quarter of a second
    answers = [await _trade(deployment, kinds["client"][0], 0)]
    answers += await _read(deployment, kinds)
    for number, role in enumerate((*ABORTED, *KILLED), 1):
        before = deployment.pid(role)
        os.kill(before, signal.SIGABRT if role in ABORTED else signal.SIGKILL)
        await _until_back(deployment, role, before)
        token = kinds["client"][luck.randrange(count)]
        answers.append(await _trade(deployment, token, number))
    await asyncio.sleep(SETTLE_S)
    return answers + await _read(deployment, kinds)


async def _trade(deployment: World, token: str, number: int) -> bytes:
    """Some orders by one client, and all it was told; a cut meanwhile is part of the run."""
    told: list[object] = []
    with contextlib.suppress(ConnectionLostError, TimeoutError):
        async with asyncio.timeout(20), Client.connect(deployment.url, token, f"s-{number}") as one:
            for at, account in enumerate(("paper", "canary")):
                told.append(await _place(one, f"o-{number}-{at}", account))
    return repr(told).encode()


async def _place(client: Client, name: str, account: str) -> object:
    order = NewOrder(
        client_order_id=name, instrument="EUR/USD", side=Side.BUY, quantity=Decimal(100),
        type=OrderType.MARKET, time_in_force=TimeInForce.FOK, account=account,
    )  # fmt: skip
    try:
        return await client.place(order)
    except Refused as refused:
        return refused


async def _read(deployment: World, kinds: Kinds) -> list[bytes]:
    """The API's answers to right and wrong callers, and the health port's."""
    answers: list[bytes] = []
    url, health = deployment.ready["rest_url"], deployment.ready["health_url"]
    async with aiohttp.ClientSession() as http:
        for number, path in enumerate(READS * 4):
            token = kinds["client"][number % len(kinds["client"])]
            answers.append(await _get(http, url + path, token))
        for token in kinds["wrong"]:
            answers.append(await _get(http, url + READS[1], token))
            answers.append(await _get(http, f"{url}{READS[1]}&token={token}", token))
        answers += [await _get(http, health + path, "") for path in HEALTH]
        kinds.setdefault("ticket", [])
        while len(kinds["ticket"]) < TICKETS:
            kinds["ticket"].append(await _ticket(http, url, kinds["client"][0]))
    return answers


async def _get(http: aiohttp.ClientSession, url: str, token: str) -> bytes:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with http.get(url, headers=headers) as answer:
        return repr(dict(answer.headers)).encode() + await answer.read()


async def _ticket(http: aiohttp.ClientSession, url: str, token: str) -> str:
    """A ticket that nobody uses: it waits, by hash, until its time is over."""
    headers = {"Authorization": f"Bearer {token}", "Origin": ORIGIN}
    async with http.post(f"{url}/api/v1/tickets", headers=headers) as answer:
        answer.raise_for_status()
        return str((await answer.json())["ticket"])


async def _until_back(deployment: World, role: str, before: int) -> None:
    """Until another process has the role. Raises TimeoutError."""
    async with asyncio.timeout(BACK_S):
        while deployment.pid(role) == before:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)


# -- searching


def _search(deployment: World, kinds: Kinds, answers: list[bytes], seed: int) -> Tally:
    forms = {
        form: f"{kind} {number}"
        for kind, secrets_of_it in kinds.items()
        for number, secret in enumerate(secrets_of_it)
        for form in forms_of(secret)
    }
    details: set[str] = set()
    scanned = {"bytes": 0, "places": 0}
    for place, chunks in _places(deployment, answers):
        scanned["places"] += 1
        for chunk in chunks:
            scanned["bytes"] += len(chunk)
            details |= {f"seed {seed}: {forms[one]} in {place}" for one in forms if one in chunk}
    details |= {f"seed {seed}: {role} may leave a core" for role in _with_cores(deployment)}
    count = sum(len(found) for found in kinds.values())
    found = sorted(details)
    return Tally(trials=count, violations=len(found), details=found, counts=scanned)


def forms_of(secret: str) -> set[bytes]:
    """A secret as it may be written: plain, percent-encoded, and in Base64 at any offset."""
    found = {secret.encode(), quote(secret, safe="").encode()}
    for pad in range(3):
        whole = base64.b64encode(b"\0" * pad + secret.encode())
        # The first and last characters depend on what stands beside it.
        found.add(whole[4:-4])
    return found


def _with_cores(deployment: World) -> list[str]:
    """Roles whose memory, and the secrets in it, a crash would write to a file."""
    roles = (*ABORTED, *KILLED)
    limits = {role: Path(f"/proc/{deployment.pid(role)}/limits").read_text() for role in roles}
    return [role for role, text in limits.items() if NO_CORE.search(text) is None]


def _places(deployment: World, answers: list[bytes]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Every place a secret could be in, with its bytes."""
    own = deployment.paths.runtime / "ray.token"
    for folder in (deployment.paths.home, deployment.paths.runtime):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path != own:
                yield str(path), _chunks(path)
    for process in deployment.descendants():
        yield from _of_process(process)
    yield from ((f"answer {number}", (body,)) for number, body in enumerate(answers))


def _of_process(process: psutil.Process) -> Iterator[tuple[str, Iterable[bytes]]]:
    """What others may read of a process, and shared memory it has open."""
    folder = Path(f"/proc/{process.pid}")
    for name in ("environ", "cmdline"):
        yield f"{folder}/{name}", _chunks(folder / name)
    with contextlib.suppress(OSError):
        for handle in (folder / "fd").iterdir():
            if "/dev/shm" in os.readlink(handle):  # noqa: S108 - where Ray keeps its objects
                yield str(handle), _chunks(handle)


def _chunks(path: Path) -> Iterator[bytes]:
    """A file, piece by piece, each with the end of the one before."""
    tail = b""
    with contextlib.suppress(OSError), path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield tail + chunk
            tail = chunk[-256:]


GOAL = Goal(
    id="S6",
    says="planted secrets turn up in no log, file, environment, shared memory or answer",
    unit="secrets",
    short=PLANTED,
    long=PLANTED * 10,
    batch=PLANTED,
    run=run,
)
