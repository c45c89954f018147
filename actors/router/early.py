"""What may leave while its batch is still under way: it adds no risk, and is safe to say again.

A cancel, and a halt: were their record lost with this process, nobody has been told that they are
done, and whoever asked asks again. A refusal that the journal's own state gives tells of no record.
Everything else waits: above all an order, which leaves after its record or never.
"""

from __future__ import annotations

from typing import Any

from actors import messages as m
from actors.router import refusals
from actors.router.desk import Desk, Durable
from domain.commands import Answer
from domain.records import Halted

_OURS = (refusals.JOURNAL_FULL, refusals.JOURNAL_UNAVAILABLE)


def take_early(
    source: Desk | Durable, halts: tuple[Halted, ...] | None
) -> tuple[list[tuple[str, Any]], list[tuple[Any, Any]], tuple[Halted, ...] | None]:
    """Takes out what may leave for connections and for edges.

    `halts` are in force at the gates; None where something waits that no halt may overtake. The
    third result is the same for what comes next.
    """
    to_connections: list[tuple[str, Any]] = []
    waiting: list[tuple[str, Any]] = []
    for name, message in source.to_connections:
        if isinstance(message, m.SetHalts):
            # The end of a halt is no halt: it waits, and what comes after it waits behind it.
            is_early = halts is not None and set(message.halts) >= set(halts)
            halts = message.halts if is_early else None
        else:
            is_early = isinstance(message, m.SendCancel)
            # An Attach brings the halts of its own moment.
            halts = None if isinstance(message, m.Attach) else halts
        (to_connections if is_early else waiting).append((name, message))
    source.to_connections[:] = waiting
    to_edges = [entry for entry in source.to_edges if _is_our_refusal(entry[1])]
    if to_edges:
        source.to_edges[:] = [e for e in source.to_edges if not _is_our_refusal(e[1])]
    return to_connections, to_edges, halts


def _is_our_refusal(message: Any) -> bool:
    if not isinstance(message, Answer):
        return False
    if message.error is not None:
        return message.error in _OURS
    return bool(message.decided) and all(decided.error in _OURS for decided in message.decided)
