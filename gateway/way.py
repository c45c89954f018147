"""How a listener may be reached: by TLS, in plain text on loopback, or anywhere where told so."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from typing import Any

from msgspec import Struct

from gateway.settings import GatewaySettings


class Way(Struct, frozen=True):
    """Without a context it is plain text, and beyond loopback only where that is `allowed`."""

    tls: ssl.SSLContext | None = None
    allowed: bool = False

    def options(self, sock: socket.socket, settings: GatewaySettings) -> dict[str, Any]:
        """What the loop's `create_server` is told. Raises ValueError."""
        if self.tls is None:
            if not self.allowed and not is_loopback(sock):
                raise ValueError("without a certificate the server listens on loopback only")
            return {}
        return {
            "ssl": self.tls,
            "ssl_handshake_timeout": settings.open_timeout_ms / 1000,
            "ssl_shutdown_timeout": settings.close_timeout_ms / 1000,
        }


PLAIN_ON_LOOPBACK = Way()


def peer_of(transport: Any) -> str:
    """The address at the other end; empty where there is none."""
    found = transport.get_extra_info("peername") if transport is not None else None
    return str(found[0]) if isinstance(found, tuple) else ""


def is_loopback(sock: socket.socket) -> bool:
    """True where only this machine can connect."""
    if sock.family == socket.AF_UNIX:
        return True
    return ipaddress.ip_address(sock.getsockname()[0]).is_loopback
