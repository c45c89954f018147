"""Acts on what an account holds: closing, guarding, labeling, liquidating, financing."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec.structs import replace

from brokers.simulators import facts as f
from brokers.simulators.book import Account, Lot, Order
from brokers.simulators.checks import (
    CLIENT_ID_CHARS_MAX,
    Refusal,
    find_order_guard_fault,
)
from brokers.simulators.execution import guard_terms, level_at
from brokers.simulators.money import rounded
from brokers.simulators.netting import breaks_fifo_if_guarded
from brokers.simulators.terms import ZERO, Guard, Label, Terms
from brokers.simulators.words import Cause, Kind, Life, Netting, Why

if TYPE_CHECKING:
    from brokers.simulators.engine import Engine

DAYS_A_YEAR = Decimal(365)


class Holdings:
    """The part of an engine that deals with lots and positions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._books = engine.books

    def find_lot(self, account: Account, lot_id: int | str) -> Lot | None:
        """By number, or by the client's name for it."""
        if isinstance(lot_id, int):
            return account.lot(lot_id)
        number = account.by_lot_label.get(lot_id)
        return None if number is None else account.lot(number)

    def close_lot(self, account: Account, lot: Lot, asked: str) -> list[f.AnyFact]:
        """Closes `ALL` of an open lot, or so many of its units."""
        units = abs(lot.units) if asked == "ALL" else Decimal(asked)
        return self._close(account, lot, units, Cause.LOT_CLOSE, asked)

    def _close(
        self, account: Account, lot: Lot, units: Decimal, cause: Cause, asked: str | None
    ) -> list[f.AnyFact]:
        self._books.begin_act(account)
        signed = -units if lot.units > 0 else units
        terms = Terms(
            kind=Kind.MARKET,
            instrument=lot.instrument,
            units=signed,
            life=Life.FOK,
            netting=Netting.REDUCE_ONLY,
            lot=lot.id,
            cause=cause,
            asked=asked,
        )
        if not lot.units:
            self._engine.refuse(account, terms, Refusal(Why.LOT_UNKNOWN))
        elif units > abs(lot.units):
            self._engine.refuse(account, terms, Refusal(Why.LOT_UNITS_EXCEEDED))
        else:
            self._engine.enter_or_refuse(account, terms)
        return self._books.end_act(account)

    def close_position(
        self, account: Account, instrument: str, is_long: bool, asked: str, label: Label | None
    ) -> list[f.AnyFact]:
        """Closes one side of a position, oldest lots first."""
        self._books.begin_act(account)
        position = account.position(instrument)
        held = position.long if is_long else -position.short
        units = held if asked == "ALL" else Decimal(asked)
        terms = Terms(
            kind=Kind.MARKET,
            instrument=instrument,
            units=-units if is_long else units,
            life=Life.FOK,
            netting=Netting.REDUCE_ONLY,
            label=label,
            cause=Cause.POSITION_CLOSE,
            asked=asked,
        )
        if not held:
            self._engine.refuse(account, terms, Refusal(Why.POSITION_UNKNOWN))
        elif units > held:
            self._engine.refuse(account, terms, Refusal(Why.POSITION_UNITS_EXCEEDED))
        else:
            self._engine.enter_or_refuse(account, terms)
        return self._books.end_act(account)

    # -- guards

    def guard(self, account: Account, terms: Terms) -> list[f.AnyFact]:
        """Puts one guard on an open lot that has none of its kind, or refuses to."""
        self._books.begin_act(account)
        lot = account.lots.get(terms.lot) if terms.lot is not None else None
        if lot is None:
            self._engine.refuse(account, terms, Refusal(Why.LOT_UNKNOWN))
            return self._books.end_act(account)
        terms = replace(terms, instrument=lot.instrument, units=-lot.units)
        why = self._find_guard_fault(account, lot, terms)
        if why is None and terms.kind.value in lot.guards:
            why = Why.GUARD_EXISTS
        if why is not None:
            self._engine.refuse(account, terms, Refusal(why))
        else:
            self._engine.enter(account, _priced(terms, lot))
        return self._books.end_act(account)

    def _find_guard_fault(self, account: Account, lot: Lot, terms: Terms) -> Why | None:
        listing = self._engine.listings[lot.instrument]
        why = find_order_guard_fault(terms, listing, self._books.now_ns)
        if why is not None:
            return why
        if breaks_fifo_if_guarded(account, lot):
            return Why.GUARD_BREAKS_FIFO
        name = terms.client_id
        old = account.working.get(lot.guards.get(terms.kind.value, 0))
        if name is not None and self._engine.is_taken(account, name):
            return None if old is not None and old.client_id == name else Why.CLIENT_ID_TAKEN
        return None

    def set_guards(
        self, account: Account, lot: Lot, guards: Mapping[Kind, Guard | None]
    ) -> list[f.AnyFact]:
        """Makes, replaces or (None) cancels guards of a lot: all of them, or none."""
        self._books.begin_act(account)
        wanted = [
            (kind, None if guard is None else guard_terms(kind, guard, lot, Cause.CLIENT))
            for kind, guard in guards.items()
        ]
        faults = [
            (terms, self._find_guard_fault(account, lot, terms)) for _, terms in wanted if terms
        ]
        if any(why for _, why in faults):
            for terms, why in faults:
                if why is not None:
                    old = lot.guards.get(terms.kind.value)
                    self._engine.refuse(account, terms, Refusal(why), replaces=old)
            return self._books.end_act(account)
        for kind, made in wanted:
            self._set_guard(account, lot, kind, made)
        return self._books.end_act(account)

    def _set_guard(self, account: Account, lot: Lot, kind: Kind, terms: Terms | None) -> None:
        old = account.working.get(lot.guards.get(kind.value, 0))
        if terms is None:
            if old is not None:
                self._books.cancel(account, old, Why.REQUESTED)
            return
        if not lot.units:
            # An earlier guard of the same request has closed the lot.
            return
        if old is not None:
            self._books.cancel(account, old, Why.REPLACED, linked=(account.next_id + 1, None))
            terms = replace(terms, cause=Cause.REPLACEMENT)
        self._engine.enter(account, terms, replaces=None if old is None else old.id)

    # -- labels and settings

    def relabel(
        self, account: Account, order: Order, label: Label | None, lot_label: Label | None
    ) -> list[f.AnyFact]:
        """Changes what the client pinned to an order, and to the lot it may open."""
        self._books.begin_act(account)
        why = self._find_label_fault(account, order, label, lot_label)
        number = self._books.number(account)
        if why is not None:
            refused = f.RelabelRefused(
                id=number,
                batch=account.batch,
                at_ns=self._books.now_ns,
                why=why,
                order=str(order.id),
                label=label,
                lot_label=lot_label,
            )
            self._books.add(account, refused)
            return self._books.end_act(account)
        old_name = order.client_id
        self._books.add(
            account,
            f.Relabeled(
                id=number,
                batch=account.batch,
                at_ns=self._books.now_ns,
                order=order.id,
                client_id=old_name,
                label=label,
                lot_label=lot_label,
            ),
        )
        if label is not None:
            order.label = merged(order.label, label)
            _rename(account, order, old_name)
        if lot_label is not None:
            order.terms = replace(order.terms, lot_label=merged(order.terms.lot_label, lot_label))
        return self._books.end_act(account)

    def _find_label_fault(
        self, account: Account, order: Order, label: Label | None, lot_label: Label | None
    ) -> Why | None:
        if label is None and lot_label is None:
            return Why.LABEL_MISSING
        if order.id not in account.working:
            return Why.ORDER_UNKNOWN
        name = label.id if label is not None else None
        if name is None or name == order.client_id:
            return None
        if not 0 < len(name) <= CLIENT_ID_CHARS_MAX:
            return Why.CLIENT_ID_INVALID
        return Why.CLIENT_ID_TAKEN if self._engine.is_taken(account, name) else None

    def relabel_lot(self, account: Account, lot: Lot, label: Label | None) -> list[f.AnyFact]:
        """Changes what the client pinned to an open lot."""
        self._books.begin_act(account)
        number, now_ns = self._books.number(account), self._books.now_ns
        old_name = lot.label.id if lot.label is not None else None
        why = None
        if label is None:
            why = Why.LABEL_MISSING
        elif not lot.units:
            why = Why.LOT_UNKNOWN
        elif label.id is not None and account.by_lot_label.get(label.id, lot.id) != lot.id:
            why = Why.CLIENT_LOT_ID_TAKEN
        if why is not None or label is None:
            refused = f.RelabelRefused(
                id=number,
                batch=account.batch,
                at_ns=now_ns,
                why=why or Why.LABEL_MISSING,
                lot=str(lot.id),
                lot_label=label,
            )
            self._books.add(account, refused)
            return self._books.end_act(account)
        changed = f.LotRelabeled(
            id=number,
            batch=account.batch,
            at_ns=now_ns,
            lot=lot.id,
            label=label,
            client_lot_id=old_name,
        )
        self._books.add(account, changed)
        lot.label = merged(lot.label, label)
        if old_name is not None:
            account.by_lot_label.pop(old_name, None)
        if lot.label.id is not None:
            account.by_lot_label[lot.label.id] = lot.id
        return self._books.end_act(account)

    def configure(
        self, account: Account, alias: str | None, margin_rate: Decimal | None
    ) -> list[f.AnyFact]:
        """Changes the account's name or its own margin rate, or refuses to."""
        self._books.begin_act(account)
        why = None
        if alias is None and margin_rate is None:
            why = Why.CONFIGURATION_MISSING
        elif margin_rate is not None and not 0 < margin_rate <= 1:
            why = Why.MARGIN_RATE_INVALID
        number, now_ns = self._books.number(account), self._books.now_ns
        if why is not None:
            refused = f.ConfigureRefused(
                id=number,
                batch=account.batch,
                at_ns=now_ns,
                why=why,
                alias=alias,
                margin_rate=margin_rate,
            )
            self._books.add(account, refused)
            return self._books.end_act(account)
        account.alias = account.alias if alias is None else alias
        account.margin_rate = account.margin_rate if margin_rate is None else margin_rate
        changed = f.Configured(
            id=number,
            batch=account.batch,
            at_ns=now_ns,
            alias=alias,
            margin_rate=margin_rate,
        )
        self._books.add(account, changed)
        return self._books.end_act(account)

    # -- the broker's own acts

    def close_out_if_due(self, account: Account) -> None:
        """Closes everything once equity has fallen to the closeout share of margin."""
        worth = self._engine.valuer.worth(account)
        if not worth.margin_used:
            return
        if worth.equity > worth.margin_used * account.settings.closeout:
            return
        for lot in list(account.lots.values()):
            if lot.instrument in self._engine.quotes:
                self._close(account, lot, abs(lot.units), Cause.MARGIN_CLOSEOUT, None)

    def charge_financing(self) -> None:
        """Charges every open lot for one night."""
        rate = self._engine.settings.financing_rate / DAYS_A_YEAR
        for account in self._engine.accounts.values():
            if rate and account.lots:
                self._charge(account, rate)

    def _charge(self, account: Account, rate: Decimal) -> None:
        self._books.begin_act(account)
        rows = []
        for lot in account.lots.values():
            value = self._engine.valuer.value(
                account, self._engine.listings[lot.instrument], lot.units
            )
            amount = -rounded(value * rate)
            lot.financing += amount
            account.positions[lot.instrument].financing += amount
            rows.append((lot.id, lot.instrument, amount))
        total = sum((amount for *_, amount in rows), ZERO)
        account.balance += total
        account.financing += total
        self._books.add(
            account,
            f.Financed(
                id=self._books.number(account),
                batch=account.batch,
                at_ns=self._books.now_ns,
                amount=total,
                balance=account.balance,
                lots=tuple(rows),
            ),
        )
        self._books.end_act(account)


def _priced(terms: Terms, lot: Lot) -> Terms:
    if terms.kind is Kind.STOP_LOSS and terms.price is None and terms.distance is not None:
        return replace(terms, price=level_at(lot.price, lot.units, terms.distance))
    return terms


def merged(old: Label | None, new: Label) -> Label:
    """The old label with what the new one says; what it leaves out stays."""
    if old is None:
        return new
    return Label(new.id or old.id, new.tag or old.tag, new.comment or old.comment)


def _rename(account: Account, order: Order, old_name: str | None) -> None:
    if order.client_id == old_name:
        return
    if old_name is not None:
        account.by_client_id[old_name].remove(order.id)
    if order.client_id is not None:
        account.by_client_id.setdefault(order.client_id, []).append(order.id)
