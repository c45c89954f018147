"""What the simulated broker lists by default, with its margin and typical spreads.

US margin rates are the higher of the two legs (NFA I-23-08, COMPLIANCE.md 5); start prices
and spreads only feed the generator.
"""

from __future__ import annotations

from decimal import Decimal

from brokers.simulators.book import Listing

LEG_RATES = {
    "AUD": "0.03",
    "CAD": "0.02",
    "CHF": "0.03",
    "EUR": "0.02",
    "GBP": "0.05",
    "JPY": "0.05",
    "MXN": "0.10",
    "NOK": "0.07",
    "NZD": "0.03",
    "SEK": "0.03",
    "USD": "0.02",
}
PAIRS = (
    ("EUR_USD", "1.12000", "0.00012"),
    ("USD_JPY", "109.500", "0.014"),
    ("GBP_USD", "1.31000", "0.00018"),
    ("AUD_USD", "0.69500", "0.00014"),
    ("USD_CHF", "0.96800", "0.00016"),
    ("USD_CAD", "1.30000", "0.00018"),
    ("NZD_USD", "0.66500", "0.00018"),
    ("EUR_GBP", "0.85500", "0.00016"),
    ("EUR_JPY", "122.600", "0.020"),
    ("GBP_JPY", "143.400", "0.030"),
    ("EUR_CHF", "1.08400", "0.00020"),
    ("AUD_JPY", "76.100", "0.020"),
    ("USD_MXN", "18.90000", "0.00500"),
    ("USD_SEK", "9.36000", "0.00300"),
    ("USD_NOK", "8.79000", "0.00350"),
)


def _pair(symbol: str, price: str, spread: str) -> Listing:
    base, quote = symbol.split("_")
    pip = Decimal("0.01") if quote == "JPY" else Decimal("0.0001")
    return Listing(
        symbol=symbol,
        base=base,
        quote=quote,
        tick=pip / 10,
        pip=pip,
        margin_rate=max(Decimal(LEG_RATES[base]), Decimal(LEG_RATES[quote])),
        trail_min=pip * 5,
        trail_max=pip * 10_000,
        price=Decimal(price),
        spread=Decimal(spread),
    )


def _other(symbol: str, kind: str, price: str, spread: str) -> Listing:
    base, quote = symbol.split("_")
    return Listing(
        symbol=symbol,
        base=base,
        quote=quote,
        kind=kind,
        tick=Decimal("0.01") if kind == "cfd" else Decimal("0.001"),
        pip=Decimal(1) if kind == "cfd" else Decimal("0.01"),
        lot=Decimal("0.001") if kind == "cfd" else Decimal(1),
        units_min=Decimal("0.001") if kind == "cfd" else Decimal(1),
        units_max=Decimal(1000) if kind == "cfd" else Decimal(50_000),
        margin_rate=Decimal("0.5") if kind == "cfd" else Decimal("0.05"),
        trail_min=Decimal(5) if kind == "cfd" else Decimal("0.05"),
        trail_max=Decimal(100_000) if kind == "cfd" else Decimal(1000),
        price=Decimal(price),
        spread=Decimal(spread),
    )


LISTINGS: tuple[Listing, ...] = (
    *(_pair(*row) for row in PAIRS),
    _other("XAU_USD", "metal", "1517.000", "0.400"),
    _other("BTC_USDT", "cfd", "39430.00", "4.00"),
)
PEGS = {"USDT": "USD"}
