"""A router in small: makes legal records by chance, and keeps its own plain account of them."""

from __future__ import annotations

from decimal import Decimal
from random import Random

from domain import events as ev
from domain import ids
from domain.accounts import AccountBalances, AccountSnapshot, BrokerAccount, Environment
from domain.errors import Category, ErrorInfo, Outcome, Retry
from domain.lifecycle import TRANSITIONS, Break, Order, Origin, apply
from domain.orders import (
    Bracket,
    CancelOrder,
    NewOrder,
    OrderType,
    Side,
    StopLoss,
    TakeProfit,
    TimeInForce,
)
from domain.portfolio import Position
from domain.records import (
    Cause,
    Changed,
    EpochStarted,
    Guard,
    GuardKind,
    Halted,
    HaltScope,
    Ordered,
    Record,
    Reported,
    Resumed,
    Settled,
    Synced,
)
from domain.streams import (
    BalancesUpdate,
    PositionUpdate,
    StreamUpdate,
    UpdateBody,
    order_update,
)

NO = ErrorInfo(
    code="no", category=Category.RISK, outcome=Outcome.NONE, retry=Retry.NEVER, message="no"
)
OWNERS = ("ann", "bob")
CONNECTIONS = {"ann": "oanda-1", "bob": "oanda-2"}


def account_snapshot(connection: str, cursor: str, *positions: Position) -> AccountSnapshot:
    account = f"{connection}-account"
    return AccountSnapshot(
        account=BrokerAccount(
            account=account,
            connection=connection,
            owner="ann",
            broker="oanda",
            environment=Environment.PAPER,
            base_currency="USD",
        ),
        balances=AccountBalances(
            account=account, currency="USD", cash=Decimal(1000), equity=Decimal(1000)
        ),
        positions=positions,
        cursor=cursor,
    )


def position(connection: str, instrument: str, quantity: str) -> Position:
    return Position(
        account=f"{connection}-account", instrument=instrument, quantity=Decimal(quantity)
    )


