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
    source: Desk | Durable, halts: tuple[Halted, ...]
) -> tuple[list[tuple[str, Any]], list[tuple[Any, Any]]]:
    """Takes out what may leave for connections and for edges; `halts` are in force at the gates."""
    to_connections = _take(source.to_connections, lambda message: _is_safe(message, halts))
    return to_connections, _take(source.to_edges, _is_our_refusal)


def _take(queue: list[Any], is_early: Any) -> list[Any]:
    early = [entry for entry in queue if is_early(entry[1])]
    if early:
        queue[:] = [entry for entry in queue if not is_early(entry[1])]
    return early


def _is_safe(message: Any, halts: tuple[Halted, ...]) -> bool:
    """The end of a halt is no halt: it waits, and so does a halt that comes with one."""
    if isinstance(message, m.SetHalts):
        return set(message.halts) >= set(halts)
    return isinstance(message, m.SendCancel)


def _is_our_refusal(message: Any) -> bool:
    if not isinstance(message, Answer):
        return False
    if message.error is not None:
        return message.error in _OURS
    return bool(message.decided) and all(decided.error in _OURS for decided in message.decided)
