"""Order and hang guards for the whole suite: quick tests first, the real world last."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.postgres_server import postgres_server as postgres_server

# In CI the same examples every time: a failure there is a change's, not the day's, nor the load's.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

WORLD = Path(__file__).parent / "world"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what lies in tests/world, and runs it after everything else."""
    for item in items:
        if item.path.is_relative_to(WORLD):
            item.add_marker(pytest.mark.world)
    items.sort(key=lambda item: item.path.is_relative_to(WORLD))
