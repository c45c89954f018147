"""The wall clock steps and drifts; guards and prices go by the clock that does not."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from actors.router.desk import Desk, Venue
from actors.router.quotes import Quotes
from bench.goals.r09_clocks import GOAL, HOUR_NS
from compliance.rates import RateBook
from domain.quotes import Quote
from domain.screening import Rate
from ledger.projection import Books

START_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000


@pytest.mark.asyncio
async def test_stepped_and_drifting_clocks_fire_no_guard_and_make_nothing_stale() -> None:
    tally = await GOAL.run(GOAL.short, 0)
    assert tally.details == []
    assert tally.violations == 0
    assert min(tally.counts.values()) > 0


@pytest.mark.asyncio
async def test_the_goal_sees_prices_that_go_by_the_wall_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Quotes, "look", lambda _self: 0)
    tally = await GOAL.run(3, 0)
    assert tally.violations > 0
    assert "price" in tally.details[0]


def a_quote(at_ns: int, stream_ns: int | None = None) -> Quote:
    return Quote(
        instrument="EUR/USD", connection="c", bid=Decimal("1.1"), ask=Decimal("1.2"),
        broker_ns=at_ns, received_ns=at_ns, update=1, stream_ns=stream_ns,
    )  # fmt: skip


def a_desk() -> tuple[Desk, Quotes]:
    venues: dict[str, Venue] = {}
    desk = Desk(Books(), 1, venues)
    desk.now_ns, desk.boot_ns = START_NS, SECOND_NS
    quotes = Quotes(desk)
    assert quotes.look() == 0
    return desk, quotes


def pass_ns(desk: Desk, boot_ns: int, step_ns: int = 0) -> None:
    desk.boot_ns += boot_ns
    desk.now_ns += boot_ns + step_ns


@pytest.mark.parametrize("step_ns", [HOUR_NS, -HOUR_NS])
def test_prices_keep_their_age_over_a_step(step_ns: int) -> None:
    desk, quotes = a_desk()
    quotes.take("c", (a_quote(START_NS, START_NS),))
    pass_ns(desk, SECOND_NS, step_ns)
    assert quotes.look() == step_ns
    kept = desk.quotes["EUR/USD"]["c"]
    assert desk.now_ns - kept.received_ns == SECOND_NS
    assert kept.stream_ns == kept.received_ns


@pytest.mark.parametrize("step_ns", [HOUR_NS, -HOUR_NS])
def test_a_price_stamped_before_the_step_is_trued_when_it_arrives_after(step_ns: int) -> None:
    desk, quotes = a_desk()
    pass_ns(desk, SECOND_NS, step_ns)
    quotes.look()
    (rate,) = quotes.take("c", (a_quote(START_NS),))
    assert desk.now_ns - rate.received_ns == SECOND_NS
    (rate,) = quotes.take("c", (a_quote(desk.now_ns),))
    assert rate.received_ns == desk.now_ns
    pass_ns(desk, 20 * SECOND_NS)
    (rate,) = quotes.take("c", (a_quote(START_NS),))
    assert rate.received_ns == START_NS


def test_drift_is_no_step() -> None:
    desk, quotes = a_desk()
    for _ in range(1_000):
        pass_ns(desk, SECOND_NS, SECOND_NS // 100)
        assert quotes.look() == 0


def test_compliance_s_prices_move_with_the_clock_and_newer_ones_replace_them() -> None:
    book = RateBook()
    rate = Rate(instrument="EUR/USD", bid=Decimal(1), ask=Decimal(3), received_ns=2 * HOUR_NS)
    book.put(rate)
    book.move(0)
    book.move(-HOUR_NS)
    assert book.find("EUR/USD", HOUR_NS) == replace(rate, received_ns=HOUR_NS)
    assert book.find("EUR/USD", HOUR_NS + 1) is None
    mid = book.convert("EUR", "USD", HOUR_NS)
    assert mid is not None
    assert (mid.rate, mid.at_ns) == (2, HOUR_NS)
    book.put(replace(rate, received_ns=HOUR_NS + 1))
    assert book.find("EUR/USD", HOUR_NS + 1) is not None
