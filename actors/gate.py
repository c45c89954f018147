"""The gate of a connection: what may leave, asked on arrival and again at the first byte.

What the router says is not taken on trust: an order leaves once, under the names that follow
from it, in the words its intent was written down with. So a router that loops, repeats old
frames or comes of another build sends nothing that was not meant. Halts and send-by are looked
at twice, for between arrival and write an order may wait for a connection, or the process stop.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from actors import messages as m
from actors.clocks import Clocks
from actors.marks import Marks, mark_of
from actors.settings import ConnectionSettings
from brokers.adapter import NotSent
from domain import ids
from domain.orders import NewOrder
from domain.records import Halted, HaltScope

SENT_MAX = 65_536
"""Orders and amends remembered as sent; the marks remember as many across a restart."""

K = TypeVar("K")
Sealable = TypeVar("Sealable", m.Dispatch, m.SendAmend)


class Shut(NotSent):
    """The gate closed between the order's arrival and its first byte."""


class Refusal(Struct, frozen=True):
    """Why an order must not leave. `is_proof`: and no earlier intent has sent it either."""

    reason: str
    is_proof: bool = True


def is_halted(
    order: NewOrder,
    halts: Iterable[Halted],
    settings: ConnectionSettings,
    exits_pass: bool = False,
) -> bool:
    """True where a halt covers the order on that connection; `exits_pass` as the settings say."""
    if not halts or (exits_pass and order.only_reduces):
        return False
    subjects = {
        HaltScope.ALL: "*",
        HaltScope.OWNER: settings.owner,
        HaltScope.ACCOUNT: settings.account,
        HaltScope.CONNECTION: settings.id,
        HaltScope.BROKER: settings.broker,
        HaltScope.INSTRUMENT: order.instrument,
        HaltScope.TAG: order.tag,
    }
    return any(
        halt.scope is HaltScope.ALL or subjects[halt.scope] == halt.subject for halt in halts
    )


def sealed(message: Sealable) -> Sealable:
    """The message with a digest of what it says: its names, and the order or its new terms."""
    return replace(message, digest=digest_of(message))


def digest_of(message: m.Dispatch | m.SendAmend) -> str:
    """What it says, in 32 characters."""
    if isinstance(message, m.Dispatch):
        numbers, name, order = (message.intent, message.attempt), message.order_id, message.order
    else:
        name, order = f"{message.order_id}\n{message.request_id}", message.terms
        numbers = (0, 0)
    return ids.digest(_Said(numbers, name, message.venue_client_id, order))


class _Said(Struct, frozen=True, array_like=True):
    numbers: tuple[int, int]
    name: str
    venue_client_id: str
    order: NewOrder


class Gate:
    """One login's: its epoch, its halts, and what it has let through."""

    def __init__(
        self, settings: ConnectionSettings, marks: Marks, clocks: Clocks, exits_pass_halts: bool
    ) -> None:
        self._settings = settings
        self._marks = marks
        self._clocks = clocks
        self._exits_pass = exits_pass_halts
        self.epoch = marks.epoch
        self.last_intent = marks.last
        self.halts: tuple[Halted, ...] = ()
        self._halts_number = 0
        self._sent: dict[int, None] = dict.fromkeys(marks.orders())
        self._amended: dict[tuple[str, str], None] = {}

    # -- the router's word

    def take_epoch(self, attach: m.Attach) -> bool:
        """True where the router is the newest; an intent of an older one never leaves again."""
        if attach.epoch < self.epoch:
            return False
        if attach.epoch > self.epoch:
            self._halts_number = 0
            self._marks.write_epoch(attach.epoch)
        self.epoch = attach.epoch
        self.set_halts(attach.halts_number, attach.halts)
        self.last_intent = max(self.last_intent, attach.last_intent)
        return True

    def set_halts(self, number: int, halts: tuple[Halted, ...]) -> None:
        """These are in force; those of a frame told before newer ones are not."""
        if number >= self._halts_number:
            self._halts_number, self.halts = number, halts

    # -- on arrival

    def find_number_fault(self, dispatch: m.Dispatch) -> str | None:
        """Why the intent says nothing at all: it was decided before."""
        if dispatch.intent > self.last_intent:
            self.last_intent = dispatch.intent
            return None
        return "intent not above the last"

    def find_refusal(self, dispatch: m.Dispatch) -> Refusal | None:
        """Why the order must not leave: repeated, altered, halted, stale."""
        if mark_of(dispatch.order_id) in self._sent:
            return Refusal("already sent under another intent", is_proof=False)
        if (fault := self._find_alteration(dispatch)) is not None:
            return Refusal(f"altered: {fault}")
        reason = self.find_closure(dispatch)
        return Refusal(reason) if reason is not None else None

    def _find_alteration(self, dispatch: m.Dispatch) -> str | None:
        if dispatch.digest != digest_of(dispatch):
            return "not what its intent says"
        owner, name = self._settings.owner, dispatch.order.client_order_id
        if dispatch.order_id != ids.order_id(owner, name):
            return "an order id of another order"
        if dispatch.venue_client_id != ids.venue_client_id(owner, name, "0", dispatch.attempt):
            return "a venue client id of another order"
        return None

    def find_amend_fault(self, amend: m.SendAmend) -> str | None:
        """Why the amend must not leave; asked once, for it counts as sent from here on."""
        if amend.digest != digest_of(amend):
            return "altered: not what was written down"
        key = (amend.order_id, amend.request_id)
        if key in self._amended:
            return "already sent"
        _remember(self._amended, key)
        return None

    # -- at the first byte

    def mark(self, dispatch: m.Dispatch) -> None:
        """From here on it may have been sent."""
        key = mark_of(dispatch.order_id)
        self._marks.write(dispatch.intent, key)
        _remember(self._sent, key)

    def unmark(self, dispatch: m.Dispatch) -> None:
        """It was not: another attempt may be made."""
        self._sent.pop(mark_of(dispatch.order_id), None)

    def check(self, dispatch: m.Dispatch | m.SendAmend) -> None:
        """The last look, right before the write. Raises Shut."""
        if (reason := self.find_closure(dispatch)) is not None:
            raise Shut(reason)

    def find_closure(self, dispatch: m.Dispatch | m.SendAmend) -> str | None:
        """Fenced, halted or stale; None where it may leave now."""
        if dispatch.epoch != self.epoch:
            return "fenced"
        order = dispatch.order if isinstance(dispatch, m.Dispatch) else dispatch.terms
        if self.halts and is_halted(order, self.halts, self._settings, self._exits_pass):
            return "halted"
        return "stale" if self._clocks.boot_ns() > dispatch.send_by_ns else None


def _remember(known: dict[K, None], key: K) -> None:
    known[key] = None
    if len(known) > SENT_MAX:
        del known[next(iter(known))]
