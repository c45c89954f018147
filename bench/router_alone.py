"""A real router with a real screen behind it, in one process, over a journal in memory.

Links encode what they are given, as real ones do, and keep the last message of each kind; brokers
are played by hand. So one can time what the router does at each step of an order, nothing else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import structlog

from actors import messages as m
from actors.clocks import Clocks
from actors.compliance import ComplianceActor
from actors.link import Hello
from actors.router.actor import Router
from actors.router.place import Place
from actors.router.sides import ComplianceSide, ConnectionSide, EdgeSide
from actors.router.venue import Venue
from actors.settings import ConnectionSettings
from bench.world import OWNER
from compliance.limits import MarketSettings
from compliance.settings import ComplianceSettings
from domain import commands as c
from domain import events as ev
from domain import ids
from domain.accounts import (
    AccountBalances,
    AccountSnapshot,
    BrokerAccount,
    ConnectionState,
    Environment,
    SessionState,
)
from domain.instruments import AssetClass, Instrument
from domain.lifecycle import Order
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from domain.quotes import Quote
from domain.records import Record
from domain.screening import ScreenAnswer, ScreenRequest
from ledger.codec import decode, encode
from ledger.projection import Books

MS = 1_000_000
UTC_NS = 1_795_194_000_000_000_000
BOOT_NS = 5_000_000_000_000
STEP_NS = 10 * MS
PRICE, TICK = Decimal("1.10000"), Decimal("0.00001")
CREDITS = 1_000
_encode = msgspec.msgpack.Encoder().encode


def be_quiet() -> None:
    """The router tells of its start on standard output, which is for figures here."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


class MemoryJournal:
    """Keeps what was committed, as bytes."""

    is_remote = False

    def __init__(self) -> None:
        self.last = self.durable = 0
        self.kept: list[bytes] = []
        self._waiting: list[bytes] = []

    def has_room(self) -> bool:
        """Always."""
        return True

    def settle(self) -> int:
        """Nothing is ever in doubt."""
        return self.durable

    def append(self, record: Record) -> None:
        """Encoded at once, as the real one does."""
        self._waiting.append(encode(record))
        self.last = record.number

    def commit(self) -> int:
        """All appended."""
        self.kept += self._waiting
        self._waiting.clear()
        self.durable = self.last
        return self.durable

    def replay(self, after: int = 0, on_progress: Any = None) -> Iterator[Record]:
        """What was kept."""
        for number, data in enumerate(self.kept[after:], start=after + 1):
            yield decode(data, 1, number, "memory")

    def snapshots(self) -> Iterator[Any]:
        """None."""
        return iter(())

    def write_snapshot(self, number: int, state: bytes) -> None:
        """Not kept."""

    def close(self) -> None:
        """Nothing to give back."""


class LastWords:
    """A link that goes nowhere: encodes, and keeps the newest message of each kind."""

    is_up, is_closed = True, False

    def __init__(self, role: str) -> None:
        self.peer = Hello(role=role, deployment="bench", incarnation="i", pid=1)
        self.last: dict[type, Any] = {}
        self.bytes_sent = 0

    def send(self, message: Any) -> None:
        """As a real one: encoded once."""
        self.bytes_sent += len(_encode(message))
        self.last[type(message)] = message

    def send_all(self, messages: list[Any]) -> None:
        """One after the other."""
        for message in messages:
            self.send(message)

    def close(self) -> None:
        """It stays."""

    def end_peer(self) -> None:
        """Nobody is there."""


class Scale:
    """How much there is of everything."""

    def __init__(self, accounts: int = 1, instruments: int = 3) -> None:
        self.connections = tuple(_connection(number) for number in range(accounts))
        self.instruments = tuple(_instrument(number) for number in range(instruments))


def _connection(number: int) -> ConnectionSettings:
    return ConnectionSettings(
        id=f"paper-{number}", owner=OWNER, broker="oanda", account=f"acc-{number}",
        broker_account_id=f"101-001-{1_000_001 + number}-001", environment=Environment.PAPER,
        regime="house", simulator="sim", credits=CREDITS,
    )  # fmt: skip


