"""One schema, two codecs: JSON in text frames, msgpack in binary frames."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import reduce
from operator import or_
from typing import Any

import msgspec
from msgspec import Raw, Struct
from websockets.frames import Opcode

from domain.streams import StreamUpdate
from gateway import wire
from gateway.passing import PassedUpdate, body_of
from gateway.settings import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from gateway.strict import has_exponent, may_have_exponent, spell_out, strict_twin

_STRICT: Any = reduce(or_, map(strict_twin, wire.CLIENT_MESSAGES))
_CLIENT: Any = reduce(or_, wire.CLIENT_MESSAGES)
_SERVER: Any = reduce(or_, wire.SERVER_MESSAGES)
_unpack = msgspec.msgpack.Decoder().decode

# How a frame begins (RFC 6455, 5.2): one byte, the size in one of three ways, no mask.
_FIN = 0x80
_SHORT, _LONG, _LONGEST = struct.Struct("!BB"), struct.Struct("!BBH"), struct.Struct("!BBQ")


class _Named(Struct):
    id: str = ""


class Codec:
    """Encodes either side's messages and decodes the other's."""

    def __init__(self, name: str, opcode: Opcode, module: Any) -> None:
        self.name = name
        self.opcode = opcode
        self._first = _FIN | opcode
        self._encode: Callable[[Any], bytes] = module.Encoder().encode
        self._check: Callable[[bytes], Any] = module.Decoder(_STRICT).decode
        self._client: Callable[[bytes], wire.ClientMessage] = module.Decoder(_CLIENT).decode
        self._server: Callable[[bytes], Any] = module.Decoder(_SERVER).decode
        self._named: Callable[[bytes], _Named] = module.Decoder(_Named).decode

    def encode(self, message: Struct) -> bytes:
        """The message's bytes, decimals as plain strings."""
        data = self._encode(message)
        if may_have_exponent(data) and has_exponent(message):
            return self._encode(spell_out(message))
        return data

    def entry(self, update: StreamUpdate) -> bytes:
        """A stream's entry as a frame; what is msgpack already is not read for it."""
        if self is MSGPACK and isinstance(update, PassedUpdate):
            data = self._encode(_ev(update, update.body))
            if not may_have_exponent(data):
                return self.frame(data)
        return self.frame(self.encode(_ev(update, body_of(update))))

    def decode_client(self, data: bytes) -> wire.ClientMessage:
        """A client's message, strictly; raises msgspec's errors, which name the field."""
        self._check(data)
        return self._client(data)  # once more: sooner done than what was checked is converted

    def decode_server(self, data: bytes) -> wire.ServerMessage:
        """A server's message; fields it does not know are skipped."""
        message: wire.ServerMessage = self._server(data)
        return message

    def find_id(self, data: bytes) -> str:
        """The request id of a message that is otherwise wrong, or an empty text."""
        try:
            return self._named(data).id[:64]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ""

    def rows(self, body: bytes | None) -> Any:
        """Rows that came as msgpack, fit to be put into a message of this codec."""
        if body is None:
            return None
        return Raw(body) if self is MSGPACK else _unpack(body)

    def frame(self, payload: bytes) -> bytes:
        """The payload as one unmasked WebSocket frame, shared by all clients of this codec."""
        size = len(payload)
        if size < 126:
            return _SHORT.pack(self._first, size) + payload
        if size < 65_536:
            return _LONG.pack(self._first, 126, size) + payload
        return _LONGEST.pack(self._first, 127, size) + payload


def _ev(update: StreamUpdate, body: Any) -> wire.Ev:
    return wire.Ev(stream=update.stream, seq=update.seq, at_ns=update.at_ns, body=body)


JSON = Codec(SUBPROTOCOL_JSON, Opcode.TEXT, msgspec.json)
MSGPACK = Codec(SUBPROTOCOL_MSGPACK, Opcode.BINARY, msgspec.msgpack)
CODECS = {codec.name: codec for codec in (MSGPACK, JSON)}
