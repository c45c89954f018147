"""The firm's limit over four compliance shards, real processes that are killed at random."""

from __future__ import annotations

import contextlib
import mmap
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from random import Random

import msgspec
import pytest
from lending_child import CENTS, SLOT

from actors import messages as m
from actors.router.desk import Desk
from actors.router.lending import Lending
from compliance.leases import Lent, Recalled, Returned
from domain.records import Leased, LeaseWord
from ledger.journal import LocalJournal
from ledger.projection import Books
from tests.ledger.journal_stories import make, open_journal

CHILD = Path(__file__).with_name("lending_child.py")
SHARDS = ("s-0", "s-1", "s-2", "s-3")
LIMIT = Decimal(1_000)
TRADE_S_MAX = 10.0
decode = msgspec.msgpack.Decoder(Returned | m.Wanted).decode
encode = msgspec.msgpack.Encoder().encode


class Firm:
    """The lessor over a journal of its own, and four shards."""

    def __init__(self, home: Path, seed: int) -> None:
        self.luck = Random(seed)
        self.page = home / "page"
        self.page.write_bytes(bytes(SLOT.size * len(SHARDS)))
        with self.page.open("r+b") as file:
            self.shared = mmap.mmap(file.fileno(), 0)
        self.journal: LocalJournal = open_journal(make(home / "journal"))
        self.later: list[Lent | Recalled] = []
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.links: dict[str, socket.socket] = {}
        self.most = self.heard = 0
        self.lend_again()

    def lend_again(self) -> None:
        """As a router starts: from the journal alone."""
        books = Books()
        for record in self.journal.replay():
            books.apply(record)
        self.desk = Desk(books, books.epoch + 1, {})
        self.lending = Lending(self.desk, self.later.append, LIMIT, len(SHARDS))

    def flush(self) -> None:
        """Durable first, then said."""
        records, self.desk.records = self.desk.records, []
        for record in records:
            self.journal.append(record)
        self.journal.commit()
        said, self.later[:] = list(self.later), []
        for word in said:
            with contextlib.suppress(OSError):
                self.links[word.shard].send(encode(word))

    def spawn(self, shard: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        number = str(SHARDS.index(shard))
        words = (str(theirs.fileno()), str(self.page), shard, number, str(self.luck.random()))
        command = [sys.executable, str(CHILD), *words[:-1], str(self.luck.randrange(10**6))]
        self.children[shard] = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()
        if shard in self.links:
            self.links[shard].close()
        self.links[shard] = ours
        self.lending.loaded(shard)
        self.flush()

    def kill(self, shard: str) -> None:
        self.children[shard].kill()
        self.children[shard].wait()

    def trade(self, words: int) -> None:
        """Until so many words were heard."""
        self.heard, until = 0, time.monotonic() + TRADE_S_MAX
        while self.heard < words and time.monotonic() < until:
            self.turn()

    def turn(self) -> None:
        """Hears what was said, and looks at what all shards believe, dead ones too."""
        ready, _, _ = select.select(list(self.links.values()), [], [], 0.01)
        for link in ready:
            with contextlib.suppress(OSError, msgspec.DecodeError):
                word = decode(link.recv(4096))
                self.heard += 1
                (self.lending.wanted if isinstance(word, m.Wanted) else self.lending.returned)(word)
        self.flush()
        believed = sum(SLOT.unpack_from(self.shared, at * SLOT.size)[0] for at in range(4))
        self.most = max(self.most, believed)
        assert believed <= LIMIT * CENTS
        assert self.lending.lent <= LIMIT


@pytest.fixture
def firm(tmp_path: Path) -> Iterator[Firm]:
    made = Firm(tmp_path, 7)
    yield made
    for shard in made.children:
        made.kill(shard)
    for link in made.links.values():
        link.close()
    made.journal.close()


def test_four_shards_never_hold_more_than_the_limit_whoever_is_killed(firm: Firm) -> None:
    for shard in SHARDS:
        firm.spawn(shard)
    for kill in range(1, 7):
        firm.trade(words=25)
        shard = firm.luck.choice(SHARDS)
        firm.kill(shard)
        firm.turn()
        firm.spawn(shard)
        if kill % 3 == 0:
            firm.lend_again()
            for each in SHARDS:  # each loads the book of the new router
                firm.lending.loaded(each)
            firm.flush()
    firm.trade(words=25)
    assert firm.most > LIMIT * CENTS / 2  # what was shared out was used
    words = [r.cause.word for r in firm.journal.replay() if isinstance(r.cause, Leased)]
    assert set(words) == set(LeaseWord)


def test_a_firm_without_a_limit_lends_nothing() -> None:
    said: list[Lent | Recalled] = []
    lending = Lending(Desk(Books(), 1, {}), said.append)
    lending.loaded("s-0")
    lending.wanted(m.Wanted(shard="s-0", more=Decimal(1)))
    lending.returned(Returned(shard="s-0", epoch=1, number=1, amount=Decimal(0)))
    assert (said, lending.lent) == ([], 0)


def test_one_shard_has_all_of_it_and_its_next_incarnation_too() -> None:
    said: list[Lent | Recalled] = []
    desk = Desk(Books(), 1, {})
    lending = Lending(desk, said.append, LIMIT)
    lending.loaded("compliance")
    lending.loaded("compliance")
    assert [word.amount for word in said] == [LIMIT, LIMIT]
    assert said[1].epoch > said[0].epoch
    again = Lending(Desk(desk.books, 2, {}), said.append, LIMIT)
    assert again.lent == LIMIT
    again.loaded("compliance")
    assert said[-1].amount == LIMIT
