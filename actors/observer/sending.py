"""Sends notices to operators: webhook, e-mail, and whatever else Apprise knows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog
from apprise import Apprise, AppriseAsset, NotifyType

from actors.observer.alarms import Severity
from actors.observer.notices import NoticeState, OperatorNotice, to_text

SEND_S_MAX = 30.0
PAUSES_S = (5.0, 10.0, 30.0, 60.0)
"""After each failure in a row; the last for all further ones."""

log = structlog.get_logger()


class BadAddress(Exception):
    """An address that no service understands; the message names its place, never itself."""


class Sender:
    """Sends to all addresses at once. One that fails makes the notice due again for all."""

    def __init__(self, urls: Iterable[str], deployment: str) -> None:
        """Raises BadAddress."""
        self._deployment = deployment
        self._apprise = Apprise(asset=AppriseAsset(app_id="Fillgate", app_desc="Fillgate"))
        for number, url in enumerate(urls, 1):
            if not self._apprise.add(url):
                raise BadAddress(f"[alarms]: address {number} is not understood")
        self.sent = 0
        self.failed = 0
        self._pause_until = 0.0
        self._failures = 0

    @property
    def has_addresses(self) -> bool:
        """Whether anyone would hear."""
        return len(self._apprise) > 0

    def may_send(self) -> bool:
        """False for a while after a failure."""
        return self.has_addresses and asyncio.get_running_loop().time() >= self._pause_until

    async def send(self, notices: list[OperatorNotice]) -> bool:
        """True where every address took them."""
        title, body = to_text(notices, self._deployment)
        return await self.send_text(title, body, _kind_of(notices))

    async def send_text(self, title: str, body: str, kind: NotifyType = NotifyType.INFO) -> bool:
        """True where every address took the message."""
        is_sent = False
        try:
            async with asyncio.timeout(SEND_S_MAX):
                is_sent = bool(await self._apprise.async_notify(body, title, notify_type=kind))
        except TimeoutError:
            log.warning("a notice took too long to send")
        self._count(is_sent)
        return is_sent

    def _count(self, is_sent: bool) -> None:
        if is_sent:
            self.sent += 1
            self._failures, self._pause_until = 0, 0.0
            return
        self.failed += 1
        pause_s = PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
        self._failures += 1
        self._pause_until = asyncio.get_running_loop().time() + pause_s
        log.error("a notice to operators was not sent", event_failures=self._failures)


def _kind_of(notices: list[OperatorNotice]) -> NotifyType:
    if all(notice.state is NoticeState.OVER for notice in notices):
        return NotifyType.SUCCESS
    grave = any(notice.standing.severity is Severity.CRITICAL for notice in notices)
    return NotifyType.FAILURE if grave else NotifyType.WARNING
