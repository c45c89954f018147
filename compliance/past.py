"""What a new book is told of the past, so that it knows what the one before it knew."""

from __future__ import annotations

from msgspec import Struct

from compliance.exposure import Book
from compliance.losses import LossMeter
from domain.equity import EquityHistory
from domain.history import AccountHistory


class Past(Struct, frozen=True, kw_only=True):
    """The router's folds, by account: how it traded, and how its equity went."""

    histories: tuple[AccountHistory, ...] = ()
    equities: tuple[EquityHistory, ...] = ()


NOTHING_PAST = Past()


def remember(book: Book, past: Past) -> None:
    """Losses go on from where they were, and what was sold short today has used its locates."""
    for equity in past.equities:
        account = book.accounts.get(equity.account)
        if account is not None:
            account.losses = LossMeter(equity)
    for history in past.histories:
        account = book.accounts.get(history.account)
        if account is None:
            continue
        for execution in history.executions:
            if execution.is_short:
                account.activity.sold_short(
                    execution.instrument, execution.quantity, execution.at_ns
                )
