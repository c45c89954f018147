"""What the simulated Alpaca tells without changing anything: account, orders, history, hours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

from brokers.simulators.alpaca_replies import Call, Reply, bounded, invalid, not_found, ok
from brokers.simulators.alpaca_views import AlpacaViews, View, asset_view, exchange_of
from brokers.simulators.alpaca_words import asset_id, execution_ids, in_new_york, order_ids
from brokers.simulators.book import Account, Listing, Order
from brokers.simulators.market_hours import NS, UTC
from brokers.simulators.netting_engine import NetEngine
from brokers.simulators.netting_groups import has_exits
from brokers.simulators.words import EXITS

ORDERS_DEFAULT, ORDERS_MAX = 50, 500
PAGE_MAX = 100
CASH_TYPES = ("CSD", "CSW")
STATUSES = ("open", "closed", "all")


class AlpacaReads:
    """Answers the reading paths."""

    def __init__(self, engine: NetEngine, views: AlpacaViews) -> None:
        self._engine = engine
        self._views = views
        self._by_name: dict[str, Listing] = {}
        for listing in engine.listings.values():
            for name in (listing.symbol, listing.symbol.replace("/", ""), asset_id(listing.symbol)):
                self._by_name[name] = listing
        self.routes: dict[tuple[str, ...], dict[str, Callable[[Call], Reply]]] = {
            ("account",): {"GET": self._account},
            ("account", "activities"): {"GET": self._activities},
            ("account", "activities", "*"): {"GET": self._activities},
            ("account", "portfolio", "history"): {"GET": self._history},
            ("orders:by_client_order_id",): {"GET": self._by_client_id},
            ("assets",): {"GET": self._assets},
            ("assets", "*"): {"GET": self._asset},
            ("clock",): {"GET": self._clock},
            ("calendar",): {"GET": self._calendar},
        }

    def find_listing(self, name: str) -> Listing | None:
        """By symbol, with or without its stroke, or by asset id."""
        return self._by_name.get(name) or self._by_name.get(name.lower())

    # -- account

    def _account(self, call: Call) -> Reply:
        return ok(self._views.account(call.account))

    def configurations(self, call: Call) -> Reply:
        """What the client has configured."""
        return ok(configuration(call.account))

    def _history(self, call: Call) -> Reply:
        """Two points: the account's beginning, and now."""
        account = call.account
        start, now = account.settings.balance, self._engine.purse.funds(account).equity
        gain = now - start
        points = [
            (account.created_ns // NS, start, 0.0, 0.0),
            (
                self._engine.clocks.now_ns() // NS,
                now,
                float(gain),
                float(gain / start) if start else 0.0,
            ),
        ]
        return ok(
            {
                "timestamp": [x[0] for x in points],
                "equity": [float(x[1]) for x in points],
                "profit_loss": [x[2] for x in points],
                "profit_loss_pct": [x[3] for x in points],
                "base_value": float(start),
                "timeframe": "1D",
            }
        )

    def _activities(self, call: Call) -> Reply:
        wanted, account = call.parameters(), call.account
        size = bounded(wanted.get("page_size"), PAGE_MAX, PAGE_MAX, "page_size")
        types = _types(call.spec or wanted.get("activity_types", ""))
        is_newest_first = _direction(wanted) == "desc"
        token = wanted.get("page_token")
        mark = 0 if token is None else execution_ids(account).number(token.rpartition("::")[2])
        if token is not None and not mark:
            raise invalid("invalid page_token")
        since_ns, until_ns = _window(wanted)
        rows: list[View] = []
        facts = account.facts.values()
        for fact in reversed(facts) if is_newest_first else facts:
            if mark and (fact.id >= mark if is_newest_first else fact.id <= mark):
                continue
            view = self._views.activity(account, fact) if since_ns < fact.at_ns < until_ns else None
            if view is None or (types and view["activity_type"] not in types):
                continue
            rows.append(view)
            if len(rows) == size:
                break
        return ok(rows)

    # -- orders

    def order(self, call: Call) -> Reply:
        """One order."""
        order = call.account.order(order_ids(call.account).number(call.spec))
        if order is None:
            raise not_found(f"order not found for {call.spec[:40]}")
        return ok(self._views.order(call.account, order, call.flag("nested")))

    def _by_client_id(self, call: Call) -> Reply:
        name = call.parameters().get("client_order_id", "")
        named = call.account.by_client_id.get(name)
        order = call.account.order(named[-1]) if named else None
        if order is None:
            raise not_found(f"order not found for {name[:128]}")
        return ok(self._views.order(call.account, order, nested=True))

    def orders(self, call: Call) -> Reply:
        """The orders that match every filter, newest first unless asked otherwise."""
        wanted, account = call.parameters(), call.account
        limit = bounded(wanted.get("limit"), ORDERS_DEFAULT, ORDERS_MAX, "limit")
        is_nested = call.flag("nested")
        found = sorted(self._matching(account, wanted), key=lambda x: x.id)
        if is_nested:
            found = [x for x in found if _is_top(x)]
        if _direction(wanted) == "desc":
            found.reverse()
        return ok([self._views.order(account, x, is_nested) for x in found[:limit]])

    def _matching(self, account: Account, wanted: dict[str, str]) -> Iterator[Order]:
        status = wanted.get("status", "open")
        if status not in STATUSES:
            raise invalid(f"invalid status: {status[:40]!r}")
        symbols = {x.symbol for x in self._named(wanted.get("symbols", ""))}
        classes = {x for x in wanted.get("asset_class", "").split(",") if x and x != "all"}
        side, ids = wanted.get("side"), order_ids(account)
        since_ns, until_ns = _window(wanted)
        before = ids.number(wanted["before_order_id"]) if "before_order_id" in wanted else None
        after = ids.number(wanted.get("after_order_id", ""))
        kept = [] if status == "open" else list(account.done.values())
        if status != "closed":
            kept += account.working.values()
        for order in kept:
            terms = order.terms
            if wanted.get("symbols") and terms.instrument not in symbols:
                continue
            if classes and self._engine.listings[terms.instrument].kind not in classes:
                continue
            if side and side != ("buy" if terms.units > 0 else "sell"):
                continue
            if not since_ns < order.created_ns < until_ns:
                continue
            if order.id > after and (before is None or order.id < before):
                yield order

    def _named(self, words: str) -> list[Listing]:
        found = [self.find_listing(x) for x in words.split(",") if x]
        return [x for x in found if x is not None]

    # -- positions

    def positions(self, call: Call) -> Reply:
        """Every open position."""
        account = call.account
        held = [x for x in account.positions.values() if x.net]
        return ok([self._views.position(account, x) for x in held])

    def position(self, call: Call) -> Reply:
        """One open position."""
        listing = self.find_listing(call.spec)
        held = call.account.positions.get(listing.symbol) if listing is not None else None
        if held is None or not held.net:
            raise not_found("position does not exist")
        return ok(self._views.position(call.account, held))

    # -- assets and hours

    def _assets(self, call: Call) -> Reply:
        wanted = call.parameters()
        kind, status = wanted.get("asset_class", "us_equity"), wanted.get("status", "active")
        exchange = wanted.get("exchange")
        rows = [
            asset_view(x)
            for x in self._engine.listings.values()
            if x.kind == kind and exchange in (None, exchange_of(x))
        ]
        return ok(rows if status in ("active", "all") else [])

    def _asset(self, call: Call) -> Reply:
        listing = self.find_listing(call.spec)
        if listing is None:
            raise not_found(f"asset not found for {call.spec[:40]}")
        return ok(asset_view(listing))

    def _clock(self, call: Call) -> Reply:
        hours, market_ns = self._engine.hours, self._engine.clocks.market_ns()
        return ok(
            {
                "timestamp": in_new_york(market_ns),
                "is_open": hours.is_open(market_ns),
                "next_open": in_new_york(hours.next_open_ns(market_ns)),
                "next_close": in_new_york(hours.next_close_ns(market_ns)),
            }
        )

    def _calendar(self, call: Call) -> Reply:
        # The exchange's own calendar, whatever hours the simulator keeps.
        from brokers.simulators.market_hours_nyse import LATE_NS, clock_time, nyse

        wanted = call.parameters()
        start = _day(wanted.get("start"), date(1970, 1, 1))
        end = _day(wanted.get("end"), date(2100, 1, 1))
        later = nyse().sessions(start, date(2100, 1, 1))
        rows: list[View] = []
        for session, following in pairwise(later):
            if session.day > end:
                break
            rows.append(
                {
                    "date": session.day.isoformat(),
                    "open": clock_time(session.open_ns),
                    "close": clock_time(session.close_ns),
                    "session_open": "0400",
                    "session_close": clock_time(session.close_ns + LATE_NS).replace(":", ""),
                    "settlement_date": following.day.isoformat(),
                }
            )
        return ok(rows)


def configuration(account: Account) -> View:
    """The account's configuration. What day trading rules once needed is gone."""
    view: dict[str, Any] = {
        "disable_overnight_trading": False,
        "fractional_trading": True,
        "max_margin_multiplier": str(account.settings.multiplier),
        "max_options_trading_level": 0,
        "no_shorting": False,
        "ptp_no_exception_entry": False,
        "suspend_trade": False,
        "trade_confirm_email": "all",
    }
    return {**view, **account.options}


def _is_top(order: Order) -> bool:
    """True for an order that hangs on no other, as long as it was one."""
    return has_exits(order) or order.terms.role not in EXITS


def _types(words: str) -> set[str]:
    types = {x.strip().upper() for x in words.split(",") if x.strip()}
    return types | set(CASH_TYPES) if "TRANS" in types else types


def _direction(wanted: dict[str, str]) -> str:
    direction = wanted.get("direction", "desc")
    if direction not in ("asc", "desc"):
        raise invalid(f"invalid direction: {direction[:40]!r}")
    return direction


def _window(wanted: dict[str, str]) -> tuple[int, int]:
    """Both ends, excluded."""
    since_ns = time_ns(wanted["after"], "after") if "after" in wanted else -1
    until_ns = time_ns(wanted["until"], "until") if "until" in wanted else 1 << 63
    if "date" in wanted:
        start_ns = time_ns(wanted["date"][:10], "date")
        since_ns, until_ns = start_ns - 1, start_ns + 86_400 * NS
    return since_ns, until_ns


def time_ns(word: str, name: str) -> int:
    """A day or a time, ns UTC. Refuses what is neither."""
    try:
        # A plus sign in a query that was not quoted has become a blank.
        found = datetime.fromisoformat(word.replace(" ", "+"))
    except ValueError:
        raise invalid(f"invalid {name}: {word[:40]!r}") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    whole = (found - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return whole * 1000 + _last_three(word)


def _last_three(word: str) -> int:
    """The digits of a fraction that datetime does not keep."""
    fraction = word.rpartition(".")[2] if "." in word else ""
    digits = "".join(x for x in fraction.split("+")[0].rstrip("Z") if x.isdigit())
    return int(digits[6:9].ljust(3, "0")) if len(digits) > 6 else 0


def _day(word: str | None, default: date) -> date:
    return default if word is None else date.fromtimestamp(time_ns(word[:10], "date") / NS)
