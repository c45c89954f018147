"""What stands behind the gateway: the router, seen as plain calls that never block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from domain.commands import Login, Logout, Query, ReadStream, Refusals, Submit
from domain.errors import ErrorInfo
from domain.quotes import Quote
from gateway.refused import RefusedLogins
from gateway.settings import GatewaySettings


class Clocks(Struct, frozen=True):
    """UTC for facts, boot for deadlines and limits; both int64 ns."""

    utc_ns: Callable[[], int]
    boot_ns: Callable[[], int]


class Status(Struct, frozen=True, kw_only=True):
    """What `hello` tells of the deployment."""

    epoch: int
    deployment: str
    venues: tuple[str, ...]
    is_router_up: bool


class Backend(Protocol):
    """Takes requests; answers come back through the server's `deliver` and `quotes.deliver`."""

    def submit(self, submit: Submit) -> None:
        """Sends a command on; its `Answer` names the ref."""

    def login(self, login: Login) -> None:
        """Opens a session; `LoggedIn` follows."""

    def logout(self, logout: Logout) -> None:
        """A socket closed: the session's guards start to run. Nothing follows."""

    def note(self, refusals: Refusals) -> None:
        """Who was not let in, for the audit trail. Nothing follows."""

    def read(self, read: ReadStream) -> None:
        """Reads a durable stream; a `StreamPage` follows."""

    def query(self, query: Query) -> None:
        """Asks for rows; a `QueryAnswer` follows."""

    def subscribe_quotes(self, instrument: str) -> None:
        """The first client here wants quotes of it."""

    def unsubscribe_quotes(self, instrument: str) -> None:
        """The last client here no longer does."""

    def find_quote_fault(self, instrument: str) -> ErrorInfo | None:
        """Why the instrument cannot be watched, or None."""

    def accounts_of(self, owner: str) -> frozenset[str]:
        """The owner's accounts, as far as they are known here."""

    def status(self) -> Status:
        """The deployment as it stands now."""


class Surroundings(Struct, frozen=True, kw_only=True):
    """What a session may ask of the server around it; all calls are instant."""

    settings: GatewaySettings
    clocks: Clocks
    next_ref: Callable[[], int]
    status: Callable[[], Status]
    latest_quotes: Callable[[str], tuple[Quote, ...]]
    find_quote_fault: Callable[[str], ErrorInfo | None]
    refused: RefusedLogins
