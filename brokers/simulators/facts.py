"""What happened in an account: numbered, timed, never edited. A dialect renders them."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from brokers.simulators.terms import ZERO, Label, Terms
from brokers.simulators.words import Cause, Kind, Part, Stage, Why


class Fact(Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True, tag_field="fact"):
    """`batch` is the number of the first fact of the same act."""

    id: int
    batch: int
    at_ns: int


class Created(Fact, gc=False, frozen=True, kw_only=True, omit_defaults=True, tag="created"):
    """The account was opened."""

    currency: str


class Funded(Fact, gc=False, frozen=True, kw_only=True, omit_defaults=True, tag="funded"):
    """Money came in or left."""

    amount: Decimal
    balance: Decimal


class Configured(Fact, gc=False, frozen=True, kw_only=True, omit_defaults=True, tag="configured"):
    """The client changed the account's settings."""

    alias: str | None = None
    margin_rate: Decimal | None = None


class ConfigureRefused(
    Fact, gc=False, frozen=True, kw_only=True, omit_defaults=True, tag="conf_refused"
):
    """The client's settings were not taken."""

    why: Why
    alias: str | None = None
    margin_rate: Decimal | None = None


class Booked(Fact, gc=False, frozen=True, kw_only=True, omit_defaults=True, tag="booked"):
    """An order entered the book; its id is the fact's. `after` is the fill that made a guard."""

    terms: Terms
    after: int | None = None
    replaces: int | None = None
    lot_label: str | None = None


class Refused(Fact, gc=False, frozen=True, kw_only=True, omit_defaults=True, tag="refused"):
    """An order was not taken, and why; `replaces` is the order it was to replace."""

    terms: Terms
    why: Why
    part: Part = Part.ORDER
    replaces: int | None = None


class LotOpened(Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """The lot a fill opened."""

    lot: int
    units: Decimal
    price: Decimal
    margin: Decimal
    half_spread: Decimal
    label: Label | None = None


class LotCut(Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """A lot a fill reduced or closed; `units` have the sign of the fill."""

    lot: int
    units: Decimal
    price: Decimal
    realized: Decimal
    financing: Decimal
    half_spread: Decimal


class Filled(Fact, gc=False, frozen=True, kw_only=True, omit_defaults=True, tag="filled"):
    """Units of an order were executed. `gain` and `loss` turn quote currency into account money.

    In a netting book `filled` and `leaves` are the order's and `position` the units held, after.
    """

    order: int
    kind: Kind
    cause: Cause
    instrument: str
    units: Decimal
    price: Decimal
    bid: Decimal
    ask: Decimal
    realized: Decimal
    balance: Decimal
    gain: Decimal
    loss: Decimal
    half_spread: Decimal
    financing: Decimal = ZERO
    commission: Decimal = ZERO
    client_id: str | None = None
    opened: LotOpened | None = None
    reduced: LotCut | None = None
    closed: tuple[LotCut, ...] = ()
    filled: Decimal = ZERO
    leaves: Decimal = ZERO
    position: Decimal = ZERO


class Ended(Fact, gc=False, frozen=True, kw_only=True, omit_defaults=True, tag="ended"):
    """An order, or what was left of it, is no longer in the book."""

    order: int
    why: Why
    client_id: str | None = None
    part: Part = Part.ORDER
    replaced_by: int | None = None
    linked_fill: int | None = None


class Moved(Fact, gc=False, frozen=True, kw_only=True, omit_defaults=True, tag="moved"):
    """An order that works on is at another stage."""

    order: int
    stage: Stage


class EndRefused(Fact, gc=False, frozen=True, kw_only=True, omit_defaults=True, tag="end_refused"):
    """A cancel that could not be."""

    why: Why
    order: int | None = None
    client_id: str | None = None


class Relabeled(Fact, gc=False, frozen=True, kw_only=True, omit_defaults=True, tag="relabeled"):
    """An order's labels were changed."""

    order: int
    client_id: str | None = None
    label: Label | None = None
    lot_label: Label | None = None


class LotRelabeled(
    Fact, gc=False, frozen=True, kw_only=True, omit_defaults=True, tag="lot_relabeled"
):
    """A lot's labels were changed."""

    lot: int
    label: Label
    client_lot_id: str | None = None


class RelabelRefused(
    Fact, gc=False, frozen=True, kw_only=True, omit_defaults=True, tag="relabel_refused"
):
    """Labels that could not be changed; one of order and lot is what was named."""

    why: Why
    order: str | None = None
    lot: str | None = None
    label: Label | None = None
    lot_label: Label | None = None


class Financed(Fact, gc=False, frozen=True, kw_only=True, omit_defaults=True, tag="financed"):
    """Overnight financing was booked, per lot."""

    amount: Decimal
    balance: Decimal
    lots: tuple[tuple[int, str, Decimal], ...] = ()


AnyFact = (
    Created
    | Funded
    | Configured
    | ConfigureRefused
    | Booked
    | Refused
    | Filled
    | Ended
    | Moved
    | EndRefused
    | Relabeled
    | LotRelabeled
    | RelabelRefused
    | Financed
)
