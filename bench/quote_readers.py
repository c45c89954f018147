"""Clients of the quote bench: many sockets in one process, read at no cost to speak of.

    python -m bench.quote_readers PORT CLIENTS

The bearer token comes as the first line of stdin. Each client upgrades, logs in and subscribes
to every instrument; then each line of stdin starts a run: whatever arrives is kept as it is,
with the moment of each read, until the source has been quiet for a while. Only then are the
frames cut, decoded and checked: counts, payload sizes, update numbers one after another.
"""

from __future__ import annotations

import json
import mmap
import os
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from itertools import pairwise

import msgspec
from hdrh.histogram import HdrHistogram

from bench.histogram import DIGITS, HIGHEST_NS, LOWEST_NS
from bench.quote_source import INSTRUMENTS
from gateway import wire
from gateway.settings import SUBPROTOCOL_MSGPACK

QUIET_S = 0.4
"""A run is over when nothing came for so long; heartbeats come later than that."""
BUFFER_BYTES = 64 * 1024 * 1024
READ_BYTES = 1024 * 1024
ALIVE_S = 2.0
BINARY_FRAME = 0x82
PONG_FRAME = b"\x8a\x80" + bytes(4)
_decode = msgspec.msgpack.Decoder(wire.QuoteUpdate | wire.Hb | wire.Res).decode


class Reader:
    """One client: a blocking hand-made start, then bytes and moments."""

    def __init__(
        self, port: int, token: str, name: str, is_conflated: bool = False, window: int = 0
    ) -> None:
        self.sock = socket.socket()
        if window:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.sock.connect(("127.0.0.1", port))
        self.buffer = memoryview(mmap.mmap(-1, BUFFER_BYTES))
        self.size = 0
        self.reads: list[tuple[int, int]] = []
        self._updates: dict[str, int] = {}
        self._upgrade(port, token)
        self._say({"t": "login", "session": name})
        self._until(b"welcome")
        streams = {f"quotes/{name}": None for name in INSTRUMENTS}
        sub = {"t": "sub", "id": "s", "streams": streams}
        self._say(sub if is_conflated else sub | {"conflate": False})
        self._until(b"\xa3res")
        self.sock.setblocking(False)

    def _upgrade(self, port: int, token: str) -> None:
        self.sock.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL_MSGPACK}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        assert b" 101 " in self._until(b"hello")

    def _say(self, message: object) -> None:
        payload = msgspec.msgpack.encode(message)
        assert len(payload) < 65_536
        is_short = len(payload) < 126
        size = bytes((0x80 | len(payload),)) if is_short else b"\xfe" + len(payload).to_bytes(2)
        # A mask of zeros is a mask.
        self.sock.sendall(b"\x82" + size + bytes(4) + payload)

    def _until(self, words: bytes) -> bytes:
        heard = b""
        while words not in heard:
            more = self.sock.recv(65_536)
            assert more, f"closed before {words!r}: {heard!r}"
            heard += more
        return heard

    def read(self) -> bool:
        """Takes what is there; False at the end of the connection."""
        count = self.sock.recv_into(self.buffer[self.size : self.size + READ_BYTES])
        self.size += count
        self.reads.append((self.size, time.time_ns()))
        return count > 0

    def quotes(self) -> Iterator[tuple[int, wire.QuoteUpdate, int]]:
        """(payload size, quote, when it was whole) of what was kept; then it is forgotten."""
        moments = iter(self.reads)
        end, at_ns = 0, 0
        for start, stop in _frames(self.buffer[: self.size]):
            while end < stop:
                end, at_ns = next(moments)
            message = _decode(self.buffer[start:stop])
            if isinstance(message, wire.QuoteUpdate):
                yield stop - start, message, at_ns
        self.size = 0
        self.reads.clear()

    def check(self, latencies: HdrHistogram) -> dict[str, int]:
        """Counts, and what is wrong with them."""
        seen: dict[str, list[int]] = {name: [] for name in INSTRUMENTS}
        sizes = [0]
        conflated = last_ns = 0
        for size, message, at_ns in self.quotes():
            quote = message.quote
            if quote.unchanged:
                continue
            seen[quote.instrument].append(quote.update)
            sizes.append(size)
            conflated += quote.conflated
            latencies.record_value(min(max(at_ns - quote.received_ns, LOWEST_NS), HIGHEST_NS))
            last_ns = at_ns
        holes = 0
        for name, updates in seen.items():
            numbers = [self._updates.get(name, 0), *updates]
            holes += sum(later != sooner + 1 for sooner, later in pairwise(numbers))
            self._updates[name] = numbers[-1]
        return {
            "quotes": len(sizes) - 1,
            "stands_for": conflated,
            "holes": holes,
            "payload_min": min(sizes[1:], default=0),
            "last_ns": last_ns,
        }


def _frames(data: memoryview) -> Iterator[tuple[int, int]]:
    """Where each message's payload starts and stops; pings are passed over."""
    at = 0
    while at < len(data):
        size, head = data[at + 1], 2
        if size == 126:
            size, head = int.from_bytes(data[at + 2 : at + 4]), 4
        elif size == 127:
            size, head = int.from_bytes(data[at + 2 : at + 10]), 10
        if data[at] == BINARY_FRAME:
            yield at + head, at + head + size
        at += head + size


def show_life(readers: list[Reader]) -> None:
    """The edge ends who is silent for long."""
    for reader in readers:
        reader.sock.send(PONG_FRAME)


def take_all(readers: list[Reader], selector: selectors.BaseSelector, wait_s: float) -> None:
    """Reads all clients until the source, once heard, has been quiet for a while."""
    quiet_at = time.monotonic() + wait_s
    alive_at = 0.0
    while (now := time.monotonic()) < quiet_at:
        if now > alive_at:
            alive_at = now + ALIVE_S
            show_life(readers)
        ready = selector.select(QUIET_S / 4)
        for key, _ in ready:
            assert key.data.read(), "the edge closed a client"
        if ready:
            quiet_at = time.monotonic() + QUIET_S


def report(readers: list[Reader]) -> dict[str, object]:
    """What one run brought, client by client, and all latencies."""
    latencies = HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)
    checks = []
    for reader in readers:
        checks.append(reader.check(latencies))
        show_life(readers)
    return {"clients": checks, "latencies": latencies.encode().decode(), "pid": os.getpid()}


def main(port: int, clients: int) -> None:
    """Connects all, then runs as asked until stdin ends."""
    token = sys.stdin.readline().strip()
    selector = selectors.DefaultSelector()
    readers = []
    for number in range(clients):
        name = f"reader-{os.getpid()}-{number}"
        readers.append(reader := Reader(port, token, name))
        selector.register(reader.sock, selectors.EVENT_READ, reader)
    print(json.dumps({"ready": True}), flush=True)
    while line := sys.stdin.readline():
        take_all(readers, selector, json.loads(line)["wait_s"])
        print(json.dumps(report(readers)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
