"""What an order would meet, before anything is placed."""

from __future__ import annotations

from msgspec import Struct

from domain.orders import NewOrder
from domain.routing import Ranked
from domain.screening import Ruling, Verdict, Violation


class Preview(Struct, frozen=True, kw_only=True):
    """An order as it would be sent, who could take it at what cost, and every rule that says no.

    `candidates` are the accounts able to take it, the cheapest first. `passes` is what compliance
    would decide now; `all_violations` every rule against it; `rulings` every rule that was asked,
    with what it compared.
    """

    order: NewOrder
    candidates: tuple[Ranked, ...]
    passes: bool
    verdicts: tuple[Verdict, ...]
    all_violations: tuple[Violation, ...]
    rulings: tuple[Ruling, ...] = ()
