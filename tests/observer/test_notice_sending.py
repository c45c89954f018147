"""Notices really leave: to a webhook that listens, to a mail server that takes mail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from actors.observer import sending
from actors.observer.alarms import Severity
from actors.observer.judge import Standing
from actors.observer.notices import NoticeState, OperatorNotice
from actors.observer.sending import BadAddress, Sender

STANDING = Standing(
    id="unknown_order", role="router", label="", severity=Severity.CRITICAL, since_ns=1, value=31.0
)
BEGUN = OperatorNotice(NoticeState.BEGUN, STANDING)
OVER = OperatorNotice(NoticeState.OVER, STANDING)


class Webhook:
    """A real HTTP server that answers as told."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.status = 200
        self.port = 0

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        return web.Response(status=self.status)


@pytest_asyncio.fixture
async def webhook() -> AsyncIterator[Webhook]:
    made = Webhook()
    app = web.Application()
    app.router.add_post("/hook", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


@pytest.mark.asyncio
async def test_a_webhook_gets_the_alarm_and_its_end(webhook: Webhook) -> None:
    sender = Sender([f"json://127.0.0.1:{webhook.port}/hook"], "d-1")
    assert await sender.send([BEGUN])
    assert await sender.send([OVER])
    begun, over = webhook.bodies
    assert begun["title"] == "Fillgate d-1: [critical] unknown_order"
    assert begun["type"] == "failure"
    assert "runbooks.md#unknown_order" in begun["message"]
    assert (over["type"], over["title"]) == ("success", "Fillgate d-1: [over] unknown_order")
    assert (sender.sent, sender.failed) == (2, 0)


class Mailbox:
    """What a mail server took."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content)
        return "250 taken"


@pytest.mark.asyncio
async def test_a_mail_server_gets_the_alarm(unused_tcp_port: int) -> None:
    mailbox = Mailbox()
    server = Controller(mailbox, hostname="127.0.0.1", port=unused_tcp_port)
    server.start()
    try:
        url = f"mailto://127.0.0.1:{unused_tcp_port}?from=gate@example.com&to=me@example.com"
        assert await Sender([url], "d-1").send([BEGUN])
    finally:
        server.stop()
    (mail,) = (message_from_bytes(raw, policy=policy.default) for raw in mailbox.mails)
    assert mail["Subject"] == "Fillgate d-1: [critical] unknown_order"
    assert mail["To"] == "me@example.com"
    body = mail.get_body(("plain", "html"))
    assert body is not None
    assert "stays reserved" in body.get_content()


@pytest.mark.asyncio
async def test_a_refused_notice_is_counted_and_waits_longer_each_time(webhook: Webhook) -> None:
    webhook.status = 500
    sender = Sender([f"json://127.0.0.1:{webhook.port}/hook"], "d-1")
    assert sender.may_send()
    assert not await sender.send([BEGUN])
    assert (sender.sent, sender.failed) == (0, 1)
    assert not sender.may_send()
    webhook.status = 200
    assert await sender.send([BEGUN])
    assert sender.may_send()


@pytest.mark.asyncio
async def test_an_address_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "SEND_S_MAX", 0.2)
    hanging = await asyncio.start_server(_hang, "127.0.0.1", 0)
    port = hanging.sockets[0].getsockname()[1]
    sender = Sender([f"json://127.0.0.1:{port}/hook?rto=1"], "d-1")
    assert not await sender.send([BEGUN])
    assert sender.failed == 1
    hanging.close()


async def _hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(1.5)
    writer.close()


def test_an_address_nobody_understands_is_refused_without_being_shown() -> None:
    with pytest.raises(BadAddress, match="address 2") as refused:
        Sender(["json://127.0.0.1/x", "nonsense://canary-secret"], "d-1")
    assert "canary" not in str(refused.value)


@pytest.mark.asyncio
async def test_without_addresses_nothing_is_sent() -> None:
    sender = Sender([], "d-1")
    assert not sender.has_addresses
    assert not sender.may_send()
