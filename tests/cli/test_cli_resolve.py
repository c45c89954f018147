"""`fillgate order resolve` and `fillgate breaker reset`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli import resolve
from domain.commands import Decided, Execution, Resolution
from gateway import wire
from tests.cli.cli_world import call, call_json
from tests.domain.builders import ERROR

WHY = "--evidence=the broker's list of today"


class Gateway:
    """Answers one request, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[tuple[type, dict[str, Any]]] = []
        self.decided = Decided(order_id="id-1", status="canceled")

    async def query(self, kind: type[wire.Request], **fields: Any) -> Any:
        self.asked.append((kind, fields))
        return SimpleNamespace(decided=(self.decided,))


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Gateway:
    found = Gateway()

    @asynccontextmanager
    async def dialed(_paths: object) -> AsyncIterator[Gateway]:
        yield found

    monkeypatch.setattr(resolve, "dialed", dialed)
    return found


def test_an_order_is_resolved_with_how_it_is_known(tmp_path: Path, gateway: Gateway) -> None:
    result = call(tmp_path, "order", "resolve", "id-1", "canceled", WHY)
    assert (result.exit_code, "canceled" in result.output) == (0, True)
    ((kind, fields),) = gateway.asked
    wanted = fields["resolve"]
    assert kind is wire.OrderResolve
    assert (wanted.order_id, wanted.resolution) == ("id-1", Resolution.CANCELED)
    assert wanted.evidence == "the broker's list of today"


def test_a_fill_is_told_whole(tmp_path: Path, gateway: Gateway) -> None:
    call(
        tmp_path, "order", "resolve", "id-1", "filled", WHY, "--quantity=1000", "--price=1.1",
        "--broker-order-id=7", "--broker-execution-id=8",
    )  # fmt: skip
    ((_, fields),) = gateway.asked
    assert fields["resolve"].execution == Execution(
        quantity=Decimal(1000),
        price=Decimal("1.1"),
        broker_order_id="7",
        broker_execution_id="8",
    )


@pytest.mark.parametrize(
    "words",
    [
        ("filled", WHY, "--quantity=1000"),
        ("filled", WHY),
        ("canceled", WHY, "--price=1.1"),
        ("canceled", "--evidence=dunno"),
        ("canceled",),
    ],
)
def test_what_says_too_little_is_refused_before_anyone_is_asked(
    tmp_path: Path, gateway: Gateway, words: tuple[str, ...]
) -> None:
    assert call(tmp_path, "order", "resolve", "id-1", *words).exit_code == 2
    assert gateway.asked == []


def test_a_refusal_is_told_and_is_a_failure(tmp_path: Path, gateway: Gateway) -> None:
    gateway.decided = Decided(order_id="id-1", error=ERROR)
    result = call(tmp_path, "order", "resolve", "id-1", "canceled", WHY)
    assert (result.exit_code, ERROR.message in result.output) == (1, True)


def test_a_breaker_is_reset(tmp_path: Path, gateway: Gateway) -> None:
    gateway.decided = Decided()
    assert call_json(tmp_path, "breaker", "reset", "paper-1")["decided"] == {}
    assert gateway.asked == [(wire.BreakerReset, {"connection": "paper-1"})]
    assert "done" in call(tmp_path, "breaker", "reset", "paper-1").output
