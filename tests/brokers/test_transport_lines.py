"""Chunked streams at their limits; what they do when all is well is in test_transport.py."""

from __future__ import annotations

import asyncio

import pytest
from test_transport import GET, LONG_MS, SHORT_MS, raw, read_all, reply, stream, talking

from brokers import transport, transport_lines
from brokers.adapter import BrokerError

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.asyncio
async def test_a_reader_that_is_behind_keeps_the_broker_waiting_and_misses_nothing(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(transport_lines, "HELD_BYTES_MAX", 1_000)
    sent = [b"%05d" % n for n in range(2_000)]
    parts = [line + b"\n" for line in sent]
    async with (
        talking(stream(*parts, then_silent=True)) as (carrier, _),
        carrier.open_lines(GET, LONG_MS) as lines,
    ):
        await asyncio.sleep(0.1)
        assert [await anext(lines) for _ in sent] == sent


@pytest.mark.asyncio
async def test_a_stream_whose_reader_is_behind_is_not_silent():
    async with (
        talking(stream(b"one\n", then_silent=True)) as (carrier, _),
        carrier.open_lines(GET, SHORT_MS) as lines,
    ):
        await asyncio.sleep(SHORT_MS * 2 / 1_000)
        assert await anext(lines) == b"one"
        with pytest.raises(BrokerError, match="silent"):
            await anext(lines)


@pytest.mark.asyncio
async def test_what_is_no_http_ends_the_stream_after_what_came_before():
    async with talking(raw(CHUNKED + b"4\r\none\n\r\nno size\r\n")) as (carrier, _):
        lines, error = await read_all(carrier, LONG_MS)
    assert lines == [b"one"]
    assert "broke off" in str(error)


@pytest.mark.asyncio
async def test_a_refusal_over_the_limit_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transport, "LINE_BYTES_MAX", 1_000)
    async with talking(reply(b"x" * 1_001, "401 Unauthorized")) as (carrier, _):
        _, error = await read_all(carrier, LONG_MS)
    assert "over 1000 bytes" in str(error)


@pytest.mark.asyncio
async def test_no_more_streams_are_open_than_may_be():
    held = stream(b"one\n", then_silent=True)
    async with talking(held, streams_max=1) as (carrier, _), carrier.open_lines(GET, LONG_MS):
        _, error = await read_all(carrier, LONG_MS)
    assert "all streams are in use" in str(error)


@pytest.mark.asyncio
async def test_a_chunked_stream_only_listens():
    async with (
        talking(stream(b"one\n", then_silent=True)) as (carrier, _),
        carrier.open_lines(GET, LONG_MS) as lines,
    ):
        with pytest.raises(AssertionError):
            await lines.say(b"a word")
