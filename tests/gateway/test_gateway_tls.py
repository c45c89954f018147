"""TLS: only 1.2 and newer, by a certificate that can be replaced while sessions go on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from certificates import a_certificate, an_authority, needs_openssl
from gateway_world import CLOCKS, OWN, World, an_order, until
from structlog.testing import capture_logs

from gateway.client import Client, ClientOptions
from gateway.client_terms import ConnectionLostError
from gateway.server import GatewayServer
from gateway.settings import GatewaySettings
from gateway.tls import Certificate, TlsFault, TlsSettings, find_fault, trusting
from gateway.tokens import TokenBook
from gateway.way import Way

pytestmark = [
    pytest.mark.asyncio,
    needs_openssl,
    pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning"),
]
FAST = GatewaySettings(heartbeat_ms=100, open_timeout_ms=300, close_timeout_ms=200)


class SecureWorld:
    """A server behind a certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        an_authority(folder)
        self.settings = a_certificate(folder)
        self.certificate = Certificate(self.settings)
        self.world = World(folder, FAST)
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.server = GatewayServer(self.world.router, TokenBook(self.world.path), CLOCKS, FAST)

    async def start(self) -> None:
        self.world.router.servers = [self.server]
        await self.server.start([self.sock], Way(self.certificate.context))

    def client(self, session: str = "s", ca: str | None = "", name: str = "gateway.test") -> Client:
        options = ClientOptions(
            ca=self.settings.ca if ca == "" else ca, server_name=name, dial_timeout_ms=2_000
        )
        url = f"wss://127.0.0.1:{self.port}"
        return Client.connect(url, self.world.token, session, resume=False, options=options)

    async def served(self) -> str:
        """The serial number of the certificate that a new handshake gets."""
        context = trusting(self.settings.ca)
        _, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, server_hostname="gateway.test"
        )
        found = writer.get_extra_info("ssl_object").getpeercert()["serialNumber"]
        writer.transport.abort()
        return str(found)


@pytest_asyncio.fixture
async def secure(tmp_path: Path) -> AsyncIterator[SecureWorld]:
    world = SecureWorld(tmp_path)
    await world.start()
    yield world
    await world.server.stop()


async def test_a_client_with_the_authority_trades_over_tls(secure: SecureWorld) -> None:
    async with secure.client() as client:
        await client.place(an_order("a"))
        await until(lambda: client.cursors.get(OWN) == 2)


async def test_a_client_trusts_no_unknown_authority_and_no_other_name(secure: SecureWorld) -> None:
    for stranger in (secure.client(ca=None), secure.client(name="other.test")):
        with pytest.raises(ConnectionLostError, match="CERTIFICATE_VERIFY_FAILED"):
            async with stranger:
                pass


@pytest.mark.parametrize(
    ("version", "is_served"),
    [
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
)
async def test_only_tls_1_2_and_newer_is_spoken(
    secure: SecureWorld, version: ssl.TLSVersion, *, is_served: bool
) -> None:
    context = ssl.create_default_context(cafile=secure.settings.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.maximum_version = context.minimum_version = version
    dialing = asyncio.open_connection(
        "127.0.0.1", secure.port, ssl=context, server_hostname="gateway.test"
    )
    if not is_served:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await dialing
        return
    _, writer = await dialing
    writer.transport.abort()


async def test_a_renewed_certificate_is_served_and_sessions_go_on(secure: SecureWorld) -> None:
    before = await secure.served()
    async with secure.client() as client:
        assert not secure.certificate.refresh()
        a_certificate(secure.folder)
        assert secure.certificate.refresh()
        assert await secure.served() != before
        await client.place(an_order("a"))
        assert client.reconnects == 0


@pytest.mark.parametrize("damage", ["key of another", "no certificate", "gone"])
async def test_a_renewal_gone_wrong_leaves_the_last_good_one(
    secure: SecureWorld, damage: str
) -> None:
    before = await secure.served()
    certificate = Path(secure.settings.certificate)
    kept = certificate.read_bytes()
    if damage == "key of another":
        a_certificate(secure.folder)
        certificate.write_bytes(kept)
    elif damage == "no certificate":
        certificate.write_text("not PEM")
    else:
        certificate.unlink()
    with capture_logs() as lines:
        assert not secure.certificate.refresh()
    assert [line["log_level"] for line in lines] == ["error"]
    assert await secure.served() == before


async def test_a_half_sent_handshake_is_cut(secure: SecureWorld) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", secure.port)
    writer.write(b"\x16\x03\x01")
    async with asyncio.timeout(3):
        with contextlib.suppress(ConnectionError):
            assert await reader.read(100) == b""
    writer.transport.abort()


async def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    an_authority(tmp_path)
    good = a_certificate(tmp_path)
    assert find_fault(good) is None
    gone = TlsSettings(certificate=good.certificate, key=str(tmp_path / "gone.key"))
    assert "key" in str(find_fault(gone))
    assert "gone.key: no such file" in str(find_fault(gone))
    swapped = TlsSettings(certificate=good.key, key=good.certificate)
    assert "are not a certificate and its key" in str(find_fault(swapped))
    other = TlsSettings(certificate=good.certificate, key=str(tmp_path / "ca.key"))
    assert "is not the key of certificate" in str(find_fault(other))
    with pytest.raises(TlsFault):
        Certificate(gone)
