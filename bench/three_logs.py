"""The three logs of a deployment without Ray against each other: client, journal, venues."""

from __future__ import annotations

from bench.hand_edge import STREAM
from bench.plain import Plain
from domain.lifecycle import Status
from ledger.agreement import compare_client, compare_venue, stream_of
from ledger.projection import Books


async def find_differences(deployment: Plain) -> list[str]:
    """What was lost or doubled, is still UNKNOWN, or is told in two ways; nothing where all agree.

    To be asked once everything is at rest.
    """
    edge, books = deployment.edge, Books()
    records = deployment.records()
    for record in records:
        books.apply(record)
    journaled = stream_of(records, STREAM)
    orders = [x for name in books.orders.all_ids() if (x := books.orders.get(name)) is not None]
    agreement = compare_venue(orders, journaled, await deployment.book())
    absent = edge.acknowledged - {x.client_order_id for x in orders}
    return [
        *agreement.lost,
        *agreement.doubled,
        *agreement.differences,
        *(f"{x.client_order_id} is UNKNOWN" for x in orders if x.status is Status.UNKNOWN),
        *(f"{name} was acknowledged and is not in the journal" for name in sorted(absent)),
        *compare_client(journaled, edge.log),
    ]
