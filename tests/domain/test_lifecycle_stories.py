"""The order's life told as rows, and every row of the table once."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import events as ev
from domain.lifecycle import (
    AT_BROKER,
    OPEN,
    TERMINAL,
    TRANSITIONS,
    Break,
    Order,
    Origin,
    Pending,
    Status,
    amended_terms,
    apply,
)
from domain.orders import AmendOrder, Side, Trailing
from tests.domain.builders import (
    EVENTS,
    a_fill,
    an_order,
    fold,
    new_order,
    order_after,
    order_at,
    told,
)

# events of an order for 100                      -> status  filled leaves  what else
STORIES = """
    denied                                        -> denied             0   0  because
    held ready send ack                           -> live               0 100
    held denied                                   -> denied             0   0  because
    held canceled                                 -> canceled           0   0  because
    armed ready send triggered                    -> live               0 100
    armed canceled                                -> canceled           0   0  because
    ready canceled                                -> canceled           0   0  because
    ready denied                                  -> denied             0   0  because
    send                                          -> sending            0 100
    send never-sent                               -> ready              0 100  because
    send never-sent send                          -> sending            0 100
    send never-sent canceled                      -> canceled           0   0  because
    send ack                                      -> live               0 100
    send ack ack triggered                        -> live               0 100
    send ack fill-40 canceled                     -> canceled          40   0  because
    send ack fill-40 canceled fill-60             -> filled           100   0  late
    send ack fill-40 canceled fill-20             -> canceled          60   0  late because
    send ack fill-100 cancel-refused              -> filled           100   0
    send ack cancel fill-100 cancel-refused       -> filled           100   0
    send ack cancel fill-40                       -> partially_filled  40  60  cancel
    send ack cancel fill-40 canceled              -> canceled          40   0  because
    send ack cancel fill-100                      -> filled           100   0
    send ack cancel cancel-refused                -> live               0 100
    send ack cancel expired                       -> expired            0   0
    send fill-40                                  -> partially_filled  40  60
    send fill-40 ack                              -> partially_filled  40  60
    send fill-40 again-1 again-1                  -> partially_filled  40  60
    send fill-40 fill-60 again-1 again-2          -> filled           100   0
    send fill-100                                 -> filled           100   0
    send fill-100 ack                             -> filled           100   0
    send fill-100 fill-10                         -> filled           110   0  late over
    send fill-60 fill-60                          -> filled           120   0  over
    send rejected                                 -> rejected           0   0  because
    send rejected fill-40                         -> rejected          40   0  late because
    send rejected fill-100                        -> filled           100   0  late
    send ack rejected                             -> rejected           0   0  because
    send ack rejected rejected                    -> rejected           0   0  because
    send fill-40 rejected                         -> break
    send ack expired                              -> expired            0   0
    send ack expired expired fill-40              -> expired           40   0  late
    send canceled                                 -> canceled           0   0  because
    send canceled canceled                        -> canceled           0   0  because
    send unknown                                  -> unknown            0 100  because
    send unknown ack                              -> live               0 100
    send unknown ack fill-100                     -> filled           100   0
    send unknown fill-40                          -> partially_filled  40  60
    send unknown rejected                         -> rejected           0   0  because
    send unknown canceled                         -> canceled           0   0  because
    send unknown expired                          -> expired            0   0
    send unknown never-sent send ack              -> live               0 100
    send unknown not-placed                       -> not_placed         0   0
    send unknown not-placed fill-40               -> not_placed        40   0  late
    send unknown not-placed fill-100              -> filled           100   0  late
    send unknown not-placed canceled              -> not_placed         0   0  because
    send not-placed                               -> break
    send cancel ack                               -> live               0 100  cancel
    send cancel unknown                           -> unknown            0 100  cancel because
    send cancel unknown not-placed                -> not_placed         0   0
    send cancel never-sent                        -> ready              0 100  because
    send ack amend                                -> live               0 100  amend
    send ack amend amend-refused                  -> live               0 100
    send ack amend replaced-150                   -> live               0 150
    send ack amend cancel                         -> live               0 100  cancel
    send ack amend cancel amend-refused           -> live               0 100  cancel
    send ack amend cancel replaced-150            -> live               0 150  cancel
    send ack cancel amend                         -> live               0 100  cancel
    send ack amend cancel amend-refused canceled  -> canceled           0   0  because
    send fill-40 replaced-60                      -> partially_filled  40  20
    send fill-40 replaced-40                      -> filled            40   0
    send fill-40 cancel replaced-30               -> filled            40   0
    send replaced-80                              -> live               0  80
    send fill-100 replaced                        -> filled           100   0
    denied fill-40                                -> break
    ready fill-40                                 -> break
    send ack external                             -> break
