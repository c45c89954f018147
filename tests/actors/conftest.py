"""Makes the worlds of these tests importable, and gives each test a runtime folder of its own."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What actors log is not what these tests look at, and printing it costs more than they do."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose name is short enough for socket paths; its locks are free afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="fgt-"))
    yield folder
    for handle in Path("/proc/self/fd").iterdir():
        try:
            target = handle.readlink()
        except OSError:
            continue
        # A process ends with its locks; a test that plays several processes must let go itself.
        # Other handles have owners (a mapping, a journal) that close them, and only once.
        if target.is_relative_to(folder) and target.suffix == ".lock":
            os.close(int(handle.name))
    shutil.rmtree(folder, ignore_errors=True)
