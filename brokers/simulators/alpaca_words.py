"""Alpaca's words for the engine's, and how it writes ids, numbers and times. Tables, complete.

Words and shapes are those of the published trading API (specs/alpaca/trading-api.json).
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache, lru_cache
from uuid import NAMESPACE_DNS, UUID, uuid5

from brokers.simulators.book import Account, Order
from brokers.simulators.market_hours import NEW_YORK, NS, UTC
from brokers.simulators.words import GUARDS, Kind, Life, Stage, State, Why

ORDER_TYPE = {
    Kind.MARKET: "market",
    Kind.LIMIT: "limit",
    Kind.STOP: "stop",
    Kind.STOP_LIMIT: "stop_limit",
    Kind.TRAIL: "trailing_stop",
}
assert ORDER_TYPE.keys() == set(Kind) - {Kind.IF_TOUCHED, *GUARDS}
KINDS = {word: kind for kind, word in ORDER_TYPE.items()}

TIME_IN_FORCE = {
    Life.DAY: "day",
    Life.GTC: "gtc",
    Life.OPENING: "opg",
    Life.CLOSING: "cls",
    Life.IOC: "ioc",
    Life.FOK: "fok",
}
assert TIME_IN_FORCE.keys() == set(Life) - {Life.GTD}
LIVES = {word: life for life, word in TIME_IN_FORCE.items()}

STATUS = {
    Stage.ROUTED: "new",
    Stage.QUEUED: "accepted",
    Stage.HELD: "held",
    Stage.ARMED: "held",
    Stage.PENDING: "pending_new",
    Stage.PENDING_CANCEL: "pending_cancel",
    Stage.PENDING_REPLACE: "pending_replace",
    Stage.DONE_FOR_DAY: "done_for_day",
}
assert STATUS.keys() == set(Stage)

ENDED = {
    Why.REQUESTED: "canceled",
    Why.LIQUIDITY: "canceled",
    Why.GROUP_ENDED: "canceled",
    Why.AUCTION_OVER: "canceled",
    Why.EXPIRED: "expired",
    Why.REPLACED: "replaced",
    Why.MARGIN: "rejected",
    Why.REPLACE_REJECTED: "rejected",
}
"""Every reason a netting book ends an order for."""

END_REFUSED = {
    Why.ORDER_UNKNOWN: "order_cancel_rejected",
    Why.REPLACE_REJECTED: "order_replace_rejected",
}
PLACES = Decimal("1E-9")
MONEY = Decimal("0.01")


def status_of(order: Order) -> str:
    """The status an order is told with."""
    if order.state is State.FILLED:
        return "filled"
    if order.state is State.CANCELED:
        assert order.why is not None
        return ENDED[order.why]
    if order.stage is Stage.ROUTED and order.filled:
        return "partially_filled"
    return STATUS[order.stage]


def event_of(order: Order) -> str:
    """The event that brought a working or ended order where it is."""
    status = status_of(order)
    return "new" if status == "partially_filled" else status


def text(number: Decimal) -> str:
    """A number as Alpaca writes it: no exponent, no zeros behind."""
    plain = f"{number:f}"
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain in ("-0", "") else plain


def optional(number: Decimal | None) -> str | None:
    """A number, or null."""
    return None if number is None else text(number)


def money(amount: Decimal) -> str:
    """Dollars and cents."""
    return text(amount.quantize(MONEY, ROUND_HALF_EVEN))


def rounded(number: Decimal) -> str:
    """A ratio or an average, to nine places."""
    return text(number.quantize(PLACES, ROUND_HALF_EVEN))


def rfc3339(at_ns: int) -> str:
    """UTC with nine places."""
    seconds, rest = divmod(at_ns, NS)
    return f"{_second(seconds)}.{rest:09}Z"


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def optional_time(at_ns: int | None) -> str | None:
    """A time, or null."""
    return None if at_ns is None else rfc3339(at_ns)


def in_new_york(at_ns: int) -> str:
    """Exchange time, as the clock is told."""
    return datetime.fromtimestamp(at_ns / NS, UTC).astimezone(NEW_YORK).isoformat()


@cache
def asset_id(symbol: str) -> str:
    """The UUID of an asset: the same for ever."""
    return str(uuid5(NAMESPACE_DNS, symbol))


def account_uuid(account: Account) -> str:
    """The UUID of an account."""
    return str(uuid5(NAMESPACE_DNS, f"account {account.id}"))


class Ids:
    """UUIDs that hold a number of one account's: no table is needed to find it again."""

    def __init__(self, told: str) -> None:
        front = bytearray(hashlib.sha256(told.encode()).digest()[:8])
        front[6] = 0x40 | front[6] & 0x0F
        self._front = bytes(front)
        word = self._front.hex()
        self._word = f"{word[:8]}-{word[8:12]}-{word[12:]}"

    def of(self, number: int) -> str:
        """The UUID of a number."""
        word = f"{1 << 63 | number:016x}"
        return f"{self._word}-{word[:4]}-{word[4:]}"

    def number(self, wanted: str) -> int:
        """The number in a UUID; 0, which names nothing, for one that is not ours."""
        try:
            found = UUID(wanted).bytes
        except ValueError:
            return 0
        return int.from_bytes(found[8:]) & ~(1 << 63) if found[:8] == self._front else 0


def order_ids(account: Account) -> Ids:
    """The ids of the account's orders."""
    return _ids(f"{account.id} {account.created_ns} order")


def execution_ids(account: Account) -> Ids:
    """The ids of what happened to them."""
    return _ids(f"{account.id} {account.created_ns} execution")


@lru_cache(maxsize=1024)
def _ids(told: str) -> Ids:
    return Ids(told)
