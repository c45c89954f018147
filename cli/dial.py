"""A command's way to a running deployment: where it is, the token, and one short session."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from actors.paths import Paths
from actors.supervisor import Running
from cli.trouble import Trouble
from cli.up import read_running
from domain.errors import ErrorInfo
from gateway.client import Client
from gateway.client_terms import ClientOptions, ConnectionLostError, Refused

CONNECT_S = 10.0
ANSWER_S = 30.0

T = TypeVar("T")


def find_running(paths: Paths) -> Running:
    """Where the deployment answers. Raises Trouble."""
    running = read_running(paths)
    if running is None:
        message = f"no deployment runs for {paths.home}"
        raise Trouble(message, "start it with `fillgate up`, or name another --home", "not_running")
    return running


def read_first_token(paths: Paths) -> str:
    """The token that `init` made. Raises Trouble."""
    try:
        return paths.first_token.read_text().strip()
    except FileNotFoundError:
        fix = f"make one with `fillgate token create` and write it to {paths.first_token}"
        raise Trouble(f"there is no token in {paths.first_token}", fix, "no_token") from None


def options_for(running: Running) -> ClientOptions:
    """How a client on this machine checks the deployment's certificate."""
    tls = running.tls
    return ClientOptions() if tls is None else ClientOptions(ca=tls.ca, server_name=tls.name)


@asynccontextmanager
async def dialed(paths: Paths) -> AsyncIterator[Client]:
    """A session with the running deployment. Raises Trouble."""
    running = find_running(paths)
    session = f"cli-{secrets.token_hex(4)}"
    client = Client.connect(
        running.url, read_first_token(paths), session, options=options_for(running)
    )
    async with asyncio.timeout(CONNECT_S):
        await client.__aenter__()
    try:
        yield client
    finally:
        await client.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs the work; refusals and lost connections become Trouble."""
    try:
        return asyncio.run(work)
    except Refused as refused:
        raise trouble_of(refused.error) from None
    except ConnectionLostError as lost:
        fix = "see that `fillgate up` runs; `fillgate doctor` says more"
        raise Trouble(f"no connection to the gateway: {lost}", fix, "connection") from None
    except TimeoutError:
        fix = "see `fillgate doctor`; an order may be under way: `fillgate orders` shows it"
        raise Trouble("the gateway did not answer in time", fix, "timeout") from None


def trouble_of(error: ErrorInfo) -> Trouble:
    """A refusal as the gateway worded it, with what may have happened."""
    field = f" ({error.field})" if error.field else ""
    fix = {
        "none": "nothing was done",
        "applied": "it was done",
        "unknown": "it may have been done: do not repeat it; `fillgate orders` shows it",
    }[error.outcome.value]
    if error.retry_after_ms is not None:
        fix += f"; try again in {error.retry_after_ms} ms"
    return Trouble(f"{error.message}{field}", fix, error.code)
