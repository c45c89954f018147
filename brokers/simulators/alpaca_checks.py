"""What the simulated Alpaca refuses because of the account or the market: money, shares, hours."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from brokers.simulators.alpaca_listings import is_crypto
from brokers.simulators.alpaca_orders import PENNY
from brokers.simulators.alpaca_replies import forbidden, invalid, unprocessable
from brokers.simulators.alpaca_words import money, order_ids, text
from brokers.simulators.book import Account, Listing, Order
from brokers.simulators.market_hours import NEW_YORK, NS, UTC
from brokers.simulators.netting_engine import NetEngine
from brokers.simulators.netting_money import MARGIN_EQUITY_MIN, held_units
from brokers.simulators.terms import ZERO, Terms
from brokers.simulators.words import Kind, Life

COINS_COST_MIN, SHARES_COST_MIN = Decimal(10), Decimal(1)
EVENING = 19
OPENING_CUT, CLOSING_CUT = (9, 28), (15, 50)
WASH = "potential wash trade detected. use complex orders"


class AccountChecks:
    """Refuses orders that the account, as it stands, may not place."""

    def __init__(self, engine: NetEngine, wash_trades: bool) -> None:
        self._engine = engine
        self._wash_trades = wash_trades

    def check(self, account: Account, terms: Terms, old: Order | None = None) -> None:
        """Refuses the order; `old` is the one it is to replace, whose claims are free again."""
        listing = self._engine.listings[terms.instrument]
        self._check_permission(account, terms, listing)
        self._check_hours(terms, listing)
        name = terms.client_id
        if name is not None and self._engine.is_taken(account, name):
            raise invalid("client_order_id must be unique")
        if len(account.working) >= self._engine.settings.orders_max:
            raise forbidden(f"at most {self._engine.settings.orders_max} open orders")
        if old is None:
            self._check_market(terms)
            self._check_wash(account, terms)
        held = account.position(terms.instrument).net
        if held and (held > 0) != (terms.units > 0):
            self._check_units(account, terms, held, old)
        else:
            self._check_opening(account, terms, listing, old)

    def _check_permission(self, account: Account, terms: Terms, listing: Listing) -> None:
        if account.options.get("suspend_trade"):
            raise forbidden("new orders are rejected by user request")
        if not listing.tradeable:
            raise unprocessable(f'asset "{listing.symbol}" is not tradable')
        is_fraction = terms.notional is not None or terms.units % 1
        is_barred = account.options.get("fractional_trading") is False
        if is_fraction and is_barred and not is_crypto(listing):
            raise forbidden("account is not allowed to trade fractional shares")

    def _check_hours(self, terms: Terms, listing: Listing) -> None:
        """Auction orders come in before their cut-off, and from the evening on for the next."""
        engine = self._engine
        if terms.life not in (Life.OPENING, Life.CLOSING) or engine.settings.hours == "always":
            return
        market_ns = engine.clocks.market_ns()
        here = datetime.fromtimestamp(market_ns // NS, UTC).astimezone(NEW_YORK)
        cut = OPENING_CUT if terms.life is Life.OPENING else CLOSING_CUT
        is_trading_day = engine.hours.day_end_ns(market_ns) - market_ns < 24 * 3600 * NS
        if is_trading_day and cut <= (here.hour, here.minute) and here.hour < EVENING:
            word = "opg" if terms.life is Life.OPENING else "cls"
            raise unprocessable(
                f"{word} orders are not accepted from {cut[0]}:{cut[1]} until {EVENING}:00 ET"
            )

    def _check_market(self, terms: Terms) -> None:
        """Stops must be on the far side of the market, and a group's around its base price."""
        quote = self._engine.quotes.get(terms.instrument)
        if quote is None:
            raise unprocessable(f"no price of {terms.instrument} is known yet")
        price = quote.mid
        if terms.kind in (Kind.STOP, Kind.STOP_LIMIT):
            assert terms.price is not None
            more = {"market_price": text(price), "stop_price": text(terms.price)}
            if terms.units < 0 and terms.price >= price:
                raise unprocessable("stop price must be less than current price", **more)
            if terms.units > 0 and terms.price <= price:
                raise unprocessable("stop price must be greater than current price", **more)
        stop = terms.stop_loss
        if stop is None or stop.price is None:
            return
        base = terms.price if terms.kind is Kind.LIMIT and terms.price is not None else price
        leaves_long = (terms.units > 0) is (terms.style != "oco")
        more = {"base_price": text(base)}
        if leaves_long and stop.price > base - PENNY:
            raise unprocessable("stop_loss.stop_price must be <= base_price - 0.01", **more)
        if not leaves_long and stop.price < base + PENNY:
            raise unprocessable("stop_loss.stop_price must be >= base_price + 0.01", **more)

    def _check_wash(self, account: Account, terms: Terms) -> None:
        """An order may not meet one of the same account's."""
        if self._wash_trades or terms.style != "simple":
            return
        for order in account.by_instrument.get(terms.instrument, {}).values():
            other = order.terms
            if (other.units > 0) is (terms.units > 0) or other.style != "simple":
                continue
            if not _may_meet(terms, other):
                continue
            kind = "limit" if other.kind is Kind.LIMIT else "market/stop"
            raise forbidden(
                WASH,
                existing_order_id=order_ids(account).of(order.id),
                reject_reason=f"opposite side {kind} order exists",
            )

    def _check_units(
        self, account: Account, terms: Terms, held: Decimal, old: Order | None
    ) -> None:
        """A closing order may not ask for more than is held and not yet promised."""
        symbol = terms.instrument
        claimed = held_units(account, symbol, terms.units < 0, old)
        available = max(ZERO, abs(held) - claimed)
        wanted = abs(terms.units - self._carried(old))
        if terms.notional is not None:
            price = self._engine.purse.price(symbol)
            wanted = terms.notional / price if price else available + 1
        if wanted <= available:
            return
        listing = self._engine.listings[symbol]
        if is_crypto(listing):
            asked = f"(requested: {text(wanted)}, available: {text(available)})"
            raise forbidden(
                f"insufficient balance for {listing.base} {asked}",
                available=text(available),
                balance=text(abs(held)),
                symbol=listing.base,
            )
        asked = f"(requested: {text(wanted)}, available: {text(available)})"
        raise forbidden(
            f"insufficient qty available for order {asked}",
            available=text(available),
            existing_qty=text(abs(held)),
            held_for_orders=text(claimed),
            symbol=symbol,
        )

    def _check_opening(
        self, account: Account, terms: Terms, listing: Listing, old: Order | None
    ) -> None:
        if terms.style == "oco":
            raise unprocessable("oco orders must be exit orders")
        if terms.units < 0:
            self._check_short(account, terms, listing)
        purse = self._engine.purse
        cost = purse.opening_cost(account, terms, terms.units - self._carried(old))
        least = COINS_COST_MIN if is_crypto(listing) else SHARES_COST_MIN
        if old is None and cost < least:
            raise forbidden(f"cost basis must be >= minimal amount of order {least}")
        if old is not None:
            # Between the two, the larger one holds buying power.
            cost = max(cost, purse.opening_cost(account, old.terms, old.leaves))
        funds = purse.funds(account, without=old)
        if is_crypto(listing):
            if cost > funds.cash_power:
                asked = f"(requested: {money(cost)}, available: {money(funds.cash_power)})"
                raise forbidden(
                    f"insufficient balance for USD {asked}",
                    available=money(funds.cash_power),
                    balance=money(funds.cash),
                    symbol="USD",
                )
        elif cost > funds.buying_power:
            raise forbidden(
                "insufficient buying power",
                buying_power=money(funds.buying_power),
                cost_basis=money(cost),
            )

    def _carried(self, old: Order | None) -> Decimal:
        """What a replacement need not do any more."""
        is_counted = old is not None and self._engine.settings.chain_quantities
        return old.filled if old is not None and is_counted else ZERO

    def _check_short(self, account: Account, terms: Terms, listing: Listing) -> None:
        if is_crypto(listing):
            asked = f"(requested: {text(abs(terms.units))}, available: 0)"
            raise forbidden(
                f"insufficient balance for {listing.base} {asked}",
                available="0",
                balance="0",
                symbol=listing.base,
            )
        if terms.notional is not None or terms.units % 1:
            raise unprocessable("fractional orders cannot be sold short")
        if not may_short(self._engine, account):
            raise forbidden("account is not allowed to short")


def _may_meet(terms: Terms, other: Terms) -> bool:
    """True unless both are limits that stand apart."""
    if terms.kind is not Kind.LIMIT or other.kind is not Kind.LIMIT:
        return True
    buy, sale = (terms, other) if terms.units > 0 else (other, terms)
    assert buy.price is not None
    assert sale.price is not None
    return buy.price >= sale.price


def may_short(engine: NetEngine, account: Account) -> bool:
    """True for a margin account with enough of its own, which has not switched it off."""
    if account.settings.multiplier == 1 or account.options.get("no_shorting"):
        return False
    return engine.purse.funds(account).equity >= MARGIN_EQUITY_MIN


def intent(account: Account, terms: Terms) -> str:
    """Whether an order opens or closes, as Alpaca words it."""
    held = account.position(terms.instrument).net
    side = "buy" if terms.units > 0 else "sell"
    is_closing = bool(held) and (held > 0) != (terms.units > 0)
    if terms.style == "oco":
        is_closing = True
    return f"{side}_to_{'close' if is_closing else 'open'}"


def with_intent(account: Account, terms: Terms) -> Terms:
    """The terms, with what they do to the position pinned to them."""
    return replace(terms, asked=intent(account, terms))
