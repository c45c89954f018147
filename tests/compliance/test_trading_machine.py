"""Any sequence of fills, deposits and balances, late, repeated, in any batches.

What is known of an account's trading in the end is what a restart makes of its history.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.msgpack import decode, encode
from msgspec.structs import replace

from compliance.settings import AccountFacts
from domain.accounts import AccountType
from domain.history import AccountHistory, account_of, fold
from domain.orders import Side
from domain.streams import StreamUpdate, TransactionUpdate, UpdateBody
from domain.transactions import Transaction, TransactionType
from tests.compliance.desk import ACCOUNT, broker_account, stock
from tests.compliance.stock_desk import MONDAY, StockDesk, noon_ns

INSTRUMENTS = (stock("ABC", calendar="XNYS"), stock("XYZ", calendar="XNYS"))
KINDS = {
    "cash": broker_account(regime="us_stocks", type=AccountType.CASH),
    "legacy": broker_account(regime="us_stocks_legacy"),
    "both": broker_account(regime="us_stocks", broker="nobody"),
}
FILL = st.tuples(
    st.integers(0, 4),
    st.sampled_from(["ABC", "XYZ"]),
    st.sampled_from([Side.BUY, Side.SELL]),
    st.integers(1, 5),
    st.integers(0, 6),
)
PLAN = st.lists(FILL, min_size=1, max_size=16)


def play(kind: str, **words: Any) -> StockDesk:
    plain: dict[str, Any] = {
        "cash": 500,
        "equity": 500,
        "instruments": INSTRUMENTS,
        "facts": AccountFacts(assumes_practice=False),
        "now_ns": noon_ns(MONDAY + timedelta(days=4)),
    }
    desk = StockDesk(KINDS[kind], **(plain | words))
    desk.set_price(Decimal(10), "XYZ")
    return desk


def in_hand(desk: StockDesk, steps: Sequence[tuple[Any, ...]]) -> None:
    for number, (day, symbol, side, size, order) in enumerate(steps):
        at_ns = noon_ns(MONDAY + timedelta(days=day)) + number
        for body in desk.fill_updates(
            side, size * 10, symbol=symbol, id=f"x{number}", order_id=f"o{order}", at_ns=at_ns,
            price=Decimal(size),
        ):  # fmt: skip
            desk.tell(body)
            if number % 3 == 0:
                desk.tell(body)


def deposit(amount: int, at_ns: int) -> UpdateBody:
    return TransactionUpdate(
        transaction=Transaction(
            connection="c", account=ACCOUNT, broker_transaction_id=f"t{at_ns}",
            type=TransactionType.DEPOSIT, currency="USD", amount=Decimal(amount),
            traded_ns=at_ns,
        )
    )  # fmt: skip


def state(desk: StockDesk) -> dict[str, Any]:
    trading = desk.trading()
    trades, funding = trading.day_trades, trading.funding
    found: dict[str, Any] = {
        "days": [trades.on(MONDAY + timedelta(days=day)) for day in range(5)],
        "open": (sorted(trades.open_symbols), trades.open_cost, trades.untouched),
        "cash": trading.cash,
        "missteps": trading.missteps,
        "restricted": trading.settled_only_until,
        "designated": trading.is_designated,
        "history": encode(trading.history),
    }
    if funding is not None:
        found["funding"] = (
            funding.settled, funding.unsettled, funding.unpaid, funding.missteps,
            funding._tranches, funding._lots,
        )  # fmt: skip
    return found


def restarted(desk: StockDesk, kind: str) -> StockDesk:
    """A new screener given what the router keeps."""
    history = decode(encode(desk.trading().history), type=AccountHistory)
    fresh = StockDesk(
        KINDS[kind],
        instruments=INSTRUMENTS,
        facts=AccountFacts(assumes_practice=False),
        now_ns=desk.now_ns,
        history=history,
        cash=desk.balances.cash,
        equity=desk.balances.equity,
        positions=dict(desk.held),
    )
    fresh.set_price(Decimal(10), "XYZ")
    fresh.measure()
    return fresh


@pytest.mark.parametrize("kind", list(KINDS))
@given(steps=PLAN, data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_restart_knows_what_was_known_whatever_the_order_of_news(
    kind: str, steps: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    desk = play(kind)
    in_hand(desk, steps)
    if data.draw(st.booleans()):
        desk.tell(deposit(100, noon_ns(MONDAY + timedelta(days=data.draw(st.integers(0, 4))))))
    if data.draw(st.booleans()):
        cash = desk.trading().cash
        assert cash is not None
        desk.tell_balances(cash=cash - data.draw(st.integers(0, 3)))
    desk.measure()
    assert state(restarted(desk, kind)) == state(desk)


@pytest.mark.parametrize("kind", list(KINDS))
@given(steps=PLAN, data=st.data())
@settings(max_examples=20, deadline=None)
def test_any_order_of_the_same_fills_comes_to_the_same(
    kind: str, steps: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    moments = [
        (noon_ns(MONDAY + timedelta(days=day)) + number, number, row)
        for number, (day, *row) in enumerate(steps)
    ]
    ends = []
    for order in (sorted(moments), data.draw(st.permutations(moments))):
        desk = play(kind)
        for at_ns, number, (symbol, side, size, order_id) in order:
            for body in desk.fill_updates(
                side, size * 10, symbol=symbol, id=f"x{number}", order_id=f"o{order_id}",
                at_ns=at_ns, price=Decimal(size),
            ):  # fmt: skip
                desk.tell(body)
        desk.measure()
        end = state(desk)
        # What was found on the way stays written down; what counts is in the rest.
        del end["history"], end["designated"]
        ends.append(end)
    assert ends[0] == ends[1]


@given(steps=PLAN)
def test_the_routers_fold_and_the_screeners_come_to_the_same_history(
    steps: list[tuple[Any, ...]],
) -> None:
    desk = play("cash")
    told: list[StreamUpdate] = []
    observe = desk.screener.observe
    desk.screener.observe = lambda update: (told.append(update), observe(update))[1]  # type: ignore[method-assign]
    in_hand(desk, steps)
    histories: dict[str, AccountHistory] = {}
    for update in told:
        assert account_of(update) == ACCOUNT
        fold(histories, update)
    kept = replace(desk.trading().history, findings={})
    assert encode(histories[ACCOUNT]) == encode(kept)
