"""Any sequence of orders, fills, refusals, amends and late or repeated news.

Reservations and margin stay equal to a recomputation from the orders alone; what the screen let
through never ends above the leverage limit, hedged, or closing a lot out of turn.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from compliance.limits import MarketSettings
from compliance.screen import Screener
from domain import events as ev
from domain.errors import Category, ErrorInfo, Outcome, Retry
from domain.events import OrderEvent
from domain.lifecycle import OPEN, Order, Origin, Pending, Status, amended_terms, apply
from domain.orders import (
    AmendOrder,
    Bracket,
    NewOrder,
    OrderType,
    PositionEffect,
    StopLoss,
    TimeInForce,
)
from domain.streams import PositionUpdate, StreamUpdate, UpdateBody, order_update
from tests.compliance.desk import ACCOUNT, LOOSE, NOW, OWNER, Desk, forex, new_order, rate, snapshot
from tests.compliance.fifo_broker import FifoBroker

PAIRS = ("EUR/USD", "EUR/JPY")
INSTRUMENTS = tuple(forex(pair) for pair in PAIRS)
PRICES = (rate("EUR/USD", "1.1"), rate("USD/JPY", "150"), rate("EUR/JPY", "165"))
EQUITY = Decimal(300)
PERCENT = {"EUR/USD": Decimal("0.02"), "EUR/JPY": Decimal("0.05")}
CREDIT = MarketSettings(customer_credit_max=Decimal(15_000), firm_credit_max=Decimal(10**9),
                        messages_per_s_max=0)  # fmt: skip
RULES_OF_HOUSE = replace(LOOSE, blocks_on_unknown=False, market=CREDIT)
MIDS = {"EUR/USD": Decimal("1.1"), "EUR/JPY": Decimal(165)}
DOLLARS = {"USD": Decimal(1), "JPY": 1 / Decimal(150)}
COLLAR = Decimal("1.5")
ERROR = ErrorInfo(
    code="no", category=Category.VENUE, outcome=Outcome.NONE, retry=Retry.NEW_ID, message="no"
)
KINDS: dict[str, dict[str, Any]] = {
    "market": {},
    "guarded": {"bracket": Bracket(stop_loss=StopLoss(distance=Decimal("0.01")))},
    "open_only": {"position_effect": PositionEffect.OPEN_ONLY},
    "reduce_only": {"reduce_only": True},
    "limit": {
        "type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "limit_price": Decimal("1.1"),
    },
}
OUTSIDE_MAX = 2
SIZES = st.sampled_from([1000, 2000, 3000])


Source = st.DataObject | Random


def pick(source: Source, items: Sequence[Any]) -> Any:
    """One of the items: Hypothesis's choice, or a seeded one."""
    if isinstance(source, Random):
        return source.choice(items)
    return source.draw(st.sampled_from(items))


