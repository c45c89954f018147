"""Reservations: made by the screen, moved by updates, told twice and late."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from compliance import exposure, holding
from domain import events as ev
from domain.errors import Category, ErrorInfo, Outcome, Retry
from domain.lifecycle import Order, Origin, Pending, Status
from domain.streams import Notice, NoticeKind, PositionUpdate
from tests.compliance.desk import (
    ACCOUNT,
    LOOSE,
    MS,
    NOW,
    OWNER,
    Desk,
    external,
    limit_order,
    lots,
    new_order,
    order_update,
    position,
    snapshot,
)

ERROR = ErrorInfo(
    code="x", category=Category.VENUE, outcome=Outcome.NONE, retry=Retry.NEW_ID, message="no"
)
REPLACED = ev.Replaced(at_ns=NOW, broker_order_id="b-2")
REFUSED = ev.AmendRefused(at_ns=NOW, error=ERROR)
ENDS = (
    Status.DENIED, Status.FILLED, Status.CANCELED, Status.REJECTED, Status.EXPIRED,
    Status.NOT_PLACED,
)  # fmt: skip


def with_order(quantity: int = 1000, **words: Any) -> Desk:
    """A desk with order o-1 screened and, where versions are given, told of."""
    desk = Desk()
    assert desk.code(limit_order(quantity, **words), "o-1") == "pass"
    return desk


def test_an_order_reserves_when_it_passes() -> None:
    assert with_order().reserved() == (1000, 0)


def test_an_unknown_outcome_keeps_the_whole_reservation() -> None:
    desk = with_order()
    desk.tell(order_update("o-1", 1, status=Status.SENDING))
    desk.tell(order_update("o-1", 2, status=Status.UNKNOWN))
    assert desk.reserved() == (1000, 0)


def test_fills_give_back_what_they_fill() -> None:
    desk = with_order()
    desk.tell(order_update("o-1", 2, status=Status.PARTIALLY_FILLED, filled=400, leaves=600))
    assert desk.reserved() == (600, 0)


@pytest.mark.parametrize("status", ENDS)
def test_every_end_gives_back_the_rest(status: Status) -> None:
    desk = with_order()
    desk.tell(order_update("o-1", 2, status=status, leaves=0))
    assert desk.reserved() == (0, 0)


def test_an_update_told_twice_or_late_changes_nothing() -> None:
    desk = with_order()
    filled = order_update("o-1", 3, status=Status.PARTIALLY_FILLED, filled=400, leaves=600)
    for update in (filled, filled, order_update("o-1", 2)):
        desk.tell(update)
    assert desk.reserved() == (600, 0)


def test_no_late_update_brings_an_ended_order_back() -> None:
    desk = with_order()
    desk.tell(order_update("o-1", 5, status=Status.CANCELED, leaves=0))
    desk.tell(order_update("o-1", 4))
    desk.tell(order_update("o-1", 5, status=Status.CANCELED, leaves=0))
    assert desk.reserved() == (0, 0)


def test_ended_orders_are_forgotten_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposure, "CLOSED_ORDERS_MAX", 1)
    desk = Desk()
    for name in ("o-1", "o-2"):
        desk.tell(order_update(name, 5, status=Status.CANCELED, leaves=0))
    for name in ("o-1", "o-2"):
        desk.tell(order_update(name, 1, event=external()))
    assert desk.reserved() == (1000, 0)


def test_an_amend_reserves_the_larger_total_until_it_settles() -> None:
    desk = with_order()
    desk.tell(order_update("o-1", 2))
    assert desk.code(limit_order(1500), "o-1", replaces_order_id="o-1") == "pass"
    desk.tell(order_update("o-1", 3, pending=Pending.AMEND))
    assert desk.reserved() == (1500, 0)
    desk.tell(order_update("o-1", 4, filled=300, leaves=700, pending=Pending.AMEND))
    assert desk.reserved() == (1200, 0)
    desk.tell(order_update("o-1", 5, filled=300, leaves=1200, event=REPLACED))
    assert desk.reserved() == (1200, 0)


@pytest.mark.parametrize("total", [400, 1600])
def test_a_refused_amend_leaves_the_old_reservation(total: int) -> None:
    desk = with_order()
    desk.tell(order_update("o-1", 2))
    assert desk.code(limit_order(total), "o-1", replaces_order_id="o-1") == "pass"
    assert desk.reserved() == (max(total, 1000), 0)
    desk.tell(order_update("o-1", 3, event=REFUSED))
    assert desk.reserved() == (1000, 0)


def test_an_amend_that_was_not_sent_leaves_the_old_reservation() -> None:
    desk = with_order()
    desk.tell(order_update("o-1", 2))
    desk.ask(limit_order(1600), "o-1", replaces_order_id="o-1")
    desk.screener.release("o-1")
    assert desk.reserved() == (1000, 0)


def test_the_second_of_two_amends_under_way_does_not_lower_the_reservation() -> None:
    desk = with_order()
    desk.tell(order_update("o-1", 2))
    desk.ask(limit_order(1600), "o-1", replaces_order_id="o-1")
    desk.ask(limit_order(1200), "o-1", replaces_order_id="o-1")
    assert desk.reserved() == (1600, 0)


def test_an_order_that_was_not_sent_gives_its_reservation_back() -> None:
    desk = with_order()
    desk.screener.release("o-1")
    desk.screener.release("never-heard-of")
    assert desk.reserved() == (0, 0)


def test_a_new_router_keeps_only_the_orders_it_lists() -> None:
    desk = with_order()
    desk.ask(limit_order(-700), "o-2")
    desk.screener.keep_only(frozenset({"o-2", "o-3"}))
    assert desk.reserved() == (0, 700)


def test_an_order_screened_again_may_move_to_another_size() -> None:
    desk = with_order()
    assert desk.code(limit_order(300), "o-1") == "pass"
    assert desk.reserved() == (300, 0)


def test_orders_made_outside_count_at_once() -> None:
    desk = Desk()
    desk.tell(order_update("x-1", 1, event=external(-2000), leaves=2000, origin=Origin.EXTERNAL))
    assert desk.reserved() == (0, 2000)


def test_an_order_nobody_described_counts_both_ways_and_stops_new_risk() -> None:
    desk = Desk()
    desk.tell(order_update("x-1", 2, leaves=600, filled=400))
    assert desk.reserved() == (600, 600)
    assert desk.code(new_order(1)) == "unknown_outcome"


def test_a_late_description_says_which_way_it_goes() -> None:
    desk = Desk()
    desk.tell(order_update("x-1", 2, leaves=600, filled=400))
    desk.tell(order_update("x-1", 1, event=external(-1000)))
    assert desk.reserved() == (0, 600)
    assert desk.code(new_order(1)) == "pass"


def test_an_update_that_says_too_little_is_left_aside() -> None:
    desk = Desk()
    desk.tell(order_update("x-1", 2, account=None))
    desk.tell(order_update("x-2", 2, instrument=None))
    desk.tell(order_update("x-3", 2, account="not-ours"))
    desk.tell(PositionUpdate(position=position(*lots(5), account="not-ours")))
    desk.tell(Notice(kind=NoticeKind.BREAK, scope="account", message="not for us"))
    assert desk.screener.book.orders == {}


def test_an_unknown_outcome_stops_new_risk_in_its_instrument_until_it_is_known() -> None:
    desk = with_order()
    desk.tell(order_update("o-1", 2, status=Status.UNKNOWN))
    violation = desk.verdict(new_order(1)).violation
    assert violation is not None
    assert violation.code == "unknown_outcome"
    assert desk.code(new_order(1, instrument="GBP/USD")) == "pass"
    desk.tell(order_update("o-1", 3))
    assert desk.code(new_order(1)) == "pass"


def test_an_exit_passes_beside_an_unknown_outcome() -> None:
    desk = Desk(snapshot(position(*lots(1000))))
    desk.tell(order_update("x-1", 1, event=external(), status=Status.UNKNOWN))
    assert desk.code(new_order(-1000)) == "pass"


def test_settings_may_let_new_risk_pass_beside_an_unknown_outcome() -> None:
    desk = Desk(settings=replace(LOOSE, blocks_on_unknown=False))
    desk.tell(order_update("x-1", 1, event=external(), status=Status.UNKNOWN))
    assert desk.code(new_order(1)) == "pass"


def test_an_older_position_does_not_replace_a_newer_one() -> None:
    desk = Desk()
    desk.hold(*lots(500), seq=9)
    desk.hold(*lots(300), seq=8)
    assert desk.screener.book.accounts[ACCOUNT].holdings["EUR/USD"].quantity == 500


def loaded(**words: Any) -> Order:
    plain: dict[str, Any] = {
        "order_id": "o-1",
        "owner": OWNER,
        "origin": Origin.CLIENT,
        "terms": limit_order(),
        "status": Status.PARTIALLY_FILLED,
        "account": ACCOUNT,
        "filled": Decimal(400),
        "version": 4,
        "received_ns": NOW - 100 * MS,
    }
    return Order(**(plain | words))


def test_a_loaded_order_reserves_what_it_has_left() -> None:
    assert Desk(orders=(loaded(),)).reserved() == (600, 0)


def test_a_loaded_external_order_reserves_too() -> None:
    order = loaded(terms=None, external=external(-1000), origin=Origin.EXTERNAL)
    assert Desk(orders=(order,)).reserved() == (0, 600)


@pytest.mark.parametrize(
    "words",
    [
        {"status": Status.CANCELED},
        {"account": None},
        {"account": "not-ours"},
        {"terms": None},
    ],
)
def test_a_loaded_order_that_is_over_or_nowhere_holds_nothing(words: dict[str, Any]) -> None:
    assert Desk(orders=(loaded(**words),)).screener.book.orders == {}


def test_a_loaded_order_not_yet_sent_reserves_in_the_account_it_is_pinned_to() -> None:
    order = loaded(
        account=None, terms=limit_order(account=ACCOUNT), status=Status.READY, filled=Decimal(0)
    )
    assert Desk(orders=(order,)).reserved() == (1000, 0)


def test_a_loaded_order_is_remembered_by_the_duplicate_guard() -> None:
    desk = Desk(orders=(loaded(),), settings=replace(LOOSE, duplicate_window_ms=500))
    assert desk.code(limit_order()) == "duplicate"


def test_a_loaded_order_stops_new_risk_only_where_its_outcome_is_not_known() -> None:
    assert Desk(orders=(loaded(),)).code(new_order(1)) == "pass"
    lost = loaded(status=Status.UNKNOWN)
    assert Desk(orders=(lost,)).code(new_order(1)) == "unknown_outcome"


def test_an_amend_that_a_restart_forgot_stops_new_risk_until_it_settles() -> None:
    desk = Desk(orders=(loaded(pending=Pending.AMEND),))
    assert desk.code(new_order(1)) == "unknown_outcome"
    desk.tell(order_update("o-1", 5, filled=500, leaves=500, pending=Pending.AMEND))
    assert desk.code(new_order(1)) == "unknown_outcome"
    desk.tell(order_update("o-1", 6, filled=500, leaves=900, event=REPLACED))
    assert desk.code(new_order(1)) == "pass"


def test_the_duplicate_guard_keeps_the_latest_and_forgets_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(holding, "RECENT_ORDERS_MAX", 2)
    recent = holding.RecentOrders()
    keys = [holding.Fingerprint.of(new_order(quantity)) for quantity in (1, 2, 3)]
    recent.note(keys[0], 5, "a")
    recent.note(keys[1], 6, "b")
    recent.note(keys[0], 4, "c")
    recent.note(keys[2], 7, "d")
    assert [recent.find(key) for key in keys] == [(5, "a"), None, (7, "d")]
    recent.forget(keys[1], "b")
    assert recent.find(keys[0]) == (5, "a")


def test_what_an_amend_under_way_asked_for_is_kept_until_it_settles() -> None:
    desk = with_order(price="1.1")
    assert desk.code(limit_order(1500, "1.2"), "o-1", replaces_order_id="o-1") == "pass"
    desk.tell(order_update("o-1", 1, filled=100, leaves=900))
    order = desk.screener.book.orders["o-1"]
    assert (order.wanted, order.wanted_price, order.meets_at) == (
        1500,
        Decimal("1.2"),
        Decimal("1.2"),
    )
    assert desk.reserved() == (1400, 0)
    desk.tell(order_update("o-1", 2, filled=100, leaves=900, event=REFUSED), 2)
    order = desk.screener.book.orders["o-1"]
    assert (order.wanted, order.wanted_price, order.meets_at) == (None, None, Decimal("1.1"))
    assert desk.reserved() == (900, 0)
