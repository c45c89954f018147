"""Commands: what a client asks, from receipt to a durable decision.

An order is checked here for what is not compliance's business (identity, grid, venue), screened
by compliance over its link, and then written as SENDING (or READY, or DENIED) in one record.
Refusals that are not compliance's are not journaled and consume no client order id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from actors import messages as m
from actors.gate import sealed
from actors.router import choice, refusals
from actors.router.desk import Desk, Draft
from actors.router.exits import find_exit
from actors.router.screening import Asked, Screening, checked, describe, preview
from actors.router.venue import Venue
from domain import events as ev
from domain import ids
from domain.commands import Answer, Decided, Submit
from domain.errors import ErrorInfo
from domain.instruments import find_grid_fault
from domain.lifecycle import Order, Origin, Status
from domain.orders import NewOrder
from domain.records import Ordered, Settled
from domain.screening import Candidate, ScreenAnswer, ScreenRequest, Verdict

SEND_BY_NS_MAX = 500_000_000
SCREENS_MAX = 10_000
READY_MAX = 10_000
PACED_MS_MAX = 1_000
"""An order that would wait longer for the broker's rate limit is refused instead."""


class Orders:
    """Takes commands and verdicts; drafts records and messages at the desk."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.compliance: str | None = None
        self.has_exited = False
        """Whether an order went out unscreened since compliance was last given the book."""
        self.send_amend: Callable[[Screening, Verdict], None] = _no_amends
        self._screens: dict[int, Screening] = {}
        self._by_order: dict[str, int] = {}
        self._screen_number = 0
        self._deadlines: dict[str, int] = {}

    def answer(self, edge: Any, ref: int, result: ErrorInfo | tuple[Decided, ...]) -> None:
        """Answers a command, whole or order by order."""
        if isinstance(result, ErrorInfo):
            self.desk.tally.refusals[result.code] += 1
            self.desk.to_edges.append((edge, Answer(ref=ref, error=result)))
        else:
            self.desk.to_edges.append((edge, Answer(ref=ref, decided=result)))

    def place_all(
        self,
        edge: Any,
        submit: Submit,
        orders: tuple[NewOrder, ...],
        dry_run: bool,
        digest: str | None = None,
    ) -> None:
        """Takes new orders, each decided alone; the last decision sends the answer.

        `digest` is of the body they came from, where that is not the order itself.
        """
        answers: list[Decided | None] = [None] * len(orders)
        for index, order in enumerate(orders):
            asked = Asked(edge=edge, ref=submit.ref, answers=answers, index=index)
            refused = self.place_one(submit, order, asked, digest, dry_run)
            if refused is not None:
                self.decide(asked, refused)

    def decide(self, asked: Asked, decided: Decided) -> None:
        """Fills in one order's answer; the last one sends them all."""
        if decided.error is not None:
            self.desk.tally.refusals[decided.error.code] += 1
        asked.answers[asked.index] = decided
        if None not in asked.answers:
            self.answer(asked.edge, asked.ref, tuple(a for a in asked.answers if a is not None))

    def place_one(
        self,
        submit: Submit,
        order: NewOrder,
        asked: Asked,
        digest: str | None = None,
        dry_run: bool = False,
    ) -> Decided | None:
        """A decision where one can be had at once; None while compliance looks."""
        order_id = ids.order_id(submit.owner, order.client_order_id)
        self.desk.tally.received(submit, order_id, self.desk.now_ns)
        digest = digest or ids.digest(order)
        # A dry run takes no id, so one that is taken does not matter to it.
        known = (
            None if dry_run else self.find_known(submit.owner, order.client_order_id, digest, asked)
        )
        if known is not None:
            return known if isinstance(known, Decided) else None
        fault = self._find_refusal(submit, order)
        if fault is not None:
            return Decided(client_order_id=order.client_order_id, error=fault)
        candidates = choice.choose(self.desk, submit.owner, order)
        fault = choice.find_fault(self.desk, submit.owner, order, candidates)
        if fault is not None:
            return Decided(client_order_id=order.client_order_id, error=fault)
        # Its price is wanted from now on, to screen this order and the next.
        self.desk.ordered_ns[candidates[0].connection, order.instrument] = self.desk.boot_ns
        screening = Screening(
            submit=submit,
            order=order,
            order_id=order_id,
            digest=digest,
            rates=(),
            asked=[asked],
            is_dry_run=dry_run,
        )
        if self.compliance is None:
            self._exit(screening, candidates)
        else:
            self.screen(screening, candidates)
        return None

    def _exit(self, screening: Screening, candidates: tuple[Candidate, ...]) -> None:
        """Without compliance only what cannot add risk goes through."""
        verdict = find_exit(self.desk, screening.order, candidates)
        if verdict is None or screening.is_dry_run:
            self.refuse(screening, refusals.COMPLIANCE_UNAVAILABLE)
        else:
            self.has_exited = True
            self._pass(screening, verdict)

    def find_known(
        self, owner: str, client_order_id: str, digest: str, asked: Asked
    ) -> Decided | bool | None:
        """The earlier answer for a repeated id; True where its screening is still under way."""
        orders, order_id = self.desk.books.orders, ids.order_id(owner, client_order_id)
        known = orders.get(order_id)
        if known is not None:
            same = orders.digest(owner, client_order_id) == digest
            return describe(known, dup=True) if same else refusals.id_conflict(client_order_id)
        number = self._by_order.get(order_id)
        if number is None:
            return None
        screening = self._screens[number]
        if screening.digest != digest:
            return refusals.id_conflict(client_order_id)
        screening.asked.append(asked)
        return True

    def _find_refusal(self, submit: Submit, order: NewOrder) -> ErrorInfo | None:
        """What stands in the way before compliance is asked."""
        desk = self.desk
        if desk.closed is not None:
            return desk.closed
        if self.compliance is None and not order.only_reduces:
            return refusals.COMPLIANCE_UNAVAILABLE
        if len(self._screens) >= SCREENS_MAX:
            return refusals.BUSY
        if submit.deadline_ns is not None and desk.boot_ns > submit.deadline_ns:
            return refusals.STALE
        instrument = choice.find_instrument(desk, submit.owner, order)
        if instrument is None:
            return choice.explain_no_instrument(desk, submit.owner, order)
        fault = find_grid_fault(order, instrument)
        if fault is not None:
            return refusals.invalid(fault.field, fault.message)
        return None

    # -- screening

    def screen(self, screening: Screening, candidates: tuple[Candidate, ...]) -> None:
        """Asks compliance; `screened` goes on from its answer."""
        desk = self.desk
        self._screen_number += 1
        number = self._screen_number
        venue = desk.venues[candidates[0].connection]
        instrument = venue.instruments[screening.order.instrument]
        homes = {desk.venues[c.connection].settings.currency for c in candidates}
        screening.rates = desk.rates(instrument, homes)
        screening.asked_ns, screening.screened_ns = desk.boot_ns, desk.now_ns
        self._screens[number] = screening
        if not screening.is_dry_run:
            self._by_order[screening.order_id] = number
        amends = screening.amends
        desk.to_compliance.append(
            ScreenRequest(
                number=number,
                owner=screening.submit.owner,
                order_id=screening.order_id,
                order=screening.order,
                candidates=candidates,
                rates=screening.rates,
                now_ns=desk.now_ns,
                replaces_order_id=amends.order_id if amends else None,
                is_dry_run=screening.is_dry_run,
                trace=screening.submit.trace,
            )
        )

    def screened(self, answer: ScreenAnswer) -> None:
        """A verdict came: writes the order down as sent, ready or denied."""
        screening = self._screens.pop(answer.number, None)
        if screening is None:
            return
        self.desk.tally.screened(screening, self.desk.boot_ns)
        self._by_order.pop(screening.order_id, None)
        if screening.is_dry_run:
            self._answer_dry_run(screening, answer)
            return
        verdict, screening.refused = answer.passed, answer.verdicts[:-1]
        if screening.amends is not None:
            self.desk.draft(checked(screening, answer.verdicts), screening.submit.owner).close()
        if verdict is None:
            self._deny(screening, answer)
        elif verdict.incarnation != self.compliance:
            self.refuse(screening, refusals.COMPLIANCE_UNAVAILABLE)
        elif screening.amends is not None:
            self.send_amend(screening, verdict)
        else:
            self._pass(screening, verdict)

    def _answer_dry_run(self, screening: Screening, answer: ScreenAnswer) -> None:
        order = screening.order
        ranked = choice.rank(self.desk, screening.submit.owner, order)
        body = preview(order, ranked, answer)
        for asked in screening.asked:
            self.desk.to_edges.append((asked.edge, Answer(ref=asked.ref, body=body)))

    def refuse(self, screening: Screening, error: ErrorInfo) -> None:
        """Answers with a refusal that is not journaled."""
        decided = Decided(client_order_id=screening.order.client_order_id, error=error)
        for asked in screening.asked:
            self.decide(asked, decided)

    def _deny(self, screening: Screening, answer: ScreenAnswer) -> None:
        violation = next((v.violation for v in answer.verdicts if v.violation), None)
        error = refusals.denied(violation)
        if screening.amends is not None:
            self.refuse(screening, error)
            return
        verdict = answer.verdicts[-1] if answer.verdicts else None
        draft = self._draft(screening, verdict, error)
        order = draft.event(
            self._received(screening), ev.Denied(at_ns=self.desk.now_ns, error=error)
        )
        draft.close()
        decided = msgspec.structs.replace(describe(order), error=error)
        for asked in screening.asked:
            self.decide(asked, decided)

    def _received(self, screening: Screening) -> Order:
        submit = screening.submit
        return Order(
            order_id=screening.order_id,
            owner=submit.owner,
            origin=Origin.CLIENT,
            terms=screening.order,
            client_order_id=screening.order.client_order_id,
            received_ns=submit.received_ns,
            session=submit.session,
        )

    def _draft(
        self, screening: Screening, verdict: Verdict | None, error: ErrorInfo | None = None
    ) -> Draft:
        submit = screening.submit
        cause = Ordered(
            command=screening.order,
            digest=screening.digest,
            session=submit.session,
            cseq=submit.cseq,
            received_ns=submit.received_ns,
            verdict=verdict,
            error=error,
            rates=screening.rates,
            screened_ns=screening.screened_ns,
            refused=screening.refused,
        )
        return self.desk.draft(cause, submit.owner)

    def _pass(self, screening: Screening, verdict: Verdict) -> None:
        desk, submit = self.desk, screening.submit
        venue = desk.venues[verdict.candidate.connection]
        refusal = self._late_refusal(screening, venue)
        if refusal is not None:
            desk.to_compliance.append(m.Release(order_id=screening.order_id))
            unsent = checked(screening, (*screening.refused, verdict), refusal)
            desk.draft(unsent, submit.owner).close()
            self.refuse(screening, refusal)
            return
        draft = self._draft(screening, verdict)
        order = self._received(screening)
        if submit.deadline_ns is not None:
            self._deadlines[order.order_id] = submit.deadline_ns
        if venue.has_credit and not venue.ready:
            order = self._send(draft, order, venue, verdict.id)
        else:
            order = draft.event(order, ev.Readied(at_ns=desk.now_ns))
            venue.ready.append(order.order_id)
        draft.close()
        for asked in screening.asked:
            self.decide(asked, describe(order, dup=asked is not screening.asked[0]))

    def _late_refusal(self, screening: Screening, venue: Venue) -> ErrorInfo | None:
        """What may have changed while compliance looked."""
        if self.desk.closed is not None:
            return self.desk.closed
        deadline = screening.submit.deadline_ns
        if deadline is not None and self.desk.boot_ns > deadline:
            return refusals.STALE
        if venue.is_halted(screening.order, self.desk.halts()):
            return refusals.HALTED
        if not venue.takes_orders and not screening.order.queue_if_down:
            is_up, name = venue.is_up, venue.settings.id
            return refusals.breaker_open(name) if is_up else refusals.VENUE_UNAVAILABLE
        wait_ms = venue.wait_ms(self.desk.boot_ns)
        if wait_ms > PACED_MS_MAX:
            return refusals.rate_limited(venue.settings.id, wait_ms)
        return refusals.BUSY if len(venue.ready) >= READY_MAX else None

    def _send(self, draft: Draft, order: Order, venue: Venue, verdict: str) -> Order:
        """Drafts SENDING; the dispatch leaves after the commit."""
        desk, connection = self.desk, venue.settings.id
        assert order.terms is not None
        assert order.client_order_id is not None
        attempt = order.attempt + 1
        latest_ns = desk.boot_ns + SEND_BY_NS_MAX
        intent = desk.give_intent(connection)
        feed = desk.books.feeds.get(connection)
        name = ids.venue_client_id(order.owner, order.client_order_id, "0", attempt)
        sent = draft.event(
            order,
            ev.Sending(
                at_ns=desk.now_ns,
                connection=connection,
                account=venue.settings.account,
                intent=intent,
                attempt=attempt,
                venue_client_id=name,
                verdict=verdict,
                cursor=feed.cursor if feed else None,
            ),
        )
        venue.in_flight.add(intent)
        venue.spent += 1
        desk.tally.leaves(order.order_id, desk.boot_ns)
        dispatch = m.Dispatch(
            epoch=desk.epoch,
            intent=intent,
            attempt=attempt,
            order_id=order.order_id,
            order=order.terms,
            venue_client_id=name,
            verdict=verdict,
            send_by_ns=min(self._deadlines.pop(order.order_id, latest_ns), latest_ns),
            trace=desk.tally.trace_of(order.order_id),
        )
        desk.to_connections.append((connection, sealed(dispatch)))
        return sent

    def spend_credits(self, venue: Venue) -> None:
        """Sends READY orders while the connection grants credits; drops the stale and halted."""
        desk = self.desk
        if desk.closed is not None:
            return
        while venue.ready and venue.has_credit:
            order_id = venue.ready.popleft()
            deadline_ns = self._deadlines.get(order_id)
            order = desk.books.orders.open.get(order_id)
            if order is None or order.status is not Status.READY or order.terms is None:
                self._deadlines.pop(order_id, None)
                continue
            draft = desk.draft(Settled(why="a credit came free"), order.owner)
            if venue.is_halted(order.terms, desk.halts()):
                draft.event(order, ev.Canceled(at_ns=desk.now_ns, reason="halted"))
            elif deadline_ns is not None and desk.boot_ns > deadline_ns:
                del self._deadlines[order_id]
                draft.event(order, ev.Canceled(at_ns=desk.now_ns, reason="stale"))
            else:
                self._send(draft, order, venue, "queued")
            draft.close()

    def compliance_lost(self) -> None:
        """Refuses what was being screened; nothing of it is journaled."""
        self.compliance, self.has_exited = None, False
        screens, self._screens = self._screens, {}
        self._by_order.clear()
        for screening in screens.values():
            self.refuse(screening, refusals.COMPLIANCE_UNAVAILABLE)


def _no_amends(_screening: Screening, _verdict: Verdict) -> None:
    raise AssertionError("amends are wired by `changes`")
