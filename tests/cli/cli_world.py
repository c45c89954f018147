"""A deployment's home with a journal in it, and a way to call commands; nothing runs."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from typer.testing import CliRunner, Result

from actors.paths import Paths
from actors.settings import journal_place, load
from cli.init import make_deployment
from cli.main import app
from cli.template import Names, render
from domain import events as ev
from domain import ids
from domain.lifecycle import Order, Origin, apply
from domain.orders import Bracket, NewOrder, OrderType, Side, StopLoss, TimeInForce
from domain.records import EpochStarted, Ordered, Record, Reported
from domain.screening import Candidate, Rate, Verdict, Violation
from domain.streams import StreamUpdate, order_update
from ledger.places import open_journal
from tests.domain.builders import ERROR

SECOND = 1_000_000_000
START_NS = 1_795_000_000 * SECOND
CONNECTION, ACCOUNT = "oanda-paper", "oanda-paper"


def call(home: Path, *words: str) -> Result:
    """Runs `fillgate --home HOME WORDS`."""
    return CliRunner().invoke(app, ["--home", str(home), *words])


def call_json(home: Path, *words: str) -> Any:
    """Runs a command with --json and reads its one line."""
    return json.loads(call(home, *words, "--json").stdout)


def make_home(folder: Path) -> Paths:
    """A fresh deployment with a small journal."""
    paths = Paths(folder / "home")
    paths.make()

    text = render(Names(deployment="d-test", owner="o-test"))
    text = text.replace("segment_bytes = 67108864", "segment_bytes = 1048576")
    make_deployment(paths, text.replace("reserve_bytes = 16777216", "reserve_bytes = 65536"))
    return paths


class Story:
    """Writes an order's records the way a router does."""

    def __init__(self, paths: Paths) -> None:
        settings = load(paths.settings)
        self.owner = settings.owners[0].id
        self._journal = open_journal(journal_place(paths, settings))
        self._seq: dict[str, int] = {}
        self._orders: dict[str, Order] = {}
        self._write(EpochStarted(boot_id="boot", incarnation="i-1"), ())

    def _write(self, cause: Any, updates: tuple[StreamUpdate, ...]) -> None:
        number = self._journal.last + 1
        self._journal.append(
            Record(
                number=number,
                epoch=1,
                at_ns=START_NS + number * SECOND,
                cause=cause,
                updates=updates,
                owner=self.owner,
            )
        )
        self._journal.commit()

    def _update(self, order: Order, event: ev.OrderEvent) -> StreamUpdate:
        after = apply(order, event)
        assert isinstance(after, Order), after
        self._orders[order.order_id] = after
        stream = f"orders/{self.owner}"
        self._seq[stream] = self._seq.get(stream, 0) + 1
        seq = self._seq[stream]
        body = order_update(after, event)
        return StreamUpdate(stream=stream, seq=seq, at_ns=START_NS, body=body)

    def place(self, name: str = "c-1", violation: Violation | None = None, **terms: Any) -> Order:
        """Records a command that was sent, or denied."""
        order = Order(
            order_id=ids.order_id(self.owner, name),
            owner=self.owner,
            origin=Origin.CLIENT,
            terms=an_order(name, **terms),
            client_order_id=name,
            received_ns=START_NS,
        )
        candidate = Candidate(connection=CONNECTION, account=ACCOUNT)
        verdict = Verdict(id="v-1", incarnation="i-1", candidate=candidate, violation=violation)
        assert order.terms is not None
        cause = Ordered(
            command=order.terms,
            digest=ids.digest(order.terms),
            session="s-1",
            cseq=1,
            received_ns=START_NS,
            verdict=verdict,
            rates=(
                Rate(
                    instrument="EUR/USD",
                    bid=Decimal("1.1"),
                    ask=Decimal("1.1002"),
                    received_ns=START_NS,
                ),
            ),
        )
        first: ev.OrderEvent = ev.Denied(at_ns=START_NS, error=ERROR)
        if violation is None:
            first = ev.Sending(
                at_ns=START_NS,
                connection=CONNECTION,
                account=ACCOUNT,
                intent=1,
                attempt=1,
                venue_client_id=f"venue-{name}",
                verdict="v-1",
            )
        self._write(cause, (self._update(order, first),))
        return self._orders[order.order_id]

    def report(self, *pairs: tuple[Order, ev.OrderEvent]) -> None:
        """Records what the broker told."""
        updates = []
        for order, event in pairs:
            now = self._orders.get(order.order_id, order)
            updates.append(self._update(now, event))
        cause = Reported(
            connection=CONNECTION, incarnation="c-1", first=1, last=len(pairs), cursor="9"
        )
        self._write(cause, tuple(updates))

    def fill(self, order: Order, name: str = "7", **words: Any) -> ev.Fill:
        """A fill of the whole order."""
        given: dict[str, Any] = {
            "at_ns": START_NS,
            "execution_id": f"x-{name}",
            "broker_execution_id": name,
            "broker_order_id": "6",
            "instrument": order.instrument,
            "side": Side.BUY,
            "quantity": order.quantity,
            "price": Decimal("1.1002"),
        }
        return ev.Fill(**(given | words))

    def child(self, parent: Order, parent_execution: str) -> tuple[Order, ev.External]:
        """A bracket child the broker made of the parent's fill."""
        event = ev.External(
            at_ns=START_NS,
            broker_order_id="8",
            instrument=parent.instrument,
            side=Side.SELL,
            quantity=parent.quantity,
            order_type=OrderType.STOP,
            time_in_force=TimeInForce.GTC,
            stop_price=Decimal("1.09"),
            parent_execution=parent_execution,
            closes_lot="7",
        )
        order = Order(
            order_id=ids.external_order_id(CONNECTION, "8"),
            owner=self.owner,
            origin=Origin.CHILD,
            parent_order_id=parent.order_id,
            connection=CONNECTION,
            account=ACCOUNT,
        )
        return order, event

    def close(self) -> None:
        """Gives the journal up."""
        self._journal.close()


def an_order(name: str = "c-1", **terms: Any) -> NewOrder:
    """A market order to buy 1000 EUR/USD, but for what is said."""
    plain = NewOrder(
        client_order_id=name,
        instrument="EUR/USD",
        side=Side.BUY,
        quantity=Decimal(1000),
        time_in_force=TimeInForce.FOK,
    )
    return replace(plain, **terms)


BRACKET = Bracket(stop_loss=StopLoss(stop_price=Decimal("1.09")))
VIOLATION = Violation(
    code="max_quantity",
    rule="max_quantity",
    citation="house limit",
    message="quantity 1000 is above 10",
    numbers={"limit": "10"},
    would_pass="largest quantity that fits: 10",
)