"""
ROWS = [tuple(part.strip() for part in row.split("->")) for row in STORIES.strip().splitlines()]


@pytest.mark.parametrize(("words", "ending"), ROWS)
def test_the_order_ends_where_its_story_says(words: str, ending: str) -> None:
    assert _ending(fold(an_order(), told(words))) == ending.split()


def _ending(order: Order | Break) -> list[str]:
    if isinstance(order, Break):
        return ["break"]
    flags = {
        "late": order.late_fill,
        "over": order.overfilled,
        "cancel": order.pending is Pending.CANCEL,
        "amend": order.pending is Pending.AMEND,
        "because": order.reason is not None,
    }
    words = [order.status.value, str(order.filled), str(order.leaves)]
    return words + [name for name, is_set in flags.items() if is_set]


PAIRS = [(status, kind) for status in Status for kind in EVENTS]


@pytest.mark.parametrize(("status", "kind"), PAIRS, ids=lambda it: getattr(it, "__name__", it))
def test_a_pair_in_the_table_moves_as_it_says_and_every_other_pair_is_a_break(
    status: Status, kind: type
) -> None:
    order = order_at(status)
    after = apply(order, EVENTS[kind])
    if (status, kind) not in TRANSITIONS:
        assert isinstance(after, Break)
        assert after.order_id == "o-1"
        assert kind.__name__ in after.what
        assert status.value in after.what
        return
    assert isinstance(after, Order)
    if kind is ev.Fill and "x-1" in order.executions:
        assert after is order
        return
    assert after.status is (TRANSITIONS[(status, kind)] or status)
    assert after.version == order.version + 1


def test_every_kind_of_event_and_every_status_stands_in_the_table() -> None:
    assert {kind for _, kind in TRANSITIONS} == set(EVENTS)
    assert {at for at, _ in TRANSITIONS} == set(Status) - {Status.DENIED}
    assert set(EVENTS) == set(ev.OrderEvent.__args__)


def test_no_event_but_a_fill_leads_out_of_a_terminal_state() -> None:
    assert all(to is None for (at, _), to in TRANSITIONS.items() if at in TERMINAL)
    assert set(Status) == TERMINAL | OPEN
    assert not TERMINAL & AT_BROKER


def test_a_break_says_which_order_and_what_did_not_follow() -> None:
    after = apply(order_at(Status.DENIED), EVENTS[ev.Accepted])
    assert after == Break(order_id="o-1", what="Accepted does not follow denied")


def test_sending_tells_where_the_order_went_and_under_which_name() -> None:
    order = order_after("send")
    assert (order.connection, order.account, order.intent) == ("oanda-1", "acc-1", 7)
    assert (order.attempt, order.venue_client_id) == (1, "v-1")


def test_each_broker_order_id_is_a_leg_once_and_in_order() -> None:
    assert order_after("send ack fill-40 triggered replaced ack").legs == ("b-1", "b-2", "b-3")


def test_a_reason_goes_with_the_status_it_explained() -> None:
    assert order_after("send unknown").reason == "timeout"
    assert order_after("send unknown ack").reason is None
    assert order_after("send unknown ack rejected").reason == "margin"
    assert order_after("send unknown cancel-refused").reason == "timeout"


def test_an_amended_order_has_the_new_terms_and_keeps_the_rest() -> None:
    event = ev.Replaced(
        at_ns=3, broker_order_id="b-2", limit_price=Decimal("1.15"), expire_at_ns=99
    )
    order = fold(order_after("send ack"), [event])
    assert isinstance(order, Order)
    assert order.terms == new_order(limit_price=Decimal("1.15"), expire_at_ns=99)


def test_a_replacement_that_names_no_terms_changes_none() -> None:
    assert order_after("send ack replaced").terms == new_order()


def test_an_amend_asks_for_the_terms_it_names() -> None:
    terms = new_order()
    trailing = Trailing(amount=Decimal(1))
    assert amended_terms(terms, AmendOrder(client_order_id="c-1")) is terms
    asked = AmendOrder(client_order_id="c-1", quantity=Decimal(5), trailing=trailing)
    assert amended_terms(terms, asked) == new_order(quantity=Decimal(5), trailing=trailing)


def external_order() -> Order:
    nothing = Order(order_id="o-2", owner="owner-1", origin=Origin.EXTERNAL)
    return order_after("external", nothing)


def test_an_external_order_enters_live_with_the_brokers_words() -> None:
    order = external_order()
    assert (order.status, order.quantity, order.sign) == (Status.LIVE, Decimal(100), -1)
    assert (order.instrument, order.legs, order.client_order_id) == ("EUR/USD", ("b-9",), None)


def test_an_external_order_amended_in_the_brokers_app_has_the_new_quantity() -> None:
    event = ev.Replaced(at_ns=2, broker_order_id="b-10", quantity=Decimal(30), expire_at_ns=4)
    order = apply(external_order(), event)
    assert isinstance(order, Order)
    assert (order.quantity, order.leaves, order.legs) == (Decimal(30), Decimal(30), ("b-9", "b-10"))
    assert order.external is not None
    assert order.external.expire_at_ns == 4


def test_an_order_nobody_described_is_nothing_and_says_so() -> None:
    order = Order(order_id="o-3", owner="owner-1", origin=Origin.EXTERNAL)
    assert (order.quantity, order.instrument, order.sign) == (Decimal(0), "", 0)
    assert order.average_price is None


def test_the_sign_of_a_clients_order_is_that_of_its_side() -> None:
    assert an_order().sign == 1
    assert an_order(terms=new_order(side=Side.SELL_SHORT)).sign == -1
    assert an_order().instrument == "EUR/USD"


def test_the_time_of_the_latest_fill_is_kept_whatever_order_fills_arrive_in() -> None:
    fills = [a_fill(10, f"x-{at}", at_ns=at) for at in (30, 10, 20)]
    for order in permutations(fills):
        after = fold(order_at(Status.LIVE), list(order))
        assert isinstance(after, Order)
        assert after.filled_ns == 30


FILLS = st.lists(
    st.tuples(
        st.decimals(min_value="0.01", max_value=1_000, places=2),
        st.decimals(min_value="0.00001", max_value=100_000, places=5),
    ),
    min_size=1,
    max_size=8,
)


@given(FILLS, st.data())
def test_fills_in_any_order_and_repeated_leave_the_same_sums(
    facts: list[tuple[Decimal, Decimal]], data: st.DataObject
) -> None:
    fills = [a_fill(str(q), f"x-{n}", price=p) for n, (q, p) in enumerate(facts)]
    shuffled = data.draw(st.permutations(fills))
    repeated = shuffled + data.draw(st.lists(st.sampled_from(fills), max_size=8))
    straight, crooked = (fold(order_at(Status.LIVE), list(events)) for events in (fills, repeated))
    assert isinstance(straight, Order)
    assert isinstance(crooked, Order)
    for name in ("filled", "filled_notional", "leaves", "average_price", "overfilled", "status"):
        assert getattr(straight, name) == getattr(crooked, name), name
    assert straight.filled == sum(q for q, _ in facts)
    assert crooked.version == straight.version


@given(st.lists(st.sampled_from([*EVENTS.values(), a_fill(60, "x-2"), a_fill(70, "x-3")])))
def test_whatever_events_come_the_sums_stay_consistent(events: list[ev.OrderEvent]) -> None:
    order: Order = an_order()
    seen: list[Order] = [order]
    for event in events:
        after = apply(order, event)
        if isinstance(after, Order):
            order = after
            seen.append(order)
    for before, after in pairwise(seen):
        assert after.filled >= before.filled
        assert before.status not in TERMINAL or after.status in TERMINAL
    assert order.overfilled == (order.filled > order.quantity)
    assert order.leaves == 0 or order.status in OPEN
    assert len(set(order.executions)) == len(order.executions)
    assert not (order.status is Status.FILLED and order.pending)


@given(st.lists(st.sampled_from(list(EVENTS.values())), max_size=12), st.data())
def test_applying_a_fill_again_is_nothing_at_any_later_time(
    events: list[ev.OrderEvent], data: st.DataObject
) -> None:
    order = order_after("send fill-10")
    fill = told("fill-10")[0]
    for event in events:
        after = apply(order, event)
        order = after if isinstance(after, Order) else order
        if data.draw(st.booleans()):
            assert apply(order, fill) is order
