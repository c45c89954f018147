"""Accounts whose funds fell to half of what their contracts need: said once, until they recover."""

from __future__ import annotations

from datetime import date

from compliance.holding import AccountExposure
from compliance.magnitude import ceil_cent, plain
from compliance.monitors.alert import Alert, AlertKind
from compliance.retail import find_close_out


class CloseOuts:
    """Remembers which accounts are below."""

    def __init__(self) -> None:
        self._below: set[str] = set()

    def look(self, exposure: AccountExposure, series: str, today: date, at_ns: int) -> Alert | None:
        """An alert when the account falls below; its equity not known is no alert."""
        name = exposure.account.account
        if exposure.equity is None:
            return None
        found = find_close_out(series, name, exposure.equity, ceil_cent(exposure.required), today)
        if found is None:
            self._below.discard(name)
            return None
        if name in self._below:
            return None
        self._below.add(name)
        return Alert(
            kind=AlertKind.MARGIN_CLOSE_OUT,
            subject=name,
            instrument="*",
            at_ns=at_ns,
            citation=found.citation,
            message=f"funds of {plain(found.funds)} are half or less of the margin "
            f"{plain(found.required)}: all open contracts of the account are to be closed",
            numbers={"funds": plain(found.funds), "required": plain(found.required)},
        )
