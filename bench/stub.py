"""A broker that does nothing: answers every order at once with the same valid Alpaca JSON.

    python -m bench.stub        prints its address as a JSON line, ends with its standard input

Libraries without an OANDA dialect are timed against it. It matches, books and checks nothing,
so what it adds to their time is less than what a simulator would.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvloop

SYMBOL = "BTC/USD"
ORDER: dict[str, object] = {
    "id": "61e69015-8549-4bfd-b9c3-01e75843f47d",
    "client_order_id": "eb9e2aaa-f71a-4f51-b5b4-52a6c565dad4",
    "created_at": "2026-03-16T18:38:01.942282Z",
    "updated_at": "2026-03-16T18:38:01.942282Z",
    "submitted_at": "2026-03-16T18:38:01.937734Z",
    "filled_at": "2026-03-16T18:38:01.942282Z",
    "expired_at": None,
    "canceled_at": None,
    "failed_at": None,
    "replaced_at": None,
    "replaced_by": None,
    "replaces": None,
    "asset_id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415",
    "symbol": SYMBOL,
    "asset_class": "crypto",
    "notional": None,
    "qty": "1",
    "filled_qty": "1",
    "filled_avg_price": "60000.5",
    "order_class": "",
    "order_type": "market",
    "type": "market",
    "side": "buy",
    "time_in_force": "gtc",
    "limit_price": None,
    "stop_price": None,
    "status": "filled",
    "extended_hours": False,
    "legs": None,
    "trail_percent": None,
    "trail_price": None,
    "hwm": None,
}
ASSET: dict[str, object] = {
    "id": ORDER["asset_id"],
    "class": "crypto",
    "exchange": "CRYPTO",
    "symbol": SYMBOL,
    "name": "Bitcoin / US Dollar",
    "status": "active",
    "tradable": True,
    "marginable": False,
    "shortable": False,
    "easy_to_borrow": False,
    "fractionable": True,
    "attributes": [],
    "min_order_size": "0.0001",
    "min_trade_increment": "0.0001",
    "price_increment": "0.5",
}
HEAD_BYTES_MAX = 65_536


def answer_with(body: object) -> bytes:
    """A whole HTTP answer."""
    payload = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}"
    return head.encode() + b"\r\n\r\n" + payload


ANSWER_ORDER = answer_with(ORDER)
ANSWER_ASSETS = answer_with([ASSET])


def split_request(data: bytes) -> tuple[bytes, bytes] | None:
    """The first whole request and what follows it; None until one is whole."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        return None
    length = 0
    for line in data[:head_end].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    end = head_end + 4 + length
    return (data[:end], data[end:]) if len(data) >= end else None


class Stub(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._data = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the way back."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answers each whole request at once; closes on a head without end."""
        self._data += data
        while (found := split_request(self._data)) is not None:
            request, self._data = found
            is_order = request.startswith(b"POST")
            self._transport.write(ANSWER_ORDER if is_order else ANSWER_ASSETS)
        if len(self._data) > HEAD_BYTES_MAX:
            self._transport.abort()


async def serve() -> None:
    """Listens on a free port of loopback until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Stub, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    sys.stdout.write(json.dumps({"url": f"http://{host}:{port}"}) + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.buffer.read)
    server.close()


@contextlib.asynccontextmanager
async def stub() -> AsyncIterator[str]:
    """The stub in a process of its own; its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.stub",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield str(json.loads(await process.stdout.readline())["url"])
    finally:
        process.stdin.close()
        await process.wait()


if __name__ == "__main__":
    uvloop.run(serve())
