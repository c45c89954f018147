"""Structs to rows: what each table keeps of what the journal says. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.json import Encoder as JsonEncoder
from msgspec.msgpack import Encoder

from domain.accounts import AccountBalances, BrokerAccount, ConnectionState
from domain.audit import AuditRow, Retention
from domain.events import Fill
from domain.lifecycle import Order
from domain.portfolio import ZERO, Position
from domain.records import (
    BreakerReset,
    Checked,
    EpochStarted,
    Guard,
    Halted,
    Leased,
    Ordered,
    Record,
    Resolved,
    Resumed,
    Ruled,
)
from domain.screening import Verdict
from domain.streams import Notice, OrderUpdate, StreamUpdate
from domain.trail import Audited
from domain.transactions import Transaction, TransactionType
from ledger.store_tables import balances, positions

Row = dict[str, Any]

_encode = Encoder().encode
_to_json = JsonEncoder(order="sorted").encode

_POSITION = tuple(
    name for name in Position.__struct_fields__ if name in positions.c and name != "body"
)
_BALANCES = tuple(
    name for name in AccountBalances.__struct_fields__ if name in balances.c and name != "body"
)


def origin(record: Record, owner: str | None, retention: Retention | None = None) -> Row:
    """What every row says of where it is from; a kind without a class has its record's."""
    kept = (retention or record.retention).value
    return {"owner": owner, "record": record.number, "retention": kept}


def event_row(update: StreamUpdate, origin: Row) -> Row:
    """A numbered entry of a stream."""
    body = update.body
    kind, order_id = _TAGS[type(body)], None
    if isinstance(body, OrderUpdate):
        kind, order_id = _TAGS[type(body.event)], body.order_id
    elif isinstance(body, Notice):
        order_id = body.order_id
    return {
        "stream": update.stream,
        "seq": update.seq,
        "at_ns": update.at_ns,
        "kind": kind,
        "order_id": order_id,
        "body": _encode(update),
        **origin,
    }


class _Tags(dict[type[Struct], str]):
    """The word of each kind of struct, as it is written in the journal."""

    def __missing__(self, kind: type[Struct]) -> str:
        self[kind] = word = str(kind.__struct_config__.tag)
        return word


_TAGS = _Tags()


def order_row(order: Order, record: Record) -> Row:
    """An order as its events so far leave it."""
    terms, external = order.terms, order.external
    side = (terms or external).side if terms or external else None  # type: ignore[union-attr]
    kind = terms.type if terms else external.order_type if external else None
    return {
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "parent_order_id": order.parent_order_id,
        "tag": terms.tag if terms else None,
        "signal_id": terms.signal_id if terms else None,
        "origin": order.origin.value,
        "status": order.status.value,
        "pending": order.pending.value if order.pending else None,
        "connection": order.connection,
        "account": order.account,
        "instrument": order.instrument or None,
        "side": side.value if side else None,
        "type": kind.value if kind else None,
        "reason": order.reason,
        "quantity": order.quantity,
        "filled": order.filled,
        "leaves": order.leaves,
        "average_price": order.average_price,
        "version": order.version,
        "late_fill": order.late_fill,
        "received_ns": order.received_ns,
        "updated_ns": order.updated_ns,
        "filled_ns": order.filled_ns,
        "owner": order.owner,
        "record": record.number,
        "retention": record.retention.value,
        "body": _encode(order),
    }


def fill_row(order: Order, fill: Fill, update: StreamUpdate, record: Record) -> Row:
    """One execution of an order, which stands as the fill leaves it."""
    return {
        "execution_id": fill.execution_id,
        "order_id": order.order_id,
        "broker_execution_id": fill.broker_execution_id,
        "broker_order_id": fill.broker_order_id,
        "instrument": fill.instrument,
        "side": fill.side.value,
        "client_order_id": order.client_order_id,
        "signal_id": order.terms.signal_id if order.terms else None,
        "connection": order.connection,
        "account": order.account,
        "currency": fill.currency,
        "quantity": fill.quantity,
        "price": fill.price,
        "commission": fill.commission,
        "financing": fill.financing,
        "realized_pnl": fill.realized_pnl,
        "balance_after": fill.balance_after,
        "late": order.late_fill,
        "at_ns": fill.at_ns,
        "stream": update.stream,
        "seq": update.seq,
        "owner": order.owner,
        "record": record.number,
        "retention": record.retention.value,
    }


