"""A client that says nothing: is it gone, or does it only read slowly?

Each tick of silence is judged by what stands in the way of the client's answer to our pings.
Nothing: then it is gone. Bytes of ours that its kernel takes no more of: it reads slowly or has
stopped, and a stopped one is closed like any slow consumer, later. Bytes that its kernel does
not even confirm: the line is dead, whatever waits in it.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from enum import Enum, auto
from typing import Any

from gateway.settings import GatewaySettings

UNCONFIRMED_MAX = 2
"""Retransmissions or window probes in a row without a word from the other kernel."""
_TCP_INFO_HEAD = struct.Struct("=4B")


class Fate(Enum):
    """What becomes of a connection."""

    STAYS = auto()
    STOPPED = auto()
    GONE = auto()


def judge(transport: Any, *, is_paused: bool, silent_ms: int, settings: GatewaySettings) -> Fate:
    """The fate of a client that has been silent for so long."""
    if silent_ms < settings.silence_ms_max:
        return Fate.STAYS
    sock = transport.get_extra_info("socket")
    if not is_paused and not transport.get_write_buffer_size() and not _count_untaken(sock):
        return Fate.GONE
    if _count_unconfirmed(sock) >= UNCONFIRMED_MAX:
        return Fate.GONE
    return Fate.STOPPED if silent_ms > settings.stopped_ms_max else Fate.STAYS


def _count_untaken(sock: Any) -> int:
    """Bytes in the kernel that the client's has not taken."""
    found = fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(found, "little")


def _count_unconfirmed(sock: Any) -> int:
    if sock.family == socket.AF_UNIX:
        return 0
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_HEAD.size)
    _state, _congestion, retransmits, probes = _TCP_INFO_HEAD.unpack(info)
    return int(max(retransmits, probes))
