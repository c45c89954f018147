"""docs/limits.md tells the limits as they are."""

from __future__ import annotations

import importlib
import re

import msgspec
import pytest

from gateway.settings import GatewaySettings, Limits
from tests.shared_data import ROOT

PAGE = (ROOT / "docs" / "limits.md").read_text()
ROWS = re.findall(r"^\| (`[^|]+) \| ([0-9, ]+) \|", PAGE, re.MULTILINE)
NAMED = [
    (name, int(value))
    for names, values in ROWS
    for name, value in zip(re.findall(r"`([^`]+)`", names), values.split(","), strict=True)
]
SETTINGS = {
    **msgspec.structs.asdict(GatewaySettings()),
    **msgspec.structs.asdict(Limits()),
}
NO_LIMITS = {"origins", "limits", "heartbeat_ms", "ping_ms"}


@pytest.mark.parametrize(("name", "value"), NAMED)
def test_each_row_is_so(name: str, value: int) -> None:
    module, _, constant = name.rpartition(".")
    found = getattr(importlib.import_module(module), constant) if module else SETTINGS[name]
    assert found == value


def test_every_limit_of_the_settings_has_a_row() -> None:
    assert SETTINGS.keys() - NO_LIMITS <= {name for name, _ in NAMED}
