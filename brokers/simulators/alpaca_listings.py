"""What the simulated Alpaca lists: a handful of shares and two coins. Prices feed the generator."""

from __future__ import annotations

from decimal import Decimal

from brokers.simulators.book import AccountSettings, Listing
from brokers.simulators.venue import EngineSettings

NANO = Decimal("1E-9")
SHARES = (
    ("AAPL", "Apple Inc. Common Stock", "230.00", "0.02"),
    ("MSFT", "Microsoft Corporation Common Stock", "425.00", "0.04"),
    ("NVDA", "NVIDIA Corporation Common Stock", "135.00", "0.02"),
    ("SPY", "SPDR S&P 500 ETF Trust", "590.00", "0.02"),
    ("TSLA", "Tesla, Inc. Common Stock", "340.00", "0.06"),
)
COINS = (
    ("BTC/USD", "Bitcoin / US Dollar", "39430.00", "4.00", "0.0001"),
    ("ETH/USD", "Ethereum / US Dollar", "1230.00", "0.40", "0.001"),
)
EXCHANGES = {"SPY": "ARCA"}
ALIASES = {"BTC_USDT": "BTC/USD", "BTC_USD": "BTC/USD", "ETH_USDT": "ETH/USD"}
"""Names in recorded tick files for what is listed under another."""


def _share(symbol: str, name: str, price: str, spread: str) -> Listing:
    return Listing(
        symbol=symbol,
        base=symbol,
        quote="USD",
        kind="us_equity",
        tick=Decimal("0.01"),
        pip=Decimal("0.01"),
        lot=NANO,
        units_min=NANO,
        price=Decimal(price),
        spread=Decimal(spread),
        name=name,
    )


def _coin(symbol: str, name: str, price: str, spread: str, units_min: str) -> Listing:
    return Listing(
        symbol=symbol,
        base=symbol.split("/")[0],
        quote="USD",
        kind="crypto",
        tick=Decimal("0.01"),
        pip=Decimal("0.01"),
        lot=NANO,
        units_min=Decimal(units_min),
        is_always_open=True,
        is_marginable=False,
        price=Decimal(price),
        spread=Decimal(spread),
        name=name,
    )


LISTINGS = (*(_share(*x) for x in SHARES), *(_coin(*x) for x in COINS))
ENGINE = EngineSettings(
    accounts=(AccountSettings(id="PA0000000001", netting=True),),
    listings=LISTINGS,
    pegs={},
    client_ids="ever",
)


def is_crypto(listing: Listing) -> bool:
    """True for a coin."""
    return listing.kind == "crypto"
