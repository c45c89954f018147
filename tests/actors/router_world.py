"""A router with everything around it as plain calls: what was done, and in which order.

Links record messages (through their real encoding), compliance is the real screen behind a
direct call, the journal is in memory or in a folder. Time stands still until `pass_ms`.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec

from actors import messages as m
from actors.clocks import Clocks
from actors.compliance import ComplianceActor
from actors.link import Hello
from actors.router.actor import Router
from actors.router.place import Place as Placement
from actors.router.sides import ComplianceSide, ConnectionSide, EdgeSide
from actors.router.venue import Venue
from actors.settings import ConnectionSettings
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
from domain.errors import Category, ErrorInfo, Outcome, Retry
from domain.instruments import AssetClass, Instrument
from domain.lifecycle import Order
from domain.orders import AmendOrder, CancelOrder, NewOrder, OrderType, Side, TimeInForce
from domain.portfolio import Position
from domain.quotes import Quote
from domain.records import Record
from domain.signals import SignalRule
from domain.streams import OrderUpdate, StreamUpdate
from ledger.codec import decode, encode
from ledger.recovery import restore

OWNER = "alice"
OTHER = "bob"
PAPER = "paper-1"
ACCOUNT = "acc-1"
UTC_NS = 1_790_000_000_000_000_000
BOOT_NS = 5_000_000_000_000
MS = 1_000_000
REFUSED = ErrorInfo(
    code="MARGIN",
    category=Category.VENUE,
    outcome=Outcome.NONE,
    retry=Retry.NEW_ID,
    message="not enough",
)

_DECODERS = {
    "edge": m.edge_inbox,
    "connection": m.connection_inbox,
    "compliance": m.compliance_inbox,
    "router-from-compliance": m.router_from_compliance,
    "router-from-connection": m.router_from_connection,
    "router": m.router_inbox,
}
_encode = msgspec.msgpack.Encoder().encode


def over_the_wire(message: Any, inbox: str) -> Any:
    """The message as the other process reads it."""
    return _DECODERS[inbox].decode(_encode(message))


def connection_settings(**words: Any) -> ConnectionSettings:
    plain: dict[str, Any] = {
        "id": PAPER,
        "owner": OWNER,
        "broker": "oanda",
        "broker_account_id": "101-001-1000001-001",
        "account": ACCOUNT,
        "environment": Environment.PAPER,
        "regime": "house",
        "simulator": "sim",
        "credits": 4,
    }
    return ConnectionSettings(**(plain | words))


def instrument(symbol: str = "EUR/USD", **words: Any) -> Instrument:
    base, quote = symbol.split("/")
    tick = Decimal("0.001") if quote == "JPY" else Decimal("0.00001")
    plain: dict[str, Any] = {
        "symbol": symbol,
        "broker_symbol": symbol.replace("/", "_"),
        "asset_class": AssetClass.FOREX,
        "base_currency": base,
        "quote_currency": quote,
        "tick": tick,
        "lot": Decimal(1),
        "quantity_min": Decimal(1),
        "quantity_max": Decimal(1_000_000),
        "pip": tick * 10,
        "margin_rate": Decimal("0.02"),
    }
    return Instrument(**(plain | words))


INSTRUMENTS = (instrument("EUR/USD"), instrument("GBP/USD"), instrument("USD/JPY"))
PRICES = {"EUR/USD": "1.10000", "GBP/USD": "1.30000", "USD/JPY": "150.000"}


def new_order(name: str = "o-1", **words: Any) -> NewOrder:
    plain: dict[str, Any] = {
        "client_order_id": name,
        "instrument": "EUR/USD",
        "side": Side.BUY,
        "quantity": Decimal(1000),
        "type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "limit_price": Decimal("1.09000"),
    }
    return NewOrder(**(plain | words))


def market_order(name: str = "o-1", **words: Any) -> NewOrder:
    at_once = {"type": OrderType.MARKET, "time_in_force": TimeInForce.FOK, "limit_price": None}
    return new_order(name, **(at_once | words))


def quote(symbol: str = "EUR/USD", at_ns: int = UTC_NS, **words: Any) -> Quote:
    middle = Decimal(PRICES[symbol])
    half = Decimal("0.005") if symbol.endswith("JPY") else Decimal("0.00005")
    plain: dict[str, Any] = {
        "instrument": symbol,
        "connection": PAPER,
        "bid": middle - half,
        "ask": middle + half,
        "broker_ns": at_ns,
        "received_ns": at_ns,
        "update": 1,
    }
    return Quote(**(plain | words))


def account(settings: ConnectionSettings) -> BrokerAccount:
    return BrokerAccount(
        account=settings.account,
        connection=settings.id,
        owner=settings.owner,
        broker=settings.broker,
        environment=settings.environment,
        base_currency=settings.currency,
        regime=settings.regime,
        region=settings.region,
    )


def snapshot(
    settings: ConnectionSettings, positions: tuple[Position, ...] = (), cursor: str = "0"
) -> AccountSnapshot:
    money = Decimal(1_000_000)
    balances = AccountBalances(
        account=settings.account, currency=settings.currency, cash=money, equity=money
    )
    return AccountSnapshot(
        account=account(settings), balances=balances, positions=positions, cursor=cursor
    )


class Crash(Exception):
    """The process ends here."""


class MemoryJournal:
    """Keeps what was committed, as bytes; a test can let the process end before or after."""

    def __init__(self, effects: list[tuple[str, Any]] | None = None) -> None:
        self.effects = effects if effects is not None else []
        self.last = self.durable = 0
        self.is_remote = False
        self.kept: list[bytes] = []
        self.saved: list[Any] = []
        self.crash: str | None = None
        self.commits = 0
        self._waiting: list[bytes] = []

    def has_room(self) -> bool:
        return True

    def settle(self) -> int:
        return self.durable

    def append(self, record: Record) -> None:
        assert record.number == self.last + 1
        self._waiting.append(encode(record))
        self.last = record.number

    def commit(self) -> int:
        crash, self.crash = self.crash, None
        if crash == "before":
            self.reopen()
            raise Crash
        self.commits += 1
        self.kept += self._waiting
        first, self.durable = self.durable + 1, self.last
        self._waiting.clear()
        self.effects.append(("durable", tuple(self.records(first - 1))))
        if crash == "after":
            raise Crash
        return self.durable

    def records(self, after: int = 0) -> Iterator[Record]:
        for number, data in enumerate(self.kept[after:], start=after + 1):
            yield decode(data, 1, number, "memory")

    def replay(self, after: int = 0, on_progress: Any = None) -> Iterator[Record]:
        return self.records(after)

    def snapshots(self) -> Iterator[Any]:
        return iter(reversed(self.saved))

    def write_snapshot(self, number: int, state: bytes) -> None:
        from ledger.snapshot import Snapshot

        assert number <= self.durable
        self.saved.append(Snapshot(number=number, state=state))

    def reopen(self) -> None:
        self._waiting.clear()
        self.last = self.durable

    def close(self) -> None:
        self.reopen()


class FakeLink:
    """Records what is sent, as its reader would decode it."""

    def __init__(self, name: str, inbox: str, effects: list[tuple[str, Any]]) -> None:
        self.name = name
        self.peer = Hello(role=name, deployment="test", incarnation="i", pid=1)
        self.is_closed = False
        self.is_up = True
        self._inbox = inbox
        self._effects = effects

    def send_all(self, messages: list[Any]) -> None:
        for message in messages:
            self.send(message)

    def send(self, message: Any) -> None:
        self._effects.append((self.name, over_the_wire(message, self._inbox)))

    def close(self) -> None:
        self.is_closed = True

    def end_peer(self) -> None:
        self._effects.append((self.name, "killed"))
        self.close()


class World:
    """One router and all it talks to."""

    def __init__(
        self,
        *settings: ConnectionSettings,
        compliance: ComplianceSettings | None = None,
        journal: Any = None,
        adapter: Any = None,
        signals: tuple[SignalRule, ...] = (),
    ) -> None:
        self.effects: list[tuple[str, Any]] = []
        self.settings = {one.id: one for one in settings or (connection_settings(),)}
        self.journal = journal if journal is not None else MemoryJournal(self.effects)
        self.adapter = adapter or Anything()
        self.signals = signals
        self.utc_ns, self.boot_ns = UTC_NS, BOOT_NS
        self.numbers: dict[str, int] = {}
        self.incarnations = dict.fromkeys(self.settings, "first")
        self.holds_verdicts = False
        self._compliance_settings = compliance or ComplianceSettings(duplicate_window_ms=0)
        self._refs = 0
        self._compliances = 0
        self._starts = 0
        self.gates_confirm = True
        self.start()

    # -- life

    def start(self) -> None:
        """A router process starts on what the journal holds."""
        self._starts += 1
        restored = restore(self.journal)
        assert restored.breaks == ()
        venues = {
            name: Venue(settings=one, adapter=self.adapter) for name, one in self.settings.items()
        }
        clocks = Clocks(lambda: self.utc_ns, lambda: self.boot_ns)
        me = Hello(role="router", deployment="test", incarnation=f"r{self._starts}", pid=1)
        self.router = Router(
            self.journal,
            restored.books,
            venues,
            Placement(clocks, me, "boot"),
            self.signals,
        )
        self.links: dict[str, FakeLink] = {}
        self.compliance: ComplianceActor | None = None
        self._read = len(self.effects)
        self.router.start()

    def restart(self) -> None:
        """The router dies and another takes the journal; nobody is connected to it yet."""
        if hasattr(self.journal, "reopen"):
            self.journal.reopen()
        self.start()

    def open(self) -> World:
        """Everybody comes: compliance, every connection in step with its broker, an edge."""
        self.bring_compliance()
        for name in self.settings:
            self.bring_connection(name)
        self.bring_edge()
        return self

    def bring_edge(self, name: str = "edge-0") -> FakeLink:
        link = self.links[name] = FakeLink(name, "edge", self.effects)
        EdgeSide(self.router).link_up(link)  # type: ignore[arg-type]
        self.settle()
        return link

    def lose_edge(self, name: str = "edge-0") -> None:
        EdgeSide(self.router).link_down(self.links.pop(name))  # type: ignore[arg-type]
        self.settle()

    def bring_compliance(self) -> None:
        self._compliances += 1
        self.compliance = ComplianceActor(self._compliance_settings, f"k{self._compliances}")
        link = self.links["compliance"] = FakeLink("compliance", "compliance", self.effects)
        self._reply = FakeLink("from-compliance", "router-from-compliance", self.effects)
        ComplianceSide(self.router).link_up(link)  # type: ignore[arg-type]
        self.settle()

    def lose_compliance(self) -> None:
        self.compliance = None
        ComplianceSide(self.router).link_down(self.links.pop("compliance"))  # type: ignore[arg-type]
        self.settle()

    def bring_connection(self, name: str = PAPER, in_step: bool = True) -> FakeLink:
        """A connection answers; `in_step` also lets it reach the broker."""
        link = self.links[name] = FakeLink(name, "connection", self.effects)
        ConnectionSide(self.router, name).link_up(link)  # type: ignore[arg-type]
        self.settle()
        attach = self.last(name, m.Attach)
        self.attached(name, INSTRUMENTS, epoch=attach.epoch)
        if in_step:
            self.tell(m.SyncedAccount(snapshot=snapshot(self.settings[name])), name=name)
            self.tell(self.changed(SessionState.CONNECTED, name), name=name)
            self.quote(*INSTRUMENTS, name=name)
        return link

    def attached(
        self,
        name: str,
        instruments: tuple[Instrument, ...],
        epoch: int = 1,
        state: SessionState = SessionState.DISCONNECTED,
    ) -> None:
        told = m.Attached(
            connection=name,
            epoch=epoch,
            credits=self.settings[name].credits,
            state=state,
            instruments=instruments,
        )
        self.hear(name, told)

    def lose_connection(self, name: str = PAPER, *, restarts: bool = True) -> None:
        """The link breaks; where the process restarts, its items begin anew."""
        ConnectionSide(self.router, name).link_down(self.links.pop(name))  # type: ignore[arg-type]
        if restarts:
            self.incarnations[name] += "'"
            self.numbers.pop(name, None)
        self.settle()

    # -- talk

    def say(self, command: Any, *, edge: str = "edge-0", **words: Any) -> c.Answer | None:
        """A client's command; its answer, once it has one."""
        self._refs += 1
        plain: dict[str, Any] = {
            "ref": self._refs,
            "owner": OWNER,
            "session": "s-1",
            "cseq": self._refs,
            "request_id": f"r-{self._refs}",
            "command": command,
            "received_ns": self.utc_ns,
        }
        submit = over_the_wire(c.Submit(**(plain | words)), "router")
        EdgeSide(self.router).received(self.links[edge], submit)  # type: ignore[arg-type]
        self.settle()
        return self.answer(submit.ref)

    def send(self, message: Any, *, edge: str = "edge-0") -> Any:
        """Anything else an edge asks; the last thing said to that edge."""
        heard = over_the_wire(message, "router")
        EdgeSide(self.router).received(self.links[edge], heard)  # type: ignore[arg-type]
        self.settle()
        found = self.sent(edge)
        return found[-1] if found else None

    def place(self, order: NewOrder | None = None, **words: Any) -> c.Decided:
        """Places an order; what became of it at once."""
        answer = self.say(c.Place(order=order or new_order()), **words)
        assert answer is not None
        assert answer.error is None
        return answer.decided[0]

    def cancel(self, name: str | None = None, **words: Any) -> c.Answer:
        request = {"request_id": words.pop("request_id")} if "request_id" in words else {}
        who = {"owner": words.pop("owner")} if "owner" in words else {}
        cancel = CancelOrder(client_order_id=name, **words)
        answer = self.say(c.Cancel(cancel=cancel), **request, **who)
        assert answer is not None
        return answer

    def amend(self, name: str = "o-1", **words: Any) -> c.Answer | None:
        request = {"request_id": words.pop("request_id")} if "request_id" in words else {}
        return self.say(c.Amend(amend=AmendOrder(client_order_id=name, **words)), **request)

    def answer(self, ref: int) -> c.Answer | None:
        found = [
            message
            for name, message in self.effects
            if name.startswith("edge") and isinstance(message, c.Answer) and message.ref == ref
        ]
        assert len(found) <= 1
        return found[0] if found else None

    def hear(self, name: str, message: Any) -> None:
        """A connection's word reaches the router."""
        heard = over_the_wire(message, "router-from-connection")
        ConnectionSide(self.router, name).received(self.links[name], heard)  # type: ignore[arg-type]
        self.settle()

    def tell(self, *items: Any, name: str = PAPER, cursor: str | None = None) -> m.Items:
        """A connection tells new facts."""
        first = self.numbers.get(name, 0) + 1
        self.numbers[name] = first + len(items) - 1
        told = m.Items(
            connection=name,
            incarnation=self.incarnations[name],
            first=first,
            items=items,
            cursor=cursor,
        )
        self.hear(name, told)
        return told

    def events(self, *events: Any, name: str = PAPER, intent: int | None = None) -> m.Items:
        """The broker said these."""
        return self.tell(m.Told(events=events, intent=intent), name=name)

    def quote(self, *instruments: Instrument, name: str = PAPER, **words: Any) -> None:
        quotes = tuple(
            quote(one.symbol, self.utc_ns, connection=name, **words) for one in instruments
        )
        self.hear(name, m.Quotes(quotes=quotes))

    def changed(self, state: SessionState, name: str = PAPER) -> m.StateChanged:
        return m.StateChanged(
            state=ConnectionState(connection=name, state=state, reason="told", since_ns=self.utc_ns)
        )

    def settle(self) -> None:
        """Commits, tells, and lets compliance answer until all is quiet; then the news."""
        self.router.flush()
        self._answer()
        self.router.say_the_news()
        self._answer()

    def _answer(self) -> None:
        while self._read < len(self.effects):
            name, message = self.effects[self._read]
            if name == "from-compliance" and self.holds_verdicts:
                break
            self._read += 1
            if name == "compliance" and self.compliance is not None:
                self.compliance.received(self._reply, message)  # type: ignore[arg-type]
                self.compliance.batch_ended()
            elif name == "from-compliance" and self.compliance is not None:
                ComplianceSide(self.router).received(self._reply, message)  # type: ignore[arg-type]
                self.router.flush()
            elif isinstance(message, m.SetHalts) and name in self.settings and self.gates_confirm:
                self.router.from_connection(
                    name, m.HaltsSet(connection=name, number=message.number)
                )
                self.router.flush()

    def pass_ms(self, ms: int, *, quotes: bool = True) -> None:
        """Time passes; the router looks at what that brings."""
        self.utc_ns += ms * MS
        self.boot_ns += ms * MS
        if quotes:
            for name in self.settings:
                if name in self.links:
                    self.quote(*INSTRUMENTS, name=name)
        router = self.router
        router.look_at_clocks()
        router.reports.tick()
        router.guards.tick()
        router.end_silent()
        for venue in router.desk.venues.values():
            router.orders.spend_credits(venue)
        self.settle()

    # -- looking

    def sent(self, name: str, kind: Any = object) -> list[Any]:
        return [message for to, message in self.effects if to == name and isinstance(message, kind)]

    def last(self, name: str, kind: Any = object) -> Any:
        return self.sent(name, kind)[-1]

    def order(self, name: str = "o-1", owner: str = OWNER) -> Order:
        found = self.router.desk.books.orders.of_client(owner, name)
        assert found is not None
        return found

    def status(self, name: str = "o-1") -> str:
        return self.order(name).status.value

    def records(self) -> list[Record]:
        return list(self.journal.replay())

    def updates(self, stream: str = f"orders/{OWNER}") -> list[StreamUpdate]:
        return [u for record in self.records() for u in record.updates if u.stream == stream]

    def events_of(self, name: str = "o-1") -> list[Any]:
        """The events of an order as journaled, oldest first."""
        order_id = ids.order_id(OWNER, name)
        return [
            u.body.event
            for u in self.updates()
            if isinstance(u.body, OrderUpdate) and u.body.order_id == order_id
        ]

    def notices(self) -> list[Any]:
        return [update.body for update in self.updates("admin")]

    # -- the broker's words about an order of ours

    def accept(self, name: str = "o-1", broker: str = "b-1") -> ev.Accepted:
        order = self.order(name)
        said = ev.Accepted(
            at_ns=self.utc_ns, broker_order_id=broker, venue_client_id=order.venue_client_id
        )
        self.events(said, intent=order.intent, name=order.connection or PAPER)
        return said

    def fill(
        self, name: str = "o-1", quantity: int = 1000, execution: str = "x-1", **words: Any
    ) -> ev.Fill:
        order = self.order(name)
        assert order.terms is not None
        plain: dict[str, Any] = {
            "at_ns": self.utc_ns,
            "execution_id": ids.execution_id("paper", ACCOUNT, execution),
            "broker_execution_id": execution,
            "broker_order_id": order.legs[-1] if order.legs else "b-1",
            "instrument": order.terms.instrument,
            "side": order.terms.side,
            "quantity": Decimal(quantity),
            "price": Decimal("1.10000"),
            "venue_client_id": order.venue_client_id,
        }
        said = ev.Fill(**(plain | words))
        self.events(said, name=order.connection or PAPER)
        return said

    def live(self, name: str = "o-1", **words: Any) -> Order:
        """An order working at the broker."""
        self.place(new_order(name, **words))
        self.accept(name, f"b-{name}")
        return self.order(name)


class Anything:
    """An adapter that takes every order but those tagged `odd`."""

    def __init__(self, shows_lots: bool = True) -> None:
        self.capabilities = SimpleNamespace(shows_lots=shows_lots)

    def find_unsupported(self, order: NewOrder) -> str | None:
        return "tag: the odd ones are not for this broker" if order.tag == "odd" else None
