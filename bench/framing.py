"""What RFC 6455 asks of a server, as rows: bytes that break a rule, and bytes that must be taken.

Sections are the RFC's. The groups follow the well-known conformance suite: framing and reserved
bits, opcodes, pings, fragments, UTF-8, closing, limits.
"""

from __future__ import annotations

import struct

FIN, RSV = 0x80, (0x40, 0x20, 0x10)
TEXT, BINARY, CLOSE, PING_FRAME, PONG = 1, 2, 8, 9, 10
PING = b'{"t":"ping","id":"p"}'
PROTOCOL_ERROR, INVALID_DATA, TOO_BIG, UNSUPPORTED = 1002, 1007, 1009, 1003
NO_CODE = 1005
"""What a close without a code counts as."""
MESSAGE_BYTES_MAX = 65_536


def frame(first: int, payload: bytes = b"", mask: bool = True, length: int | None = None) -> bytes:
    """A frame by hand, so that it may be wrong."""
    size = len(payload) if length is None else length
    flag = 0x80 if mask else 0
    if size < 126:
        head = struct.pack("!BB", first, flag | size)
    elif size < 65_536:
        head = struct.pack("!BBH", first, flag | 126, size)
    else:
        head = struct.pack("!BBQ", first, flag | 127, size)
    return head + (b"\0\0\0\0" if mask else b"") + payload


def closing(code: int, reason: bytes = b"") -> bytes:
    """A close frame."""
    return frame(FIN | CLOSE, struct.pack("!H", code) + reason)


def a_text(raw: bytes) -> bytes:
    """A ping whose id is those bytes."""
    return b'{"t":"ping","id":"' + raw + b'"}'


NOT_UTF8 = (
    b"\x80", b"\xbf", b"\x80\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc3", b"\xc3(", b"\xe0\x80\x80",
    b"\xe0\x9f\xbf", b"\xe2\x82", b"\xe2(\xa1", b"\xed\xa0\x80", b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80", b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf", b"\xf0\x9f\x98",
    b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80",
    b"\xfe", b"\xff", b"\xfe\xff",
)  # fmt: skip
NO_CLOSE_CODES = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535)
CLOSE_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)

WRONG: tuple[tuple[str, bytes, int], ...] = (
    ("5.1 unmasked", frame(FIN | TEXT, PING, mask=False), PROTOCOL_ERROR),
    ("5.1 unmasked ping", frame(FIN | PING_FRAME, b"", mask=False), PROTOCOL_ERROR),
    *[(f"5.2 rsv{n} text", frame(FIN | bit | TEXT, PING), PROTOCOL_ERROR)
      for n, bit in enumerate(RSV, 1)],
    *[(f"5.2 rsv{n} ping", frame(FIN | bit | PING_FRAME, b"x"), PROTOCOL_ERROR)
      for n, bit in enumerate(RSV, 1)],
    *[(f"5.2 rsv{n} close", frame(FIN | bit | CLOSE), PROTOCOL_ERROR)
      for n, bit in enumerate(RSV, 1)],
    ("5.2 all rsv", frame(FIN | 0x70 | TEXT, PING), PROTOCOL_ERROR),
    ("5.2 rsv in a fragment", frame(TEXT, PING[:4]) + frame(FIN | 0x40, PING[4:]), PROTOCOL_ERROR),
    *[(f"5.2 opcode {op}", frame(FIN | op, PING), PROTOCOL_ERROR)
      for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)],
    *[(f"5.2 opcode {op} empty", frame(FIN | op), PROTOCOL_ERROR) for op in (3, 7, 11, 15)],
    ("5.4 continuation of nothing", frame(FIN | 0, PING), PROTOCOL_ERROR),
    ("5.4 unfinished continuation of nothing", frame(0, PING), PROTOCOL_ERROR),
    ("5.4 text within fragments", frame(TEXT, b"{") + frame(FIN | TEXT, PING), PROTOCOL_ERROR),
    ("5.4 binary within fragments", frame(TEXT, b"{") + frame(FIN | BINARY, b""), PROTOCOL_ERROR),
    ("5.4 continuation after the end",
     frame(TEXT, b" ") + frame(FIN | 0, PING) + frame(FIN | 0, b"x"), PROTOCOL_ERROR),
    ("5.5 long ping", frame(FIN | PING_FRAME, b"x" * 126), PROTOCOL_ERROR),
    ("5.5 long pong", frame(FIN | PONG, b"x" * 126), PROTOCOL_ERROR),
    ("5.5 long close", frame(FIN | CLOSE, b"\x03\xe8" + b"x" * 124), PROTOCOL_ERROR),
    ("5.5 fragmented ping", frame(PING_FRAME, b"x"), PROTOCOL_ERROR),
    ("5.5 fragmented pong", frame(PONG, b"x"), PROTOCOL_ERROR),
    ("5.5 fragmented close", frame(CLOSE, b"\x03\xe8"), PROTOCOL_ERROR),
    ("5.5.1 one byte close", frame(FIN | CLOSE, b"\x03"), PROTOCOL_ERROR),
    ("5.5.1 reason not utf-8", closing(1000, b"\xce\xba\xff"), INVALID_DATA),
    *[(f"7.4 close code {code}", closing(code), PROTOCOL_ERROR) for code in NO_CLOSE_CODES],
    *[(f"8.1 not utf-8 {raw.hex()}", frame(FIN | TEXT, a_text(raw)), INVALID_DATA)
      for raw in NOT_UTF8],
    *[(f"8.1 not utf-8 {raw.hex()} in fragments",
       frame(TEXT, a_text(raw)[:19]) + frame(FIN | 0, a_text(raw)[19:]), INVALID_DATA)
      for raw in NOT_UTF8],
    ("10.4 length announced", frame(FIN | TEXT, b"", length=MESSAGE_BYTES_MAX + 1), TOO_BIG),
    ("10.4 length of the universe", frame(FIN | TEXT, b"", length=2**62), TOO_BIG),
    ("10.4 fragments too long",
     frame(TEXT, b" " * 40_000) + frame(FIN | 0, b" " * 40_000), TOO_BIG),
    ("ours: binary for json", frame(FIN | BINARY, PING), UNSUPPORTED),
)  # fmt: skip
"""Name, bytes, and the code with which the server must close."""

