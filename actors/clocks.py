"""The two clocks an actor may read, given to it so that a test can give others."""

from __future__ import annotations

import time

from actors.beacon import boot_ns
from gateway.backend import Clocks

SYSTEM_CLOCKS = Clocks(time.time_ns, boot_ns)
"""The machine's own."""

__all__ = ["SYSTEM_CLOCKS", "Clocks"]
