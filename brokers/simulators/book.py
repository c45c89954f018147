"""What the engine holds: listings, quotes, orders, lots, positions, accounts.

Units are signed (a sale is negative), money is in the account's currency unless it says
otherwise, times are int64 ns UTC. What a client asked for is frozen; what the engine keeps
changes only inside the engine.
"""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal
from typing import Literal

from msgspec import Struct, field

from brokers.simulators.facts import AnyFact
from brokers.simulators.terms import ZERO, Label, Terms
from brokers.simulators.words import Stage, State, Why


class Listing(Struct, frozen=True, kw_only=True):
    """An instrument as the simulated broker lists it; `tick` and `lot` are its grids."""

    symbol: str
    base: str
    quote: str
    kind: str = "currency"
    tick: Decimal = Decimal("0.00001")
    pip: Decimal = Decimal("0.0001")
    lot: Decimal = Decimal(1)
    units_min: Decimal = Decimal(1)
    units_max: Decimal = Decimal(100_000_000)
    margin_rate: Decimal = Decimal("0.02")
    trail_min: Decimal = Decimal("0.0005")
    trail_max: Decimal = Decimal(1)
    tradeable: bool = True
    liquidity: Decimal | None = None
    is_always_open: bool = False
    is_marginable: bool = True
    name: str = ""
    price: Decimal = Decimal(1)
    spread: Decimal = Decimal("0.00012")


class Quote(Struct, gc=False, kw_only=True):
    """The touch of one instrument; `*_left` is what can still be taken (None: no limit)."""

    instrument: str
    bid: Decimal
    ask: Decimal
    at_ns: int
    bid_left: Decimal | None = None
    ask_left: Decimal | None = None

    @property
    def mid(self) -> Decimal:
        """The middle, exact."""
        return (self.bid + self.ask) / 2


class Order(Struct, gc=False, kw_only=True, omit_defaults=True):
    """An order in the book. Guards carry `units` of their lot's opposite at the trigger.

    The last ones are for netting books: `value` is what the units filled came to, `carried`
    what the order it replaces had filled, `peak` the best price a trail has seen.
    """

    id: int
    terms: Terms
    created_ns: int
    leaves: Decimal
    by: str = ""
    label: Label | None = None
    state: State = State.WORKING
    replaces: int | None = None
    replaced_by: int | None = None
    fill: int | None = None
    filled_ns: int | None = None
    filled: Decimal = ZERO
    end: int | None = None
    ended_ns: int | None = None
    lot_opened: int | None = None
    lot_reduced: int | None = None
    lots_closed: list[int] = field(default_factory=list)
    trail: Decimal | None = None
    market_price: Decimal | None = None
    stage: Stage = Stage.ROUTED
    why: Why | None = None
    value: Decimal = ZERO
    carried: Decimal = ZERO
    peak: Decimal | None = None
    is_elected: bool = False
    changed_ns: int = 0

    @property
    def client_id(self) -> str | None:
        """The client's own name for the order."""
        return self.label.id if self.label is not None else None


class Lot(Struct, gc=False, kw_only=True, omit_defaults=True):
    """An open (or, once `units` is zero, closed) piece of a position; `id` is its fill."""

    id: int
    instrument: str
    price: Decimal
    opened_ns: int
    units_opened: Decimal
    units: Decimal
    margin_opened: Decimal = ZERO
    realized: Decimal = ZERO
    financing: Decimal = ZERO
    close_value: Decimal = ZERO
    closing: list[int] = field(default_factory=list)
    closed_ns: int | None = None
    label: Label | None = None
    guards: dict[str, int] = field(default_factory=dict)


class Position(Struct, kw_only=True, omit_defaults=True):
    """The lots of one instrument, oldest first, and what it has earned per side."""

    instrument: str
    lots: dict[int, Lot] = field(default_factory=dict)
    guarded: set[int] = field(default_factory=set)
    long: Decimal = ZERO
    long_cost: Decimal = ZERO
    short: Decimal = ZERO
    short_cost: Decimal = ZERO
    long_realized: Decimal = ZERO
    short_realized: Decimal = ZERO
    financing: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        """Units held, signed."""
        return self.long + self.short


class AccountSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account to open. `fifo` is the US rule; `closeout` the margin share that liquidates.

    `netting` books have one position an instrument and no lots; their `balance` is cash, and
    `multiplier` says how many times their own money they may hold (1: a cash account).
    """

    id: str
    currency: str = "USD"
    balance: Decimal = Decimal(100_000)
    alias: str = "Paper"
    fifo: bool = True
    hedging: bool = False
    closeout: Decimal = Decimal("0.5")
    margin_rate: Decimal | None = None
    netting: bool = False
    multiplier: Literal[1, 2, 4] = 2


class Account(Struct, kw_only=True):
    """One account: its money, its book and its numbered facts.

    `done` and `closed` keep what is over, `facts` what happened; each up to the engine's
    limit, the oldest forgotten first. Of a netting book `groups` are the orders that hang on
    another, `names` every client id ever used, `options` what the client has configured.
    """

    settings: AccountSettings
    created_ns: int
    balance: Decimal = ZERO
    alias: str = ""
    margin_rate: Decimal | None = None
    realized: Decimal = ZERO
    financing: Decimal = ZERO
    next_id: int = 1
    batch: int = 1
    last_fill_ns: int | None = None
    working: dict[int, Order] = field(default_factory=dict)
    by_instrument: dict[str, dict[int, Order]] = field(default_factory=dict)
    done: OrderedDict[int, Order] = field(default_factory=OrderedDict)
    by_client_id: dict[str, list[int]] = field(default_factory=dict)
    lots: dict[int, Lot] = field(default_factory=dict)
    closed: OrderedDict[int, Lot] = field(default_factory=OrderedDict)
    by_lot_label: dict[str, int] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    facts: OrderedDict[int, AnyFact] = field(default_factory=OrderedDict)
    expiring: dict[int, int] = field(default_factory=dict)
    next_expiry_ns: int | None = None
    groups: dict[int, list[int]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    options: dict[str, bool | str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The account's name at the broker."""
        return self.settings.id

    @property
    def last_id(self) -> int:
        """The newest fact's number, 0 before the first."""
        return self.next_id - 1

    def order(self, order_id: int) -> Order | None:
        """The order, working or over, where it is still kept."""
        return self.working.get(order_id) or self.done.get(order_id)

    def lot(self, lot_id: int) -> Lot | None:
        """The lot, open or closed, where it is still kept."""
        return self.lots.get(lot_id) or self.closed.get(lot_id)

    def position(self, instrument: str) -> Position:
        """The position, made empty where there was none."""
        found = self.positions.get(instrument)
        if found is None:
            found = self.positions[instrument] = Position(instrument=instrument)
        return found
