"""The demo's verdict: all books side by side, and the report for people and programs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from msgspec import Struct
from rich.table import Table

from actors.paths import Paths
from actors.settings import load, read_store_url
from cli.demo_trade import ClientLog, Trader, kinds_of
from cli.output import console, say, table
from domain.lifecycle import Order, Origin
from domain.records import Record
from ledger.agreement import VenueBook, compare_client, compare_venue, stream_of
from ledger.chain import read_chain
from ledger.disk import read_file
from ledger.projection import Books
from ledger.reader import JournalReader
from ledger.segment import HEADER_BYTES, walk
from ledger.store_database import Database, find_url
from ledger.store_rebuild import verify_at_end

NS_PER_MS = 1_000_000
SHOWN_MAX = 20
PAUSE_S = 0.1
PAUSES_MAX = 100


class Report(Struct, frozen=True, kw_only=True):
    """What the demo found. `differences` empty means that all books say the same.

    Latencies are from an order's sending to the broker's outcome at the client, exact order
    statistics; `commits` are the journal's, `bracket_orders` what the broker made of brackets.
    """

    orders: int
    fills: int
    differences: tuple[str, ...]
    p50_ms: float
    p99_ms: float
    unknown: int
    measured: int
    bracket_orders: int
    external_orders: int
    order_types: dict[str, dict[str, int]]
    events: dict[str, int]
    acts: dict[str, int]
    refused: dict[str, int]
    records: int
    commits: int
    seconds: float
    home: str


def make_report(
    home: Paths, log: ClientLog, trader: Trader, book: VenueBook, seconds: float
) -> Report:
    """Compares client log, journal and broker's book, order by order and fill by fill."""
    reader = JournalReader(home.journal)
    records = list(reader.replay())
    orders = fold(records)
    journaled = stream_of(records, log.stream)
    agreement = compare_venue(orders, journaled, book)
    first = log.updates[0].seq if log.updates else 1
    heard = [update for update in journaled if update.seq >= first]
    differences = [
        *reader.verify().faults,
        *agreement.lost,
        *agreement.doubled,
        *agreement.differences,
        *compare_client(heard, log.updates),
        *find_forgotten(orders, trader.durable),
    ]
    return Report(
        orders=agreement.orders,
        fills=agreement.fills,
        differences=tuple(differences),
        p50_ms=percentile_ms(log.latencies_ns, 0.50),
        p99_ms=percentile_ms(log.latencies_ns, 0.99),
        unknown=agreement.unknown,
        measured=len(log.latencies_ns),
        bracket_orders=sum(order.origin is Origin.CHILD for order in orders),
        external_orders=sum(order.origin is Origin.EXTERNAL for order in orders),
        order_types=types_of(orders),
        events=kinds_of(log.updates),
        acts=dict(sorted(trader.acts.items())),
        refused=dict(sorted(trader.refused.items())),
        records=len(records),
        commits=count_commits(home.journal),
        seconds=round(seconds, 3),
        home=str(home.home),
    )


def store_differences(home: Paths) -> tuple[str, ...]:
    """Where the ledger's store is not, row for row, what the journal makes of itself."""
    settings = load(home.settings)
    name, url = settings.deployment.id, read_store_url(settings.store)
    journal = JournalReader(home.journal, name)
    with closing(Database(find_url(url, home.store))) as database:
        found = verify_at_end(database, name, journal, lambda: time.sleep(PAUSE_S), PAUSES_MAX)
    return tuple(f"store: {difference}" for difference in found.differences)


def fold(records: Iterable[Record]) -> list[Order]:
    """Every order as the journal leaves it."""
    books = Books()
    for record in records:
        books.apply(record)
    found = (books.orders.get(name) for name in books.orders.all_ids())
    return [order for order in found if order is not None]


def find_forgotten(orders: list[Order], durable: set[str]) -> list[str]:
    """Orders that the client was told are durable, and the journal has not."""
    known = {order.client_order_id for order in orders}
    return [f"{name}: the client was told it is durable" for name in sorted(durable - known)]


def types_of(orders: Iterable[Order]) -> dict[str, dict[str, int]]:
    """How the client's orders ended, by type and time in force."""
    found: dict[str, Counter[str]] = {}
    for order in orders:
        if order.terms is None or order.origin is not Origin.CLIENT:
            continue
        kind = order.terms.type.value
        if order.terms.closes_lot is not None:
            kind += " on a lot"
        if order.terms.bracket is not None:
            kind += " with bracket"
        name = f"{kind} {order.terms.time_in_force.value}"
        found.setdefault(name, Counter())[order.status.value] += 1
    return {name: dict(sorted(found[name].items())) for name in sorted(found)}


def percentile_ms(spans_ns: list[int], share: float) -> float:
    """The smallest span that so large a share does not exceed; 0 where there are none."""
    if not spans_ns:
        return 0.0
    ordered = sorted(spans_ns)
    index = max(0, -int(-share * len(ordered) // 1) - 1)
    return round(ordered[index] / NS_PER_MS, 3)


def count_commits(journal: Path) -> int:
    """How often the journal was committed: the frames of one commit name the same last one."""
    return sum(
        len({frame[2] for frame in walk(read_file(part.path), HEADER_BYTES, part.first)})
        for part in read_chain(journal, None).segments
    )


def tell(report: Report) -> None:
    """The report for people."""
    out = console()
    out.print(_types_table(report))
    rows = [
        ("orders", f"{report.orders}", "fills", f"{report.fills}"),
        ("bracket orders", f"{report.bracket_orders}", "unknown", f"{report.unknown}"),
        ("p50", f"{report.p50_ms:.2f} ms", "p99", f"{report.p99_ms:.2f} ms"),
        ("records", f"{report.records}", "commits", f"{report.commits}"),
    ]
    out.print(table("", ("", ">", "", ">"), rows))
    if not report.differences:
        say(
            "client log, journal, store and broker's book agree: order by order, fill by fill",
            "green",
        )
        return
    say(f"{len(report.differences)} differences; journal and logs are in {report.home}", "bold red")
    for line in report.differences[:SHOWN_MAX]:
        say(f"  {line}", "red")


def _types_table(report: Report) -> Table:
    statuses = sorted({status for ends in report.order_types.values() for status in ends})
    rows = [
        (name, *(str(ends.get(status, "")) for status in statuses))
        for name, ends in report.order_types.items()
    ]
    return table("", ("orders", *(f">{status}" for status in statuses)), rows)
