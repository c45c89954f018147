"""OANDA US checks a pending order's size when it triggers: we say at entry what it would do."""

from __future__ import annotations

from msgspec.structs import replace

from compliance.rule import Check, Context
from compliance.rules import oanda_unique_size as unique_size
from compliance.settings import ComplianceSettings
from domain.orders import NewOrder
from domain.screening import Violation

CARD = replace(unique_size.CARD, id="pending_unique_size", is_warning=True)


def pending_unique_size(_settings: ComplianceSettings) -> Check:
    """Warns of a pending order that would be canceled if it triggered as things stand."""

    def check(order: NewOrder, context: Context) -> Violation | None:
        return None if context.is_immediate else unique_size.find_clash(CARD, order, context)

    return check
