"""Any story at all: whatever is ordered, lost, late, killed or repeated, the logs agree at the end.

Orders, cancels and amends meet a venue that loses answers and lands orders late, while router,
connection and compliance die at any moment. Then everybody is let come to rest, and: nothing is
lost, nothing is doubled, streams have no holes, the client saw each event once, replay gives the
same books, and compliance reserves what a fresh start would.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from gateway_in_memory import Gateway
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from router_world import PRICES, market_order, new_order
from virtual_time import VirtualLoop

from domain import commands as c
from domain.orders import AmendOrder, CancelOrder, NewOrder, Side

SYMBOLS = st.sampled_from(sorted(PRICES))
SIDES = st.sampled_from([Side.BUY, Side.SELL])
QUANTITIES = st.integers(1, 5).map(lambda n: Decimal(n * 100))
FATES = st.lists(
    st.sampled_from(["ok", "slow", "hung", "lost", "late", "dropped", "not_sent", "broken"]),
    max_size=4,
)
NUMBERS = st.integers(0, 50)
PAUSES = st.sampled_from([0, 1, 2, 3, 5, 20, 60, 300, 1_500])
ORDERS = st.lists(st.tuples(SYMBOLS, SIDES, QUANTITIES, st.booleans()), min_size=1, max_size=4)


class Story(RuleBasedStateMachine):
    """One deployment in virtual time, and everything that can happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="fgt-"))
        self.loop = VirtualLoop()
        asyncio.set_event_loop(None)
        self.placed: list[NewOrder] = []
        self.gateway = self._make()
        self._do(self._start)
        self._run(asyncio.sleep(0.5))

    def _make(self) -> Gateway:
        made: list[Gateway] = []

        async def make() -> None:
            made.append(Gateway(self.folder, asyncio.get_running_loop()))

        self._run(make())
        return made[0]

    def _run(self, work: Any) -> None:
        self.loop.run_until_complete(work)

    def _say(self, command: Any) -> None:
        async def say() -> None:
            self.gateway.client.say(command, self.gateway.clocks.utc_ns())

        self._run(say())

    def _do(self, deed: Any) -> None:
        async def do() -> None:
            deed()

        self._run(do())

    def _later(self, ms: int, deed: Any) -> None:
        self._do(lambda: self.loop.call_later(ms / 1000, deed))

    def _start(self) -> None:
        self.gateway.start_what_is_down()

    def _some(self, number: int) -> NewOrder | None:
        return self.placed[number % len(self.placed)] if self.placed else None

    # -- what a client does

    @rule(orders=ORDERS, ms=st.sampled_from([0, 1, 3, 20]))
    def place(self, orders: list[tuple[str, Side, Decimal, bool]], ms: int) -> None:
        for symbol, side, quantity, at_once in orders:
            name = f"o-{len(self.placed) + 1}"
            words: dict[str, Any] = {"instrument": symbol, "side": side, "quantity": quantity}
            limit = Decimal(PRICES[symbol])
            resting = new_order(name, **words, limit_price=limit)
            self.placed.append(market_order(name, **words) if at_once else resting)
            self._say(c.Place(order=self.placed[-1]))
        self._run(asyncio.sleep(ms / 1000))

    @rule(number=NUMBERS)
    def place_the_same_again(self, number: int) -> None:
        if order := self._some(number):
            self._say(c.Place(order=order))

    @rule(number=NUMBERS, everything=st.booleans())
    def cancel(self, number: int, everything: bool) -> None:
        order = self._some(number)
        if everything:
            self._say(c.Cancel(cancel=CancelOrder(all=True)))
        elif order is not None:
            self._say(c.Cancel(cancel=CancelOrder(client_order_id=order.client_order_id)))

    @rule(number=NUMBERS, quantity=QUANTITIES)
    def amend(self, number: int, quantity: Decimal) -> None:
        router = self.gateway.router
        orders = router.desk.books.orders.open.values() if router is not None else ()
        working = [o.client_order_id for o in orders if o.client_order_id and o.legs]
        if working:
            name = working[number % len(working)]
            self._say(c.Amend(amend=AmendOrder(client_order_id=name, quantity=quantity)))

    # -- what the market does

    @rule(number=NUMBERS, part=st.integers(1, 4))
    def fill(self, number: int, part: int) -> None:
        working = self.gateway.venue.working()
        if working:
            kept = working[number % len(working)]
            quantity = max(kept.leaves * part // 4, Decimal(1))
            self._do(lambda: self.gateway.venue.fill(kept.broker_order_id, quantity))

    @rule(symbol=SYMBOLS, side=SIDES, quantity=QUANTITIES, number=NUMBERS)
    def trade_in_the_broker_s_app(
        self, symbol: str, side: Side, quantity: Decimal, number: int
    ) -> None:
        venue, working = self.gateway.venue, self.gateway.venue.working()
        if number % 3 and working:
            name = working[number % len(working)].broker_order_id
            self._do(lambda: venue.cancel(name))
        else:
            order = new_order("foreign", instrument=symbol, side=side, quantity=quantity)
            self._do(lambda: venue.book(order))

    # -- what goes wrong

    @rule(fates=FATES)
    def lose_answers(self, fates: list[str]) -> None:
        self.gateway.venue.fates.extend(fates)

    @rule(fates=st.lists(st.sampled_from(["ok", "fail"]), max_size=3), cut=st.booleans())
    def trouble_the_reads(self, fates: list[str], cut: bool) -> None:
        self.gateway.venue.read_fates.extend(fates)
        if cut:
            self._do(self.gateway.venue.cut)

    @rule(ms=PAUSES)
    def take_the_venue_away(self, ms: int) -> None:
        venue = self.gateway.venue
        venue.is_down = True
        self._do(venue.cut)
        self._later(ms, lambda: setattr(venue, "is_down", False))

    @rule(when=st.sampled_from(["before", "after"]), ms=PAUSES)
    def crash_the_router_at_its_next_commit(self, when: str, ms: int) -> None:
        self.gateway.journal.crash = when
        self._later(ms, self._start)

    @rule(role=st.sampled_from(["router", "connection", "compliance"]), ms=PAUSES)
    def kill(self, role: str, ms: int) -> None:
        self._do(getattr(self.gateway, f"kill_{role}"))
        self._later(ms, self._start)

    @rule(ms=PAUSES)
    def let_time_pass(self, ms: int) -> None:
        self._run(asyncio.sleep(ms / 1000))

    @rule()
    def come_to_rest(self) -> None:
        self._check()

    @invariant()
    def nothing_is_ever_doubled(self) -> None:
        originals = [k.client_id for k in self.gateway.venue.orders.values() if not k.replaces]
        ours = [name for name in originals if name]
        assert len(ours) == len(set(ours))

    def _check(self) -> None:
        self._run(self.gateway.settle())
        found = self.gateway.differences()
        assert found == [], "\n".join(found)

    async def _end(self) -> None:
        self.gateway.stop()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        await self.loop.shutdown_asyncgens()

    def teardown(self) -> None:
        try:
            self._check()
        finally:
            self._run(self._end())
            self.loop.close()
            shutil.rmtree(self.folder, ignore_errors=True)


TestAnyStory = Story.TestCase
TestAnyStory.settings = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
