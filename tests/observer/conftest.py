"""What tests of the observer share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _runtime_goes_with_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also that of the processes a test starts."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
