"""Retail protection beside leverage: the close-out of an account, debt, and incentives."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from msgspec import Struct

from compliance.editions import in_force
from compliance.ladders import LADDERS, Ladder
from compliance.limits import ClientCategory
from domain.portfolio import ZERO

_TWO = Decimal(2)


class CloseOut(Struct, frozen=True, kw_only=True):
    """What an account's funds call for: its open contracts are closed, all of it is one account."""

    account: str
    funds: Decimal
    required: Decimal
    citation: str


class Debt(Struct, frozen=True, kw_only=True):
    """A balance below zero that the client does not owe."""

    account: str
    written_off: Decimal
    citation: str


def find_close_out(
    series: str, account: str, funds: Decimal, required: Decimal, today: date
) -> CloseOut | None:
    """At half the margin of all open contracts: below it, or at it too, as the regulator says.

    `funds` are the account's money with all unrealized results, `required` the sum of its
    initial margins. Per account, never per position.
    """
    ladder, citation = _ladder(series, today)
    is_short = funds * _TWO < required
    is_half = ladder.includes_half and funds * _TWO == required and required > ZERO
    if not is_short and not is_half:
        return None
    return CloseOut(account=account, funds=funds, required=required, citation=citation)


def find_debt(
    series: str, account: str, balance: Decimal, category: ClientCategory, today: date
) -> Debt | None:
    """What of a negative balance is written off: the client is never asked for more."""
    ladder, citation = _ladder(series, today)
    protected = ladder.protects_from_debt and category not in ladder.exempt
    if balance >= ZERO or not protected:
        return None
    return Debt(account=account, written_off=-balance, citation=citation)


def may_set_off(series: str, category: ClientCategory, today: date) -> bool:
    """False where a debt of one account may not be taken from the client's other money."""
    ladder, _ = _ladder(series, today)
    return not (ladder.protects_from_debt and category not in ladder.exempt)


def may_offer_incentive(series: str, category: ClientCategory, today: date) -> bool:
    """False where a bonus or other benefit for trading may not be offered."""
    ladder, _ = _ladder(series, today)
    return not (ladder.bans_incentives and category not in ladder.exempt)


def _ladder(series: str, today: date) -> tuple[Ladder, str]:
    editions = LADDERS[series]
    edition = in_force(editions, today) or editions[-1]
    return edition.values, edition.citation
