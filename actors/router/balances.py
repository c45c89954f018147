"""What an account's money is news of: reading it twice must not write it down twice."""

from __future__ import annotations

from msgspec.structs import replace

from domain.accounts import AccountSnapshot
from domain.streams import BalancesUpdate
from ledger.projection import Books

TOLD_AGAIN_NS = 3_600_000_000_000
"""The newest balances of a day stand for its close, and every day begins with an hour."""


def find_news(books: Books, snapshot: AccountSnapshot, now_ns: int) -> BalancesUpdate | None:
    """The account's balances, or None where the stream said the same within this hour."""
    update = BalancesUpdate(balances=snapshot.balances)
    name = snapshot.account.account
    known = books.accounts.get(name)
    if name in books.held:
        return update  # that it was looked at, and agrees, ends its hold
    if known is None or replace(known, last_sync_ns=None) != replace(
        snapshot.account, last_sync_ns=None
    ):
        return update
    for told in reversed(books.tails.get(f"account/{name}", ())):
        if not isinstance(told.body, BalancesUpdate):
            continue
        before = replace(told.body.balances, broker_ns=snapshot.balances.broker_ns)
        is_same_hour = told.at_ns // TOLD_AGAIN_NS == now_ns // TOLD_AGAIN_NS
        return None if before == snapshot.balances and is_same_hour else update
    return update
