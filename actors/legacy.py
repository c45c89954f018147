"""What a supervisor writes down for whoever comes after it, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from actors.keeping import Kept


class Legacy(Struct, frozen=True, kw_only=True):
    """What a supervisor leaves to its successor: where clients connect, and what it keeps."""

    ray_address: str
    listening: tuple[tuple[str, int], ...]
    kept: dict[str, Kept]


def read_legacy(path: Path) -> Legacy | None:
    """What was left; None where nothing was, or it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Legacy)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def write_json(path: Path, facts: Any) -> None:
    """Writes it whole, for our user alone."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(facts))
    partial.chmod(0o600)
    partial.rename(path)
