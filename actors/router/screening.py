"""What the router remembers of an order while compliance looks at it, and how it answers."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from domain.commands import Decided, Submit
from domain.lifecycle import Order
from domain.orders import NewOrder
from domain.previews import Preview
from domain.routing import Ranked
from domain.screening import Rate, ScreenAnswer
from gateway.strict import encode_rows


class Asked(Struct, kw_only=True):
    """Where an answer goes: an edge, its ref, and the place of this order in the answer."""

    edge: Any
    ref: int
    answers: list[Decided | None]
    index: int = 0


class Screening(Struct, kw_only=True):
    """An order (or an amend) that compliance is looking at."""

    submit: Submit
    order: NewOrder
    order_id: str
    digest: str
    rates: tuple[Rate, ...]
    asked: list[Asked]
    amends: Order | None = None
    is_dry_run: bool = False
    asked_ns: int = 0


def preview(order: NewOrder, candidates: tuple[Ranked, ...], answer: ScreenAnswer) -> bytes:
    """What a dry run answers with, as msgpack."""
    told = Preview(
        order=order,
        candidates=candidates,
        passes=answer.passed is not None,
        verdicts=answer.verdicts,
        all_violations=answer.all_violations,
    )
    return encode_rows(told)


def describe(order: Order, dup: bool = False) -> Decided:
    """What a client is told of an order it asked about."""
    return Decided(
        client_order_id=order.client_order_id,
        order_id=order.order_id,
        status=order.status.value,
        dup=dup,
    )
