"""A certificate authority of a test's own, by the openssl program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.tls import TlsSettings

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


def _openssl(*words: str) -> None:
    subprocess.run(("openssl", *words), check=True, capture_output=True)


def an_authority(folder: Path) -> Path:
    """Its certificate; the key lies beside it."""
    folder.mkdir(exist_ok=True)
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.crt"), "-days", "2",
        "-subj", "/CN=test authority", "-addext", "basicConstraints=critical,CA:TRUE",
        "-addext", "keyUsage=critical,keyCertSign",
    )  # fmt: skip
    return folder / "ca.crt"


def a_certificate(folder: Path, name: str = "gateway.test") -> TlsSettings:
    """A new certificate of the authority in the folder, and its key, at the same paths."""
    request, key, made = folder / "tls.csr", folder / "tls.key", folder / "tls.crt"
    _openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-keyout", str(key), "-out", str(request), "-subj", f"/CN={name}",
        "-addext", f"subjectAltName=DNS:{name}",
    )  # fmt: skip
    _openssl(
        "x509", "-req", "-in", str(request), "-CA", str(folder / "ca.crt"),
        "-CAkey", str(folder / "ca.key"), "-CAcreateserial", "-out", str(made), "-days", "1",
        "-copy_extensions", "copy",
    )  # fmt: skip
    ca = str(folder / "ca.crt")
    return TlsSettings(certificate=str(made), key=str(key), name=name, ca=ca)
