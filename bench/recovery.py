"""How long until a router that starts knows a million orders?

    python -m bench.recovery [--orders 1000000] [--json]

A journal whose snapshot holds so many ended orders, and behind it as many records as come between
two snapshots, is opened and restored as a start does it. Then the books are asked for orders of
both, by every name. Memory includes what made it.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from actors.router.actor import SNAPSHOT_RECORDS
from bench.machine import describe
from domain import events as ev
from domain import ids
from domain.lifecycle import Break, Order, apply
from domain.orders import NewOrder, Side, TimeInForce
from domain.records import Cause, Ordered, Record, Reported
from domain.streams import StreamUpdate, order_update
from ledger import snapshot
from ledger.chain import segment_path
from ledger.disk import Disk, create_zeroed, make_directory
from ledger.journal import JournalSettings, LocalJournal
from ledger.order_index import begin
from ledger.projection import Books
from ledger.recovery import restore
from ledger.segment import Header, encode_header
from ledger.snapshot import Snapshot

OWNER = "o-bench"
STREAM = f"orders/{OWNER}"
DEPLOYMENT = "d-bench"
QUICK = JournalSettings(prepare_in_background=False)


class Writer:
    """Folds orders, as a router records them, into books."""

    def __init__(self) -> None:
        self.books = Books()
        self.orders = 0

    def next_order(self) -> list[Record]:
        """One order's records: sent, then filled."""
        self.orders += 1
        name, number = f"r{self.orders}", self.orders
        terms = NewOrder(
            client_order_id=name, instrument="EUR/USD", side=Side.BUY, quantity=Decimal(1000),
            time_in_force=TimeInForce.FOK,
        )  # fmt: skip
        cause = Ordered(
            command=terms, digest=ids.digest(terms), session="s", cseq=number, received_ns=number
        )
        sending = ev.Sending(
            at_ns=number, connection="c", account="a", intent=number, attempt=1, verdict="v",
            venue_client_id=ids.venue_client_id(OWNER, name, "0", 1),
        )  # fmt: skip
        fill = ev.Fill(
            at_ns=number, execution_id=f"x{number}", broker_execution_id=str(2 * number),
            broker_order_id=str(number), instrument="EUR/USD", side=Side.BUY,
            quantity=Decimal(1000), price=Decimal("1.1"),
        )  # fmt: skip
        told = Reported(connection="c", incarnation="i", first=number, last=number)
        sent, order = self._record(cause, begin(cause, OWNER), sending)
        return [sent, self._record(told, order, fill)[0]]

    def _record(self, cause: Cause, order: Order, event: Any) -> tuple[Record, Order]:
        after = apply(order, event)
        assert not isinstance(after, Break)
        seq = self.books.heads.get(STREAM, 0) + 1
        body = order_update(after, event)
        update = StreamUpdate(stream=STREAM, seq=seq, at_ns=seq, body=body)
        number = self.books.number + 1
        record = Record(
            number=number, epoch=1, at_ns=number, cause=cause, updates=(update,), owner=OWNER
        )
        assert self.books.apply(record) == ()
        return record, after


def make(directory: Path, orders: int) -> int:
    """Writes the snapshot and the records behind it; the last record's number."""
    writer = Writer()
    while writer.orders < orders - SNAPSHOT_RECORDS // 2:
        writer.next_order()
    taken = Snapshot(number=writer.books.number, state=writer.books.to_bytes())
    make_directory(directory)
    header = encode_header(Header(DEPLOYMENT, 1, taken.number + 1))
    create_zeroed(Disk(), segment_path(directory, 1), QUICK.segment_bytes, header)
    journal = LocalJournal(directory, DEPLOYMENT, QUICK)
    while writer.orders < orders:
        for record in writer.next_order():
            journal.append(record)
        if writer.orders % 1_000 == 0:
            journal.commit()
    last = journal.commit()
    snapshot.keep(directory, DEPLOYMENT, taken, 1)
    journal.close()
    return last


def measure(directory: Path, last: int, orders: int) -> dict[str, Any]:
    """Opens and restores, and looks whether all is there."""
    start = time.perf_counter()
    journal = LocalJournal(directory, DEPLOYMENT, QUICK)
    opened = time.perf_counter()
    books = restore(journal).books
    done = time.perf_counter()
    assert books.number == journal.last == last
    for number in (1, orders // 2, orders):
        found = books.orders.of_client(OWNER, f"r{number}")
        assert found is not None
        assert found == books.orders.at_broker("c", str(number))
        assert found == books.orders.at_venue(ids.venue_client_id(OWNER, f"r{number}", "0", 1))
    journal.close()
    return {
        "orders": orders,
        "records": last,
        "open_s": round(opened - start, 2),
        "restore_s": round(done - opened, 2),
        "start_s": round(done - start, 2),
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    """Makes the journal, and measures a start on it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fg-recovery-") as folder:
        directory = Path(folder) / "journal"
        last = make(directory, words.orders)
        result = measure(directory, last, words.orders)
        result["machine"] = msgspec.to_builtins(describe(directory))
    print(json.dumps(result, indent=None if words.json else 2))


if __name__ == "__main__":
    main()
