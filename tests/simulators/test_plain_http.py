"""What a paper broker answers without aiohttp, and what it leaves to it: byte for byte."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from brokers.simulators import plain_http
from brokers.simulators.plain_http import Asked, PlainHttp, status_line

HEAD = b"POST /v3/orders?a=1 HTTP/1.1\r\nHost: x\r\nX-Kind:  order \r\nContent-Length: 4\r\n\r\n"


class Transport:
    """Notes what is written, and to whom the connection goes."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.protocol: Any = None
        self.is_aborted = False
        self.unsent = 0

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.is_aborted = True


class Other(asyncio.Protocol):
    """Who takes what is not plain."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data


class Spoken:
    """A connection, what was asked on it, and the way back."""

    def __init__(self, answer: bytes | None = b"answer") -> None:
        self.asked: list[Asked] = []
        self.opened: set[PlainHttp] = set()
        self.transport = Transport()
        self._given = answer
        self.http = PlainHttp(self._answer, Other, self.opened)
        self.http.connection_made(self.transport)  # type: ignore[arg-type]

    def _answer(self, asked: Asked) -> bytes | None:
        self.asked.append(asked)
        return self._given

    def hear(self, *parts: bytes) -> Spoken:
        for part in parts:
            self.http.data_received(part)
        return self

    @property
    def passed_on(self) -> bytes | None:
        other = self.transport.protocol
        return None if other is None else other.data


def test_a_request_is_answered_once_it_is_whole_however_it_was_cut():
    data = HEAD + b"body"
    for at in range(1, len(data)):
        spoken = Spoken().hear(data[:at])
        assert spoken.transport.written == []
        spoken.hear(data[at:])
        (asked,) = spoken.asked
        assert (asked.method, asked.path, asked.query) == ("POST", "/v3/orders", "a=1")
        assert (asked.body, asked.headers["x-kind"]) == (b"body", "order")
        assert spoken.transport.written == [b"answer"]


def test_one_request_after_the_other_is_answered():
    spoken = Spoken().hear(
        HEAD + b"body", b"GET /2 HTTP/1.1\r\n\r\n", b"GET /3 HT", b"TP/1.1\r\n\r\n"
    )
    assert [asked.path for asked in spoken.asked] == ["/v3/orders", "/2", "/3"]
    assert spoken.transport.written == [b"answer"] * 3


def test_requests_in_one_piece_go_on_together_and_unanswered():
    data = HEAD + b"bodyGET /2 HTTP/1.1\r\n\r\nGET /3 HT"
    spoken = Spoken().hear(data)
    assert spoken.passed_on == data
    assert spoken.asked == []


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nOrigin: http://page\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n" + bytes(plain_http.BODY_BYTES_MAX + 1),
        b"GET / HTTP/1.1\r\nA: " + b"x" * (plain_http.HEAD_BYTES_MAX + plain_http.BODY_BYTES_MAX),
    ],
)
def test_what_is_not_plain_goes_on_with_every_byte_of_it(data: bytes):
    spoken = Spoken().hear(b"GET /1 HTTP/1.1\r\n\r\n", data)
    assert spoken.transport.written == [b"answer"]
    assert spoken.passed_on == data
    assert spoken.transport.protocol.transport is spoken.transport
    assert spoken.opened == set()


def test_what_the_dialect_leaves_goes_on_as_well():
    spoken = Spoken(answer=None).hear(HEAD, b"body")
    assert spoken.passed_on == HEAD + b"body"
    assert spoken.transport.written == []


def test_a_client_that_reads_no_answer_is_cut_off():
    spoken = Spoken()
    spoken.transport.unsent = plain_http.UNSENT_BYTES_MAX + 1
    spoken.hear(b"GET / HTTP/1.1\r\n\r\n")
    assert spoken.transport.is_aborted


def test_an_open_connection_is_known_until_it_is_lost():
    spoken = Spoken()
    assert spoken.opened == {spoken.http}
    spoken.http.abort()
    spoken.http.connection_lost(None)
    assert spoken.transport.is_aborted
    assert spoken.opened == set()


def test_an_answer_begins_with_its_status_in_words():
    assert status_line(201).startswith("HTTP/1.1 201 Created\r\n")
