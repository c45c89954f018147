"""The journal's records as the monitors see them: what was placed, taken back and filled."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from compliance.monitors import surveillance as module
from compliance.monitors import suspicion
from compliance.monitors.alert import AlertKind
from compliance.monitors.surveillance import KINDS, Surveillance
from compliance.monitors.suspicion import SuspicionSettings
from domain import events as ev
from domain.findings import SUSPICIONS, Finding, FindingKind
from domain.lifecycle import Origin, Status
from domain.market_facts import MarketFact
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from domain.records import MarketTold, Ordered, Record, Reported, Settled
from domain.streams import Notice, NoticeKind, OrderUpdate, StreamUpdate, UpdateBody
from tests.compliance.cases_market import Watch
from tests.compliance.desk import ACCOUNT, MS, NOW, OWNER

LEAST = SuspicionSettings(
    cancel_share=Decimal("0.1"), cancels_min=1, size_times=Decimal(0), wash_trades=2,
)  # fmt: skip


class Story:
    """Records as a router writes them."""

    def __init__(self, settings: SuspicionSettings = LEAST) -> None:
        self.watched = Surveillance(settings)
        self.found: list[Finding] = []
        self.number = 0

    def take(self, cause: Any, *bodies: UpdateBody) -> None:
        self.number += 1
        at_ns = NOW + self.number * MS
        updates = tuple(StreamUpdate(stream="s", seq=1, at_ns=at_ns, body=b) for b in bodies)
        self.found += self.watched.take(
            Record(
                number=self.number, epoch=1, at_ns=at_ns, cause=cause, updates=updates, owner=OWNER
            )
        )

    def place(self, name: str, side: Side = Side.BUY, **words: Any) -> None:
        plain: dict[str, Any] = {
            "instrument": "ABC", "quantity": Decimal(100), "type": OrderType.LIMIT,
            "limit_price": Decimal(10), "time_in_force": TimeInForce.GTC,
        }  # fmt: skip
        order = NewOrder(client_order_id=name, side=side, **(plain | words))
        cause = Ordered(command=order, digest="d", session="s", cseq=1, received_ns=1)
        sent = ev.Sending(
            at_ns=1, connection="c", account=ACCOUNT, intent=1, attempt=1, venue_client_id="v",
            verdict="v",
        )  # fmt: skip
        self.take(cause, self.update(name, sent))

    def external(self, name: str, side: Side, **words: Any) -> None:
        event = ev.External(
            at_ns=1, broker_order_id=name, instrument="ABC", side=side, quantity=Decimal(100),
            order_type=OrderType.STOP, time_in_force=TimeInForce.GTC, stop_price=Decimal(9),
            **words,
        )  # fmt: skip
        self.tell(name, event)

    def cancel(self, name: str, *, is_asked: bool = True, origin: Origin = Origin.CLIENT) -> None:
        if is_asked:
            self.tell(name, ev.CancelRequested(at_ns=1, request_id="r"))
        self.tell(name, ev.Canceled(at_ns=1, reason="asked"), origin)

    def fill(self, name: str, side: Side, price: str = "10") -> None:
        self.tell(name, ev.Fill(
            at_ns=1, execution_id=name, broker_execution_id=name, broker_order_id="b",
            instrument="ABC", side=side, quantity=Decimal(100), price=Decimal(price),
        ))  # fmt: skip

    def tell(self, name: str, event: ev.OrderEvent, origin: Origin = Origin.CLIENT) -> None:
        cause = Reported(connection="c", incarnation="i", first=1, last=1)
        self.take(cause, replace(self.update(name, event), origin=origin))

    def update(self, name: str, event: ev.OrderEvent) -> OrderUpdate:
        return OrderUpdate(
            order_id=name, status=Status.LIVE, version=1, filled=Decimal(0), leaves=Decimal(0),
            event=event, instrument="ABC", account=ACCOUNT,
        )  # fmt: skip

    @property
    def kinds(self) -> list[FindingKind]:
        return [finding.kind for finding in self.found]


def test_an_order_taken_back_before_the_other_side_trades_is_found_and_named() -> None:
    story = Story()
    story.place("show")
    story.cancel("show")
    story.place("want", Side.SELL)
    story.fill("want", Side.SELL)
    (finding,) = story.found
    assert finding.kind is FindingKind.SPOOFING
    assert (finding.account, finding.rule) == (ACCOUNT, "suspicion")
    assert finding.id == f"spoofing:{ACCOUNT}:ABC:{finding.day}"
    assert finding.message.startswith("ABC: 1 of 1 orders")
    assert finding.orders == ("want", "show")


def test_what_nobody_asked_for_was_not_taken_back() -> None:
    story = Story()
    story.place("show")
    story.cancel("show", is_asked=False)
    story.place("want", Side.SELL)
    story.fill("want", Side.SELL)
    assert story.found == []


@pytest.mark.parametrize(("guards", "kinds"), [
    ({}, [FindingKind.SPOOFING]),
    ({"closes_lot": "7"}, []),
    ({"parent_execution": "x"}, []),
    ({"parent_broker_order_id": "b"}, []),
])  # fmt: skip
def test_orders_made_elsewhere_count_too_unless_they_guard_a_position(
    guards: dict[str, str], kinds: list[FindingKind]
) -> None:
    story = Story()
    story.external("show", Side.BUY, **guards)
    story.cancel("show", is_asked=False, origin=Origin.EXTERNAL)
    story.place("want", Side.SELL)
    story.fill("want", Side.SELL)
    assert story.kinds == kinds


def test_what_left_is_placed_when_it_is_sent_and_not_before() -> None:
    story = Story()
    story.tell("show", ev.Accepted(at_ns=1, broker_order_id="b"))  # sent in a forgotten record
    story.tell("show", ev.Sending(
        at_ns=1, connection="c", account=ACCOUNT, intent=1, attempt=1, venue_client_id="v",
        verdict="v",
    ))  # fmt: skip
    story.cancel("show")
    story.place("want", Side.SELL)
    story.fill("want", Side.SELL)
    assert story.found == []


def test_there_and_back_again_is_a_wash_and_other_news_is_none() -> None:
    story = Story()
    story.take(Settled(why="w"), Notice(kind=NoticeKind.BREAK, scope="s", message="m"))
    for name, side in (("a", Side.BUY), ("b", Side.SELL)):
        story.place(name, side)
        story.fill(name, side)
    assert story.kinds == [FindingKind.WASH_TRADE]


def test_the_day_s_volume_comes_from_the_market_and_both_its_words_are_needed() -> None:
    closes_ns = NOW + 60_000 * MS
    told = MarketFact(instrument="ABC", at_ns=1, day_volume=Decimal(500), closes_ns=closes_ns)
    for fact, kinds in (
        (told, [FindingKind.MARKING_THE_CLOSE]),
        (MarketFact(instrument="ABC", at_ns=1, day_volume=Decimal(500)), []),
        (MarketFact(instrument="ABC", at_ns=1, closes_ns=closes_ns), []),
    ):
        story = Story()
        story.take(MarketTold(facts=(fact,)))
        story.place("late")
        story.fill("late", Side.BUY)
        assert story.kinds == kinds


def test_only_so_many_requests_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ORDERS_MAX", 1)
    story = Story()
    story.place("show")
    for name in ("show", "another"):
        story.tell(name, ev.CancelRequested(at_ns=1, request_id="r"))
    story.cancel("show", is_asked=False)  # nobody knows any more that it was asked for
    story.place("want", Side.SELL)
    story.fill("want", Side.SELL)
    assert story.found == []


def test_every_suspicion_has_a_kind_that_no_rule_counts() -> None:
    assert set(KINDS.values()) == SUSPICIONS
    assert AlertKind.SELF_TRADE not in KINDS


# ------------------------------------------------------------------ the house's thresholds


def house(shows: int, quantity: int = 1_000, life_ms: int = 0, kept: int = 0) -> set[str]:
    """Orders shown and taken back, some kept, then ten sold on the other side."""
    watch = Watch(**{
        name: getattr(SuspicionSettings(), name)
        for name in ("cancel_share", "cancels_min", "cancel_life_ms", "size_times")
    })  # fmt: skip
    for _ in range(kept):
        watch.place(1, "9", quantity=quantity)
    for name in [watch.place(1, "9", quantity=quantity) for _ in range(shows)]:
        watch.cancel(name, life_ms)
    watch.fill(watch.place(-1, "10", life_ms, quantity=10), life_ms, quantity=10)
    return watch.kinds


def test_the_house_asks_for_number_haste_share_and_size() -> None:
    assert house(5) == {"spoof"}
    assert house(4) == set()
    assert house(5, life_ms=5_000) == {"spoof"}
    assert house(5, life_ms=5_001) == set()
    assert house(9, kept=1) == {"spoof"}
    assert house(8, kept=1) == set()
    assert house(5, quantity=20) == {"spoof"}
    assert house(5, quantity=19) == set()


def test_a_wash_comes_back_in_the_sizes_it_went_out_in() -> None:
    for sizes, kinds in (((100, 50), set()), ((75, 75), {"wash_trade"})):
        watch = Watch(wash_same_sizes=True, wash_trades=4)
        for sign, quantity in ((1, 75), (1, 75), (-1, sizes[0]), (-1, sizes[1])):
            watch.fill(watch.place(sign), 0, quantity=quantity)
        assert watch.kinds == kinds


def test_layers_must_be_large_beside_the_fill_too() -> None:
    for quantity, kinds in ((34, {"layering"}), (33, set())):
        watch = Watch(cancel_share=Decimal(2), size_times=Decimal(10))
        names = [watch.place(1, str(9 - n), quantity=quantity) for n in range(3)]
        watch.fill(watch.place(-1, "10", quantity=10), 0, quantity=10)
        for name in names:
            watch.cancel(name, 1)
        assert watch.kinds == kinds


def test_only_so_many_canceled_orders_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspicion, "ORDERS_MAX", 3)
    watch = Watch(cancels_min=3)
    for number in range(4):
        watch.cancel(watch.place(1, "9", number), number)
    book = watch.monitor._books[OWNER, "ABC"]
    assert len(book.canceled[1]) == 3
