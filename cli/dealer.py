"""What the demo's plays are made with: a scene, fresh names and sizes, prices on the grid.

Every size of a pair is used once, so that OANDA's rule of unique sizes (FIFO) holds by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from random import Random

from msgspec import Struct

from cli.sight import Sight
from domain.commands import ClosePosition
from domain.instruments import AssetClass, Instrument
from domain.orders import AmendOrder, CancelOrder, NewOrder, OrderType, Side, TimeInForce
from domain.quotes import Quote

Act = NewOrder | AmendOrder | CancelOrder | ClosePosition


class Sizes(Struct, frozen=True):
    """The first size of a class, what each next one adds, and after how many they begin anew."""

    first: Decimal
    step: Decimal
    count: int


SIZES = {
    AssetClass.FOREX: Sizes(Decimal(1_000), Decimal(1), 1_000_000),
    AssetClass.EQUITY: Sizes(Decimal(5), Decimal(1), 20),
    AssetClass.ETF: Sizes(Decimal(5), Decimal(1), 20),
    AssetClass.CRYPTO: Sizes(Decimal("0.010"), Decimal("0.001"), 20),
}
POSITION_SIZES_MAX = 20
CENT = Decimal("0.01")


class Scene(Struct, frozen=True, kw_only=True):
    """What there is to decide by: one instrument, its quote, and the time."""

    instrument: Instrument
    account: str
    quote: Quote
    sight: Sight
    now_ns: int


class Dealer:
    """What the plays are made with: names, sizes, prices on the grid."""

    def __init__(self, name: str, luck: Random, scene: Scene, number: int) -> None:
        self.scene = scene
        self.luck = luck
        self.number = number
        self.client_order_id = f"{name}-{number}"

    @property
    def size(self) -> Decimal:
        """A size of the class, another one each time."""
        sizes = SIZES[self.scene.instrument.asset_class]
        return sizes.first + self.number % sizes.count * sizes.step

    @property
    def held(self) -> Decimal:
        """What is held of the instrument, signed."""
        return self.scene.sight.position(self.scene.instrument.symbol)

    @property
    def is_loaded(self) -> bool:
        """True where the position is large enough."""
        most = SIZES[self.scene.instrument.asset_class].first * POSITION_SIZES_MAX
        return abs(self.held) > most

    @property
    def spread(self) -> Decimal:
        """The market's spread, at least a pip."""
        return max(self.scene.quote.ask - self.scene.quote.bid, self.scene.instrument.pip)

    def side(self) -> Side:
        """Against the position where there is one to come down from, else either."""
        if not self.scene.instrument.shortable:
            return Side.SELL if self.held >= self.size and self.luck.random() < 0.5 else Side.BUY
        if self.is_loaded:
            return Side.SELL if self.held > 0 else Side.BUY
        return Side.BUY if self.luck.random() < 0.5 else Side.SELL

    def adding_side(self) -> Side | None:
        """The position's own side, or either where there is none; None where it is large."""
        if self.is_loaded:
            return None
        return (Side.BUY if self.held > 0 else Side.SELL) if self.held else self.side()

    def grid(self, price: Decimal) -> Decimal:
        """The price on the instrument's grid; a share's is in cents from a dollar on."""
        tick = self.scene.instrument.tick
        is_share = self.scene.instrument.asset_class in (AssetClass.EQUITY, AssetClass.ETF)
        return price.quantize(max(tick, CENT) if is_share else tick, ROUND_DOWN)

    def away(self, side: Side, steps: float) -> Decimal:
        """A price so many spreads on the cheap side of the market: below it for a buy."""
        touch = self.scene.quote.touch(side.is_buy)
        return self.grid(touch - side.sign * self.spread * Decimal(f"{steps:.3f}"))

    def order(self, kind: OrderType, tif: TimeInForce, **terms: object) -> NewOrder:
        """An order with a fresh name and size."""
        given = {"side": self.side(), "quantity": self.size, **terms}
        return NewOrder(
            client_order_id=self.client_order_id,
            instrument=self.scene.instrument.symbol,
            type=kind,
            time_in_force=tif,
            tag=kind.value,
            account=self.scene.account,
            **given,  # type: ignore[arg-type]
        )


Play = Callable[[Dealer], Act | None]
