"""What every simulated broker has, however it keeps its books: accounts, quotes, hours, orders.

Every act (an order, a cancel, a quote that triggers) ends in numbered facts, told once and
in order. A venue is single-threaded and speaks no broker's words.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Literal

from msgspec import Struct, field

from brokers.simulators import facts as f
from brokers.simulators.book import Account, AccountSettings, Listing, Order, Quote
from brokers.simulators.bookkeeping import Bookkeeper, Clocks, Tell
from brokers.simulators.checks import Refusal
from brokers.simulators.listings import LISTINGS, PEGS
from brokers.simulators.market_hours import hours_named
from brokers.simulators.terms import ZERO, Terms
from brokers.simulators.words import Why


class EngineSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is traded and by which rules.

    `client_ids`: a client id may not be reused while its order works (`pending`, OANDA's
    documented rule), not while the order is remembered (`ever`), or at will (`off`).
    `financing_rate` is a yearly share of notional, charged at each roll of the day.
    `chain_quantities`: a netting book's replacement counts what its predecessor filled.
    """

    accounts: tuple[AccountSettings, ...] = (AccountSettings(id="101-001-1000001-001"),)
    listings: tuple[Listing, ...] = LISTINGS
    pegs: dict[str, str] = field(default_factory=lambda: dict(PEGS))
    hours: Literal["always", "forex", "nyse"] = "always"
    client_ids: Literal["pending", "ever", "off"] = "pending"
    orders_max: int = 1000
    kept_max: int = 100_000
    tick_sizes: bool = True
    financing_rate: Decimal = ZERO
    chain_quantities: bool = False


class Venue:
    """One simulated broker's accounts and market."""

    def __init__(
        self,
        settings: EngineSettings,
        clocks: Clocks,
        tell: Tell = lambda _account, _act: None,
        tell_quote: Callable[[Quote], None] = lambda _quote: None,
    ) -> None:
        self.settings = settings
        self.clocks = clocks
        self.client_ids = settings.client_ids
        self.listings = {x.symbol: x for x in settings.listings}
        self.quotes: dict[str, Quote] = {}
        self.accounts: dict[str, Account] = {}
        self.hours = hours_named(settings.hours)
        self.books = Bookkeeper(clocks, self.hours, settings.kept_max, tell)
        self._tell_quote = tell_quote
        for account in settings.accounts:
            self._open_account(account)

    def _open_account(self, settings: AccountSettings) -> None:
        books = self.books
        account = Account(settings=settings, created_ns=self.clocks.now_ns())
        account.alias, account.margin_rate = settings.alias, settings.margin_rate
        self.accounts[settings.id] = account
        books.begin_act(account)
        created = f.Created(
            id=books.number(account),
            batch=account.batch,
            at_ns=books.now_ns,
            currency=settings.currency,
        )
        books.add(account, created)
        account.balance = settings.balance
        funded = f.Funded(
            id=books.number(account),
            batch=account.batch,
            at_ns=books.now_ns,
            amount=settings.balance,
            balance=settings.balance,
        )
        books.add(account, funded)
        books.end_act(account)

    def is_open(self) -> bool:
        """True where the market executes orders now."""
        return self.hours.is_open(self.clocks.market_ns())

    # -- orders

    def is_taken(self, account: Account, client_id: str) -> bool:
        """True where the client id may not be used now."""
        if self.client_ids == "off":
            return False
        if self.client_ids == "ever" and client_id in account.names:
            return True
        named = account.by_client_id.get(client_id)
        if not named:
            return False
        return self.client_ids == "ever" or any(x in account.working for x in named)

    def refuse(
        self, account: Account, terms: Terms, refusal: Refusal, replaces: int | None = None
    ) -> None:
        """Writes down that an order was not taken."""
        self.books.add(
            account,
            f.Refused(
                id=self.books.number(account),
                batch=account.batch,
                at_ns=self.books.now_ns,
                terms=terms,
                why=refusal.why,
                part=refusal.part,
                replaces=replaces,
            ),
        )

    def find_order(self, account: Account, order_id: int | str) -> Order | None:
        """By number, or by client id: the working one, else the newest."""
        if isinstance(order_id, int):
            return account.order(order_id)
        named = account.by_client_id.get(order_id, ())
        working = [x for x in named if x in account.working]
        return account.order((working or named)[-1]) if named else None

    def end(self, account: Account, order: Order, why: Why) -> None:
        """Ends what is left of a working order, within the act under way."""
        self.books.cancel(account, order, why)

    # -- the market

    def take_quote(self, quote: Quote) -> bool:
        """Keeps and tells a new touch; False where nothing of that name is listed."""
        listing = self.listings.get(quote.instrument)
        if listing is None:
            return False
        self._limit_liquidity(quote, listing)
        self.quotes[quote.instrument] = quote
        self._tell_quote(quote)
        return True

    def _limit_liquidity(self, quote: Quote, listing: Listing) -> None:
        if not self.settings.tick_sizes:
            quote.bid_left = quote.ask_left = None
        if listing.liquidity is not None:
            quote.bid_left = listing.liquidity if quote.bid_left is None else quote.bid_left
            quote.ask_left = listing.liquidity if quote.ask_left is None else quote.ask_left

    def expire(self, account: Account) -> None:
        """Ends orders whose time is over."""
        now_ns = self.clocks.now_ns()
        if account.next_expiry_ns is None or now_ns < account.next_expiry_ns:
            return
        due = [x for x, at_ns in account.expiring.items() if at_ns <= now_ns]
        for order_id in due:
            # One that hangs on another may have ended with it.
            order = account.working.get(order_id)
            if order is None:
                continue
            self.books.begin_act(account)
            self.end(account, order, Why.EXPIRED)
            self.books.end_act(account)
        account.next_expiry_ns = min(account.expiring.values(), default=None)
