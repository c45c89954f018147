"""What a market says of a listed security beside its prices: pauses, price bands, restrictions."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace


class MarketFact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was said of one security as of `at_ns`, the market's clock; None is not said.

    `band_low` and `band_high` are the LULD band as published at `band_ns`, which holds that day.
    `day_volume` is what traded so far in the session that closes at `closes_ns`.
    `restricted_from` is the date (ISO, New York) from which Rule 201 restricts short sales.
    """

    instrument: str
    at_ns: int
    is_paused: bool | None = None
    band_low: Decimal | None = None
    band_high: Decimal | None = None
    band_ns: int | None = None
    restricted_from: str | None = None
    day_volume: Decimal | None = None
    closes_ns: int | None = None


_WORDS = tuple(set(MarketFact.__struct_fields__) - {"instrument", "at_ns"})


def fold_fact(known: MarketFact | None, news: MarketFact) -> MarketFact:
    """All that is known after the news; of two words on the same thing the later one stands."""
    if known is None:
        return news
    older, newer = (news, known) if news.at_ns < known.at_ns else (known, news)
    said = {name: value for name in _WORDS if (value := getattr(newer, name)) is not None}
    return replace(older, at_ns=newer.at_ns, **said)


def says_more(known: MarketFact | None, folded: MarketFact) -> bool:
    """True where the fold says anything that was not known; when it was said is no matter."""
    return known is None or any(getattr(known, w) != getattr(folded, w) for w in _WORDS)
