"""Journal and venue, order by order: children and strangers count too."""

from __future__ import annotations

from decimal import Decimal

import pytest

from domain.lifecycle import Order, Origin, Status
from domain.streams import OrderUpdate, StreamUpdate
from ledger.agreement import VenueBook, VenueFill, VenueOrder, compare_venue
from tests.domain.builders import a_fill, an_order


def ours(**words: object) -> Order:
    plain: dict[str, object] = {
        "status": Status.FILLED, "venue_client_id": "v-1", "legs": ("6",),
        "filled": Decimal(100),
    }  # fmt: skip
    return an_order(**(plain | words))


def child(status: Status) -> Order:
    """A bracket child, known by the broker's id alone."""
    return an_order(
        order_id="o-2", origin=Origin.CHILD, client_order_id=None, status=status, legs=("8",)
    )


def theirs(name: str, client_id: str | None = None, is_working: bool = False) -> VenueOrder:
    return VenueOrder(broker_order_id=name, client_id=client_id, is_working=is_working)


def differences(orders: list[Order], *book: VenueOrder) -> list[str]:
    agreement = compare_venue(orders, [], VenueBook(orders=book, fills=()))
    return agreement.lost + agreement.doubled + agreement.differences


def test_an_order_and_its_child_that_both_know_are_no_difference() -> None:
    orders = [ours(), child(Status.LIVE)]
    assert differences(orders, theirs("6", "v-1"), theirs("8", "v-sl", is_working=True)) == []


def test_an_order_at_the_venue_alone_is_a_difference() -> None:
    assert differences([ours()], theirs("6", "v-1"), theirs("9")) == ["order 9: at the venue alone"]


def test_an_amended_order_is_known_by_every_id_it_had() -> None:
    order = ours(legs=("6", "7"))
    assert differences([order], theirs("6", "v-1"), theirs("7", "v-1")) == []


@pytest.mark.parametrize(("status", "is_working"), [(Status.LIVE, False), (Status.CANCELED, True)])
def test_a_child_that_stands_elsewhere_is_a_difference(status: Status, is_working: bool) -> None:
    assert len(differences([child(status)], theirs("8", is_working=is_working))) == 1


def test_a_child_the_venue_does_not_have_is_a_difference() -> None:
    assert differences([child(Status.LIVE)]) == ["child order 8: here alone"]


def test_a_fill_of_another_order_is_a_difference() -> None:
    fill = a_fill(100, "7", broker_order_id="6")
    body = OrderUpdate(
        order_id="o-1", status=Status.FILLED, version=1, filled=Decimal(100), leaves=Decimal(0),
        event=fill,
    )  # fmt: skip
    updates = [StreamUpdate(stream="s", seq=1, at_ns=0, body=body)]
    other = VenueFill(
        broker_execution_id="7",
        broker_order_id="5",
        quantity=Decimal(100),
        price=Decimal("1.10"),
    )
    book = VenueBook(orders=(), fills=(other,))
    words = "fill 7: venue 100 @ 1.1 of 5, here 100 @ 1.1 of 6"
    assert compare_venue([], updates, book).differences == [words]