RIGHT: tuple[tuple[str, bytes], ...] = (
    ("5.6 text", frame(FIN | TEXT, PING)),
    ("5.4 fragments", frame(TEXT, PING[:5]) + frame(0, PING[5:9]) + frame(FIN | 0, PING[9:])),
    ("5.4 a byte a fragment",
     frame(TEXT) + b"".join(frame(0, PING[i : i + 1]) for i in range(len(PING))) + frame(FIN | 0)),
    ("5.4 ping between",
     frame(TEXT, PING[:5]) + frame(FIN | PING_FRAME, b"") + frame(FIN | 0, PING[5:])),
    ("5.4 pings between",
     frame(TEXT, PING[:5]) + frame(FIN | PING_FRAME, b"a") * 3 + frame(FIN | 0, PING[5:])),
    ("5.4 pong between",
     frame(TEXT, PING[:5]) + frame(FIN | PONG, b"x") + frame(FIN | 0, PING[5:])),
    ("5.4 empty fragments", frame(TEXT) + frame(0) + frame(FIN | 0, PING)),
    ("5.5.2 ping of 125", frame(FIN | PING_FRAME, b"\xfe" * 125) + frame(FIN | TEXT, PING)),
    ("5.5.2 ten pings", frame(FIN | PING_FRAME, b"x") * 10 + frame(FIN | TEXT, PING)),
    ("5.5.3 unasked pong", frame(FIN | PONG, b"x") + frame(FIN | TEXT, PING)),
    ("5.5.3 unasked pong of 125", frame(FIN | PONG, b"x" * 125) + frame(FIN | TEXT, PING)),
    ("8.1 a character over two fragments",
     frame(TEXT, b'{"t":"ping","client_ns":null,"id":"p"}'[:20])
     + frame(FIN | 0, b'{"t":"ping","client_ns":null,"id":"p"}'[20:])),
    ("5.2 length in 16 bits", frame(FIN | TEXT, PING + b" " * 200)),
    ("5.2 length in 16 bits, least", frame(FIN | TEXT, PING + b" " * (126 - len(PING)))),
    ("5.2 longest", frame(FIN | TEXT, PING + b" " * (MESSAGE_BYTES_MAX - len(PING)))),
)  # fmt: skip
"""Name, and bytes that end in a request with the id p: it must be answered."""

CLOSES: tuple[tuple[str, bytes, int], ...] = (
    *[(f"7.4 close code {code}", closing(code), code) for code in CLOSE_CODES],
    ("5.5.1 empty close", frame(FIN | CLOSE), NO_CODE),
    ("5.5.1 close with a reason", closing(1000, b"x" * 123), 1000),
    ("5.5.1 close with a reason in utf-8", closing(1000, "κόσμε".encode()), 1000),
    ("5.5.1 nothing counts after a close", closing(1000) + frame(FIN | TEXT, PING), 1000),
)
"""Name, bytes of a client that closes, and the code it must get back."""
