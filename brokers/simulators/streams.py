"""Lines for one listener of a chunked stream: bounded, cut when it cannot keep up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from aiohttp import web

LINES_MAX = 20_000


class Listener:
    """One open stream. `tell` never waits; a listener too far behind is cut off."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self.is_cut = False

    def tell(self, line: bytes) -> None:
        """Adds one line, without its end."""
        if len(self._lines) >= LINES_MAX:
            self.cut()
            return
        self._lines.append(line)
        self._wake.set()

    def cut(self) -> None:
        """Ends the stream without a word."""
        self.is_cut = True
        self._wake.set()

    async def run(
        self, request: web.BaseRequest, heartbeat: Callable[[], bytes], beat_s: float
    ) -> web.StreamResponse:
        """Writes lines as they come, and a heartbeat at every beat, until cut or left."""
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self.is_cut:
            if loop.time() >= due:
                if beat := heartbeat():
                    self._lines.append(beat)
                due += beat_s
            if self._lines:
                data = b"\n".join(self._lines) + b"\n"
                self._lines.clear()
                await response.write(data)
            await self._wait(due - loop.time())
        if request.transport is not None:
            request.transport.abort()
        return response

    async def _wait(self, wait_s: float) -> None:
        self._wake.clear()
        if self._lines or self.is_cut:
            return
        try:
            async with asyncio.timeout(max(0.0, wait_s)):
                await self._wake.wait()
        except TimeoutError:
            return
