"""What a client asks the simulated broker for."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from brokers.simulators.words import Cause, Kind, Life, Netting, Role, Watch

ZERO = Decimal(0)


class Label(Struct, gc=False, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a client pins to an order or a lot."""

    id: str | None = None
    tag: str | None = None
    comment: str | None = None


class Guard(Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """A protective order, to be made when a lot opens: at a price or at a distance from it."""

    price: Decimal | None = None
    distance: Decimal | None = None
    limit: Decimal | None = None
    life: Life = Life.GTC
    expire_ns: int | None = None
    label: Label | None = None


class Terms(Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """Everything asked for in one order. `lot` names the lot a guard or a close is about.

    The last ones are for netting books: `price` triggers a stop and `limit` bounds what it
    becomes, `percent` trails, `notional` is money to spend, `group` is the order that a
    bracket's others hang on, `style` the dialect's own word for the group.
    """

    kind: Kind
    instrument: str = ""
    units: Decimal = ZERO
    life: Life = Life.GTC
    price: Decimal | None = None
    bound: Decimal | None = None
    distance: Decimal | None = None
    expire_ns: int | None = None
    netting: Netting = Netting.DEFAULT
    watch: Watch = Watch.DEFAULT
    label: Label | None = None
    lot_label: Label | None = None
    take_profit: Guard | None = None
    stop_loss: Guard | None = None
    trailing: Guard | None = None
    lot: int | None = None
    cause: Cause = Cause.CLIENT
    asked: str | None = None
    limit: Decimal | None = None
    percent: Decimal | None = None
    notional: Decimal | None = None
    is_extended: bool = False
    group: int | None = None
    role: Role = Role.SINGLE
    style: str = ""

    @property
    def client_id(self) -> str | None:
        """The client's own name for the order."""
        return self.label.id if self.label is not None else None
