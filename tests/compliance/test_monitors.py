"""What is looked at after the trade: patterns, states, quality; nothing is refused here."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from compliance.luld import Band
from compliance.monitors import execution_quality as quality
from compliance.monitors import suspicion
from compliance.monitors.alert import AlertKind
from compliance.monitors.currency_deposits import judge_day
from compliance.monitors.luld_states import LuldState, State, Touch, classify, step
from compliance.monitors.price_adjustments import Adjustment, Cause, find_violation
from compliance.monitors.self_trades import FirmFill, SelfTrades
from tests.compliance.cases_market import Watch
from tests.compliance.desk import MS, NOW

SECOND = 1_000 * MS

# ------------------------------------------------------------------ patterns


def test_cancels_of_the_other_side_around_a_fill_look_like_spoofing() -> None:
    watch = Watch()
    spoof = watch.place(1, "9")
    watch.cancel(spoof, 10)
    mine = watch.place(-1, "10", 20)
    (alert,) = watch.monitor.fill(
        suspicion.Filled(order_id=mine, quantity=Decimal(1), price=Decimal(10), at_ns=NOW + 21 * MS)
    )
    assert alert.kind is AlertKind.SPOOF
    assert alert.numbers == {"canceled": "1", "orders": "1"}
    assert alert.orders == (mine, spoof)
    assert alert.at_ns == NOW + 21 * MS
    assert "CEA 4c(a)(5)" in alert.citation


def test_a_cancel_after_the_fill_completes_it_too_and_is_said_once() -> None:
    watch = Watch()
    spoof = watch.place(1, "9")
    watch.fill(watch.place(-1, "10", 1), 1)
    watch.check(None)
    watch.cancel(spoof, 10)
    watch.check("SPOOF")
    watch.kinds.clear()
    watch.cancel(spoof, 11)
    watch.check(None)


def test_a_cancel_of_the_same_side_or_without_a_fill_is_ordinary() -> None:
    watch = Watch()
    watch.cancel(watch.place(1), 1)
    watch.fill(watch.place(1, "10", 2), 2)
    watch.check(None)


def test_orders_before_the_window_do_not_count() -> None:
    watch = Watch(window_ms=1_000)
    watch.cancel(watch.place(1), 1)
    watch.fill(watch.place(-1, "10", 1_001), 1_001)
    watch.check(None)


def test_an_old_fill_does_not_make_a_cancel_suspicious() -> None:
    watch = Watch(window_ms=1_000)
    watch.fill(watch.place(-1, "10"), 0)
    watch.cancel(watch.place(1, "9", 1_001), 1_001)
    watch.check(None)


def test_what_nobody_placed_and_what_is_placed_twice_changes_nothing() -> None:
    watch = Watch()
    watch.cancel("o-9", 1)
    watch.fill("o-9", 1)
    watch.place(1)
    watch.count = 0
    watch.place(1)
    watch.cancel("o-1", 1)
    watch.fill(watch.place(-1, "10", 2), 2)
    watch.check("SPOOF")


def test_only_so_many_orders_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspicion, "ORDERS_MAX", 1)
    watch = Watch()
    first = watch.place(1)
    watch.place(1)
    watch.cancel(first, 1)
    watch.fill(watch.place(-1, "10", 2), 2)
    watch.check(None)


@pytest.mark.parametrize(("levels", "life_ms", "alert"), [
    (3, 5_000, "LAYERING"), (2, 5_000, None), (3, 5_001, None),
])  # fmt: skip
def test_layers_taken_back_around_a_fill(levels: int, life_ms: int, alert: str | None) -> None:
    watch = Watch(cancel_share=Decimal(2))
    names = [watch.place(1, str(9 - number)) for number in range(levels)]
    watch.fill(watch.place(-1, "10"), 0)
    for name in names:
        watch.cancel(name, life_ms)
    watch.check(alert)


def test_the_windows_of_patterns_end_with_their_last_moment() -> None:
    watch = Watch(window_ms=1_000, cancel_share=Decimal(1))
    watch.cancel(watch.place(1, "9"), 1)
    watch.fill(watch.place(-1, "10", 1_000), 1_000)
    watch.check("SPOOF")
    watch = Watch(window_ms=1_000)
    watch.fill(watch.place(-1, "10"), 0)
    watch.cancel(watch.place(1, "9", 1_000), 1_000)
    watch.check("SPOOF")


def test_a_cancel_is_held_against_the_last_fill_of_the_other_side() -> None:
    watch = Watch()
    spoof = watch.place(1, "9")
    watch.fill(watch.place(-1, "10", 1), 1)
    watch.fill(watch.place(1, "10", 2), 2, quantity=1)  # its own side, and later
    watch.kinds.clear()
    watch.cancel(spoof, 3)
    watch.check("SPOOF")


def test_an_order_forgotten_by_one_count_may_be_so_by_another_first() -> None:
    watch = Watch(window_ms=1_000, close_window_ms=2_000, cancels_min=2)
    old = watch.place(1, "9")
    watch.cancel(watch.place(1, "9", 500), 500)
    watch.fill(watch.place(-1, "10", 1_200), 1_200)  # the first is too old for a pattern
    watch.place(1, "9", 2_100)  # and now for the close, too
    assert old not in watch.monitor._orders
    watch.cancel(watch.place(1, "9", 2_150), 2_160)
    watch.check(None)


def test_owners_and_instruments_are_watched_apart() -> None:
    watch = Watch()
    watch.cancel(watch.place(1, "9"), 1)
    for owner, instrument in (("owner-2", "ABC"), ("owner-1", "XYZ")):
        name = f"{owner}-{instrument}"
        watch.monitor.place(
            suspicion.Placed(
                order_id=name, owner=owner, instrument=instrument, sign=-1, price=Decimal(10),
                quantity=Decimal(1), at_ns=NOW + 2,
            )
        )  # fmt: skip
        watch.fill(name, 2)
    watch.check(None)


def test_layers_count_by_price_and_not_by_order() -> None:
    watch = Watch(cancel_share=Decimal(2))
    names = [watch.place(1, "9") for _ in range(5)]
    watch.fill(watch.place(-1, "10"), 0)
    for name in names:
        watch.cancel(name, 1)
    watch.check(None)


def closing(share: str = "0.1") -> Watch:
    watch = Watch(close_share=Decimal(share), close_window_ms=1_000)
    watch.monitor.session(
        suspicion.Session(instrument="ABC", closes_ns=NOW + 1_000 * MS, volume=Decimal(1_000))
    )
    return watch


@pytest.mark.parametrize(
    ("at_ms", "quantity", "alert"),
    [(0, 101, "MARKING_THE_CLOSE"), (0, 100, None), (1_000, 101, "MARKING_THE_CLOSE"),
     (1_001, 101, None), (-1, 101, None)],
)  # fmt: skip
def test_a_large_part_of_the_volume_before_the_close(
    at_ms: int, quantity: int, alert: str | None
) -> None:
    watch = closing()
    watch.fill(watch.place(1, "10", at_ms, quantity), at_ms, quantity=quantity)
    watch.check(alert)


def test_fills_before_the_close_add_up_and_an_early_orders_fill_says_nothing() -> None:
    watch = closing()
    early = watch.place(1, "10", -10)
    first = watch.place(1, "10", 1, 101)
    watch.fill(first, 1, quantity=100)
    watch.check(None)
    watch.fill(first, 2, quantity=1)
    watch.check("MARKING_THE_CLOSE")
    watch.kinds.clear()
    watch.fill(early, 3, quantity=500)
    watch.check(None)


def test_without_the_markets_volume_the_close_is_not_judged() -> None:
    watch = Watch()
    watch.monitor.session(suspicion.Session(instrument="ABC", closes_ns=NOW, volume=Decimal(0)))
    watch.fill(watch.place(1), 0)
    watch.check(None)


@pytest.mark.parametrize(
    ("trades", "alert"),
    [
        (((1, 100, "100", 0), (-1, 100, "100", 1)), "WASH_TRADE"),
        (((1, 100, "100", 0), (-1, 100, "102", 1)), "WASH_TRADE"),
        (((1, 100, "100", 0), (-1, 100, "103", 1)), None),
        (((1, 100, "103", 0), (-1, 100, "100", 1)), None),
        (((1, 100, "100", 0), (-1, 99, "100", 1)), None),
        (((1, 100, "100", 0), (-1, 100, "100", 60_001)), None),
        (((1, 100, "100", 0), (-1, 100, "100", 60_000)), "WASH_TRADE"),
    ],
)
def test_trades_that_leave_everything_as_it_was(
    trades: tuple[tuple[int, int, str, int], ...], alert: str | None
) -> None:
    watch = Watch()
    for sign, quantity, price, at_ms in trades:
        watch.fill(watch.place(sign, price, at_ms, quantity), at_ms, price, quantity)
    watch.check(alert)


# ------------------------------------------------------------------ the firm with itself


def firm_fill(number: int, owner: str, sign: int, **words: Any) -> FirmFill:
    plain: dict[str, Any] = {
        "execution_id": f"x-{number}", "order_id": f"o-{number}", "owner": owner,
        "instrument": "ABC", "sign": sign, "quantity": Decimal(100), "price": Decimal(10),
        "at_ns": NOW,
    }  # fmt: skip
    return FirmFill(**(plain | words))


def test_two_owners_fills_that_look_like_one_trade_are_found_once() -> None:
    monitor = SelfTrades()
    assert monitor.see(firm_fill(1, "a", 1)) is None
    alert = monitor.see(firm_fill(2, "b", -1, at_ns=NOW + 1_000 * MS))
    assert alert is not None
    assert (alert.kind, alert.subject, alert.orders) == (
        AlertKind.SELF_TRADE, "b", ("o-1", "o-2"),
    )  # fmt: skip
    assert monitor.see(firm_fill(2, "b", -1)) is None
    assert monitor.see(firm_fill(3, "b", -1)) is None


@pytest.mark.parametrize(
    "words",
    [
        {"sign": 1},
        {"price": Decimal(11)},
        {"quantity": Decimal(99)},
        {"instrument": "DEF"},
        {"at_ns": NOW + 1_001 * MS},
    ],
)
def test_fills_that_differ_are_no_self_trade(words: dict[str, Any]) -> None:
    monitor = SelfTrades()
    monitor.see(firm_fill(1, "a", 1))
    other = replace(firm_fill(2, "b", -1), **words)
    assert monitor.see(other) is None


def test_only_so_many_fills_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compliance.monitors.self_trades.FILLS_MAX", 1)
    monitor = SelfTrades()
    monitor.see(firm_fill(1, "a", 1))
    monitor.see(firm_fill(2, "a", 1))
    assert monitor.see(firm_fill(1, "a", 1)) is None


# ------------------------------------------------------------------ LULD states


BAND = Band(Decimal(95), Decimal(105))


def touch(bid: str, ask: str, at_s: int = 0) -> Touch:
    return Touch(bid=Decimal(bid), ask=Decimal(ask), band=BAND, at_ns=NOW + at_s * SECOND)


@pytest.mark.parametrize(
    ("bid", "ask", "state"),
    [
        ("99", "101", State.NORMAL),
        ("94", "95", State.LIMIT),
        ("105", "106", State.LIMIT),
        ("94", "96", State.STRADDLE),
        ("104", "106", State.STRADDLE),
        ("95", "95", State.NORMAL),
        ("96", "95", State.NORMAL),
        ("95", "105", State.NORMAL),
    ],
)
def test_a_quote_alone_says_a_state(bid: str, ask: str, state: State) -> None:
    assert classify(touch(bid, ask)) is state


def test_fifteen_seconds_in_a_limit_state_pause_trading_for_five_minutes() -> None:
    held = LuldState(symbol="ABC")
    held, alert = step(held, touch("94", "95"))
    assert alert is not None
    assert (alert.kind, alert.numbers) == (AlertKind.LIMIT_STATE, {"low": "95", "high": "105"})
    held, alert = step(held, touch("94", "95", 14))
    assert (held.state, alert) == (State.LIMIT, None)
    held, alert = step(held, touch("99", "101", 15))
    assert alert is not None
    assert (held.state, alert.kind) == (State.PAUSED, AlertKind.TRADING_PAUSE)
    assert held.since_ns == NOW + 15 * SECOND
    assert held.until_ns == NOW + 315 * SECOND
    held, alert = step(held, touch("99", "101", 314))
    assert (held.state, alert) == (State.PAUSED, None)
    held, alert = step(held, touch("99", "101", 315))
    assert (held.state, alert) == (State.NORMAL, None)


def test_a_limit_state_left_in_time_pauses_nothing() -> None:
    held, _ = step(LuldState(symbol="ABC"), touch("94", "95"))
    held, alert = step(held, touch("94", "96", 14))
    assert (held.state, alert) == (State.STRADDLE, None)
    assert step(held, touch("94", "96", 99)) == (held, None)


def test_a_quote_long_after_a_pause_nobody_saw_is_taken_as_it_is() -> None:
    held, _ = step(LuldState(symbol="ABC"), touch("94", "95"))
    held, alert = step(held, touch("99", "101", 400))
    assert (held.state, alert) == (State.NORMAL, None)


# ------------------------------------------------------------------ execution quality


def benchmark(bid: str = "40.40", ask: str = "40.49", **words: Any) -> quality.Benchmark:
    plain: dict[str, Any] = {"quote_ns": NOW, "received_ns": NOW}
    return quality.Benchmark(bid=Decimal(bid), ask=Decimal(ask), **(plain | words))


def judged(price: str, sign: int = 1, shares: int = 100, **words: Any) -> quality.FillQuality:
    return quality.judge(sign, Decimal(shares), Decimal(price), benchmark(**words), 1_000)


def test_a_fill_is_judged_against_the_quote_at_receipt() -> None:
    fill = judged("40.47")
    assert (fill.effective_spread, fill.quoted_spread) == (Decimal("0.05"), Decimal("0.09"))
    assert fill.price_improvement == Decimal("0.02")
    assert judged("40.42", -1).price_improvement == Decimal("0.02")
    # Better than the middle is lawful.
    assert judged("40.40").effective_spread == Decimal("-0.09")


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ({"bid": "40.49"}, (quality.Flag.LOCKED,)),
        ({"bid": "40.50"}, (quality.Flag.CROSSED,)),
        ({"quote_ns": NOW - 1_000 * MS}, ()),
        ({"quote_ns": NOW - 1_000 * MS - 1}, (quality.Flag.STALE,)),
        ({"is_open": False}, (quality.Flag.OUT_OF_HOURS,)),
    ],
)
def test_a_benchmark_that_cannot_be_relied_on_is_flagged(
    words: dict[str, Any], flags: tuple[quality.Flag, ...]
) -> None:
    assert judged("40.45", **words).flags == flags


def test_a_ratio_needs_a_spread() -> None:
    assert judged("40.45", bid="40.49").effective_over_quoted is None
    assert judged("40.45").effective_over_quoted is not None


def test_averages_weigh_by_shares_and_leave_flagged_fills_out() -> None:
    fills = (judged("40.47", shares=100), judged("40.45", shares=900),
             judged("50", shares=10_000, is_open=False))  # fmt: skip
    found = quality.average(fills)
    assert (found.fills, found.flagged, found.shares) == (2, 1, 1_000)
    assert found.effective_spread == Decimal("0.014")
    assert found.price_improvement == Decimal("0.038")
    nothing = quality.average(fills[2:])
    assert (nothing.effective_spread, nothing.price_improvement) == (None, None)


def test_a_shortfall_counts_what_was_not_done_and_the_fees() -> None:
    order = quality.Shortfall(
        sign=1, decision_price=Decimal(10), end_price=Decimal(12), filled=Decimal(80),
        unfilled=Decimal(20), average_price=Decimal("10.5"), fees=Decimal(3),
    )  # fmt: skip
    assert quality.implementation_shortfall(order) == 40 + 40 + 3
    assert quality.implementation_shortfall(replace(order, sign=-1)) == -40 - 40 + 3


# ------------------------------------------------------------------ currency and adjustments


@pytest.mark.parametrize(
    ("amounts", "must_report", "is_case"),
    [
        (("10000",), False, False),
        (("10000.01",), True, False),
        (("10000", "0.01"), True, True),
        (("10001", "1"), True, False),
        ((), False, False),
    ],
)
def test_cash_of_a_day_is_taken_together(
    amounts: tuple[str, ...], must_report: bool, is_case: bool
) -> None:
    found = judge_day("person-1", tuple(Decimal(amount) for amount in amounts), NOW)
    assert (found.must_report, found.alert is not None) == (must_report, is_case)
    if found.alert is not None:
        assert found.alert.numbers == {"total": "10000.01", "deposits": "2"}


STP = Adjustment(
    cause=Cause.COUNTERPARTY, is_straight_through=True, is_affiliate=False, notice_minutes=15
)
GOOD = Adjustment(cause=Cause.FAVORABLE, is_beyond_control=True, covers_everyone=True)


@pytest.mark.parametrize(
    ("adjustment", "code"),
    [
        (STP, None),
        (replace(STP, notice_minutes=16), "adjustment_notice_late"),
        (replace(STP, notice_minutes=None), "adjustment_notice_late"),
        (replace(STP, is_affiliate=True), "adjustment_affiliate"),
        (replace(STP, is_straight_through=False), "adjustment_not_stp"),
        (GOOD, None),
        (replace(GOOD, covers_everyone=False), "adjustment_partial"),
        (replace(GOOD, is_beyond_control=False), "adjustment_no_ground"),
        (Adjustment(cause=Cause.FAVORABLE, settles_complaint=True), None),
    ],
)
def test_an_executed_price_is_changed_only_on_these_grounds(
    adjustment: Adjustment, code: str | None
) -> None:
    violation = find_violation(adjustment)
    assert (violation.code if violation else None) == code
    if violation is not None:
        is_late = code == "adjustment_notice_late"
        assert violation.would_pass == ("written notice within 15 minutes" if is_late else None)
