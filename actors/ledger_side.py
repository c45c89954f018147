"""An edge's side of its link to the ledger: what is asked there, and who is asked instead."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from actors import messages as m
from actors.link import Link, LinkOwner
from domain.commands import Query, QueryAnswer, ReadStream, StreamPage

SERVED = frozenset(
    {
        "orders.list", "executions.since", "positions.list", "transactions.since",
        "accounts.list", "account.get",
    }
)  # fmt: skip
"""What the ledger answers; all else is the router's, who knows what is not written down."""

ANSWER_S_MAX = 1.0
"""After so long without an answer the router is asked: the ledger may hang."""

Asked = Query | ReadStream


class LedgerSide(LinkOwner[Any]):
    """Asks the ledger while it is there; what it leaves unanswered goes to the router."""

    def __init__(
        self,
        deliver: Callable[[QueryAnswer | StreamPage], None],
        ask_router: Callable[[Asked], None],
    ) -> None:
        self._deliver = deliver
        self._ask_router = ask_router
        self._link: Link[Any] | None = None
        self._asked: dict[int, tuple[Asked, asyncio.TimerHandle]] = {}

    def ask(self, asked: Asked) -> None:
        """Asks whoever can answer."""
        is_ours = isinstance(asked, ReadStream) or asked.what in SERVED
        if self._link is None or not is_ours:
            self._ask_router(asked)
            return
        timer = asyncio.get_running_loop().call_later(ANSWER_S_MAX, self._give_up, asked.ref)
        self._asked[asked.ref] = (asked, timer)
        self._link.send(asked)

    def _give_up(self, ref: int) -> None:
        asked, _ = self._asked.pop(ref)
        self._ask_router(asked)

    def link_up(self, link: Link[Any]) -> None:
        """A ledger answers."""
        self._link = link

    def link_down(self, link: Link[Any]) -> None:
        """It is gone: the router answers what it owed."""
        if link is not self._link:
            return
        self._link = None
        asked, self._asked = self._asked, {}
        for each, timer in asked.values():
            timer.cancel()
            self._ask_router(each)

    def received(self, link: Link[Any], message: Any) -> None:
        """An answer, or that it has none."""
        if message.ref not in self._asked:
            return
        asked, timer = self._asked.pop(message.ref)
        timer.cancel()
        if isinstance(message, m.AskRouter):
            self._ask_router(asked)
        else:
            self._deliver(message)
