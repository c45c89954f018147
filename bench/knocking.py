"""Knocks at TCP ports of an address and prints those that open: run where an intruder would be.

python -m bench.knocking ADDRESS PORT...
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys

WAIT_S = 0.7
AT_ONCE = 200


async def knock(address: str, ports: list[int]) -> list[int]:
    """The ports that take a connection."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(port: int) -> bool:
        async with gate:
            with contextlib.suppress(OSError, TimeoutError):
                _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), WAIT_S)
                writer.close()
                return True
            return False

    opened = await asyncio.gather(*(one(port) for port in ports))
    return [port for port, is_open in zip(ports, opened, strict=True) if is_open]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(knock(sys.argv[1], [int(port) for port in sys.argv[2:]]))))
