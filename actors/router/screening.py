"""What the router remembers of an order while compliance looks at it, and how it answers."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from domain.commands import Decided, Submit
from domain.errors import ErrorInfo
from domain.lifecycle import Order
from domain.orders import NewOrder
from domain.previews import Preview
from domain.records import Checked
from domain.routing import Ranked
from domain.screening import Rate, ScreenAnswer, Verdict
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
    screened_ns: int = 0
    refused: tuple[Verdict, ...] = ()
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
        rulings=answer.rulings,
    )
    return encode_rows(told)


def checked(
    screening: Screening, verdicts: tuple[Verdict, ...], error: ErrorInfo | None = None
) -> Checked:
    """What compliance said, for the record, where no order of it comes to be."""
    return Checked(
        order_id=screening.order_id,
        command=screening.order,
        verdicts=verdicts,
        rates=screening.rates,
        screened_ns=screening.screened_ns,
        is_amend=screening.amends is not None,
        error=error,
    )


def describe(order: Order, dup: bool = False) -> Decided:
    """What a client is told of an order it asked about."""
    return Decided(
        client_order_id=order.client_order_id,
        order_id=order.order_id,
        status=order.status.value,
        dup=dup,
    )
