"""The certificate of the WebSocket and REST listeners: TLS 1.2 or newer, replaced while serving.

A new certificate is read when its files change, and serves the handshakes that follow; sessions
go on under the old one. A pair that does not fit together is reported and the last good one
stays, for a renewal gone wrong must not stop trading.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import structlog
from msgspec import Struct

from gateway.private_file import Stamp, stamp_of

log = structlog.get_logger()


class TlsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PEM files: the certificate with its chain, and its key.

    `name` is whom the certificate is for, by which tools on this machine check it; `ca` is who
    signed it, where the system does not know.
    """

    certificate: str
    key: str
    name: str | None = None
    ca: str | None = None


class TlsFault(Exception):
    """The files cannot be used; the text names the file and the fix."""


class Certificate:
    """The context that listeners use; `refresh` keeps it up to date."""

    def __init__(self, settings: TlsSettings) -> None:
        """Raises TlsFault."""
        self.context = _fresh()
        self._settings = settings
        self._stamp = self._read_stamp()
        _load(self.context, settings)

    def refresh(self) -> bool:
        """True where a new certificate is served from now on."""
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            # First into another: a pair that does not fit would leave this one half changed.
            _load(_fresh(), self._settings)
            _load(self.context, self._settings)
        except TlsFault as fault:
            log.error("new certificate unusable, the last good one stays", why=str(fault))
            return False
        log.info("new certificate", file=self._settings.certificate)
        return True

    def _read_stamp(self) -> list[Stamp | None]:
        return [stamp_of(Path(name)) for name in (self._settings.certificate, self._settings.key)]


def find_fault(settings: TlsSettings) -> str | None:
    """Why the files cannot be used, or None."""
    try:
        _load(_fresh(), settings)
    except TlsFault as fault:
        return str(fault)
    return None


def trusting(ca: str | None) -> ssl.SSLContext:
    """A client's context: servers signed by this CA, or by those the system knows."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _fresh() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(context: ssl.SSLContext, settings: TlsSettings) -> None:
    for name, path in (("certificate", settings.certificate), ("key", settings.key)):
        try:
            Path(path).read_bytes()
        except OSError as trouble:
            why = trouble.strerror or str(trouble)
            raise TlsFault(f"[deployment.tls] {name} {path}: {why.lower()}") from None
    try:
        # Never ask a terminal for a password: there is none.
        context.load_cert_chain(settings.certificate, settings.key, password=lambda: b"")
    except ssl.SSLError as trouble:
        if trouble.reason == "KEY_VALUES_MISMATCH":
            words = f"key {settings.key} is not the key of certificate {settings.certificate}"
        else:
            files = f"certificate {settings.certificate} and key {settings.key}"
            words = f"{files} are not a certificate and its key without a password, in PEM"
        raise TlsFault(f"[deployment.tls] {words}") from None
