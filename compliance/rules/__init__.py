"""Every rule by its id. A rule file that is not listed here does not exist (tests check it)."""

from __future__ import annotations

from compliance.rule import Rule
from compliance.rules import (
    cross_account_offset,
    duplicate_guard,
    halt,
    max_notional,
    max_quantity,
    oanda_unique_size,
    pending_unique_size,
    price_collar,
    restricted_list,
    unknown_outcome,
    us_fx_fifo,
    us_fx_leverage,
    us_fx_leverage_simple,
)

RULES: dict[str, Rule] = {
    rule.card.id: rule
    for rule in (
        Rule(card=halt.CARD, make=halt.halt),
        Rule(card=restricted_list.CARD, make=restricted_list.restricted_list),
        Rule(card=duplicate_guard.CARD, make=duplicate_guard.duplicate_guard),
        Rule(card=max_quantity.CARD, make=max_quantity.max_quantity),
        Rule(card=max_notional.CARD, make=max_notional.max_notional),
        Rule(card=price_collar.CARD, make=price_collar.price_collar),
        Rule(card=unknown_outcome.CARD, make=unknown_outcome.unknown_outcome),
        Rule(card=us_fx_leverage.CARD, make=us_fx_leverage.us_fx_leverage),
        Rule(card=us_fx_leverage_simple.CARD, make=us_fx_leverage_simple.us_fx_leverage_simple),
        Rule(card=us_fx_fifo.CARD, make=us_fx_fifo.us_fx_fifo),
        Rule(card=oanda_unique_size.CARD, make=oanda_unique_size.oanda_unique_size),
        Rule(card=pending_unique_size.CARD, make=pending_unique_size.pending_unique_size),
        Rule(card=cross_account_offset.CARD, make=cross_account_offset.cross_account_offset),
    )
}
"""In check order (COMPLIANCE.md 7): session and kill, restricted, duplicate, size, value, price,
uncertainty, margin, then the regime's own; warnings last."""
