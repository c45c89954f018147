"""Replaces the processes of every actor role, one role after the other, under orders.

For each role: those that wait are started anew (a role without any gets one for the while), then
the one that has the role ends what is under way and leaves, and one that waits goes on. Ray
starts the one that left again, and it waits. So both run what is installed now, and never
do two have the role: the lock, the epoch and the connections' intents fence the one before.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import aiohttp
import ray
import uvloop

from actors import messages as m
from actors import options
from actors.deploy import complete, connect, found_hosts
from actors.host import ActorHost
from actors.link import Hello, Link, LinkOwner, Ping, Pong
from actors.paths import LEDGER_ROLE, Paths
from actors.roles import roles
from actors.rolling import LOOK_S, TAKE_OVER_S, holder_pid, until
from actors.settings import Settings, load
from actors.shard import is_here
from actors.supervisor import is_ready

STATUS_S = 2.0


class Roll:
    """One rolling replacement."""

    def __init__(self, paths: Paths, settings: Settings, health_url: str) -> None:
        self._paths = paths
        self._settings = settings
        self._health_url = health_url
        self._me = Hello(
            role="roll", deployment=settings.deployment.id, incarnation="", pid=os.getpid()
        )

    async def run(self) -> None:
        """All roles, the router last: those behind it must be ready for it. Raises TimeoutError."""
        names = roles(self._settings)
        for role in (*(name for name in names if name != "router"), "router"):
            if self._is_elsewhere(role):
                await self._renew_all(role)
                continue
            await self._replace(role)
            await self._until_trading(role)

    def _is_elsewhere(self, role: str) -> bool:
        """Whether what trades is on another machine, and the role only waits on this one."""
        return bool(self._settings.nodes) and role != LEDGER_ROLE and not is_here(self._paths.shard)

    async def _renew_all(self, role: str) -> None:
        wanted = 1 + self._settings.deployment.standbys
        for name in complete(role, found_hosts(), wanted, self._settings.cluster.node):
            host = self._host(name)
            await self._renew(host, await find_pid(host))

    async def _replace(self, role: str) -> None:
        paths, wanted = self._paths, 1 + self._settings.deployment.standbys
        before = holder_pid(paths, role)
        names = complete(role, found_hosts(), max(wanted, 2), self._settings.cluster.node)
        hosts = {name: self._host(name) for name in names}
        for name, host in hosts.items():
            pid = await find_pid(host)
            if pid != before and name in names[:wanted]:
                await self._renew(host, pid)
        waiting = [pid for host in hosts.values() if (pid := await find_pid(host)) != before]
        await until(lambda: any(paths.waiting(role, pid).exists() for pid in waiting))
        await self._ask_to_leave(role)
        await until(lambda: holder_pid(paths, role) != before)
        await self._drop_surplus(role, hosts, wanted)

    def _host(self, name: str) -> Any:
        return options.spawn(ray, ActorHost, name, str(self._paths.home))

    async def _renew(self, host: Any, pid: int) -> None:
        """Starts one that waits anew, so that it runs what is installed now."""
        ray.kill(host, no_restart=False)
        async with asyncio.timeout(TAKE_OVER_S):
            while await find_pid(host) == pid:
                await asyncio.sleep(LOOK_S)

    async def _drop_surplus(self, role: str, hosts: dict[str, Any], wanted: int) -> None:
        """Ends those that were wanted for the while; never the one that has the role."""
        for host in hosts.values():
            if len(hosts) <= wanted:
                return
            if await find_pid(host) != holder_pid(self._paths, role):
                ray.kill(host, no_restart=True)
                return

    async def _ask_to_leave(self, role: str) -> None:
        loop = asyncio.get_running_loop()
        link: Link[Any] = Link(self._me, m.watchdog_inbox, LinkOwner())
        path = str(self._paths.control(role))
        await loop.create_unix_connection(lambda: link, path)
        await asyncio.wait_for(link.greeted, TAKE_OVER_S)
        link.send(m.Leave())
        await asyncio.wait_for(link.closed, TAKE_OVER_S)

    async def _until_trading(self, role: str) -> None:
        async with asyncio.timeout(TAKE_OVER_S), aiohttp.ClientSession() as session:
            while not await self._answers(role):
                await asyncio.sleep(LOOK_S)
            while not await is_ready(session, self._health_url):
                await asyncio.sleep(LOOK_S)

    async def _answers(self, role: str) -> bool:
        """Whether the process that has the role says that it is ready."""
        loop = asyncio.get_running_loop()
        link = _Probe(self._me)
        with contextlib.suppress(OSError, TimeoutError):
            await loop.create_unix_connection(lambda: link, str(self._paths.socket(role)))
            link.send(Ping(number=1))
            return await asyncio.wait_for(link.answer, STATUS_S)
        link.close()
        return False


class _Probe(Link[Any]):
    """A link that asks once."""

    def __init__(self, me: Hello) -> None:
        super().__init__(me, m.watchdog_inbox, LinkOwner())
        self.answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def pong(self, message: Pong) -> None:
        """It answers."""
        if not self.answer.done():
            self.answer.set_result(message.is_ready)
        self.close()


async def find_pid(host: Any) -> int:
    """The process that a host is now; waits while Ray starts it. Raises TimeoutError."""
    async with asyncio.timeout(TAKE_OVER_S):
        while True:
            try:
                return int(ray.get(host.status.remote(), timeout=STATUS_S)["pid"])
            except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
                await asyncio.sleep(LOOK_S)


def main(home: Path, address: str, health_url: str) -> None:
    """Replaces every actor's process. Raises what Ray raises, and TimeoutError."""
    paths = Paths(home)
    connect(address)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(Roll(paths, load(paths.settings), health_url).run())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
