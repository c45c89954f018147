"""Retail leverage outside the US as dated editions: classes of underlying, and the most of each.

A ladder says how a regulator sorts what is underneath (a pair's two currencies, gold, an index)
and how much leverage each class may have at the opening. Perpetuals settled in cash are
contracts for difference whatever they are called. COMPLIANCE.md 6 says where each number was
seen; what is not listed takes the class with the least leverage that could apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import Enum

from msgspec import Struct

from compliance.editions import Edition, in_force
from compliance.limits import ClientCategory
from domain.instruments import AssetClass, Instrument

_ONE = Decimal(1)
_HUNDRED = Decimal(100)


class Underlying(Enum):
    """What a contract is on, as regulators sort it."""

    FX_MAJOR = "fx_major"
    FX_MINOR = "fx_minor"
    GOLD = "gold"
    INDEX_MAJOR = "index_major"
    INDEX_MINOR = "index_minor"
    COMMODITY = "commodity_ex_gold"
    GOVERNMENT_BOND = "government_bond"
    SHARE = "equity_or_other"
    CRYPTO = "crypto"


U = Underlying


class Ladder(Struct, frozen=True, kw_only=True):
    """The most leverage by class for retail clients; 0 bans the class.

    `majors` are currencies any two of which make a major pair. `others` has the classes of a
    category with its own numbers, `exempt` those without any. `includes_half` says whether funds
    of exactly half the margin call for a close-out.
    """

    majors: frozenset[str]
    most: dict[Underlying, int]
    others: dict[ClientCategory, dict[Underlying, int]] = {}
    exempt: frozenset[ClientCategory] = frozenset()
    includes_half: bool = True
    bans_incentives: bool = False
    protects_from_debt: bool = False


def _classes(*most: int) -> dict[Underlying, int]:
    return dict(zip(Underlying, most, strict=True))


_PROFESSIONALS = frozenset({ClientCategory.PROFESSIONAL})
_SIX = frozenset(["USD", "EUR", "JPY", "GBP", "CAD", "CHF"])
ESMA: tuple[Edition[Ladder], ...] = (
    Edition(
        citation="ESMA Decision (EU) 2018/796 and the national measures that took its place; "
        "ESMA35-243228190-8024 on perpetuals",
        values=Ladder(
            majors=_SIX,
            most=_classes(30, 20, 20, 20, 10, 10, 5, 5, 2),
            exempt=_PROFESSIONALS,
            includes_half=False,
            bans_incentives=True,
            protects_from_debt=True,
        ),
        effective_from=date(2018, 8, 1),
        confirmed_on=date(2026, 11, 21),
    ),
)
FCA: tuple[Edition[Ladder], ...] = (
    Edition(
        citation="FCA PS19/18; COBS 22.5, 22.6",
        values=Ladder(
            majors=_SIX,
            most=_classes(30, 20, 20, 20, 10, 10, 30, 5, 0),
            exempt=_PROFESSIONALS,
            bans_incentives=True,
            protects_from_debt=True,
        ),
        effective_from=date(2019, 8, 1),
        confirmed_on=date(2026, 11, 21),
    ),
)
ASIC: tuple[Edition[Ladder], ...] = (
    Edition(
        citation="ASIC Corporations (Product Intervention Order - CFDs) Instrument 2020/986",
        values=Ladder(
            majors=_SIX | {"AUD"},
            most=_classes(30, 20, 20, 20, 10, 10, 5, 5, 2),
            exempt=_PROFESSIONALS,
            bans_incentives=True,
            protects_from_debt=True,
        ),
        effective_from=date(2021, 3, 29),
        effective_to=date(2027, 5, 23),
        confirmed_on=date(2026, 11, 21),
    ),
)
# Of Japan and Singapore only the limit on currency pairs was seen: all else takes the least.
JFSA: tuple[Edition[Ladder], ...] = (
    Edition(
        citation="FSA Cabinet Office Ordinance on Financial Instruments Business Art. 117",
        values=Ladder(majors=_SIX, most=_classes(50, 50, 5, 5, 5, 5, 5, 5, 2)),
        effective_from=date(2010, 8, 1),
        effective_to=date(2011, 7, 31),
    ),
    Edition(
        citation="FSA Cabinet Office Ordinance on Financial Instruments Business Art. 117",
        values=Ladder(majors=_SIX, most=_classes(25, 25, 5, 5, 5, 5, 5, 5, 2)),
        effective_from=date(2011, 8, 1),
        confirmed_on=date(2026, 11, 21),
    ),
)
_ACCREDITED = _classes(50, 50, 5, 5, 5, 5, 5, 5, 2)
MAS: tuple[Edition[Ladder], ...] = (
    Edition(
        citation="MAS SFA (Financial and Margin Requirements) Regulations",
        values=Ladder(
            majors=_SIX,
            most=_classes(20, 20, 5, 5, 5, 5, 5, 5, 2),
            others=dict.fromkeys(
                (ClientCategory.ACCREDITED, ClientCategory.PROFESSIONAL), _ACCREDITED
            ),
        ),
        effective_from=date(2019, 10, 8),
        confirmed_on=date(2026, 11, 21),
    ),
)
LADDERS: dict[str, tuple[Edition[Ladder], ...]] = {
    "esma": ESMA, "fca": FCA, "asic": ASIC, "jfsa": JFSA, "mas": MAS,
}  # fmt: skip

MAJOR_INDICES = frozenset(
    ["UK100", "FR40", "DE30", "DE40", "US30", "SPX500", "NAS100", "JP225", "AU200", "EU50"]
)
MINOR_INDICES = frozenset(
    ["US2000", "NL25", "HK33", "SG30", "IN50", "CN50", "TWIX", "CH20", "ESPIX"]
)
COMMODITIES = frozenset(
    ["XAG", "XPT", "XPD", "XCU", "BCO", "WTICO", "NATGAS", "CORN", "SOYBN", "SUGAR", "WHEAT"]
)
BONDS = frozenset(["UK10YB", "DE10YB", "USB02Y", "USB05Y", "USB10Y", "USB30Y"])
COINS = frozenset(
    ["BTC", "ETH", "LTC", "BCH", "XRP", "SOL", "ADA", "DOGE", "DOT", "LINK", "AVAX", "UNI", "AAVE"]
)
"""Names of underlyings as brokers write them before the slash."""


def classify(instrument: Instrument, majors: frozenset[str]) -> Underlying:
    """The class of what is underneath."""
    base, quote = instrument.base_currency, instrument.quote_currency
    if instrument.asset_class is AssetClass.FOREX:
        return U.FX_MAJOR if base in majors and quote in majors else U.FX_MINOR
    if base == "XAU":
        return U.GOLD
    for names, kind in (
        (MAJOR_INDICES, U.INDEX_MAJOR),
        (MINOR_INDICES, U.INDEX_MINOR),
        (COMMODITIES, U.COMMODITY),
        (BONDS, U.GOVERNMENT_BOND),
        (COINS, U.CRYPTO),
    ):
        if base in names:
            return kind
    if instrument.asset_class is AssetClass.CRYPTO:
        return U.CRYPTO
    return U.COMMODITY if instrument.asset_class is AssetClass.METAL else U.SHARE


def is_contract_for_difference(instrument: Instrument) -> bool:
    """True where leverage limits apply: pairs, metals, CFDs, and perpetuals of any name."""
    if instrument.asset_class in (AssetClass.FOREX, AssetClass.METAL, AssetClass.CFD):
        return True
    words = f"{instrument.symbol} {instrument.broker_symbol}".lower()
    return "perp" in words or "rolling" in words


def most_leverage(
    series: str, instrument: Instrument, category: ClientCategory, today: date
) -> int | None:
    """The most leverage an opening may have, 0 where it is banned, None where no limit holds."""
    editions = LADDERS[series]
    # Past its last day a ladder still weighs; that it lapsed refuses openings elsewhere.
    ladder = (in_force(editions, today) or editions[-1]).values
    if category in ladder.exempt or not is_contract_for_difference(instrument):
        return None
    return ladder.others.get(category, ladder.most)[classify(instrument, ladder.majors)]


def margin_fraction(
    series: str, instrument: Instrument, category: ClientCategory, today: date
) -> Decimal:
    """The least margin as a part of notional; what is not leveraged is paid whole."""
    if not is_contract_for_difference(instrument):
        return _ONE
    most = most_leverage(series, instrument, category, today)
    if most is None:
        return Decimal(0)
    return _ONE / most if most else _ONE


# ------------------------------------------------------------------ Canada

CIRO_CITATION = "CIRO IDPC Rules 5460 to 5469; Bulletin 25-0103"
CIRO_CONFIRMED = date(2026, 11, 21)
GROUP_LAST = 4


class CiroGroup(Struct, frozen=True, kw_only=True):
    """Percents of a currency group: spot, and term by year up to a most."""

    spot: Decimal
    term_per_year: Decimal
    term_most: Decimal


CIRO_GROUPS = {
    1: CiroGroup(spot=Decimal(1), term_per_year=Decimal(1), term_most=Decimal(4)),
    2: CiroGroup(spot=Decimal(3), term_per_year=Decimal(3), term_most=Decimal(7)),
    3: CiroGroup(spot=Decimal(10), term_per_year=Decimal(5), term_most=Decimal(10)),
    4: CiroGroup(spot=Decimal(25), term_per_year=Decimal("12.5"), term_most=Decimal(25)),
}
CIRO_CURRENCIES = {"CAD": 1, "USD": 1, "AUD": 2, "SEK": 2}
"""Groups that were seen; any other currency counts as group 4 unless settings name its group."""

CIRO_SURCHARGED = {"AUD": Decimal("3.70"), "SEK": Decimal("4.30")}
"""Published spot percents above the group's (rates notice of 2022-11-15; later ones unseen)."""


def ciro_percents(group: int, surcharged: Decimal, term_years: Decimal) -> tuple[Decimal, Decimal]:
    """Spot and term percent: the published surcharge where it is above the group's base."""
    row = CIRO_GROUPS[group]
    return max(row.spot, surcharged), min(row.term_per_year * term_years, row.term_most)


def ciro_fraction(base: str, quote: str, groups: Mapping[str, int]) -> Decimal:
    """A spot pair's margin as a part of notional: the dearer leg's."""
    return max(_ciro_spot(leg, groups) for leg in (base, quote)) / _HUNDRED


def _ciro_spot(currency: str, groups: Mapping[str, int]) -> Decimal:
    group = groups.get(currency, CIRO_CURRENCIES.get(currency, GROUP_LAST))
    surcharged = CIRO_SURCHARGED.get(currency, Decimal(0))
    return ciro_percents(group, surcharged, Decimal(0))[0]
