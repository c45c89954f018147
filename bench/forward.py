"""Carries TCP connections from one address to another: a broker's way into a namespace.

python -m bench.forward LISTEN_HOST LISTEN_PORT HOST PORT
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

from actors.bridge import carry


async def forward(near: tuple[str, int], far: tuple[str, int]) -> None:
    """For ever."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            other = await asyncio.open_connection(*far)
            await carry((reader, writer), other)
            other[1].close()
        writer.close()

    server = await asyncio.start_server(take, *near)
    await server.serve_forever()


if __name__ == "__main__":
    _, host, port, far_host, far_port = sys.argv
    asyncio.run(forward((host, int(port)), (far_host, int(far_port))))
