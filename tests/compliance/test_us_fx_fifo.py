"""NFA 2-43(b) and OANDA's unique sizes, told as rows: lots held, the order, the verdict."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from compliance.rules.oanda_unique_size import check_attach
from domain.lifecycle import Order, Origin, Status
from domain.orders import Bracket, PositionEffect, StopLoss, TimeInForce
from tests.compliance.desk import (
    ACCOUNT,
    LOOSE,
    OWNER,
    Desk,
    broker_account,
    external,
    limit_order,
    lots,
    new_order,
    order_update,
    position,
    snapshot,
)

PROTECTED = Bracket(stop_loss=StopLoss(stop_price=Decimal("1.05")))
OPEN_ONLY = PositionEffect.OPEN_ONLY


def desk_of(*sizes: int, guarded: str = "", **words: Any) -> Desk:
    """A rich account holding lots T1, T2 ... of those sizes."""
    held = position(*lots(*sizes, guarded=guarded))
    return Desk(snapshot(held, equity="1000000000"), **words)


def close(lot_id: str, quantity: int, **words: Any) -> Any:
    """A sell that closes part of a lot by name."""
    return new_order(-quantity, closes_lot=lot_id, **words)


NAMED = """
    10000              T1  10000  pass
    10000              T1   4000  pass
    10000              T1  10001  fifo_lot_smaller
    10000 20000        T2  20000  pass
    10000 20000        T2   5000  fifo_not_same_size
    10000 20000        T2  20001  fifo_not_same_size
    10000 10000        T2  10000  fifo_same_size_oldest_first
    10000 20000 20000  T3  20000  fifo_same_size_oldest_first
    10000 20000 30000  T3  30000  pass
    10000              T9   1000  fifo_lot_unknown
    -10000             T1   1000  fifo_lot_side
"""


@pytest.mark.parametrize("row", NAMED.strip().splitlines())
def test_a_lot_closed_by_name_follows_the_rows(row: str) -> None:
    *sizes, lot_id, quantity, code = row.split()
    assert desk_of(*map(int, sizes)).code(close(lot_id, int(quantity))) == code


def test_a_refusal_names_the_lot_to_close_instead() -> None:
    violation = desk_of(10_000, 10_000).verdict(close("T2", 10_000)).violation
    assert violation is not None
    assert violation.numbers == {"close_instead": "T1"}
    assert violation.would_pass == "closing lot T1 first"


def test_without_the_customers_instruction_only_the_oldest_lot_can_be_named() -> None:
    settings = replace(LOOSE, lot_close_is_instructed=False)
    desk = desk_of(10_000, 20_000, settings=settings)
    assert desk.code(close("T2", 20_000)) == "fifo_oldest_first"
    assert desk.code(close("T1", 10_000)) == "pass"


@pytest.mark.parametrize("quantity", [-4000, -10_000, -30_000])
def test_an_order_against_the_position_nets(quantity: int) -> None:
    assert desk_of(10_000, 20_000).code(new_order(quantity)) == "pass"


def test_an_open_only_order_against_the_position_would_hedge() -> None:
    desk = desk_of(10_000)
    assert desk.code(new_order(-4000, position_effect=OPEN_ONLY)) == "hedge"
    assert desk.code(new_order(4000, position_effect=OPEN_ONLY)) == "pass"


def test_an_open_only_order_beside_one_under_way_the_other_way_would_hedge() -> None:
    desk = desk_of()
    assert desk.code(new_order(1000)) == "pass"
    assert desk.code(new_order(-1000, position_effect=OPEN_ONLY)) == "hedge"


def test_a_hedging_account_may_only_close_what_it_holds() -> None:
    account = broker_account(hedging=True)
    desk = Desk(snapshot(position(*lots(10_000)), account=account))
    assert desk.code(new_order(-10_001)) == "hedge"
    assert desk.code(close("T1", 10_000)) == "pass"


def test_no_younger_lot_is_named_while_an_order_may_shrink_an_older_one() -> None:
    desk = desk_of(10_000, 20_000)
    assert desk.code(new_order(-4000), "o-1") == "pass"
    assert desk.code(close("T2", 20_000)) == "fifo_in_flight"
    desk.tell(order_update("o-1", 2, status=Status.REJECTED, leaves=0))
    assert desk.code(close("T2", 20_000)) == "pass"


def test_nothing_shrinks_a_lot_while_a_younger_one_is_named() -> None:
    desk = desk_of(10_000, 20_000)
    assert desk.code(close("T2", 20_000)) == "pass"
    assert desk.code(new_order(-4000)) == "fifo_in_flight"
    assert desk.code(close("T1", 4000)) == "fifo_in_flight"
    assert desk.code(close("T1", 10_000)) == "pass"
    assert desk.code(new_order(-30_000)) == "pass"


def test_another_pair_is_another_position() -> None:
    assert desk_of(10_000).code(new_order(10_000, instrument="USD/CHF")) == "pass"


UNIQUE = """
    held           guarded  order            verdict
    1000           T1       +1000 bracket    fifo_safeguard
    1000           T1       +1000            fifo_safeguard
    1000           -        +1000 bracket    fifo_safeguard
    1000           -        +1000            pass
    1000           T1       +1001 bracket    pass
    2000 1000      T1,T2    -1000            fifo_safeguard_partial_close
    2000 1000      T1       -1000            fifo_safeguard_partial_close
    2000 1000      T2       -1000            fifo_safeguard_partial_close
    2000 1000      -        -1000            pass
    2000 1000      T1       -500             pass
    2000 1000      T1       -2000            pass
    2000 1000      T1       -2500            pass
    2000 1000      T1       -3000            pass
    2000 1000      T1       -4000 bracket    pass
    2000 1000      T1       T1:1000          fifo_safeguard_partial_close
    2000 1000      T1       T1:2000          pass
