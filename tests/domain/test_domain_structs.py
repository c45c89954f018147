"""What holds of every struct of the vocabulary, and that DOMAIN.md can be said with them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from decimal import Decimal
from types import ModuleType
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from msgspec import inspect as shapes

import domain
from domain.accounts import (
    AccountBalances,
    AccountSnapshot,
    BrokerAccount,
    Connection,
    ConnectionState,
    CredentialStatus,
    Environment,
    SessionState,
)
from domain.audit import AuditRow, Retention
from domain.commands import Answer, Command, FromRouter, Submit, ToRouter
from domain.events import Accepted, OrderEvent
from domain.instruments import AssetClass, OptionContract
from domain.lifecycle import Order
from domain.orders import OptionRight
from domain.portfolio import Position
from domain.records import SCHEMA, Cause, EpochStarted, Record
from domain.signals import SignalFields
from domain.streams import OrderUpdate, StreamUpdate, UpdateBody, order_update
from domain.transactions import Transaction, TransactionType
from tests.domain.builders import EVENTS, order_after

D = Decimal


def modules() -> list[ModuleType]:
    names = [info.name for info in pkgutil.iter_modules(domain.__path__, "domain.")]
    return [importlib.import_module(name) for name in names]


def structs() -> list[type[Struct]]:
    found = {
        value
        for module in modules()
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Struct) and value is not Struct
    }
    return sorted(found, key=lambda kind: kind.__qualname__)


def leaves(shape: Any) -> Iterator[shapes.Type]:
    """Every type within a type, structs apart: those are walked by themselves."""
    yield shape
    for name in ("types", "item_types"):
        for inner in getattr(shape, name, ()):
            yield from leaves(inner)
    for name in ("item_type", "key_type", "value_type"):
        inner = getattr(shape, name, None)
        if inner is not None:
            yield from leaves(inner)


def test_the_walk_finds_the_vocabulary() -> None:
    assert {Order, Position, Transaction, Record, Submit, Accepted} <= set(structs())
    assert len(structs()) > 80


@pytest.mark.parametrize("kind", structs(), ids=lambda kind: kind.__name__)
def test_no_struct_has_a_float_or_an_anything_in_it(kind: type[Struct]) -> None:
    shape = shapes.type_info(kind)
    assert isinstance(shape, shapes.StructType)
    for field in shape.fields:
        found = {type(leaf) for leaf in leaves(field.type)}
        assert shapes.FloatType not in found, f"{kind.__name__}.{field.name} is a float"
        assert shapes.AnyType not in found, f"{kind.__name__}.{field.name} is anything"


FOLDS = {"AccountHistory", "EquityHistory", "Quarter"}
"""State that two processes fold alike: what it is made of is frozen, it is not."""


@pytest.mark.parametrize("kind", structs(), ids=lambda kind: kind.__name__)
def test_every_struct_but_a_fold_is_frozen(kind: type[Struct]) -> None:
    assert kind.__struct_config__.frozen == (kind.__name__ not in FOLDS)


MONEY = ("price", "quantity", "amount", "cost", "bid", "ask", "commission", "pnl", "balance")


@pytest.mark.parametrize("kind", structs(), ids=lambda kind: kind.__name__)
def test_what_is_named_like_money_is_a_decimal(kind: type[Struct]) -> None:
    shape = shapes.type_info(kind)
    assert isinstance(shape, shapes.StructType)
    for field in shape.fields:
        # What a signal's fields are called are names, whatever they name.
        if field.name.rsplit("_", 1)[-1] in MONEY and kind is not SignalFields:
            found = {type(leaf) for leaf in leaves(field.type)}
            assert found <= {shapes.DecimalType, shapes.UnionType, shapes.NoneType}, field.name


@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack])
@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: type(event).__name__)
def test_every_event_comes_back_from_both_codecs_as_it_went(event: OrderEvent, codec: Any) -> None:
    assert codec.decode(codec.encode(event), type=OrderEvent) == event


@pytest.mark.parametrize("union", [Command, ToRouter, FromRouter, UpdateBody, Cause])
def test_the_members_of_a_union_are_told_apart_by_their_tags(union: Any) -> None:
    tags = [kind.__struct_config__.tag for kind in union.__args__]
    assert len(tags) == len(set(tags))
    assert all(tags)
    msgspec.msgpack.Decoder(union)


def test_an_update_tells_the_event_and_where_the_order_stands() -> None:
    order = order_after("send ack cancel fill-40")
    update = order_update(order, EVENTS[Accepted])
    assert update == OrderUpdate(
        order_id="o-1",
        client_order_id="c-1",
        status=order.status,
        pending=order.pending,
        version=order.version,
        filled=D(40),
        leaves=D(60),
        average_price=D("1.10"),
        instrument="EUR/USD",
        account="acc-1",
        event=EVENTS[Accepted],
    )


def test_an_update_of_an_external_order_has_no_tag_and_no_client_id() -> None:
    order = msgspec.structs.replace(order_after("send ack"), terms=None, client_order_id=None)
    update = order_update(order, EVENTS[Accepted])
    assert (update.tag, update.client_order_id) == (None, None)


def test_a_record_comes_back_with_its_schema_owner_and_retention() -> None:
    order = order_after("send ack")
    update = StreamUpdate(
        stream="orders/owner-1", seq=1, at_ns=9, body=order_update(order, EVENTS[Accepted])
    )
    record = Record(
        number=1,
        epoch=1,
        at_ns=9,
        cause=EpochStarted(boot_id="b", incarnation="i"),
        updates=(update,),
        owner="owner-1",
    )
    back = msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=Record)
    assert back == record
    assert (back.schema, back.retention) == (SCHEMA, Retention.ORDER)


def test_an_order_comes_back_from_a_snapshot_as_it_was() -> None:
    order = order_after("send ack cancel fill-40")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(order), type=Order) == order


def test_an_answer_says_nothing_it_was_not_told() -> None:
    assert msgspec.json.encode(Answer(ref=1)) == b'{"type":"answer","ref":1}'


def test_an_audit_row_carries_its_retention_class_and_schema() -> None:
    row = AuditRow(at_ns=1, actor="a", act="log_in", subject="s", outcome="ok")
    assert (row.retention, row.schema) == (Retention.AUDIT, 1)


def test_a_short_option_position_can_be_said_whole() -> None:
    position = Position(
        account="acc-1",
        instrument="AAPL  270115C00150000",
        quantity=D(-2),
        quantity_available=D(0),
        average_cost=D("3.10"),
        cost_basis=D("-620"),
        current_price=D("3.00"),
        market_value=D("-600"),
        unrealized_pnl=D(20),
        unrealized_percent=D("3.23"),
        opened_ns=1,
        asset_class=AssetClass.OPTION,
        exchange="OPRA",
        multiplier=D(100),
        option=OptionContract(
            underlying="AAPL", expires_on="2027-01-15", right=OptionRight.CALL, strike=D(150)
        ),
    )
    back = msgspec.json.decode(msgspec.json.encode(position), type=Position)
    assert back == position
    assert back.option is not None
    assert (back.quantity, back.option.strike) == (D(-2), D(150))


def test_an_account_in_two_currencies_can_be_said_with_its_total() -> None:
    account = BrokerAccount(
        account="acc-1",
        connection="ibkr-1",
        owner="owner-1",
        broker="ibkr",
        environment=Environment.PAPER,
        base_currency="USD",
        hedging=True,
        options_level=2,
    )
    parts = tuple(
        AccountBalances(account="acc-1", currency=name, cash=D(10), equity=D(10))
        for name in ("USD", "EUR")
    )
    total = AccountBalances(
        account="acc-1", currency="USD", cash=D(21), equity=D(21), is_total=True
    )
    snapshot = AccountSnapshot(
        account=account, balances=total, positions=(), cursor="1", by_currency=parts
    )
    back = msgspec.msgpack.decode(msgspec.msgpack.encode(snapshot), type=AccountSnapshot)
    assert back == snapshot


def test_a_connections_credential_and_session_are_two_states() -> None:
    connection = Connection(
        id="8d7c",
        owner="owner-1",
        broker="oanda",
        environment=Environment.LIVE,
        broker_account_id="001",
        credential=CredentialStatus.PENDING_CONSENT,
        credential_expires_ns=5,
    )
    state = ConnectionState(
        connection="8d7c", state=SessionState.RECONNECTING, reason="eof", since_ns=4
    )
    assert connection.sync.enabled
    assert (connection.credential, state.state) == (
        CredentialStatus.PENDING_CONSENT,
        SessionState.RECONNECTING,
    )


@pytest.mark.parametrize("kind", TransactionType)
def test_every_kind_of_transaction_comes_back_as_it_went(kind: TransactionType) -> None:
    booked = Transaction(
        connection="8d7c",
        account="acc-1",
        broker_transaction_id="7",
        type=kind,
        currency="USD",
        amount=D("-1.25"),
        traded_ns=3,
        settled_on="2026-01-05",
        signal_id="s-1",
    )
    assert msgspec.json.decode(msgspec.json.encode(booked), type=Transaction) == booked
