"""Runs roles in one process, without Ray: python -m bench.role_process HOME ROLE ..."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import structlog
import uvloop

from actors.host import Stage
from actors.logs import configure_logs
from actors.roles import starter_of


async def _run(home: Path, names: list[str]) -> None:
    stages = [Stage(name, home) for name in names]
    configure_logs(stages[0].paths.logs / f"{names[0]}.log", "info", names[0])
    structlog.get_logger().info("roles in one process", roles=names)
    async with asyncio.TaskGroup() as roles:
        for stage in stages:
            roles.create_task(_start(stage))


async def _start(stage: Stage) -> None:
    await starter_of(stage.role)(stage)


if __name__ == "__main__":
    uvloop.run(_run(Path(sys.argv[1]), sys.argv[2:]))
