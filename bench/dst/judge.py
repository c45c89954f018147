"""The verdict on a story once it is calm: everything that is not as it must be, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from actors.router.loading import snapshots_of
from bench.dst.deployment import ACCOUNT, CONNECTION, ORDERS, RULES, Deployment
from bench.dst.trader import Trader
from bench.dst.venue import Sent
from bench.dst.workload import SYMBOLS
from compliance.screen import Screener
from domain import events as ev
from domain.accounts import SessionState
from domain.ids import order_id
from domain.lifecycle import Order, Status
from domain.portfolio import ZERO
from domain.records import HaltScope, Record
from domain.streams import NoticeKind, OrderUpdate, StreamUpdate
from ledger.agreement import compare_client, compare_venue, stream_of
from ledger.recovery import restore

RESTING = (Status.LIVE, Status.PARTIALLY_FILLED)


def find_unrest(deployment: Deployment, trader: Trader) -> list[str]:
    """Why it is not calm yet: what is down, under way, or not yet told."""
    parts = deployment.parts
    router, connection = parts.get("router"), parts.get("connection")
    if router is None or connection is None or parts.get("compliance") is None:
        return ["something is down"]
    if router.orders.compliance is None or not router.desk.venues[CONNECTION].is_up:
        return ["the router does not trade"]
    found = trader.waits()
    if connection.state is not SessionState.CONNECTED:
        found.append("not connected")
    if connection.telling.cursor != str(deployment.venue.account.last_id):
        found.append(f"read up to {connection.telling.cursor}")
    if connection._sought:
        found.append("evidence is looked for")
    if connection.in_flight:
        found.append("an answer is awaited")
    if connection.telling.outbox.held:
        found.append("items not durable")
    books = router.desk.books
    found += [
        f"{order.client_order_id}: {order.status.value} {order.pending}"
        for order in books.orders.open.values()
        if order.status not in RESTING or order.pending is not None
    ]
    head = books.heads.get(ORDERS, 0)
    seen = trader.log[-1].seq if trader.log else 0
    if head != seen:
        found.append(f"the client has {seen} of {head}")
    return found


def judge(deployment: Deployment, trader: Trader) -> list[str]:
    """Every difference between what is and what must be."""
    found = list(deployment.troubles)
    router: Any = deployment.parts.get("router")
    if router is None:
        return [*found, "no router"]
    records = list(router.journal.replay())
    restored = restore(router.journal)
    found += [f"break at replay: {b.what}" for b in restored.breaks]
    if restored.books.to_bytes() != router.desk.books.to_bytes():
        found.append("replay gives other books")
    updates = [u for record in records for u in record.updates]
    orders = [
        o for name in restored.books.orders.all_ids() if (o := restored.books.orders.get(name))
    ]
    agreement = compare_venue(orders, updates, deployment.venue.book())
    found += [f"lost: {x}" for x in agreement.lost]
    found += [f"doubled: {x}" for x in agreement.doubled]
    found += [f"differs: {x}" for x in agreement.differences]
    found += [f"{agreement.unknown} unknown"] if agreement.unknown else []
    found += compare_client(stream_of(records, ORDERS), trader.log)
    found += _breaks(updates)
    found += _numbers(records)
    found += _intents(updates)
    found += _answers(trader, orders)
    found += _evidence(orders, updates, deployment)
    found += _children(orders)
    found += _sends(deployment, updates)
    found += _halts(deployment, trader)
    found += _positions(deployment, restored.books)
    found += _reservations(deployment, router)
    return found


def _breaks(updates: list[StreamUpdate]) -> Iterator[str]:
    for update in updates:
        if getattr(update.body, "kind", None) is NoticeKind.BREAK:
            yield f"break: {update.body.message}"  # type: ignore[union-attr]


def _numbers(records: list[Record]) -> Iterator[str]:
    """Records and streams count without a hole, epochs never fall."""
    heads: dict[str, int] = {}
    epoch = 0
    for number, record in enumerate(records, start=1):
        if record.number != number or record.epoch < epoch:
            yield f"record {record.number} of epoch {record.epoch} at place {number}"
        epoch = record.epoch
        for update in record.updates:
            if update.seq != heads.get(update.stream, 0) + 1:
                yield f"{update.stream}: {update.seq} after {heads.get(update.stream, 0)}"
            heads[update.stream] = update.seq


def _intents(updates: list[StreamUpdate]) -> Iterator[str]:
    """Each send has an intent above all before it."""
    last = 0
    for update in updates:
        body = update.body
        if isinstance(body, OrderUpdate) and isinstance(body.event, ev.Sending):
            if body.event.intent <= last:
                yield f"intent {body.event.intent} after {last}"
            last = max(last, body.event.intent)


def _answers(trader: Trader, orders: list[Order]) -> Iterator[str]:
    """What the client was told of an order, the journal says too."""
    known = {order.order_id for order in orders}
    for asked in trader.asked:
        for decided in asked.decided:
            name = decided.client_order_id
            if name is None:
                continue
            is_there = order_id("alice", name) in known
            if decided.error is None and not is_there:
                yield f"{name}: {decided.status} to the client, not in the journal"


def _evidence(
    orders: list[Order], updates: list[StreamUpdate], deployment: Deployment
) -> Iterator[str]:
    """No order ended here without the broker's word, or the proof that it never got there."""
    booked = Counter(o.client_id for o in deployment.venue.book().orders if o.client_id)
    never: set[str] = set()
    for update in updates:
        body = update.body
        if isinstance(body, OrderUpdate) and isinstance(body.event, ev.NeverSent | ev.NotPlaced):
            never.add(body.order_id)
    for order in orders:
        if order.order_id in never and booked[order.venue_client_id or ""]:
            yield f"{order.client_order_id}: proved never placed, and the venue has it"


