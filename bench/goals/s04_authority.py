"""S4: every operation of WebSocket and REST, by every role, on one's own and on another's things.

The matrix is written down by hand beside its test; a new operation without a row fails there.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from bench.goal import Goal, Tally
from gateway import wire
from gateway.rest_operations import OPERATIONS

ROOT = Path(__file__).parents[2]
MATRIX = "tests/gateway/test_authority_matrix.py"
ROLES = 5
TENANTS = 2
COMBINATIONS = (len(OPERATIONS) + len(wire.REQUESTS)) * ROLES * TENANTS
WORDS_MAX = 2_000


async def run(_trials: int, seed: int) -> Tally:
    """The whole matrix, however many trials were asked for."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pytest", "-q", MATRIX, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    tally = Tally(trials=COMBINATIONS)
    tally.counts |= {"operations": len(OPERATIONS) + len(wire.REQUESTS), "roles": ROLES}
    if process.returncode:
        tally.violations = 1
        tally.details.append(f"seed {seed}: {output.decode(errors='replace')[-WORDS_MAX:]}")
    return tally


GOAL = Goal(
    id="S4",
    says="every operation is allowed exactly as declared, by role and tenant",
    unit="combinations",
    short=COMBINATIONS,
    long=COMBINATIONS,
    batch=COMBINATIONS,
    run=run,
)
