"""The observer's process: look, judge, write `/metrics`, tell people; once a second, for ever."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from actors.logs import conceal, configure_logs
from actors.observer.alarms import Severity
from actors.observer.judge import Judge, Standing
from actors.observer.metrics import Node, to_prometheus
from actors.observer.node import OBSERVER_ROLE, NodeWatch
from actors.observer.notices import Known, Notices, OperatorNotice
from actors.observer.sending import Sender
from actors.paths import Paths
from actors.settings import Settings, load, read_notice_urls

LOOK_S = 1.0
GRACE_S = 30.0
"""A node that starts has roles that are not up yet: nobody is told before that."""
NICENESS = 10
NS = 1_000_000_000

log = structlog.get_logger()


class Observed(Struct, kw_only=True):
    """One look: when, everyone's figures, the alarms that stand, and what people know of them.

    `fillgate top` shows it; the next observer goes on from it.
    """

    at_ns: int = 0
    node: Node = {}
    standing: list[Standing] = []
    known: list[Known] = []


def read_observed(path: Path) -> Observed | None:
    """The last look, or None where there was none."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Observed)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


class Observer:
    """Looks at one node."""

    def __init__(self, paths: Paths, settings: Settings, started_ns: int) -> None:
        """Raises BadAddress."""
        self._paths = paths
        self._watch = NodeWatch(paths, settings)
        repeats = {
            Severity.CRITICAL: settings.alarms.repeat_critical_s,
            Severity.WARNING: settings.alarms.repeat_warning_s,
        }
        last = read_observed(paths.observed) or Observed()
        self._judge = Judge(standing=last.standing)
        self._notices = Notices(repeats, tuple(last.known))
        urls = read_notice_urls(settings.alarms)
        for url in urls:
            conceal(url)
        self._sender = Sender(urls, settings.deployment.id)
        self._sending: asyncio.Task[None] | None = None
        self._quiet_until_ns = started_ns + int(GRACE_S * NS)

    async def run(self) -> None:
        """Looks once a second, for ever."""
        while True:
            self.look(time.time_ns())
            await asyncio.sleep(LOOK_S)

    def look(self, now_ns: int) -> list[Standing]:
        """One look: judges, writes the pages, and begins to tell what is due."""
        node = self._watch.look()
        standing = self._judge.judge(node, now_ns)
        self._put_own(node, standing, now_ns)
        _write(self._paths.metrics, to_prometheus(node))
        if now_ns >= self._quiet_until_ns:
            self._tell(standing, now_ns)
        known = list(self._notices.known)
        seen = Observed(at_ns=now_ns, node=node, standing=standing, known=known)
        _write(self._paths.observed, msgspec.msgpack.encode(seen))
        return standing

    def _put_own(self, node: Node, standing: list[Standing], now_ns: int) -> None:
        told = node[OBSERVER_ROLE]
        count = Counter(one.severity for one in standing)
        for severity in Severity:
            told.put("fillgate_alarms", count[severity], severity.value)
        told.put("fillgate_notices_sent_total", self._sender.sent)
        told.put("fillgate_notices_failed_total", self._sender.failed)
        told.put("fillgate_observed_timestamp_seconds", now_ns / NS)

    def _tell(self, standing: list[Standing], now_ns: int) -> None:
        """One message at a time; what comes meanwhile is due with the next."""
        due = self._notices.due(standing, now_ns)
        is_busy = self._sending is not None and not self._sending.done()
        if due and not is_busy and self._sender.may_send():
            self._sending = asyncio.get_running_loop().create_task(self._send(due, now_ns))

    async def finish(self) -> None:
        """Waits for the message that is under way."""
        if self._sending is not None:
            await self._sending

    async def _send(self, due: list[OperatorNotice], now_ns: int) -> None:
        for notice in due:
            alarm = notice.standing
            log.warning("alarm", id=alarm.id, role_of=alarm.role, state=notice.state.value)
        if await self._sender.send(due):
            self._notices.told(due, now_ns)


def _write(path: Path, body: bytes) -> None:
    """Whole or not at all, readable by this user alone."""
    partial = path.with_suffix(".partial")
    partial.touch(mode=0o600)
    partial.write_bytes(body)
    partial.rename(path)


def main(home: Path) -> None:
    """Runs the observer of a deployment. Raises BadAddress."""
    paths = Paths(home)
    settings = load(paths.settings)
    configure_logs(paths.logs / "observer.log", settings.deployment.log_level, OBSERVER_ROLE)
    os.nice(NICENESS)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Observer(paths, settings, time.time_ns()).run())


if __name__ == "__main__":
    os.umask(0o077)
    main(Path(sys.argv[1]))