def _sends(deployment: Deployment, updates: list[StreamUpdate]) -> Iterator[str]:
    """Nothing leaves that was not written down before, and nothing twice."""
    written = {
        update.body.event.venue_client_id
        for update in updates
        if isinstance(update.body, OrderUpdate) and isinstance(update.body.event, ev.Sending)
    }
    sent = Counter(_words(one)["clientExtensions"]["id"] for one in deployment.venue.sent)
    for name, count in sent.items():
        if name not in written:
            yield f"{name} was sent and never written down"
        if count > 1:
            yield f"{name} was sent {count} times"


def _words(sent: Sent) -> dict[str, Any]:
    words: dict[str, Any] = msgspec.json.decode(sent.body)["order"]
    return words


def _halts(deployment: Deployment, trader: Trader) -> Iterator[str]:
    """Once a gate confirmed a halt no order in its scope leaves, until its end is asked for."""
    ends = [asked for asked in trader.asked if asked.what == "resume"]
    for asked in trader.asked:
        if asked.what != "halt" or CONNECTION not in (asked.body or {}).get("confirmed", ()):
            continue
        halt = asked.fields["halt"]
        # One asked for before may take effect after: it is asked again until it is answered.
        later = (end.at_ns for end in ends if not 0 < end.answered_ns < asked.at_ns)
        until = min(later, default=deployment.loop.now_ns)
        for sent in deployment.venue.sent:
            instrument = _words(sent).get("instrument", "").replace("_", "/")
            is_covered = halt.scope is not HaltScope.INSTRUMENT or instrument == halt.subject
            if is_covered and asked.answered_ns < sent.at_ns < until:
                yield f"an order left {sent.at_ns - asked.answered_ns} ns after the halt's ack"


def _children(orders: list[Order]) -> Iterator[str]:
    """The children of an order never do more than it did."""
    filled = {order.order_id: order.filled for order in orders}
    closed: Counter[str] = Counter()
    for order in orders:
        if order.parent_order_id is not None:
            closed[order.parent_order_id] += order.filled  # type: ignore[assignment]
    for parent, quantity in closed.items():
        if quantity > filled.get(parent, ZERO):
            yield f"children of {parent} did {quantity} of {filled.get(parent)}"


def _positions(deployment: Deployment, books: Any) -> Iterator[str]:
    for name, held in deployment.venue.account.positions.items():
        ours = books.positions.get((ACCOUNT, name.replace("_", "/")))
        quantity = ours.quantity if ours else ZERO
        if held.net != quantity:
            yield f"{name}: venue {held.net}, books {quantity}"


def _reservations(deployment: Deployment, router: Any) -> Iterator[str]:
    """Compliance's running sums are those of a fresh start from the router's book."""
    screener = deployment.parts["compliance"].screener
    if screener is None:
        yield "compliance has no book"
        return
    fresh = Screener(RULES, "fresh")
    fresh.load(
        accounts=snapshots_of(router.desk.books),
        orders=router.desk.open_orders(),
        halts=router.desk.halts(),
        instruments=tuple(router.desk.venues[CONNECTION].instruments.values()),
    )
    kept, anew = _reserved(screener), _reserved(fresh)
    for name in sorted(kept.keys() | anew.keys()):
        if kept.get(name) != anew.get(name):
            yield f"reserved for {name}: {kept.get(name)}, recomputed {anew.get(name)}"


def _reserved(screener: Screener) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: (o.account, o.instrument, o.sign, o.reserved, o.only_reduces, o.is_uncertain)
        for name, o in screener.book.orders.items()
    }
    for account, exposure in screener.book.accounts.items():
        for symbol in SYMBOLS:
            held = exposure.holding(symbol)
            found[f"{account} {symbol}"] = (held.quantity, held.opening, held.reducing)
    return found