def _instrument(number: int) -> Instrument:
    symbol = "EUR/USD" if number == 0 else f"X{number:04d}/USD"
    return Instrument(
        symbol=symbol, broker_symbol=symbol.replace("/", "_"), asset_class=AssetClass.FOREX,
        base_currency=symbol.partition("/")[0], quote_currency="USD", tick=TICK, lot=Decimal(1),
        quantity_min=Decimal(1), quantity_max=Decimal(1_000_000), pip=TICK * 10,
        margin_rate=Decimal("0.02"),
    )  # fmt: skip


COMPLIANCE = ComplianceSettings(
    duplicate_window_ms=0,
    quote_age_ms_max=3_600_000,
    valuation_age_ms_max=24 * 3_600_000,
    market=MarketSettings(messages_per_s_max=100_000),
)


def _supports(_order: NewOrder) -> None:
    """The broker takes whatever it is."""


class RouterAlone:
    """The router, and how each step of an order is said to it. Each step returns its ns."""

    def __init__(self, scale: Scale | None = None) -> None:
        self.scale = scale or Scale()
        self.utc_ns, self.boot_ns = UTC_NS, BOOT_NS
        self.clock = time.perf_counter_ns
        self.journal: Any = MemoryJournal()
        adapter: Any = SimpleNamespace(
            capabilities=SimpleNamespace(shows_lots=True), find_unsupported=_supports
        )
        venues = {one.id: Venue(settings=one, adapter=adapter) for one in self.scale.connections}
        clocks = Clocks(lambda: self.utc_ns, lambda: self.boot_ns)
        me = Hello(role="router", deployment="bench", incarnation="r", pid=1)
        self.router = Router(self.journal, Books(), venues, Place(clocks, me, "boot"))
        self.edge: Any = LastWords("edge-0")
        self.compliance: Any = LastWords("compliance")
        self._reply: Any = LastWords("router")
        self._actor = ComplianceActor(COMPLIANCE, "k")
        self._links: dict[str, Any] = {}
        self._items: dict[str, int] = {}
        self._asked = 0
        self._start()

    def _start(self) -> None:
        self.router.start()
        ComplianceSide(self.router).link_up(self.compliance)
        for one in self.scale.connections:
            link: Any = LastWords(one.id)
            self._links[one.id] = link
            ConnectionSide(self.router, one.id).link_up(link)
            told = m.Attached(
                connection=one.id, epoch=link.last[m.Attach].epoch, credits=one.credits,
                state=SessionState.DISCONNECTED, instruments=self.scale.instruments,
            )  # fmt: skip
            self._hear(one.id, told)
            self._tell(one.id, m.SyncedAccount(snapshot=_snapshot(one)))
            state = ConnectionState(
                connection=one.id, state=SessionState.CONNECTED, reason="up", since_ns=self.utc_ns
            )
            self._tell(one.id, m.StateChanged(state=state))
        # Compliance hears rates only of a book that knows the instruments.
        self._load()
        self.quote_all()
        EdgeSide(self.router).link_up(self.edge)
        self.router.flush()

    def _load(self) -> None:
        self.router.flush()
        self._actor.received(self._reply, self.compliance.last[m.LoadBook])
        self._pass_on(m.Loaded)

    def _pass_on(self, kind: type) -> None:
        ComplianceSide(self.router).received(self._reply, self._reply.last.pop(kind))
        self.router.flush()

    def quote_all(self) -> None:
        """A fresh quote of every instrument, by the first connection."""
        name = self.scale.connections[0].id
        quotes = tuple(self.quote_of(one.symbol) for one in self.scale.instruments)
        self._hear(name, m.Quotes(quotes=quotes))
        self._actor.received(self._reply, self.compliance.last[m.SeeRates])

    def quote_of(self, symbol: str) -> Quote:
        """A quote of now."""
        return Quote(
            instrument=symbol, connection=self.scale.connections[0].id, bid=PRICE - 5 * TICK,
            ask=PRICE + 5 * TICK, broker_ns=self.utc_ns, received_ns=self.utc_ns, update=1,
        )  # fmt: skip

    def _hear(self, name: str, message: Any) -> None:
        ConnectionSide(self.router, name).received(self._links[name], message)
        self.router.flush()

    def _tell(self, name: str, item: Any) -> None:
        number = self._items[name] = self._items.get(name, 0) + 1
        items = m.Items(connection=name, incarnation="i", first=number, items=(item,))
        self._hear(name, items)

    # -- one order, step by step

    def order(self, name: str, *, rests: bool = False, number: int = 0) -> NewOrder:
        """A market order, or a limit order that stays; bought and sold in turns."""
        scale = self.scale
        return NewOrder(
            client_order_id=name,
            instrument=scale.instruments[number // 2 % len(scale.instruments)].symbol,
            side=Side.SELL if number % 2 and not rests else Side.BUY,
            quantity=Decimal(1 if rests else 1_000),
            type=OrderType.LIMIT if rests else OrderType.MARKET,
            time_in_force=TimeInForce.GTC if rests else TimeInForce.FOK,
            limit_price=PRICE - 100 * TICK if rests else None,
            account=scale.connections[number // 2 % len(scale.connections)].account,
        )

    def decide(self, order: NewOrder) -> int:
        """The client's order arrives, until compliance is asked."""
        self._asked += 1
        self.utc_ns += STEP_NS
        self.boot_ns += STEP_NS
        submit = c.Submit(
            ref=self._asked, owner=OWNER, session="s", cseq=self._asked,
            request_id=f"r-{self._asked}", command=c.Place(order=order), received_ns=self.utc_ns,
        )  # fmt: skip
        side = EdgeSide(self.router)
        began = self.clock()
        side.received(self.edge, submit)
        side.batch_ended()
        return self.clock() - began

    def screen(self) -> int:
        """Compliance answers what it was asked last."""
        asked = self.compliance.last.pop(ScreenRequest)
        began = self.clock()
        self._actor.received(self._reply, asked)
        return self.clock() - began

    def hear_verdict(self) -> int:
        """The verdict arrives, until the order is written down and handed to its connection."""
        side, verdict = ComplianceSide(self.router), self._reply.last.pop(ScreenAnswer)
        began = self.clock()
        side.received(self._reply, verdict)
        side.batch_ended()
        return self.clock() - began

    def hear_outcome(self, order: NewOrder) -> int:
        """The broker's word arrives, until it is written down and the edge told."""
        known = self.order_of(order)
        connection = known.connection
        assert connection is not None
        event = self._accepted(known) if order.limit_price else self._filled(known)
        number = self._items[connection] = self._items[connection] + 1
        items = m.Items(
            connection=connection, incarnation="i", first=number,
            items=(m.Told(events=(event,), intent=known.intent),),
        )  # fmt: skip
        side = ConnectionSide(self.router, connection)
        began = self.clock()
        side.received(self._links[connection], items)
        side.batch_ended()
        return self.clock() - began

    def catch_up(self) -> None:
        """What nobody waited for: compliance learns what became durable."""
        self.router.say_the_news()
        observe = self.compliance.last.pop(m.Observe, None)
        if observe is not None:
            self._actor.received(self._reply, observe)

    def order_of(self, order: NewOrder) -> Order:
        """The order as the books have it."""
        found = self.router.desk.books.orders.of_client(OWNER, order.client_order_id)
        assert found is not None
        return found

    def _accepted(self, order: Order) -> ev.Accepted:
        return ev.Accepted(
            at_ns=self.utc_ns, broker_order_id=f"b-{self._asked}",
            venue_client_id=order.venue_client_id,
        )  # fmt: skip

    def _filled(self, order: Order) -> ev.Fill:
        terms = order.terms
        assert terms is not None
        execution = f"x-{self._asked}"
        return ev.Fill(
            at_ns=self.utc_ns,
            execution_id=ids.execution_id("paper", terms.account or "", execution),
            broker_execution_id=execution, broker_order_id=f"b-{self._asked}",
            instrument=terms.instrument, side=terms.side, quantity=terms.quantity, price=PRICE,
            venue_client_id=order.venue_client_id,
        )  # fmt: skip


def _snapshot(settings: ConnectionSettings) -> AccountSnapshot:
    account = BrokerAccount(
        account=settings.account, connection=settings.id, owner=settings.owner,
        broker=settings.broker, environment=settings.environment,
        base_currency=settings.currency, regime=settings.regime, region=settings.region,
    )  # fmt: skip
    money = AccountBalances(
        account=settings.account, currency=settings.currency, cash=Decimal(10**9),
        equity=Decimal(10**9),
    )  # fmt: skip
    return AccountSnapshot(account=account, balances=money, positions=(), cursor="0")
