"""The router's sides of its links: who came, who went, what they said, and when a batch ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from actors.link import Link, LinkOwner
from actors.router.quarantine import look_at
from actors.router.unread import refuse_unread
from domain.commands import Refusals
from domain.records import HaltScope

if TYPE_CHECKING:
    from actors.router.actor import Router


log = structlog.get_logger()


class _Side(LinkOwner[Any]):
    """What the router does for all its links."""

    def __init__(self, router: Router) -> None:
        self.router = router

    def batch_ended(self) -> None:
        """Decided: commit and tell."""
        self.router.flush()


class EdgeSide(_Side):
    """The router's side of the links that edges dial."""

    def link_up(self, link: Link[Any]) -> None:
        """An edge came."""
        if link.peer is not None and link.peer.role.startswith("edge"):
            self.router.edge_up(link)

    def link_down(self, link: Link[Any]) -> None:
        """It is gone."""
        self.router.edge_down(link)

    def received(self, link: Link[Any], message: Any) -> None:
        """Its word."""
        self.router.look_at_clocks()
        if isinstance(message, Refusals):
            self.router.guards.trail.refused(message)
        else:
            self.router.from_edge(link, message)

    def unread(self, link: Link[Any], frame: bytes, trouble: msgspec.MsgspecError) -> None:
        """One request of one client is refused; the others keep their link."""
        log.error("unread request", why=str(trouble))
        answer = refuse_unread(frame, trouble)
        if answer is not None:
            self.router.desk.to_edges.append((link, answer))


class ConnectionSide(_Side):
    """The router's side of the link to one broker connection."""

    def __init__(self, router: Router, name: str) -> None:
        super().__init__(router)
        self._name = name

    def link_up(self, link: Link[Any]) -> None:
        """It answers."""
        self.router.look_at_clocks()
        look_at(self.router, link.peer, HaltScope.CONNECTION, self._name)
        self.router.connection_up(self._name, link)

    def link_down(self, link: Link[Any]) -> None:
        """It is gone."""
        self.router.connection_down(self._name, link)

    def received(self, link: Link[Any], message: Any) -> None:
        """Its word."""
        self.router.look_at_clocks()
        self.router.from_connection(self._name, message)


class ComplianceSide(_Side):
    """The router's side of the link to compliance."""

    def link_up(self, link: Link[Any]) -> None:
        """It answers."""
        self.router.look_at_clocks()
        look_at(self.router, link.peer, HaltScope.ALL, "*")
        self.router.compliance_up(link)

    def link_down(self, link: Link[Any]) -> None:
        """It is gone."""
        self.router.look_at_clocks()
        self.router.compliance_down(link)

    def received(self, link: Link[Any], message: Any) -> None:
        """A verdict."""
        self.router.look_at_clocks()
        self.router.from_compliance(message)