"""


def ordered(words: str) -> Any:
    size, _, bracket = words.partition(" ")
    lot_id, _, named = size.partition(":")
    if named:
        return close(lot_id, int(named))
    return new_order(int(size), bracket=PROTECTED if bracket else None)


@pytest.mark.parametrize("row", UNIQUE.strip().splitlines()[1:])
def test_a_protected_trade_has_a_size_of_its_own(row: str) -> None:
    held, guarded, order, verdict = re.split(r"\s{2,}", row.strip())
    desk = desk_of(*map(int, held.split()), guarded=guarded.replace(",", " "))
    assert desk.code(ordered(order)) == verdict


def test_a_trade_under_way_counts_as_if_it_were_open() -> None:
    desk = desk_of()
    assert desk.code(new_order(1000, bracket=PROTECTED), "o-1") == "pass"
    assert desk.code(new_order(1000, bracket=PROTECTED)) == "fifo_safeguard"
    assert desk.code(new_order(1000)) == "fifo_safeguard"
    desk.tell(order_update("o-1", 2, status=Status.REJECTED, leaves=0))
    assert desk.code(new_order(1000)) == "pass"
    assert desk.code(new_order(1000, bracket=PROTECTED)) == "fifo_safeguard"


def test_no_protected_trade_opens_while_the_other_side_is_under_way() -> None:
    desk = desk_of()
    assert desk.code(new_order(-400)) == "pass"
    assert desk.code(new_order(1000)) == "pass"
    assert desk.code(new_order(600, bracket=PROTECTED)) == "fifo_in_flight"


def test_a_working_child_of_a_lot_protects_it_as_a_bracket_does() -> None:
    desk = desk_of(1000)
    child = external(-1000, closes_lot="T1")
    desk.tell(order_update("child", 1, event=child, origin=Origin.CHILD))
    assert desk.code(new_order(1000)) == "fifo_safeguard"
    desk.tell(order_update("child", 2, status=Status.CANCELED, leaves=0))
    assert desk.code(new_order(1000)) == "pass"


def test_a_pending_order_is_warned_of_at_entry_and_refused_where_it_fills_on_arrival() -> None:
    pending = limit_order(1000, bracket=PROTECTED)
    verdict = desk_of(1000, guarded="T1").verdict(pending)
    assert verdict.violation is None
    assert [warning.code for warning in verdict.warnings] == ["fifo_safeguard"]
    at_once = replace(pending, time_in_force=TimeInForce.IOC)
    assert desk_of(1000, guarded="T1").code(at_once) == "fifo_safeguard"


def test_a_pending_order_that_names_no_open_lot_is_refused_by_fifo_alone() -> None:
    answer = desk_of(1000).ask(limit_order(-500, closes_lot="T9"), is_dry_run=True)
    assert [violation.code for violation in answer.all_violations] == ["fifo_lot_unknown"]


def test_a_protective_order_cannot_be_attached_to_one_of_two_twins() -> None:
    holding = desk_of(1000, 1000, 2000).screener.book.accounts[ACCOUNT].holdings["EUR/USD"]
    for twin in ("T1", "T2"):
        violation = check_attach(holding, twin)
        assert violation is not None
        assert violation.code == "fifo_safeguard_attach"
    assert check_attach(holding, "T3") is None
    assert check_attach(holding, "T9") is None


def test_unique_sizes_are_oandas_alone() -> None:
    account = broker_account(broker="other")
    desk = Desk(snapshot(position(*lots(1000, guarded="T1")), account=account))
    assert desk.code(new_order(1000, bracket=PROTECTED)) == "pass"


def test_the_same_pair_the_other_way_round_in_another_account_is_flagged() -> None:
    other = broker_account(account="acct-2")
    desk = Desk(
        snapshot(),
        snapshot(position(*lots(10_000), account="acct-2"), account=other),
    )
    verdict = desk.verdict(new_order(-1000))
    assert verdict.violation is None
    assert [warning.code for warning in verdict.warnings] == ["cross_account_offset"]
    assert desk.verdict(new_order(1000)).warnings == ()


def test_the_accounts_own_position_is_not_flagged() -> None:
    assert desk_of(1000).verdict(new_order(-1500)).warnings == ()


def test_after_a_reload_an_order_under_way_is_taken_to_touch_any_lot() -> None:
    desk = desk_of(10_000, 20_000)
    desk.ask(close("T1", 10_000), "o-1")
    terms = close("T1", 10_000)
    loaded = Desk(
        snapshot(position(*lots(10_000, 20_000)), equity="1000000000"),
        orders=(sending_order("o-1", terms),),
    )
    assert desk.code(close("T2", 20_000)) == "pass"
    assert loaded.code(close("T2", 20_000)) == "fifo_in_flight"
    assert loaded.code(new_order(-4000)) == "fifo_in_flight"


def sending_order(order_id: str, terms: Any) -> Any:
    return Order(
        order_id=order_id,
        owner=OWNER,
        origin=Origin.CLIENT,
        terms=terms,
        status=Status.SENDING,
        account=ACCOUNT,
        version=1,
    )


def test_an_order_that_only_opens_passes_where_nothing_is_held_in_either_direction() -> None:
    for quantity in (1, -1):
        assert desk_of().code(new_order(quantity, position_effect=OPEN_ONLY)) == "pass"


def test_a_part_that_leaves_a_single_unit_is_a_twin_of_a_protected_single_unit() -> None:
    desk = desk_of(10, 1, guarded="T2")
    assert desk.code(new_order(-9)) == "fifo_safeguard_partial_close"
    assert desk.code(new_order(-10)) == "pass"