def trade(order: Order, fill: Fill, home: str | None) -> Transaction:
    """What a fill did to the account; `home` is the account's own currency.

    Where the broker books profits (margin forex) the cash moves by them; elsewhere it moves
    by what was paid or received.
    """
    costs = (fill.commission or ZERO) + (fill.financing or ZERO)
    if fill.realized_pnl is not None:
        moved = fill.realized_pnl
    else:
        moved = -fill.side.sign * fill.quantity * fill.price
    return Transaction(
        connection=order.connection or "",
        account=order.account or "",
        broker_transaction_id=fill.broker_execution_id,
        type=TransactionType.BUY if fill.side.is_buy else TransactionType.SELL,
        currency=fill.currency or fill.instrument.partition("/")[2] or home or "",
        amount=moved + costs,
        traded_ns=fill.at_ns,
        instrument=fill.instrument,
        quantity=fill.quantity,
        price=fill.price,
        commission=fill.commission,
        financing=fill.financing,
        order_id=order.order_id,
        signal_id=order.terms.signal_id if order.terms else None,
        balance_after=fill.balance_after,
    )


def transaction_row(transaction: Transaction, record: Record, owner: str | None) -> Row:
    """A movement as first told; `number` is where `transactions.since` goes on from."""
    return {
        "connection": transaction.connection,
        "broker_transaction_id": transaction.broker_transaction_id,
        "number": record.number,
        "account": transaction.account,
        "type": transaction.type.value,
        "currency": transaction.currency,
        "amount": transaction.amount,
        "instrument": transaction.instrument,
        "quantity": transaction.quantity,
        "price": transaction.price,
        "commission": transaction.commission,
        "fees": transaction.fees,
        "financing": transaction.financing,
        "balance_after": transaction.balance_after,
        "traded_ns": transaction.traded_ns,
        "settled_on": transaction.settled_on,
        "order_id": transaction.order_id,
        "client_order_id": None,
        "signal_id": transaction.signal_id,
        "told_by_broker": False,
        "reconciled": transaction.reconciled,
        "owner": owner,
        "record": record.number,
        "retention": Retention.LEDGER.value,
    }


def merge(told: Row, derived: Row) -> Row:
    """One movement told twice: the broker's word on the money, ours on what it was for."""
    merged = {name: derived[name] if value is None else value for name, value in told.items()}
    for name in ("order_id", "client_order_id", "signal_id"):
        merged[name] = told[name] if derived[name] is None else derived[name]
    return merged | {
        "told_by_broker": True,
        "number": min(told["number"], derived["number"]),
        "record": max(told["record"], derived["record"]),
    }


def position_row(position: Position, record: Record, owner: str | None) -> Row:
    """What an account holds of an instrument."""
    facts = {name: getattr(position, name) for name in _POSITION}
    return facts | origin(record, owner, Retention.ACCOUNT) | {"body": _encode(position)}


def lot_rows(position: Position, record: Record, owner: str | None) -> Iterator[Row]:
    """The open pieces of a position."""
    common = origin(record, owner, Retention.ACCOUNT)
    for lot in position.lots:
        yield {
            "account": position.account,
            "instrument": position.instrument,
            "lot_id": lot.lot_id,
            "quantity": lot.quantity,
            "price": lot.price,
            "opened_ns": lot.opened_ns,
            "opened_sequence": lot.opened_sequence,
            "has_bracket": lot.has_bracket,
            **common,
        }


def balances_row(held: AccountBalances, record: Record, owner: str | None) -> Row:
    """Money of an account in one currency."""
    facts = {name: getattr(held, name) for name in _BALANCES}
    return facts | origin(record, owner, Retention.ACCOUNT) | {"body": _encode(held)}


def account_row(account: BrokerAccount, record: Record) -> Row:
    """An account as its broker describes it."""
    return {
        "account": account.account,
        "connection": account.connection,
        "broker": account.broker,
        "environment": account.environment.value,
        "base_currency": account.base_currency,
        "type": account.type.value,
        "status": account.status.value,
        "region": account.region.value,
        "regime": account.regime,
        **origin(record, account.owner, Retention.ACCOUNT),
        "body": _encode(account),
    }


def connection_row(state: ConnectionState, record: Record) -> Row:
    """How a connection stands."""
    return {
        "connection": state.connection,
        "state": state.state.value,
        "reason": state.reason,
        "since_ns": state.since_ns,
        **origin(record, record.owner, Retention.SYSTEM),
    }


