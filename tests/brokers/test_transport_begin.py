"""Orders that leave at once, without a task: what is told, and when, and that nothing is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from test_transport import LONG_MS, POST, SHORT_MS, Answer, Conversation, never, raw, reply, talking

from brokers.adapter import NotSent, OutcomeUnknown, Response
from brokers.transport import Transport


class Ear:
    """Hears what became of one request."""

    def __init__(self) -> None:
        self.heard: list[Response | OutcomeUnknown] = []
        self._has_heard = asyncio.Event()

    def __call__(self, outcome: Response | OutcomeUnknown) -> None:
        self.heard.append(outcome)
        self._has_heard.set()

    async def outcome(self) -> Response | OutcomeUnknown:
        await asyncio.wait_for(self._has_heard.wait(), 10)
        (outcome,) = self.heard
        return outcome


def nothing() -> None:
    """No last look."""


async def begin(carrier: Transport, timeout_ms: int = LONG_MS) -> Ear:
    ear = Ear()
    await carrier.warm_up()
    assert carrier.begin(POST, timeout_ms, nothing, ear)
    return ear


def twice(answer: bytes) -> Answer:
    async def say(conversation: Conversation) -> bool:
        await conversation.say(answer * 2)
        return True

    return say


@pytest.mark.asyncio
async def test_an_order_leaves_on_a_connection_at_rest_and_its_answer_is_told():
    async with talking(reply(b"first"), reply(b"second"), warm_connections=1) as (carrier, server):
        for body in (b"first", b"second"):
            outcome = await (await begin(carrier)).outcome()
            assert isinstance(outcome, Response)
            assert outcome.body == body
        assert (len(server.seen), server.connections) == (2, 1)


@pytest.mark.asyncio
async def test_where_no_connection_is_at_rest_nothing_is_done():
    async with talking(never, warm_connections=1) as (carrier, server):
        assert not carrier.begin(POST, LONG_MS, nothing, Ear())
        await begin(carrier)
        assert not carrier.begin(POST, LONG_MS, nothing, Ear())
        await server.has_seen_one.wait()
        assert len(server.seen) == 1


@pytest.mark.asyncio
async def test_what_the_last_look_raises_sends_nothing_and_leaves_the_connection_free():
    def shut() -> None:
        raise NotSent("halted")

    async with talking(reply(), warm_connections=1) as (carrier, server):
        await carrier.warm_up()
        with pytest.raises(NotSent, match="halted"):
            carrier.begin(POST, LONG_MS, shut, Ear())
        await (await begin(carrier)).outcome()
        assert (len(server.seen), server.connections) == (1, 1)


@pytest.mark.asyncio
@pytest.mark.parametrize("answer", [raw(b""), raw(b"HTTP/1.1 201 Cre"), raw(b"no http\r\n\r\n")])
async def test_an_answer_that_breaks_off_is_told_as_unknown(answer: Answer):
    async with talking(answer, warm_connections=1) as (carrier, _):
        assert isinstance(await (await begin(carrier)).outcome(), OutcomeUnknown)


@pytest.mark.asyncio
async def test_no_answer_in_time_is_told_as_unknown():
    async with talking(never, warm_connections=1) as (carrier, _):
        outcome = await (await begin(carrier, SHORT_MS)).outcome()
    assert isinstance(outcome, OutcomeUnknown)
    assert f"{SHORT_MS} ms" in str(outcome)


@pytest.mark.asyncio
async def test_what_is_under_way_when_the_transport_closes_is_told_as_unknown():
    async with talking(never, warm_connections=1) as (carrier, server):
        ear = await begin(carrier)
        await server.has_seen_one.wait()
        await carrier.close()
        assert isinstance(await ear.outcome(), OutcomeUnknown)


@pytest.mark.asyncio
async def test_a_second_answer_in_one_piece_is_no_answer_to_what_is_asked_next():
    plain = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    two = twice(plain + b"first")
    async with talking(two, reply(b"second"), warm_connections=1) as (carrier, server):
        for body in (b"first", b"second"):
            outcome = await (await begin(carrier)).outcome()
            assert isinstance(outcome, Response)
            assert outcome.body == body
        assert server.connections == 2


@pytest.mark.asyncio
async def test_a_bug_in_who_hears_is_no_fault_of_the_answer():
    """It ends the process, like any other bug: the parser must not take it for one of its own."""
    bugs: list[Any] = []

    def stumble(_outcome: Response | OutcomeUnknown) -> None:
        raise ZeroDivisionError

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: bugs.append(context["exception"]))
    async with talking(reply(), warm_connections=1) as (carrier, _):
        await carrier.warm_up()
        assert carrier.begin(POST, LONG_MS, nothing, stumble)
        async with asyncio.timeout(10):
            while not bugs:
                await asyncio.sleep(0.01)
    assert [type(bug) for bug in bugs] == [ZeroDivisionError]
