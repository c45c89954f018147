"""The demo's strategy: every order type and time in force of its brokers, in seeded disorder. Pure.

It knows nothing of prices to come and earns nothing: it is there to make every kind of thing
happen that can happen to an order, denials and broker's refusals too.
"""

from __future__ import annotations

from random import Random

from cli.dealer import Act, Dealer, Play, Scene
from cli.plays_pairs import PAIRS
from cli.plays_shares import COINS, SHARES
from domain.instruments import AssetClass

DECKS = {
    AssetClass.FOREX: PAIRS,
    AssetClass.EQUITY: SHARES,
    AssetClass.ETF: SHARES,
    AssetClass.CRYPTO: COINS,
}
"""What can be played by class; other classes are not traded in the demo."""


class Strategy:
    """Deals its plays like cards: all of them once, in a new order each round."""

    def __init__(self, name: str, luck: Random) -> None:
        self._name = name
        self._luck = luck
        self._number = 0
        self._decks: dict[AssetClass, list[Play]] = {}

    def next(self, scene: Scene) -> Act:
        """The next thing to do; a play that cannot be played now is passed over."""
        kind = scene.instrument.asset_class
        while True:
            deck = self._decks.setdefault(kind, [])
            if not deck:
                deck += DECKS[kind].values()
                self._luck.shuffle(deck)
            act = deck.pop()(Dealer(self._name, self._luck, scene, self._number))
            if act is not None:
                self._number += 1
                return act