def notice_row(notice: Notice, update: StreamUpdate, record: Record) -> Row:
    """A thing for people."""
    return {
        "stream": update.stream,
        "seq": update.seq,
        "at_ns": update.at_ns,
        "kind": notice.kind.value,
        "scope": notice.scope,
        "message": notice.message,
        "order_id": notice.order_id,
        **origin(record, record.owner, Retention.SYSTEM),
    }


def audit_row(record: Record) -> Row | None:
    """Who did what to what, where the record is of a check or of an operator's act."""
    found = find_act(record)
    if found is None:
        return None
    return {
        "record": record.number,
        "at_ns": found.at_ns,
        "actor": found.actor,
        "act": found.act,
        "subject": found.subject,
        "outcome": found.outcome,
        "detail": _to_json(found.detail).decode(),
        "owner": found.owner,
        "retention": found.retention.value,
    }


def find_act(record: Record) -> AuditRow | None:
    """The check or the act that a record tells of, or None."""
    cause = record.cause
    match cause:
        case Ordered(verdict=Verdict() as verdict):
            return _act(record, "compliance", "screen", cause.command.client_order_id, verdict)
        case Checked(verdicts=(*_, Verdict() as verdict)):
            act = "screen.amend" if cause.is_amend else "screen"
            return _act(record, "compliance", act, cause.command.client_order_id, verdict)
        case Leased():
            words = {"amount": str(cause.amount), "word": cause.word.value}
            return _act(record, "router", "lease", cause.shard, words)
        case Ruled():
            words = {"settings": cause.settings, "instruments": str(len(cause.instruments))}
            return _act(record, "compliance", "rules.load", cause.incarnation, words)
        case Halted():
            subject = f"{cause.scope.value}/{cause.subject}"
            return _act(record, cause.by, "halt", subject, {"reason": cause.reason})
        case Resumed():
            return _act(record, cause.by, "resume", f"{cause.scope.value}/{cause.subject}", {})
        case Resolved():
            words = {"resolution": cause.resolution, "evidence": cause.evidence}
            return _act(record, cause.by, "order.resolve", cause.order_id, words)
        case BreakerReset():
            return _act(record, cause.by, "breaker.reset", cause.connection, {})
        case Guard():
            act = "guard.arm" if cause.armed else "guard.lift"
            words = {"kind": cause.kind.value, "grace_ms": str(cause.grace_ms)}
            scope = {"tag": cause.tag, "instrument": cause.instrument, "account": cause.account}
            words |= {name: value for name, value in scope.items() if value is not None}
            return _act(record, cause.owner, act, cause.session, words)
        case Audited():
            count = {"count": str(cause.count)} if cause.count > 1 else {}
            return _act(record, cause.by, cause.act.value, cause.subject, cause.detail | count)
        case EpochStarted():
            words = {"boot_id": cause.boot_id, "incarnation": cause.incarnation}
            return _act(record, "router", "epoch.start", str(record.epoch), words)
        case _:
            return None


def _act(
    record: Record, actor: str, act: str, subject: str, detail: Verdict | dict[str, str]
) -> AuditRow:
    outcome = "done"
    if isinstance(detail, Verdict):
        outcome = detail.violation.code if detail.violation else "passed"
        detail = _verdict_words(detail)
    return AuditRow(
        at_ns=record.at_ns,
        actor=actor,
        act=act,
        subject=subject,
        outcome=outcome,
        owner=record.owner,
        detail=detail,
    )


def _verdict_words(verdict: Verdict) -> dict[str, str]:
    words = {
        "verdict": verdict.id,
        "incarnation": verdict.incarnation,
        "connection": verdict.candidate.connection,
        "account": verdict.candidate.account,
    }
    if verdict.warnings:
        words["warnings"] = ",".join(warning.code for warning in verdict.warnings)
    violation = verdict.violation
    if violation is not None:
        words |= {"rule": violation.rule, "citation": violation.citation}
        words |= {"message": violation.message}
        words |= {f"number.{name}": value for name, value in violation.numbers.items()}
    return words


def transaction_of(row: Row) -> Transaction:
    """The movement a row is of."""
    names = (name for name in Transaction.__struct_fields__ if name != "type")
    return Transaction(type=TransactionType(row["type"]), **{name: row[name] for name in names})
