"""One hash of all that a book knows of positions, orders, credit and losses."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b

from msgspec.json import encode

from compliance.exposure import Book
from compliance.holding import AccountExposure, Holding, OpenOrder
from compliance.magnitude import plain
from domain.portfolio import ZERO

_BOTH = (1, -1)


def digest_of(book: Book) -> str:
    """Equal for books that answer alike, whichever way they came to what they know.

    What is valued at prices is left out: they are told anew.
    """
    return blake2b("\n".join(words_of(book)).encode(), digest_size=16).hexdigest()


def words_of(book: Book) -> list[str]:
    """The same, to be read."""
    return ["\x1f".join(words) for words in (*_orders(book), *_accounts(book))]


def _orders(book: Book) -> Iterator[tuple[str, ...]]:
    for order_id in sorted(book.orders):
        yield ("order", order_id, *_words_of(book.orders[order_id]))


def _words_of(order: OpenOrder) -> tuple[str, ...]:
    numbers = (order.reserved, order.filled, order.limit_price)
    flags = (order.only_reduces, order.is_immediate, order.is_short, order.is_unknown, order.rests)
    return (
        order.account,
        order.instrument,
        str(order.sign),
        *("" if number is None else plain(number) for number in numbers),
        "".join("1" if flag else "0" for flag in flags),
        order.closes_lot or "",
        order.tag or "",
    )


def _accounts(book: Book) -> Iterator[tuple[str, ...]]:
    for name in sorted(book.accounts):
        account = book.accounts[name]
        equity = "" if account.equity is None else plain(account.equity)
        yield ("account", name, equity, encode(account.losses.history).decode())
        for symbol in sorted(account.holdings):
            holding = account.holdings[symbol]
            if _is_used(holding):
                yield ("holding", name, symbol, *_held(account, holding))


def _is_used(holding: Holding) -> bool:
    under_way = (holding.opening[sign] or holding.reducing[sign] for sign in _BOTH)
    return bool(holding.quantity) or any(under_way)


def _held(account: AccountExposure, holding: Holding) -> Iterator[str]:
    yield plain(holding.quantity)
    for sums in (holding.opening, holding.resting, holding.reducing):
        yield from (plain(sums[sign]) for sign in _BOTH)
    yield plain(holding.shorting)
    yield plain(account.activity.shorted(holding.instrument, 0) or ZERO)
    yield from (f"{lot.lot_id} {plain(lot.quantity)}" for lot in holding.lots.lots)
