"""`fillgate order explain`: an order's whole story from the journal, in plain words.

It reads the journal itself, so it works while nothing runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer
from msgspec import Struct

from actors.settings import find_journal
from cli.app import HomeOption, JsonOption, order_app, state_of
from cli.output import console, print_json, say, status_text, utc
from cli.story import describe_cause, describe_update, evidence_lines
from cli.trouble import Trouble
from domain import ids
from domain.records import Changed, Checked, Ordered, Record
from domain.streams import Notice, OrderUpdate, StreamUpdate
from ledger.places import reader_of


class Chapter(Struct, frozen=True, kw_only=True):
    """One record of the story: when, why, what followed, and the evidence."""

    record: int
    epoch: int
    at_ns: int
    cause: str
    events: tuple[str, ...]
    evidence: tuple[str, ...]
    status: str | None


@order_app.command("explain")
def explain(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ID", help="Client, our or the broker's id.")],
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Tell an order's whole story, record by record."""
    state = state_of(ctx, home, json)
    reader = reader_of(find_journal(state.paths))
    names = follow_name(reader.replay(), name)
    records = [record for record in reader.replay() if touches(record, names)]
    if not records:
        fix = "ids: `fillgate orders --status all`; refusals before compliance are not journaled"
        raise Trouble(f"the journal knows no order {name}", fix, "unknown_order")
    chapters = [chapter_of(record, names) for record in records]
    if state.is_json:
        print_json({"order": name, "order_ids": sorted(names), "story": chapters})
        return
    for chapter in chapters:
        _tell(chapter)


def _tell(chapter: Chapter) -> None:
    out = console()
    out.print(f"[bold]{utc(chapter.at_ns)}[/bold]  [dim]record {chapter.record}[/dim]")
    say(f"  {chapter.cause}")
    for line in chapter.evidence:
        say(f"      {line}", "dim")
    for line in chapter.events:
        say(f"    → {line}")
    if chapter.status is not None:
        out.print("    now ", status_text(chapter.status), sep="")


def follow_name(records: Iterable[Record], name: str) -> frozenset[str]:
    """Our ids of the order that goes by any name: client's, ours, the broker's; and its children.

    A parent's story tells its bracket children too; a child's tells itself.
    """
    found: set[str] = set()
    entries: set[str] = set()
    for record in records:
        if isinstance(record.cause, Ordered) and record.cause.command.client_order_id == name:
            found.add(ids.order_id(record.owner or "", name))
        for update in record.updates:
            body = update.body
            if not isinstance(body, OrderUpdate):
                continue
            if name in _names(body):
                found.add(body.order_id)
            if body.order_id in found and body.client_order_id is not None:
                entries.add(getattr(body.event, "broker_execution_id", ""))
            elif getattr(body.event, "parent_execution", None) in entries - {""}:
                found.add(body.order_id)
    return frozenset(found)


def _names(body: OrderUpdate) -> set[Any]:
    event = body.event
    return {
        body.order_id,
        body.client_order_id,
        getattr(event, "broker_order_id", None),
        getattr(event, "venue_client_id", None),
    }


def touches(record: Record, names: frozenset[str]) -> bool:
    """True where the record is about one of the orders."""
    cause = record.cause
    if isinstance(cause, Ordered):
        name = ids.order_id(record.owner or "", cause.command.client_order_id)
        if name in names:
            return True
    if isinstance(cause, Changed) and names & set(cause.orders):
        return True
    if isinstance(cause, Checked) and cause.order_id in names:
        return True
    return any(_order_of(update) in names for update in record.updates)


def _order_of(update: StreamUpdate) -> str | None:
    body = update.body
    return body.order_id if isinstance(body, OrderUpdate | Notice) else None


def chapter_of(record: Record, names: frozenset[str]) -> Chapter:
    """The record as a chapter of those orders' story."""
    own = [update for update in record.updates if _order_of(update) in names]
    last = own[-1].body if own else None
    return Chapter(
        record=record.number,
        epoch=record.epoch,
        at_ns=record.at_ns,
        cause=describe_cause(record),
        events=tuple(describe_update(update) for update in own),
        evidence=evidence_lines(record),
        status=last.status.value if isinstance(last, OrderUpdate) else None,
    )
