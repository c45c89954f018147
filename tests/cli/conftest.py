"""What tests of the command line share."""

from __future__ import annotations

import pytest

from cli import template


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Journals of 1 MiB instead of 64: zeros take their time."""
    text = template.TEMPLATE.replace("segment_bytes = 67108864", "segment_bytes = 1048576")
    text = text.replace("reserve_bytes = 16777216", "reserve_bytes = 65536")
    monkeypatch.setattr(template, "TEMPLATE", text)