class Router:
    """`records` are what it wrote, `orders` where each order stands by the lifecycle alone."""

    def __init__(self, seed: int = 0) -> None:
        self.luck = Random(seed)
        self.records: list[Record] = []
        self.orders: dict[str, Order] = {}
        self.seqs: dict[str, int] = {}
        self.count = 0

    def next_count(self) -> int:
        self.count += 1
        return self.count

    def write(self, cause: Cause, *bodies: UpdateBody, owner: str = "ann") -> Record:
        updates = tuple(self._numbered(body, owner) for body in bodies)
        number = len(self.records) + 1
        record = Record(
            number=number, epoch=1, at_ns=number, cause=cause, updates=updates, owner=owner
        )
        self.records.append(record)
        return record

    def order(self, owner: str = "ann", bracket: Bracket | None = None) -> Order:
        """A new order, sent over the owner's connection."""
        count = self.next_count()
        command = NewOrder(
            client_order_id=f"c-{count}",
            instrument="EUR/USD",
            side=Side.BUY,
            quantity=Decimal(100),
            bracket=bracket,
        )
        order_id = ids.order_id(owner, command.client_order_id)
        fresh = Order(
            order_id=order_id,
            owner=owner,
            origin=Origin.CLIENT,
            terms=command,
            client_order_id=command.client_order_id,
            received_ns=count,
            session="s",
        )
        kinds = (ev.Sending, ev.Sending, ev.Sending, ev.Denied, ev.Readied)
        event = self.event(fresh, self.luck.choice(kinds) if bracket is None else ev.Sending)
        cause = Ordered(
            command=command, digest=f"d-{count}", session="s", cseq=count, received_ns=count
        )
        order = self.step(fresh, event)
        self.write(cause, order_update(order, event), owner=owner)
        return order

    def step(self, order: Order, event: ev.OrderEvent) -> Order:
        after = apply(order, event)
        assert not isinstance(after, Break), after
        self.orders[after.order_id] = after
        return after

    def report(self, order: Order, *events: ev.OrderEvent) -> Order:
        """Events of an order, as its broker reported them."""
        bodies = []
        for event in events:
            order = self.step(order, event)
            bodies.append(order_update(order, event))
        count = self.next_count()
        connection = CONNECTIONS[order.owner]
        cause = Reported(
            connection=connection, incarnation="i1", first=count, last=count, cursor=str(count)
        )
        self.write(cause, *bodies, owner=order.owner)
        return order

    def discover(self, parent_execution: str | None = None, owner: str = "ann") -> Order:
        """An order that was not placed here, or the child of one that was."""
        broker_order_id = f"b-{self.next_count()}"
        connection = CONNECTIONS[owner]
        fresh = Order(
            order_id=ids.external_order_id(connection, broker_order_id),
            owner=owner,
            origin=Origin.CHILD if parent_execution else Origin.EXTERNAL,
            connection=connection,
        )
        event = ev.External(
            at_ns=1,
            broker_order_id=broker_order_id,
            instrument="EUR/USD",
            side=Side.SELL,
            quantity=Decimal(100),
            order_type=OrderType.STOP,
            time_in_force=TimeInForce.GTC,
            parent_execution=parent_execution,
        )
        return self.report(fresh, event)

    def event(self, order: Order, kind: type) -> ev.OrderEvent:
        """An event of a kind with words that fit the order."""
        count = self.next_count()
        name = order.legs[-1] if order.legs else f"b-{count}"
        fields: dict[str, object] = {"at_ns": count}
        if kind is ev.Sending:
            fields |= {
                "connection": CONNECTIONS[order.owner],
                "account": f"{CONNECTIONS[order.owner]}-account",
                "intent": count,
                "attempt": order.attempt + 1,
                "venue_client_id": f"v-{count}",
                "verdict": "ok",
            }
        elif kind is ev.Fill:
            fields |= {
                "execution_id": f"e-{count}",
                "broker_execution_id": f"x-{count}",
                "instrument": "EUR/USD",
                "side": Side.BUY,
                "quantity": Decimal(self.luck.choice((20, 50, 100))),
                "price": Decimal("1.1"),
            }
        names = kind.__struct_fields__
        if "broker_order_id" in names:
            fields["broker_order_id"] = f"b-{count}" if kind is ev.Replaced else name
        for field, value in (("error", NO), ("reason", "why"), ("evidence", ("asked",))):
            if field in names and field not in fields:
                fields[field] = value
        if "request_id" in names:
            fields["request_id"] = f"r-{count}"
        return kind(**fields)

    def live_on(self, steps: int) -> Router:
        """Lets anything legal happen, `steps` times."""
        kinds: dict[object, list[type]] = {}
        for status, kind in TRANSITIONS:
            if kind is not ev.External:
                kinds.setdefault(status, []).append(kind)
        for _ in range(steps):
            chance = self.luck.random()
            open_now = [order for order in self.orders.values() if order.status in kinds]
            if chance < 0.25 or not open_now:
                self.order(self.luck.choice(OWNERS))
            elif chance < 0.85:
                order = self.luck.choice(open_now)
                kind = self.luck.choice(kinds[order.status])
                self.report(order, self.event(order, kind))
            else:
                self._something_else(order_id=self.luck.choice(open_now).order_id)
        return self

    def _something_else(self, order_id: str) -> None:
        count = self.next_count()
        owner = self.luck.choice(OWNERS)
        connection = CONNECTIONS[owner]
        held = position(connection, "EUR/USD", str(count % 3))
        balances = account_snapshot(connection, "").balances
        happenings = (
            lambda: self.discover(owner=owner),
            lambda: self.write(EpochStarted(boot_id="b", incarnation=f"r-{count}")),
            lambda: self.write(
                Changed(
                    request_id=f"q-{count}",
                    command=CancelOrder(order_id=order_id),
                    owner=owner,
                    session="s",
                    cseq=count,
                    orders=(order_id,),
                ),
                owner=owner,
            ),
            lambda: self.write(
                Synced(
                    connection=connection,
                    incarnation="i2",
                    snapshot=account_snapshot(connection, str(count), held),
                )
            ),
            lambda: self.write(Settled(why="so"), PositionUpdate(position=held), owner=owner),
            lambda: self.write(Settled(why="so"), BalancesUpdate(balances=balances), owner=owner),
            lambda: self.write(Halted(scope=HaltScope.OWNER, subject=owner, by="x", reason="y")),
            lambda: self.write(Resumed(scope=HaltScope.OWNER, subject=owner, by="x")),
            lambda: self.write(
                Guard(
                    owner=owner,
                    session="s",
                    kind=GuardKind.DEAD_MAN,
                    grace_ms=5,
                    armed=count % 2 == 0,
                )
            ),
        )
        self.luck.choice(happenings)()

    def _numbered(self, body: UpdateBody, owner: str) -> StreamUpdate:
        stream = f"orders/{owner}"
        self.seqs[stream] = self.seqs.get(stream, 0) + 1
        return StreamUpdate(stream=stream, seq=self.seqs[stream], at_ns=1, body=body)


BRACKET = Bracket(
    stop_loss=StopLoss(stop_price=Decimal("1.0")),
    take_profit=TakeProfit(limit_price=Decimal("1.2")),
)
