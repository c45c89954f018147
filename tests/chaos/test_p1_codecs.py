"""Generated messages are the same in JSON and in msgpack."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest

from bench.generated import drawer
from bench.goals.p1_codecs import GOAL, MESSAGES, find_difference
from domain.orders import NewOrder
from gateway import wire
from gateway.codec import MSGPACK


@pytest.mark.asyncio
async def test_every_generated_message_is_the_same_in_both_codecs() -> None:
    tally = await GOAL.run(GOAL.short, 0)
    assert tally.details == []
    assert tally.violations == 0
    assert tally.counts.keys() == {kind.__name__ for kind in MESSAGES}
    assert min(tally.counts.values()) > 0


def test_a_difference_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    message = drawer(wire.Hb)(Random(1))
    assert find_difference(message) is None
    decode = MSGPACK.decode_server
    monkeypatch.setattr(MSGPACK, "decode_server", lambda data: decode(data) and wire.Hb(
        server_ns=0, heads={}
    ))  # fmt: skip
    assert find_difference(message) is not None
    monkeypatch.setattr(MSGPACK, "decode_server", lambda data: 1 / 0)
    assert "ZeroDivisionError" in str(find_difference(message))


def test_the_generator_reaches_the_awkward_values() -> None:
    luck, draw = Random(0), drawer(NewOrder)
    orders = [draw(luck) for _ in range(2_000)]
    assert {order.quantity for order in orders} >= {Decimal("1E+3"), Decimal("1E-9")}
    assert any(order.bracket and order.bracket.stop_loss for order in orders)
    assert {order.expire_at_ns for order in orders} >= {None, 2**63 - 1, -(2**63)}


@pytest.mark.asyncio
async def test_a_difference_is_counted_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.goals.p1_codecs.find_difference", lambda _message: "not the same")
    tally = await GOAL.run(2, 5)
    assert tally.violations == 2
    assert tally.details[0] == "seed 5, message 0: not the same"
