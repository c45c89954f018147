"""Legacy pattern day trading: under 25,000 no position may be opened that could make the pattern.

Judged where a position is opened, for an exit must stay free: what is open of today's, what
still may open, and this order could all become day trades. An account that is a pattern day
trader already may open nothing while it is below the minimum.
"""

from __future__ import annotations

from compliance.finra_4210 import CONFIRMED_ON, LEGACY_CITATION, PATTERN, PHASE_IN_TO, DayTrading
from compliance.magnitude import plain
from compliance.rule import Check, Context, RuleCard
from compliance.settings import ComplianceSettings
from compliance.standing import is_pattern, may_day_trade
from compliance.trading import Trading
from compliance.trading_checks import Facts, gather
from compliance.trading_terms import SECURITIES
from domain.accounts import AccountType
from domain.orders import NewOrder
from domain.screening import Violation

CARD = RuleCard(
    id="legacy_pdt",
    citation=f"{LEGACY_CITATION}(ii), (iv); in phase-in until {PHASE_IN_TO}",
    jurisdiction="US",
    account_types=frozenset({AccountType.MARGIN}),
    asset_classes=SECURITIES,
    effective_from=PATTERN[0].effective_from,
    effective_to=PHASE_IN_TO,
    confirmed_on=CONFIRMED_ON,
    opens_only=True,
)


def legacy_pdt(settings: ComplianceSettings) -> Check:
    """Refuses an opening order that could become the day trade too many, below the minimum."""
    collar = settings.collar_percent

    def check(order: NewOrder, context: Context) -> Violation | None:
        facts = gather(CARD, order, context, collar)
        if isinstance(facts, Violation):
            return facts
        table = facts.trading.terms.pattern
        close = facts.trading.prior_close
        # What came in today was not there "beforehand".
        equity = facts.equity if close is None else min(facts.equity, close.equity)
        if may_day_trade(equity, table):
            return None
        count, trades = _could_be(facts.trading, context)
        if not facts.trading.is_designated and not is_pattern(count, trades, table):
            return None
        return _refuse(context, facts, count)

    return check


def _could_be(trading: Trading, context: Context) -> tuple[int, int]:
    """Day trades in the window if all that is open today were closed today, and trades in all.

    A day trade's two sides are taken as one trade, which makes the fewest of all.
    """
    terms, days = trading.terms, trading.day_trades
    counted = days.in_window(terms.today, terms.pattern.window_days)
    done = counted.by(terms.method)
    resting = trading.margin.opening_symbols
    symbols = len(days.open_symbols | resting | {context.instrument.symbol})
    orders = days.untouched + len(resting - {context.instrument.symbol}) + 1
    return done + max(symbols, orders), max(counted.orders - done, 0)


def _refuse(context: Context, facts: Facts, count: int) -> Violation:
    trading = facts.trading
    table, terms = trading.terms.pattern, trading.terms
    counted = trading.day_trades.in_window(terms.today, table.window_days)
    least = plain(table.equity_min)
    ways = [f"the same order with equity of {least} since the last close"]
    if terms.mode is DayTrading.BOTH:
        name = context.account.account
        ways.append(
            "or, once the broker confirms that the account has moved to intraday margin, "
            f'compliance.regimes.{name} = "us_stocks_intraday"'
        )
    return Violation(
        code="pattern_day_trader" if trading.is_designated else "pattern_day_trade",
        rule=CARD.id,
        citation=CARD.citation,
        message=f"could become day trade {count} within {table.window_days} business days, "
        f"below equity of {least}",
        numbers={
            "equity": plain(facts.equity),
            "equity_min": least,
            "day_trades": str(counted.by(terms.method)),
            "day_trades_possible": str(count),
            "trades": str(counted.orders),
            "phase_in_to": PHASE_IN_TO.isoformat(),
        },
        would_pass=", ".join(ways),
    )