class Trading(RuleBasedStateMachine):
    """A router, a broker and the screen between them."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(
            snapshot(equity=str(EQUITY)), settings=RULES_OF_HOUSE, instruments=INSTRUMENTS
        )
        self.broker = FifoBroker(ACCOUNT, PAIRS)
        self.orders: dict[str, Order] = {}
        self.amends: dict[str, Decimal] = {}
        self.screened_at: dict[str, int | None] = {}
        self.outbox: list[StreamUpdate] = []
        self.told: list[StreamUpdate] = []
        self.ceiling = EQUITY
        self.numbers = itertools.count(1)

    # ---------------------------------------------------------------- orders in

    @initialize()
    def value_nothing(self) -> None:
        for pair in PAIRS:
            self.desk.ask(new_order(1, instrument=pair), rates=PRICES, is_dry_run=True)

    @rule(
        pair=st.sampled_from(PAIRS),
        kind=st.sampled_from(sorted(KINDS)),
        size=SIZES,
        buys=st.booleans(),
    )
    def place(self, pair: str, kind: str, size: int, buys: bool) -> None:
        signed = size if buys else -size
        price = {"limit_price": Decimal(165)} if kind == "limit" and pair == "EUR/JPY" else {}
        self._place(new_order(signed, instrument=pair, **(KINDS[kind] | price)))

    @precondition(lambda self: any(held.lots for held in self.broker.positions.values()))
    @rule(data=st.data())
    def close_lot(self, data: Source) -> None:
        found = [lot for held in self.broker.positions.values() for lot in held.lots]
        lot = pick(data, found)
        size = pick(data, [abs(lot.quantity), share_of(abs(lot.quantity), 2)])
        signed = -size if lot.quantity > 0 else size
        self._place(new_order(str(signed), instrument=lot.instrument, closes_lot=lot.lot_id))

    def _place(self, terms: NewOrder) -> None:
        self._deliver()
        name = f"o-{next(self.numbers)}"
        is_alone = not self.desk.screener.book.orders
        if self.desk.verdict(terms, name, rates=PRICES).violation is not None:
            return
        received = Order(
            order_id=name, owner=OWNER, origin=Origin.CLIENT, terms=terms, received_ns=NOW
        )
        self.orders[name] = received
        self.screened_at[name] = self.broker.changes[terms.instrument] if is_alone else None
        self._tell(name, sending())

    @rule(pair=st.sampled_from(PAIRS), size=SIZES)
    def pass_and_not_send(self, pair: str, size: int) -> None:
        self._deliver()
        name = f"o-{next(self.numbers)}"
        self.desk.ask(new_order(size, instrument=pair), name, rates=PRICES)
        self.desk.screener.release(name)

    @precondition(lambda self: sum(name[0] == "x" for name in self.orders) < OUTSIDE_MAX)
    @rule(pair=st.sampled_from(PAIRS), size=SIZES, buys=st.booleans())
    def place_outside(self, pair: str, size: int, buys: bool) -> None:
        self._deliver()
        name = f"x-{next(self.numbers)}"
        terms = new_order(size if buys else -size, instrument=pair)
        event = ev.External(
            at_ns=NOW,
            broker_order_id=name,
            instrument=pair,
            side=terms.side,
            quantity=terms.quantity,
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
        )
        self.orders[name] = Order(
            order_id=name, owner=OWNER, origin=Origin.EXTERNAL, account=ACCOUNT
        )
        self._tell(name, event)
        self.ceiling = max(self.ceiling, self._recompute_margin())

    # ---------------------------------------------------------------- what becomes of them

    @rule(data=st.data())
    def progress(self, data: Source) -> None:
        name = self._draw(data, Status.SENDING, Status.UNKNOWN, Status.READY)
        if name is None:
            return
        status = self.orders[name].status
        choices: dict[str, OrderEvent] = {
            "accept": ev.Accepted(at_ns=NOW, broker_order_id=name),
            "reject": ev.Rejected(at_ns=NOW, error=ERROR),
            "unknown": ev.OutcomeUnknown(at_ns=NOW, reason="timeout"),
            "not_placed": ev.NotPlaced(at_ns=NOW, evidence=("all said no",)),
            "never_sent": ev.NeverSent(at_ns=NOW, reason="mark"),
            "send": sending(),
        }
        allowed = {
            Status.SENDING: ("accept", "accept", "reject", "unknown", "never_sent"),
            Status.UNKNOWN: ("accept", "reject", "not_placed"),
            Status.READY: ("send",),
        }[status]
        self._tell(name, choices[pick(data, allowed)])

    @rule(data=st.data(), share=st.sampled_from([1, 2, 4]))
    def execute(self, data: Source, share: int) -> None:
        name = self._draw(
            data, Status.SENDING, Status.UNKNOWN, Status.LIVE, Status.PARTIALLY_FILLED
        )
        if name is None:
            return
        order = self.orders[name]
        terms = order.terms or outside_terms(order)
        is_limit = terms.type is OrderType.LIMIT
        wanted = share_of(order.leaves, share) if is_limit else order.leaves
        done = self.broker.execute(terms, wanted, NOW)
        if done is None:
            unchanged = self.screened_at.get(name) == self.broker.changes[terms.instrument]
            assert is_limit or not unchanged or terms.reduce_only, "the screen saw what was held"
            self._tell(name, ev.Canceled(at_ns=NOW, reason="refused at execution"))
            return
        self._tell(name, self._fill(name, terms, done))
        self._post(PositionUpdate(position=self.broker.positions[terms.instrument]))
        if not is_limit and self.orders[name].status is not Status.FILLED:
            self._tell(name, ev.Canceled(at_ns=NOW, reason="reduced all there was"))

    def _fill(self, name: str, terms: NewOrder, quantity: Decimal) -> ev.Fill:
        number = str(next(self.numbers))
        return ev.Fill(
            at_ns=NOW,
            execution_id=number,
            broker_execution_id=number,
            broker_order_id=name,
            instrument=terms.instrument,
            side=terms.side,
            quantity=quantity,
            price=Decimal(1),
        )

    @rule(data=st.data())
    def cancel(self, data: Source) -> None:
        name = self._draw(data, Status.LIVE, Status.PARTIALLY_FILLED)
        if name is not None:
            self._tell(name, ev.Canceled(at_ns=NOW, reason="asked"))
            self.amends.pop(name, None)

    @rule(data=st.data(), total=SIZES)
    def ask_amend(self, data: Source, total: int) -> None:
        name = self._draw(data, Status.LIVE, Status.PARTIALLY_FILLED)
        order = self.orders[name] if name is not None else None
        if name is None or order is None or order.terms is None or order.pending is not None:
            return
        if order.terms.type is not OrderType.LIMIT or total <= order.filled:
            return
        self._deliver()
        asked = AmendOrder(client_order_id="c-1", quantity=Decimal(total))
        terms = amended_terms(order.terms, asked)
        verdict = self.desk.verdict(terms, name, rates=PRICES, replaces_order_id=name)
        if verdict.violation is None:
            self.amends[name] = Decimal(total)
            self._tell(name, ev.AmendRequested(at_ns=NOW, request_id="r"))

    @rule(data=st.data(), does=st.booleans())
    def settle_amend(self, data: Source, does: bool) -> None:
        names = [name for name in self.amends if self.orders[name].pending is Pending.AMEND]
        if not names:
            return
        name = pick(data, names)
        total = self.amends.pop(name)
        if does and total > self.orders[name].filled:
            self._tell(name, ev.Replaced(at_ns=NOW, broker_order_id=name, quantity=total))
        else:
            self._tell(name, ev.AmendRefused(at_ns=NOW, error=ERROR))

    # ---------------------------------------------------------------- news, late and repeated

    @rule(data=st.data())
    def deliver_shuffled_and_repeated(self, data: Source) -> None:
        fresh = sorted(self.outbox, key=lambda _: pick(data, range(1000)))
        stale = [pick(data, self.told) for _ in range(pick(data, range(4)))] if self.told else []
        self.told += self.outbox
        self.outbox = []
        for update in itertools.chain(stale, fresh, stale):
            self.desk.screener.observe(update)

    def _deliver(self) -> None:
        for update in self.outbox:
            self.desk.screener.observe(update)
        self.told += self.outbox
        self.outbox = []

    def _tell(self, name: str, event: OrderEvent) -> None:
        after = apply(self.orders[name], event)
        assert isinstance(after, Order), after
        self.orders[name] = after
        if after.status not in OPEN:
            self.amends.pop(name, None)
        self._post(order_update(after, event))

    def _post(self, body: UpdateBody) -> None:
        seq = next(self.numbers)
        self.outbox.append(StreamUpdate(stream="s", seq=seq, at_ns=NOW, body=body))

    def _draw(self, data: Source, *statuses: Status) -> str | None:
        names = [name for name, order in self.orders.items() if order.status in statuses]
        return pick(data, names) if names else None

    def teardown(self) -> None:
        self._deliver()
        self.reservations_equal_a_recomputation()
        self.margin_stays_within_equity()
        self.credit_equals_a_recomputation()

    # ---------------------------------------------------------------- what must hold

    @invariant()
    def reservations_equal_a_recomputation(self) -> None:
        if self.outbox:
            return
        book = self.desk.screener.book
        assert {name for name, order in self.orders.items() if order.status in OPEN} == set(
            book.orders
        )
        for pair, holding in book.accounts[ACCOUNT].holdings.items():
            assert holding.quantity == self.broker.positions[pair].quantity
            for sign in (1, -1):
                assert holding.opening[sign] == self._reserved(pair, sign, reducing=False)
                assert holding.reducing[sign] == self._reserved(pair, sign, reducing=True)

    @invariant()
    def credit_equals_a_recomputation(self) -> None:
        if self.outbox:
            return
        credit = self.desk.screener.book.credit
        assert credit is not None
        expected = {pair.split("/")[1]: self._recompute_credit(pair) for pair in PAIRS}
        value = sum((amount * DOLLARS[name] for name, amount in expected.items()), Decimal(0))
        for tally in (credit.firm, credit.tally(OWNER)):
            assert abs(tally.total - value) < Decimal("0.00001")
            assert {name: amount for name, amount in tally.amounts.items() if amount} == {
                name: amount for name, amount in expected.items() if amount
            }

    def _recompute_credit(self, pair: str) -> Decimal:
        """The dearer direction of a pair by value, from orders and positions alone."""
        price = MIDS[pair]
        held = self.broker.positions[pair].quantity * price
        buys, sells = (self._credit_of(pair, sign, resting=False) for sign in (1, -1))
        covers, exits = (self._reserved(pair, sign, reducing=True) * price for sign in (1, -1))
        high = held + buys + (min(covers, -held) if held < 0 else 0)
        low = sells - held + (min(exits, held) if held > 0 else 0)
        rests = self._credit_of(pair, -1 if held >= 0 else 1, resting=True)
        return max(high, low, rests)

    def _credit_of(self, pair: str, sign: int, *, resting: bool) -> Decimal:
        total = Decimal(0)
        for name, order in self.orders.items():
            if order.status not in OPEN or (order.instrument, order.sign) != (pair, sign):
                continue
            terms, price = order.terms, MIDS[pair]
            if terms is None:
                total += order.leaves * price
                continue
            is_limit = terms.type is OrderType.LIMIT
            if terms.reduce_only or terms.closes_lot or (resting and not is_limit):
                continue
            if not is_limit and sign > 0:
                price *= COLLAR
            asked = self.amends.get(name, order.leaves) - order.filled
            total += max(order.leaves, asked) * price
        return total

    @precondition(lambda self: not self.amends)
    @rule()
    def compare_with_a_reload(self) -> None:
        self._deliver()
        self._compare(self._reloaded())

    def _reloaded(self) -> Screener:
        held = tuple(self.broker.positions.values())
        fresh = Desk(
            snapshot(*held, equity=str(EQUITY)),
            orders=tuple(self.orders.values()),
            settings=RULES_OF_HOUSE,
            instruments=INSTRUMENTS,
        )
        fresh.ask(new_order(1), "probe", rates=PRICES, is_dry_run=True)
        return fresh.screener

    def _compare(self, fresh: Screener) -> None:
        ours = self.desk.screener.book.accounts[ACCOUNT]
        theirs = fresh.book.accounts[ACCOUNT]
        assert ours.required == theirs.required
        for pair, holding in ours.holdings.items():
            other = theirs.holding(pair)
            for name in ("in_flight", "uncertain", "flight_sizes", "flight_guarded", "weight"):
                assert getattr(holding, name) == getattr(other, name), name
            assert holding.lots.ids == other.lots.ids

    @invariant()
    def margin_stays_within_equity(self) -> None:
        if not self.outbox:
            required = self.desk.screener.book.accounts[ACCOUNT].required
            assert required == self._recompute_margin()
            assert required <= self.ceiling

    def _recompute_margin(self) -> Decimal:
        """The worst of each pair, from orders and positions alone; both are based in euro."""
        total = Decimal(0)
        for pair in PAIRS:
            held = self.broker.positions[pair].quantity
            buys, sells = (self._reserved(pair, sign, reducing=False) for sign in (1, -1))
            covers, exits = (self._reserved(pair, sign, reducing=True) for sign in (1, -1))
            high = held + buys + (min(covers, -held) if held < 0 else 0)
            low = held - sells - (min(exits, held) if held > 0 else 0)
            rests = self._resting(pair, -1 if held >= 0 else 1)
            total += max(abs(high), abs(low), rests) * PERCENT[pair]
        return total * Decimal("1.1")

    def _resting(self, pair: str, sign: int) -> Decimal:
        everything = dict(self.orders)
        self.orders = {
            name: order
            for name, order in everything.items()
            if order.terms is None or order.terms.type is OrderType.LIMIT
        }
        total = self._reserved(pair, sign, reducing=False)
        self.orders = everything
        return total

    def _reserved(self, pair: str, sign: int, *, reducing: bool) -> Decimal:
        total = Decimal(0)
        for name, order in self.orders.items():
            if order.status not in OPEN or (order.instrument, order.sign) != (pair, sign):
                continue
            terms = order.terms
            only = terms is not None and (terms.reduce_only or terms.closes_lot is not None)
            if only == reducing:
                total += max(order.leaves, self.amends.get(name, order.leaves) - order.filled)
        return total


def share_of(quantity: Decimal, parts: int) -> Decimal:
    """In whole units, so that no margin is rounded and sums compare exactly."""
    return (quantity / parts).to_integral_value(rounding=ROUND_CEILING)


def sending() -> ev.Sending:
    return ev.Sending(
        at_ns=NOW,
        connection="conn-1",
        account=ACCOUNT,
        intent=1,
        attempt=1,
        venue_client_id="v",
        verdict="inc-1",
    )


def outside_terms(order: Order) -> NewOrder:
    assert order.external is not None
    signed = order.external.quantity * order.external.side.sign
    return new_order(
        str(signed),
        instrument=order.external.instrument,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        limit_price=Decimal(1),
    )


TestTrading = Trading.TestCase
TestTrading.settings = settings(
    max_examples=150, stateful_step_count=50, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_a_long_seeded_walk_breaks_nothing(seed: int) -> None:
    luck, trading = Random(seed), Trading()
    trading.value_nothing()
    for _ in range(400):
        step(trading, luck)
        trading.reservations_equal_a_recomputation()
        trading.margin_stays_within_equity()
        trading.credit_equals_a_recomputation()
        if luck.random() < 0.05 and not trading.amends:
            trading.compare_with_a_reload()


def step(trading: Trading, luck: Random) -> None:
    """One of the machine's rules, what makes orders meet more often than the rest."""
    does = luck.choice(
        ("place",) * 6 + ("close",) * 3 + ("progress",) * 4 + ("execute",) * 4
        + ("cancel", "outside", "unsent", "amend", "amend", "settle", "deliver")
    )  # fmt: skip
    pair, size, buys = luck.choice(PAIRS), luck.choice((1000, 2000, 3000)), luck.random() < 0.5
    match does:
        case "place":
            trading.place(pair, luck.choice(sorted(KINDS)), size, buys)
        case "close" if any(held.lots for held in trading.broker.positions.values()):
            trading.close_lot(luck)
        case "progress":
            trading.progress(luck)
        case "execute":
            trading.execute(luck, luck.choice((1, 2, 4)))
        case "cancel":
            trading.cancel(luck)
        case "outside" if luck.random() < 0.05:
            trading.place_outside(pair, size, buys)
        case "unsent":
            trading.pass_and_not_send(pair, size)
        case "amend":
            trading.ask_amend(luck, size)
        case "settle":
            trading.settle_amend(luck, buys)
        case "deliver":
            trading.deliver_shuffled_and_repeated(luck)
