"""Lines for one listener of a chunked stream: written as they come, cut when it cannot keep up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

UNSENT_BYTES_MAX = 8 * 1024 * 1024
EARLY_LINES_MAX = 1_000
"""What is told before the answer has begun."""


class Listener:
    """One open stream. `tell` never waits; a listener too far behind is cut off."""

    def __init__(self) -> None:
        self._early: list[bytes] = []
        self._request: web.BaseRequest | None = None
        self._cut = asyncio.Event()

    def tell(self, *lines: bytes) -> None:
        """Writes the lines, which lack their ends."""
        if self._request is None:
            self._early += lines
            if len(self._early) > EARLY_LINES_MAX:
                self.cut()
            return
        transport = self._request.transport
        if transport is None or transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self.cut()
        elif lines and not transport.is_closing():
            data = b"\n".join(lines) + b"\n"
            transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def cut(self) -> None:
        """Ends the stream without a word."""
        self._cut.set()

    async def run(
        self, request: web.BaseRequest, heartbeat: Callable[[], bytes], beat_s: float
    ) -> web.StreamResponse:
        """Serves the stream, with a heartbeat at every beat, until cut or left."""
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        self._request = request
        early, self._early = self._early, []
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._cut.is_set():
            if loop.time() >= due:
                beat = heartbeat()
                self.tell(*early, *((beat,) if beat else ()))
                early, due = [], due + beat_s
            await self._wait(due - loop.time())
        if request.transport is not None:
            request.transport.abort()
        return response

    async def _wait(self, wait_s: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, wait_s)):
                await self._cut.wait()
        except TimeoutError:
            return
