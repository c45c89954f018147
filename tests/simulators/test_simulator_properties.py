"""What holds for any sequence of orders and quotes."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from hashlib import blake2b

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator_world import World, guard, order

from brokers.simulators import facts as f
from brokers.simulators.words import Kind, Netting

D = Decimal
STEP = st.one_of(
    st.tuples(st.just("quote"), st.integers(109_000, 111_000), st.integers(1, 30)),
    st.tuples(
        st.just("order"),
        st.sampled_from([Kind.MARKET, Kind.LIMIT, Kind.STOP, Kind.IF_TOUCHED]),
        st.integers(-500, 500),
        st.integers(109_000, 111_000),
        st.sampled_from(list(Netting)),
        st.sampled_from([None, "stop", "trail", "both"]),
    ),
    st.tuples(st.just("close"), st.integers(0, 5)),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
)
BRACKETS = {
    None: {},
    "stop": {"stop_loss": guard(distance="0.00500")},
    "trail": {"trailing": guard(distance="0.00300")},
    "both": {"stop_loss": guard(distance="0.00500"), "trailing": guard(distance="0.00300")},
}


def play(steps, **account) -> World:
    world = World(account=account, financing_rate=D("0.01"))
    world.quote("1.10000", "1.10010")
    for number, step in enumerate(steps):
        take(world, step, number)
    return world


def take(world: World, step, number: int) -> None:
    world.clock.pass_s(1)
    account = world.account
    if step[0] == "quote":
        bid = D(step[1]).scaleb(-5)
        world.quote(str(bid), str(bid + D(step[2]).scaleb(-5)), ask_left="600")
    elif step[0] == "order":
        _, kind, units, price, netting, bracket = step
        level = None if kind is Kind.MARKET else str(D(price).scaleb(-5))
        terms = order(
            kind, str(units), level, netting=netting, client_id=f"c{number}", **BRACKETS[bracket]
        )
        world.submit(terms)
    elif step[0] == "close" and step[1] < len(account.lots):
        lot = list(account.lots.values())[step[1]]
        world.engine.holdings.close_lot(account, lot, "ALL")
    elif step[0] == "cancel" and step[1] < len(account.working):
        world.engine.cancel(account, list(account.working)[step[1]])
    if number % 7 == 0:
        world.engine.holdings.charge_financing()


def check_conservation(world: World) -> None:
    account = world.account
    facts = list(account.facts.values())
    fills = [x for x in facts if isinstance(x, f.Filled)]
    position = account.position("EUR_USD")
    lots = sum((x.units for x in account.lots.values()), D(0))
    assert sum((x.units for x in fills), D(0)) == position.net == lots
    assert position.lots == account.lots
    realized = sum((x.realized for x in fills), D(0))
    financing = sum((x.amount for x in facts if isinstance(x, f.Financed)), D(0))
    assert account.balance == D(100_000) + realized + financing
    assert position.long_realized + position.short_realized == realized == account.realized
    assert [x.id for x in facts] == list(range(1, account.next_id))
    guarded = {x.terms.lot for x in account.working.values() if x.terms.lot is not None}
    assert guarded <= account.lots.keys()
    assert guarded == position.guarded
    filled: Counter[int] = Counter()
    for fill in fills:
        filled[fill.order] += fill.units
    for found in [*account.done.values(), *account.working.values()]:
        assert found.filled == filled[found.id]


@settings(max_examples=120, deadline=None)
@given(st.lists(STEP, max_size=40))
def test_units_and_money_are_conserved(steps):
    check_conservation(play(steps))


@settings(max_examples=40, deadline=None)
@given(st.lists(STEP, max_size=40))
def test_units_and_money_are_conserved_where_hedging_is_allowed(steps):
    check_conservation(play(steps, fifo=False, hedging=True))


@settings(max_examples=40, deadline=None)
@given(st.lists(STEP, max_size=40))
def test_no_two_lots_of_one_size_are_open_where_one_is_guarded(steps):
    account = play(steps).account
    guarded = account.position("EUR_USD").guarded
    sizes = Counter(abs(x.units) for x in account.lots.values())
    # A guard that found little liquidity may have cut its lot to another's size.
    cut = {x.terms.lot for x in account.working.values() if x.filled}
    assert all(sizes[abs(account.lots[x].units)] == 1 for x in guarded - cut)


@settings(max_examples=20, deadline=None)
@given(st.lists(STEP, max_size=30))
def test_the_same_story_makes_the_same_book(steps):
    assert book_hash(play(steps)) == book_hash(play(steps))


def book_hash(world: World) -> str:
    return blake2b(msgspec.json.encode(world.acts)).hexdigest()
