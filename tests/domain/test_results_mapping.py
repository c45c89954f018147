"""Our states and errors in the words most broker libraries use; and the printed page."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from domain import events as ev
from domain.errors import Category, ErrorInfo, Outcome, Retry, UnifiedError, VenueError
from domain.lifecycle import TRANSITIONS, CommonStatus, Status
from domain.lifecycle_table import render
from domain.results import BY_CODE, order_result, unify
from tests.domain.builders import EVENTS, order_after

ROOT = Path(__file__).resolve().parents[2]

# story                              -> success status           filled  message
RESULTS = """
    send                             -> None  pending                 0  written down
    send unknown                     -> None  pending                 0  may be at the broker
    send ack                         -> True  open                    0  working
    send ack fill-40                 -> True  partially_filled       40  working
    send ack fill-100                -> True  filled                100  filled
    send ack fill-40 canceled        -> True  cancelled              40  canceled
    send rejected                    -> False rejected                0  refused by the broker
    send rejected fill-40            -> True  rejected               40  refused by the broker
    denied                           -> False rejected                0  refused by compliance
    send unknown not-placed          -> False rejected                0  evidence
    send ack expired                 -> True  expired                 0  its time
"""
ROWS = [tuple(part.strip() for part in row.split("->")) for row in RESULTS.strip().splitlines()]


@pytest.mark.parametrize(("story", "expected"), ROWS)
def test_an_order_result_says_what_the_order_came_to(story: str, expected: str) -> None:
    result = order_result(order_after(story))
    success, status, filled, message = expected.split(maxsplit=3)
    assert str(result.success) == success
    assert result.status is CommonStatus(status)
    assert result.filled_quantity == Decimal(filled)
    assert result.message.startswith(message)


def test_an_order_result_names_the_order_the_average_price_and_the_times() -> None:
    result = order_result(order_after("send ack fill-40 fill-60"))
    assert (result.order_id, result.client_order_id) == ("o-1", "c-1")
    assert result.broker_order_ids == ("b-1",)
    assert result.filled_price == Decimal("1.10")
    assert (result.submitted_at_ns, result.filled_at_ns) == (5, 10)


def test_a_result_has_no_price_and_no_time_of_what_did_not_happen() -> None:
    result = order_result(order_after("send ack"))
    assert (result.filled_price, result.filled_at_ns) == (None, None)


def test_the_reason_is_part_of_the_message_where_there_is_one() -> None:
    assert order_result(order_after("send rejected")).message == "refused by the broker: margin"


def an_error(code: str, category: Category, venue: VenueError | None = None) -> ErrorInfo:
    return ErrorInfo(
        code=code,
        category=category,
        outcome=Outcome.NONE,
        retry=Retry.NEVER,
        message="no",
        venue=venue,
    )


@pytest.mark.parametrize(
    ("category", "name"),
    [
        (Category.CLIENT, "InvalidOrderError"),
        (Category.AUTH, "AuthError"),
        (Category.RISK, "InvalidOrderError"),
        (Category.RATE, "RateLimitError"),
        (Category.VENUE, "ConnectionError"),
        (Category.SYSTEM, "ConnectionError"),
    ],
)
def test_an_error_goes_by_its_category(category: Category, name: str) -> None:
    assert unify(an_error("anything", category)) is UnifiedError(name)


@pytest.mark.parametrize(("code", "name"), BY_CODE.items())
def test_a_code_that_says_more_goes_before_the_category(code: str, name: UnifiedError) -> None:
    assert unify(an_error(code, Category.CLIENT)) is name


def test_the_brokers_own_word_goes_before_everything() -> None:
    venue = VenueError(code="X", message="closed", unified=UnifiedError.MARKET_CLOSED)
    error = an_error("insufficient_funds", Category.RISK, venue)
    assert unify(error) is UnifiedError.MARKET_CLOSED


def test_the_page_in_the_docs_is_the_one_the_tables_print() -> None:
    page = ROOT / "docs" / "lifecycle.md"
    assert page.read_text() == render(), "run: python -m domain.lifecycle_table > docs/lifecycle.md"


def test_the_page_has_a_row_for_every_transition_and_every_state() -> None:
    page = render()
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (\w+) \|$", page, re.MULTILINE)
    told = {(at, kind): to for at, kind, to in rows if kind in {it.__name__ for it in EVENTS}}
    assert told == {
        (at.name, kind.__name__): "stays" if to is None else to.name
        for (at, kind), to in TRANSITIONS.items()
    }
    for status in Status:
        assert f"| {status.name} | " in page
    for error in UnifiedError:
        assert f"| {error.value} | " in page


def test_the_diagram_draws_each_arrow_once() -> None:
    arrows = re.findall(r"^    (\w+) --> (\w+): (.+)$", render(), re.MULTILINE)
    assert len(arrows) == len({(start, end) for start, end, _ in arrows})
    assert ("PARTIALLY_FILLED", "FILLED", "last Fill") in arrows
    assert ("SENDING", "UNKNOWN", ev.OutcomeUnknown.__name__) in arrows
