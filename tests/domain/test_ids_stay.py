"""Ids are recomputed after years: these values may never change."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain import ids
from tests.domain.builders import new_order


def test_ids_are_what_they_were_when_first_released() -> None:
    assert ids.order_id("owner-1", "c-1") == "d4d89d2e-23b1-5f77-bae4-2a391e61a293"
    assert ids.external_order_id("oanda-1", "b-9") == "fff7e36e-2487-5831-a7ec-88c0c21edf64"
    assert ids.venue_client_id("owner-1", "c-1", "0", 1) == "5798532c-a09e-549b-9335-c1b15e919228"
    assert ids.execution_id("oanda", "acc-1", "77") == "899a1d6e6e1cce2b33b5ca6525fa4c77"


def test_the_digest_of_a_command_is_what_it_was_and_differs_with_the_body() -> None:
    assert ids.digest(new_order()) == "c625bd330f2721bf195938509f90dde3"
    assert ids.digest(new_order()) == ids.digest(new_order())
    assert ids.digest(new_order(quantity=Decimal(101))) != ids.digest(new_order())


NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@given(NAMES, NAMES, st.integers(min_value=0, max_value=9))
def test_an_id_for_the_broker_is_a_uuid_of_36_characters(
    owner: str, name: str, attempt: int
) -> None:
    made = ids.venue_client_id(owner, name, "0", attempt)
    assert len(made) == 36
    assert str(UUID(made)) == made


@given(st.lists(st.tuples(NAMES, NAMES, NAMES), min_size=2, max_size=10, unique=True))
def test_different_executions_have_different_names(facts: list[tuple[str, str, str]]) -> None:
    assert len({ids.execution_id(*fact) for fact in facts}) == len(facts)


def test_the_same_client_order_id_of_two_owners_is_two_orders() -> None:
    assert ids.order_id("owner-1", "c-1") != ids.order_id("owner-2", "c-1")


def test_each_leg_and_attempt_goes_by_its_own_name() -> None:
    made = {ids.venue_client_id("o", "c", leg, attempt) for leg in "01" for attempt in (1, 2)}
    assert len(made) == 4
