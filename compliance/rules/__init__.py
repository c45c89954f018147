"""Every rule by its id. A rule file that is not listed here does not exist (tests check it)."""

from __future__ import annotations

from compliance.rule import Rule
from compliance.rules import (
    cash_funds,
    cash_settlement,
    cross_account_offset,
    day_trading_buying_power,
    duplicate_guard,
    early_sale_warning,
    halt,
    intraday_freeze,
    intraday_margin,
    legacy_pdt,
    margin_minimum,
    max_notional,
    max_quantity,
    oanda_unique_size,
    pending_unique_size,
    portfolio_margin,
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
        Rule(card=legacy_pdt.CARD, make=legacy_pdt.legacy_pdt),
        Rule(
            card=day_trading_buying_power.CARD,
            make=day_trading_buying_power.day_trading_buying_power,
        ),
        Rule(card=margin_minimum.CARD, make=margin_minimum.margin_minimum),
        Rule(card=intraday_freeze.CARD, make=intraday_freeze.intraday_freeze),
        Rule(card=intraday_margin.CARD, make=intraday_margin.intraday_margin),
        Rule(card=portfolio_margin.CARD, make=portfolio_margin.portfolio_margin),
        Rule(card=cash_funds.CARD, make=cash_funds.cash_funds),
        Rule(card=cash_settlement.CARD, make=cash_settlement.cash_settlement),
        Rule(card=us_fx_leverage.CARD, make=us_fx_leverage.us_fx_leverage),
        Rule(card=us_fx_leverage_simple.CARD, make=us_fx_leverage_simple.us_fx_leverage_simple),
        Rule(card=us_fx_fifo.CARD, make=us_fx_fifo.us_fx_fifo),
        Rule(card=oanda_unique_size.CARD, make=oanda_unique_size.oanda_unique_size),
        Rule(card=pending_unique_size.CARD, make=pending_unique_size.pending_unique_size),
        Rule(card=cross_account_offset.CARD, make=cross_account_offset.cross_account_offset),
        Rule(card=early_sale_warning.CARD, make=early_sale_warning.early_sale_warning),
    )
}
"""In check order (COMPLIANCE.md 7): session and kill, restricted, duplicate, size, value, price,
uncertainty, margin, then the regime's own; warnings last."""
