"""Records, events and orders in plain words. Pure: values in, sentences out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cli.output import number, utc
from domain import events as ev
from domain import records as rec
from domain import streams as st
from domain.errors import ErrorInfo
from domain.orders import AmendOrder, CancelOrder, NewOrder, Trailing
from domain.records import Record
from domain.screening import Verdict, Violation
from domain.trail import Audited, words_of


def describe_order(order: NewOrder) -> str:
    """What was asked for: `buy 1000 EUR/USD limit at 1.1, gtc`."""
    words = [order.side.value.replace("_", " "), number(order.quantity), order.instrument]
    words.append(order.type.value.replace("_", " "))
    for word, price in (
        ("at", order.limit_price),
        ("from", order.stop_price),
        ("bound by", order.price_bound),
    ):
        if price is not None:
            words.append(f"{word} {number(price)}")
    if order.trailing is not None:
        words.append(_trailing(order.trailing))
    text = " ".join(words) + f", {order.time_in_force.value}"
    if order.expire_at_ns is not None:
        text += f" until {utc(order.expire_at_ns)}"
    if order.closes_lot is not None:
        text += f", for lot {order.closes_lot}"
    if order.reduce_only:
        text += ", reduce only"
    return text + _bracket(order)


def _bracket(order: NewOrder) -> str:
    bracket = order.bracket
    if bracket is None:
        return ""
    parts = []
    if bracket.take_profit is not None:
        parts.append(f"take profit {number(bracket.take_profit.limit_price)}")
    stop = bracket.stop_loss
    if stop is not None:
        level = number(stop.stop_price) or f"{number(stop.distance)} away"
        parts.append(f"stop loss {level}")
    if bracket.trailing is not None:
        parts.append(_trailing(bracket.trailing))
    return f", with {' and '.join(parts)}" if parts else ""


def _trailing(trailing: Trailing) -> str:
    if trailing.percent is not None:
        return f"trailing by {number(trailing.percent)} %"
    return f"trailing by {number(trailing.amount)}"


def describe_error(error: ErrorInfo) -> str:
    """An error with whose words they are."""
    text = f"{error.message} ({error.code}"
    if error.venue is not None:
        text += f", the broker said {error.venue.code}"
    if error.rule is not None:
        text += f", rule {error.rule}, {error.citation}"
    return text + ")"


# -- causes


def describe_cause(record: Record) -> str:
    """Why the record was written."""
    return CAUSES[type(record.cause)](record.cause)


def _ordered(cause: rec.Ordered) -> str:
    asked = describe_order(cause.command)
    return f"session {cause.session} asked as {cause.command.client_order_id}: {asked}"


def _changed(cause: rec.Changed) -> str:
    return f"session {cause.session} asked to {_change(cause.command)} (request {cause.request_id})"


def _change(command: AmendOrder | CancelOrder) -> str:
    if isinstance(command, CancelOrder):
        name = command.client_order_id or command.order_id
        scope = name or command.tag or command.instrument or command.account or "all orders"
        return f"cancel {scope}"
    given = []
    for field in ("quantity", "limit_price", "stop_price"):
        value = getattr(command, field)
        if value is not None:
            given.append(f"{field.replace('_', ' ')} {number(value)}")
    if command.trailing is not None:
        given.append(_trailing(command.trailing))
    return f"amend {command.client_order_id} to {', '.join(given) or 'new terms'}"


def _reported(cause: rec.Reported) -> str:
    cursor = f", broker's transaction {cause.cursor}" if cause.cursor else ""
    return f"connection {cause.connection} reported (item {cause.last}{cursor})"


def _synced(cause: rec.Synced) -> str:
    cursor = cause.snapshot.cursor
    return f"connection {cause.connection} read the whole account as of transaction {cursor}"


_LEASED = {
    rec.LeaseWord.LENT: "to",
    rec.LeaseWord.RECALLED: "from",
    rec.LeaseWord.RETURNED: "by",
}
CAUSES: dict[type, Callable[[Any], str]] = {
    rec.EpochStarted: lambda cause: f"a router took the journal (incarnation {cause.incarnation})",
    rec.Ordered: _ordered,
    rec.Changed: _changed,
    rec.Reported: _reported,
    rec.Synced: _synced,
    rec.Settled: lambda cause: f"the router concluded: {cause.why}",
    rec.Halted: lambda c: f"{c.by} halted {c.scope.value} {c.subject}: {c.reason}",
    rec.Resumed: lambda c: f"{c.by} lifted the halt of {c.scope.value} {c.subject}",
    rec.Resolved: lambda c: f"{c.by} resolved it as {c.resolution}: {c.evidence}",
    rec.BreakerReset: lambda c: f"{c.by} reset the breaker of {c.connection}",
    Audited: words_of,
    rec.Guard: lambda c: (
        f"session {c.session} {'armed' if c.armed else 'lifted'} its guard {c.kind.value}"
    ),
    rec.Checked: lambda c: (
        f"compliance looked at {'an amend: ' if c.is_amend else ''}{describe_order(c.command)}"
    ),
    rec.Ruled: lambda c: (
        f"compliance screens by the settings of incarnation {c.incarnation}, "
        f"over {len(c.instruments)} new or changed instruments"
    ),
    rec.Leased: lambda c: (
        f"the firm's limit: {number(c.amount)} {c.word.value} {_LEASED[c.word]} {c.shard}"
    ),
    rec.MarketTold: lambda c: f"the market told of {', '.join(f.instrument for f in c.facts)}",
}
assert set(rec.Cause.__args__) == CAUSES.keys()


def evidence_lines(record: Record) -> tuple[str, ...]:
    """What compliance found and by which prices: rule, source, numbers."""
    cause = record.cause
    if isinstance(cause, rec.Ordered):
        last = () if cause.verdict is None else (cause.verdict,)
        verdicts = (*cause.refused, *last)
        is_told = bool(last)
    elif isinstance(cause, rec.Checked):
        verdicts, is_told = cause.verdicts, False
    else:
        return ()
    lines = [line for verdict in verdicts for line in _verdict(verdict)]
    if cause.error is not None and not is_told:
        lines.append(f"refused: {describe_error(cause.error)}")
    lines += [
        f"by the price of {rate.instrument}: {number(rate.bid)} / {number(rate.ask)}"
        for rate in cause.rates
    ]
    return tuple(lines)


def _verdict(verdict: Verdict) -> list[str]:
    place = f"{verdict.candidate.connection}, account {verdict.candidate.account}"
    if verdict.violation is None:
        lines = [f"compliance let it pass for {place} (verdict {verdict.id})"]
    else:
        lines = [f"compliance denied it for {place} (verdict {verdict.id})"]
        lines += _violation(verdict.violation)
    for warning in verdict.warnings:
        lines += ["with a warning:", *_violation(warning)]
    return lines


def _violation(violation: Violation) -> list[str]:
    lines = [f"rule {violation.rule}: {violation.message}", f"source: {violation.citation}"]
    if violation.numbers:
        pairs = (f"{name} {value}" for name, value in violation.numbers.items())
        lines.append(f"numbers: {', '.join(pairs)}")
    if violation.would_pass:
        lines.append(f"would pass: {violation.would_pass}")
    return lines


# -- updates


def describe_update(update: st.StreamUpdate) -> str:
    """What an entry of a stream says."""
    return UPDATES[type(update.body)](update.body)


def _order(body: st.OrderUpdate) -> str:
    late = " (after its end: late)" if body.late_fill and isinstance(body.event, ev.Fill) else ""
    return describe_event(body.event) + late


UPDATES: dict[type, Callable[[Any], str]] = {
    st.OrderUpdate: _order,
    st.BalancesUpdate: lambda b: f"balance {number(b.balances.cash)} {b.balances.currency}",
    st.PositionUpdate: lambda b: (
        f"position {number(b.position.quantity) or '0'} {b.position.instrument}"
    ),
    st.TransactionUpdate: lambda b: (
        f"{b.transaction.type.value} {number(b.transaction.amount)} {b.transaction.currency}"
    ),
    st.ConnectionUpdate: lambda b: (
        f"{b.connection.connection} is {b.connection.state.value}: {b.connection.reason}"
    ),
    st.Notice: lambda b: f"notice {b.kind.value} for {b.scope}: {b.message}",
}
assert set(st.UpdateBody.__args__) == UPDATES.keys()


def describe_event(event: ev.OrderEvent) -> str:
    """What became known."""
    return EVENTS[type(event)](event)


def _sending(event: ev.Sending) -> str:
    return (
        f"written down, then sent over {event.connection} as intent {event.intent}, "
        f"attempt {event.attempt}, under our id {event.venue_client_id}"
    )


def _fill(event: ev.Fill) -> str:
    text = (
        f"filled {number(event.quantity)} at {number(event.price)}, execution "
        f"{event.broker_execution_id} of the broker's order {event.broker_order_id}"
    )
    if event.lots_opened:
        text += f", opens lot {', '.join(lot.lot_id for lot in event.lots_opened)}"
    if event.lots_closed:
        text += f", closes of lot {', '.join(lot.lot_id for lot in event.lots_closed)}"
    if event.realized_pnl:
        text += f", realized {number(event.realized_pnl)} {event.currency or ''}".rstrip()
    return text


def _canceled(event: ev.Canceled) -> str:
    why = describe_error(event.error) if event.error else event.reason
    return f"canceled: {why}{_at(event.broker_order_id)}"


def _external(event: ev.External) -> str:
    words = f"{event.side.value} {number(event.quantity)} {event.instrument}"
    text = f"the broker has {words} {event.order_type.value}{_at(event.broker_order_id)}"
    return f"{text}, guarding lot {event.closes_lot}" if event.closes_lot else text


def _replaced(event: ev.Replaced) -> str:
    was = event.previous_broker_order_id
    return f"amended: now the broker's order {event.broker_order_id}" + (
        f", was {was}" if was else ""
    )


def _at(broker_order_id: str | None) -> str:
    return f", the broker's order {broker_order_id}" if broker_order_id else ""


EVENTS: dict[type, Callable[[Any], str]] = {
    ev.Denied: lambda e: f"denied, nothing was sent: {describe_error(e.error)}",
    ev.Held: lambda _: "held until the market opens",
    ev.Armed: lambda _: "armed: waits for its trigger or its parent",
    ev.Readied: lambda _: "ready: waits for a send credit",
    ev.Sending: _sending,
    ev.NeverSent: lambda e: f"proof that no byte left: {e.reason}",
    ev.OutcomeUnknown: lambda e: f"the outcome is unknown: {e.reason}; evidence is looked for",
    ev.NotPlaced: lambda e: f"it never reached the broker; evidence: {'; '.join(e.evidence)}",
    ev.Accepted: lambda e: f"the broker has it{_at(e.broker_order_id)}",
    ev.Triggered: lambda e: f"its trigger was met{_at(e.broker_order_id)}",
    ev.Fill: _fill,
    ev.Rejected: lambda e: f"rejected: {describe_error(e.error)}{_at(e.broker_order_id)}",
    ev.Canceled: _canceled,
    ev.Expired: lambda e: f"expired{_at(e.broker_order_id)}",
    ev.Replaced: _replaced,
    ev.CancelRequested: lambda e: f"a cancel is under way (request {e.request_id})",
    ev.CancelRefused: lambda e: f"the cancel was refused: {describe_error(e.error)}",
    ev.AmendRequested: lambda e: f"an amend is under way (request {e.request_id})",
    ev.AmendRefused: lambda e: f"the amend was refused: {describe_error(e.error)}",
    ev.External: _external,
}
assert set(ev.OrderEvent.__args__) == EVENTS.keys()
