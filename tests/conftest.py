"""Order and hang guards for the whole suite: quick tests first, the real world last."""

from __future__ import annotations

from pathlib import Path

import pytest

WORLD = Path(__file__).parent / "world"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what lies in tests/world, and runs it after everything else."""
    for item in items:
        if item.path.is_relative_to(WORLD):
            item.add_marker(pytest.mark.world)
    items.sort(key=lambda item: item.path.is_relative_to(WORLD))
