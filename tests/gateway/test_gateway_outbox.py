"""What waits for a slow reader: bounded, in order, quotes conflated."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from gateway_world import CLOCKS, FakeRouter, a_quote

from gateway.connection import Connection
from gateway.outbox import Outbox
from gateway.server import GatewayServer
from gateway.settings import GatewaySettings
from gateway.tokens import TokenBook


def an_outbox(bytes_max: int = 10) -> tuple[Outbox, list[bytes]]:
    written: list[bytes] = []
    return Outbox(written.append, bytes_max), written


def test_frames_go_straight_to_a_transport_that_takes_them() -> None:
    outbox, written = an_outbox()
    outbox.push(b"a", "orders/x", 4)
    outbox.push(b"b")
    assert written == [b"a", b"b"]
    assert outbox.sent == {"orders/x": 4}


def test_frames_wait_in_order_and_sent_tells_only_what_left() -> None:
    outbox, written = an_outbox()
    outbox.push(b"a", "s", 1)
    outbox.pause()
    outbox.push(b"b", "s", 2)
    outbox.push(b"c")
    assert (written, outbox.sent, outbox.unsent_bytes) == ([b"a"], {"s": 1}, 2)
    assert list(outbox.resume()) == []
    assert (written, outbox.sent, outbox.unsent_bytes) == ([b"a", b"b", b"c"], {"s": 2}, 0)


def test_past_the_bound_it_is_full() -> None:
    outbox, _ = an_outbox(bytes_max=4)
    outbox.pause()
    outbox.push(b"abc")
    assert (outbox.is_half_full, outbox.is_full) == (True, False)
    outbox.push(b"de")
    assert outbox.is_full
    outbox.clear()
    assert outbox.unsent_bytes == 0


def test_resuming_stops_where_the_transport_says_stop_again() -> None:
    written: list[bytes] = []

    def write(frame: bytes) -> None:
        written.append(frame)
        outbox.pause()

    outbox = Outbox(write, 10)
    outbox.pause()
    outbox.push(b"a")
    outbox.push(b"b")
    outbox.hold_quote(a_quote())
    assert list(outbox.resume()) == []
    assert (written, outbox.unsent_bytes) == ([b"a"], 1)


def test_of_quotes_the_newest_waits_and_says_how_many_it_stands_for() -> None:
    outbox, _ = an_outbox()
    outbox.pause()
    for update in (1, 2, 3):
        outbox.hold_quote(a_quote(update, bid=Decimal(update)))
    outbox.hold_quote(a_quote(9, instrument="USD/JPY"))
    outbox.hold_quote(a_quote(9, instrument="AUD/USD"))
    outbox.drop_quotes("AUD/USD")
    first, second = outbox.resume()
    assert (first.update, first.conflated, first.high) == (3, 3, Decimal(3))
    assert second.instrument == "USD/JPY"
    assert outbox.conflated == 2


def test_quotes_of_two_connections_are_kept_apart() -> None:
    outbox, _ = an_outbox()
    outbox.pause()
    outbox.hold_quote(a_quote(1))
    outbox.hold_quote(a_quote(1, connection="c2"))
    assert [quote.connection for quote in outbox.resume()] == ["c1", "c2"]
    assert outbox.conflated == 0


class Written(list[bytes]):
    """A transport that only notes what is written."""

    def write(self, data: bytes) -> None:
        self.append(data)


def test_what_is_told_while_writes_are_held_leaves_in_one_in_order(tmp_path: Path) -> None:
    server = GatewayServer(FakeRouter(), TokenBook(tmp_path / "t"), CLOCKS, GatewaySettings())
    connection, written = Connection(server), Written()
    connection._transport = written
    server.hold()
    connection.outbox.push(b"res ")
    connection.outbox.push(b"ev", "orders/a", 1)
    assert written == []
    server.let_go()
    connection.outbox.push(b"later")
    assert written == [b"res ev", b"later"]
