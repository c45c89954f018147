"""Audit logs to hurt: made from records as the journal holds them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random

from domain.orders import NewOrder, OrderType, Side, TimeInForce
from domain.records import Ordered, Record
from domain.screening import Candidate, Rate, Verdict, Violation
from ledger.audit_format import Head, Seal, encode_line, entry_of, line_of
from ledger.audit_log import AuditLog
from ledger.audit_verification import segments_of

DEPLOYMENT = "d-test"


def check(number: int) -> Record:
    """A journal's record of an order that compliance looked at; every third was denied."""
    order = NewOrder(
        client_order_id=f"c-{number}",
        instrument="EUR/USD",
        side=Side.BUY,
        quantity=Decimal(1_000 + number),
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        limit_price=Decimal("1.0850"),
    )
    violation = Violation(
        code="max_quantity",
        rule="max_quantity",
        citation="house",
        message="too many",
        numbers={"quantity": str(order.quantity), "max": "1000"},
        would_pass="largest quantity that fits: 1000",  # noqa: S106 - a sentence
    )
    verdict = Verdict(
        id=f"v-{number}",
        incarnation="i",
        candidate=Candidate(connection="c", account="a"),
        violation=None if number % 3 else violation,
    )
    rate = Rate(
        instrument="EUR/USD", bid=Decimal("1.0849"), ask=Decimal("1.0851"), received_ns=number
    )
    cause = Ordered(
        command=order,
        digest=f"{number:032x}",
        session="s",
        cseq=number,
        received_ns=number,
        verdict=verdict,
        rates=(rate,),
    )
    return Record(number=number, epoch=1, at_ns=1_000 * number, cause=cause, owner="o-1")


def write_log(directory: Path, entries: int, segment_bytes: int = 1 << 26) -> list[Head]:
    """A log of so many entries, and a head after each ten and at the end."""
    log = AuditLog(directory, DEPLOYMENT, segment_bytes)
    heads = []
    for first in range(1, entries + 1, 10):
        log.append([check(number) for number in range(first, min(first + 10, entries + 1))])
        heads.append(log.seal.head(first))
    log.close()
    return heads


Mutation = Callable[[Path, Random], None]


def flip(directory: Path, luck: Random) -> None:
    """One bit, anywhere."""
    path = luck.choice(segments_of(directory))
    data = bytearray(path.read_bytes())
    data[luck.randrange(len(data))] ^= 1 << luck.randrange(8)
    path.write_bytes(data)


def delete(directory: Path, luck: Random) -> None:
    """One line."""
    _edit(directory, luck, lambda lines: lines.pop(luck.randrange(len(lines))))


def swap(directory: Path, luck: Random) -> None:
    """Two lines."""

    def exchange(lines: list[bytes]) -> None:
        one, other = luck.sample(range(len(lines)), 2)
        lines[one], lines[other] = lines[other], lines[one]

    _edit(directory, luck, exchange)


def insert(directory: Path, luck: Random) -> None:
    """A line that was never there, or one that was, again."""

    def add(lines: list[bytes]) -> None:
        lines.insert(luck.randrange(len(lines) + 1), luck.choice(lines))

    _edit(directory, luck, add)


def truncate(directory: Path, luck: Random) -> None:
    """The end, anywhere; whole segments too."""
    paths = segments_of(directory)
    kept = luck.randrange(len(paths))
    for path in paths[kept + 1 :]:
        path.unlink()
    data = paths[kept].read_bytes()
    paths[kept].write_bytes(data[: luck.randrange(len(data))])


def rewrite(directory: Path, luck: Random) -> None:
    """One entry changed, removed or added, and every hash after it made anew."""
    paths = segments_of(directory)
    entries = [entries_in(path) for path in paths]
    chosen = luck.choice([at for at, found in enumerate(entries) if found])
    at = luck.randrange(len(entries[chosen]))
    others = [entry for found in entries for entry in found if entry != entries[chosen][at]]
    deed = luck.randrange(3)
    if deed == 0:
        entries[chosen][at] = entries[chosen][at].replace(b'"epoch":1', b'"epoch":2', 1)
    elif deed == 1:
        del entries[chosen][at]
    else:
        entries[chosen].insert(at, luck.choice(others))
    write_anew(paths, entries)


def write_anew(paths: list[Path], entries: list[list[bytes]]) -> None:
    """Segments with whatever entries, their chain as it should be."""
    seal = Seal(DEPLOYMENT)
    for number, (path, found) in enumerate(zip(paths, entries, strict=True), 1):
        header = encode_line(seal.header(number)) + b"\n"
        path.write_bytes(header + b"".join([line_of(seal, entry) for entry in found]))


def entries_in(path: Path) -> list[bytes]:
    """A segment's entries."""
    lines = path.read_bytes().splitlines(keepends=True)[1:]
    return [found[1] for line in lines if (found := entry_of(line)) is not None]


def _edit(directory: Path, luck: Random, edit: Callable[[list[bytes]], object]) -> None:
    paths = [path for path in segments_of(directory) if path.read_bytes().count(b"\n") > 3]
    path = luck.choice(paths)
    header, *lines = path.read_bytes().splitlines(keepends=True)
    edit(lines)
    path.write_bytes(header + b"".join(lines))


MUTATIONS: dict[str, Mutation] = {
    "flip": flip,
    "delete": delete,
    "swap": swap,
    "insert": insert,
    "truncate": truncate,
    "rewrite": rewrite,
}


def copy_of(directory: Path, to: Path) -> Path:
    """The same log in another place."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(directory, to)
    return to


def digest_of(directory: Path) -> str:
    """All bytes of a log as one hash."""
    every = hashlib.sha256()
    for path in segments_of(directory):
        every.update(path.read_bytes())
    return every.hexdigest()
