"""Makes the worlds of these tests importable, and gives each test a runtime folder of its own."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose name is short enough for socket paths; what was left open in it is closed."""
    folder = Path(tempfile.mkdtemp(prefix="fgt-"))
    yield folder
    for handle in Path("/proc/self/fd").iterdir():
        try:
            target = handle.readlink()
        except OSError:
            continue
        # A process ends with its locks; a test that plays several processes must let go itself.
        if target.is_relative_to(folder):
            os.close(int(handle.name))
    shutil.rmtree(folder, ignore_errors=True)
