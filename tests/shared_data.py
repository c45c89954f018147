"""Where the data shared with the design lies: beside the checkout, and not part of it."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
"""Specifications, recordings, ticks and cases; read only."""

requires_shared = pytest.mark.skipif(
    not SHARED.is_dir(),
    reason=f"needs the shared data in {SHARED.parent.name}/{SHARED.name} beside the checkout",
)
