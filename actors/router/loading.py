"""The whole book as compliance is given it, and by which rules it then screens."""

from __future__ import annotations

from actors import messages as m
from actors.router.desk import Desk
from domain.accounts import AccountSnapshot
from domain.audit import Retention
from domain.instruments import Instrument
from domain.records import Ruled
from ledger.projection import Books


def load_book(desk: Desk) -> m.LoadBook:
    """Everything compliance is to know, as of now."""
    return m.LoadBook(
        epoch=desk.epoch,
        accounts=snapshots_of(desk.books),
        orders=desk.open_orders(),
        halts=desk.halts(),
        instruments=tuple(_instruments(desk)),
        histories=tuple(desk.books.histories.values()),
        equities=tuple(desk.books.equities.values()),
        position=desk.books.number,
    )


def note_rules(desk: Desk, loaded: m.Loaded) -> None:
    """Writes down by what compliance screens, where that is not what this epoch wrote before."""
    news = [each for each in _instruments(desk) if desk.told_instruments.get(_key(each)) != each]
    if not news and loaded.settings == desk.told_settings:
        return
    desk.told_settings = loaded.settings
    desk.told_instruments.update({_key(each): each for each in news})
    ruled = Ruled(incarnation=loaded.incarnation, settings=loaded.settings, instruments=tuple(news))
    desk.draft(ruled, retention=Retention.SYSTEM).close()


def _instruments(desk: Desk) -> list[Instrument]:
    return [each for venue in desk.venues.values() for each in venue.instruments.values()]


def _key(instrument: Instrument) -> tuple[str, str]:
    return instrument.symbol, instrument.broker_symbol


def snapshots_of(books: Books) -> tuple[AccountSnapshot, ...]:
    """Every account as the books have it, where its balances are known."""
    found = []
    for name, account in books.accounts.items():
        positions = tuple(p for (owner, _), p in books.positions.items() if owner == name)
        balances = books.balances.get((name, account.base_currency))
        feed = books.feeds.get(account.connection)
        if balances is not None:
            cursor = (feed.cursor if feed else None) or ""
            found.append(
                AccountSnapshot(
                    account=account, balances=balances, positions=positions, cursor=cursor
                )
            )
    return tuple(found)
