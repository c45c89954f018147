"""The session alone: bytes in, outputs out, a clock that stands still until told."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from hashlib import blake2b
from typing import Any

import msgspec
import pytest
from gateway_world import ACCOUNT, OWN, OWNER, a_quote, an_order, an_update

from domain.commands import (
    Answer,
    ClosePosition,
    Decided,
    LoggedIn,
    Login,
    Query,
    QueryAnswer,
    ReadStream,
    SetGuard,
    StreamPage,
    Submit,
)
from domain.errors import ErrorInfo, Outcome, Retry
from domain.orders import AmendOrder, CancelOrder
from domain.quotes import Quote, repeat
from domain.records import GuardKind
from gateway import wire
from gateway.authority import Principal
from gateway.backend import Clocks, Status, Surroundings
from gateway.codec import JSON, MSGPACK, Codec
from gateway.errors import refusal
from gateway.outputs import Close, Follow, Send, SendUpdate, Unfollow, Unwatch, Watch
from gateway.rates import NS_PER_MS
from gateway.refused import RefusedLogins
from gateway.session import Session, State
from gateway.settings import GatewaySettings, Limits
from gateway.wire import CloseCode, Scope

GUARD = SetGuard(kind=GuardKind.CANCEL_ON_DISCONNECT)


class Bench:
    """A session with its outputs sorted: what was said, what was asked, how it closed."""

    def __init__(self, codec: Codec = JSON, scopes: Any = (Scope.TRADE,), **limits: int) -> None:
        self.now = 1_000_000_000_000
        self.utc = 1_700_000_000_000_000_000
        self.is_up = True
        self.codec = codec
        self.refs = 0
        clocks = Clocks(utc_ns=lambda: self.utc, boot_ns=lambda: self.now)
        principal = Principal(token_id="t", owner=OWNER, scopes=frozenset(scopes))
        around = Surroundings(
            settings=GatewaySettings(limits=Limits(**limits)),
            clocks=clocks,
            next_ref=self._next,
            status=lambda: Status(epoch=1, deployment="d", venues=(), is_router_up=self.is_up),
            latest_quotes=lambda name: tuple(
                repeat(q) for q in self.quotes if q.instrument == name
            ),
            find_quote_fault=lambda name: self.quote_faults.get(name),
            refused=RefusedLogins(),
        )
        self.quotes: list[Quote] = []
        self.quote_faults: dict[str, ErrorInfo] = {}
        self.session = Session(principal, codec, around)
        self.said: list[Any] = []
        self.asked: list[Any] = []
        self.done: list[Any] = []
        self.close: Close | None = None

    def _next(self) -> int:
        self.refs += 1
        return self.refs

    def do(self, outputs: list[Any]) -> Any:
        """Sorts outputs; returns the last thing said."""
        for output in outputs:
            match output:
                case Send():
                    self.said.append(self.codec.decode_server(output.payload))
                case SendUpdate():
                    self.said.append(output.update)
                case Close():
                    self.close = output
                case Submit() | Login() | Query() | ReadStream():
                    self.asked.append(output)
                case _:
                    self.done.append(output)
        return self.said[-1] if self.said else None

    def tell(self, message: Any) -> Any:
        payload = message if isinstance(message, bytes) else self.codec.encode(message)
        return self.do(self.session.receive(payload))

    def answer(self, kind: Callable[..., Any] = Answer, **fields: Any) -> Any:
        """Answers the last thing asked."""
        return self.do(self.session.answered(kind(ref=self.asked[-1].ref, **fields)))

    def open(self, heads: dict[str, int] | None = None, **login: Any) -> Bench:
        self.tell(wire.Login(session="s1", generation=1, **login))
        told = {"heads": {OWN: 0} if heads is None else heads, "accounts": (ACCOUNT,)}
        self.answer(LoggedIn, last_cseq=4, **told)
        return self


def a_new(name: str = "r1", cseq: int = 1, **changes: Any) -> wire.OrderNew:
    return wire.OrderNew(id=name, cseq=cseq, order=an_order(**changes))


def test_a_login_ends_in_a_welcome_with_the_owners_orders_from_now_on() -> None:
    bench = Bench().open(heads={OWN: 7})
    (welcome,) = bench.said
    assert isinstance(welcome, wire.Welcome)
    assert (welcome.resume, welcome.heads, welcome.last_cseq) == ({OWN: 7}, {OWN: 7}, 4)
    assert (welcome.scopes, welcome.accounts) == ((Scope.TRADE,), (ACCOUNT,))
    assert bench.done == [Follow(OWN)]


def test_a_login_with_cursors_reads_on_from_them() -> None:
    bench = Bench().open(heads={OWN: 7}, cursors={OWN: 5})
    read = bench.asked[-1]
    assert (read.stream, read.after) == (OWN, 5)
    bench.answer(StreamPage, stream=OWN, head=7, updates=(an_update(6), an_update(7)))
    assert [update.seq for update in bench.said[1:]] == [6, 7]
    bench.do(bench.session.published(an_update(8)))
    assert bench.said[-1].seq == 8


def test_a_cursor_past_the_head_is_refused() -> None:
    bench = Bench().open(heads={OWN: 7}, cursors={OWN: 8})
    assert bench.close is not None
    assert (bench.close.error.code, bench.close.error.field) == ("cursor_ahead", f"cursors.{OWN}")


@pytest.mark.parametrize("stream", ["orders/bob", "quotes/EUR/USD", "admin"])
def test_a_login_resumes_no_stream_of_others(stream: str) -> None:
    bench = Bench().open(cursors={stream: 0})
    assert bench.close is not None
    assert bench.close.error.code == "forbidden"


def test_a_role_the_token_does_not_allow_is_refused() -> None:
    bench = Bench(scopes=(Scope.READ,))
    bench.tell(wire.Login(session="s1"))
    assert bench.close is not None
    assert bench.close.code == CloseCode.FORBIDDEN


def test_an_older_generation_is_closed() -> None:
    bench = Bench()
    bench.tell(wire.Login(session="s1"))
    bench.answer(LoggedIn, error=refusal("session_replaced", "newer"))
    assert bench.close is not None
    assert bench.close.code == CloseCode.REPLACED
    assert bench.session.receive(b"{}") == []


def test_a_guard_stands_before_the_welcome() -> None:
    bench = Bench()
    bench.tell(wire.Login(session="s1", guard=GUARD))
    bench.answer(LoggedIn, accounts=(ACCOUNT,))
    assert (bench.asked[-1].command, bench.said) == (GUARD, [])
    assert isinstance(bench.answer(decided=(Decided(),)), wire.Welcome)


def test_a_guard_that_is_refused_closes() -> None:
    bench = Bench()
    bench.tell(wire.Login(session="s1", guard=GUARD))
    bench.answer(LoggedIn)
    bench.answer(error=refusal("no", "no"))
    assert bench.close is not None
    assert bench.close.code == CloseCode.FORBIDDEN


def test_a_guard_is_for_traders_and_their_accounts() -> None:
    reader = Bench()
    reader.tell(wire.Login(session="s1", role=wire.Role.READ, guard=GUARD))
    assert reader.close is not None
    foreign = Bench()
    other = msgspec.structs.replace(GUARD, account="bob")
    foreign.tell(wire.Login(session="s1", guard=other))
    foreign.answer(LoggedIn, accounts=(ACCOUNT,))
    assert foreign.close is not None
    assert foreign.close.error.field == "guard.account"


def test_the_router_may_be_away_when_a_client_logs_in() -> None:
    bench = Bench()
    bench.is_up = False
    bench.tell(wire.Login(session="s1"))
    assert bench.asked == []
    bench.is_up = True
    bench.do(bench.session.router_found())
    assert isinstance(bench.answer(LoggedIn), wire.Welcome)


def test_a_router_lost_while_the_guard_was_set_starts_the_login_again() -> None:
    bench = Bench()
    bench.tell(wire.Login(session="s1", guard=GUARD))
    bench.answer(LoggedIn)
    bench.do(bench.session.router_lost())
    bench.do(bench.session.router_found())
    assert isinstance(bench.asked[-1], Login)
    assert bench.session.state is State.LOGGING_IN


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (wire.Ping(id="a"), "login_first"),
        (b"{", "malformed"),
        (b'{"t":"login"}', "missing_field"),
        (b'{"t":"ping","id":"x","colour":1}', "unknown_field"),
    ],
)
def test_before_the_login_anything_else_closes(message: Any, code: str) -> None:
    bench = Bench()
    bench.tell(message)
    assert bench.close is not None
    assert (bench.close.code, bench.close.error.code) == (CloseCode.MALFORMED, code)


def test_a_second_login_closes() -> None:
    bench = Bench().open()
    bench.tell(wire.Login(session="s1"))
    assert bench.close is not None
    assert bench.close.error.code == "already_logged_in"


def test_text_that_is_not_utf8_closes_with_1007() -> None:
    bench = Bench().open()
    bench.tell(b'{"t":"ping","id":"\xff"}')
    assert bench.close is not None
    assert bench.close.code == CloseCode.INVALID_DATA


@pytest.mark.parametrize("codec", [JSON, MSGPACK])
def test_deep_nesting_is_refused(codec: Codec) -> None:
    bench = Bench(codec).open()
    bench.tell((b"[" if codec is JSON else b"\x91") * 60_000)
    assert bench.close is not None
    assert bench.close.error.code in ("malformed", "wrong_type")


def test_an_order_goes_to_the_router_and_its_answer_to_the_client() -> None:
    bench = Bench().open()
    bench.tell(a_new(valid_for_ms=5))
    submit = bench.asked[-1]
    assert (submit.owner, submit.session, submit.cseq, submit.request_id) == (OWNER, "s1", 1, "r1")
    assert (submit.received_ns, submit.deadline_ns) == (bench.utc, bench.now + 5 * NS_PER_MS)
    assert not submit.by_admin
    res = bench.answer(decided=(Decided(order_id="x", status="sending"),))
    assert (res.id, res.decided[0].order_id) == ("r1", "x")
    assert bench.answer(decided=()) is res, "a second answer to the same ref says nothing"


def test_an_admins_command_says_so() -> None:
    bench = Bench(scopes=(Scope.TRADE, Scope.ADMIN)).open()
    bench.tell(a_new())
    assert bench.asked[-1].by_admin


def test_a_dry_run_brings_the_verdicts_in_both_codecs() -> None:
    for codec in (JSON, MSGPACK):
        bench = Bench(codec).open()
        bench.tell(wire.OrderPreview(id="p", order=an_order()))
        assert (bench.asked[-1].cseq, bench.asked[-1].command.dry_run) == (0, True)
        body = msgspec.Raw(msgspec.msgpack.encode({"verdicts": [1]}))
        assert bench.answer(body=body).body == {"verdicts": [1]}


@pytest.mark.parametrize(
    "request_",
    [
        wire.OrderAmend(id="r", cseq=2, amend=AmendOrder(client_order_id="o", quantity=Decimal(1))),
        wire.OrderCancel(id="r", cseq=2, cancel=CancelOrder(all=True)),
        wire.OrderBatch(id="r", cseq=2, orders=(an_order(),)),
        wire.GuardSet(id="r", cseq=2, guard=GUARD),
        wire.PositionClose(
            id="r",
            cseq=2,
            close=ClosePosition(client_order_id="c", account=ACCOUNT, instrument="EUR/USD"),
        ),
    ],
)
def test_every_command_becomes_a_submit(request_: Any) -> None:
    bench = Bench().open()
    bench.tell(request_)
    assert (type(bench.asked[-1]), bench.asked[-1].cseq) == (Submit, 2)


def test_a_query_brings_rows_and_their_position() -> None:
    bench = Bench().open()
    bench.tell(wire.OrdersList(id="q", limit=3))
    assert (bench.asked[-1].what, bench.asked[-1].args) == ("orders.list", {"limit": 3})
    rows = msgspec.Raw(msgspec.msgpack.encode([{"a": "1"}]))
    res = bench.answer(QueryAnswer, position=9, body=rows)
    assert (res.body, res.position) == ([{"a": "1"}], 9)


def test_rows_too_large_for_a_message_are_an_error() -> None:
    bench = Bench(message_bytes_out_max=50).open()
    bench.tell(wire.OrdersList(id="q"))
    rows = msgspec.Raw(msgspec.msgpack.encode(["x" * 60]))
    assert bench.answer(QueryAnswer, body=rows).error.code == "answer_too_large"


def test_a_query_refused_by_the_router_carries_its_error() -> None:
    bench = Bench().open()
    bench.tell(wire.OrdersList(id="q"))
    res = bench.answer(QueryAnswer, error=refusal("x", "y"))
    assert (res.error.code, res.position) == ("x", None)


def test_an_id_under_way_cannot_be_used_again() -> None:
    bench = Bench().open()
    bench.tell(a_new())
    bench.tell(a_new())
    assert bench.close is not None
    assert (bench.close.error.code, len(bench.said)) == ("duplicate_request_id", 1)


def test_an_id_may_be_used_again_once_answered() -> None:
    bench = Bench().open()
    for _ in range(2):
        bench.tell(a_new())
        bench.answer(decided=(Decided(),))
    assert len([said for said in bench.said if isinstance(said, wire.Res)]) == 2


def test_too_many_requests_under_way_are_refused() -> None:
    bench = Bench(in_flight_max=1).open()
    bench.tell(a_new("a"))
    assert bench.tell(a_new("b")).error.code == "rate_limited"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (a_new(quantity=Decimal(-1)), "invalid_order"),
        (a_new(account="bob"), "forbidden"),
        (a_new(valid_until_ns=5), "clock_not_measured"),
        (b'{"t":"ping","id":"r1","colour":1}', "unknown_field"),
        (b'{"t":"order.new","id":"r1","cseq":1,"order":{"quantity":1.5}}', "wrong_type"),
    ],
)
def test_a_refusal_is_the_one_answer(message: Any, code: str) -> None:
    bench = Bench().open()
    res = bench.tell(message)
    assert (res.id, res.error.code, res.error.outcome) == ("r1", code, Outcome.NONE)
    assert bench.close is None


def test_who_sends_nonsense_without_end_is_closed() -> None:
    bench = Bench(bad_messages_max=2).open()
    for _ in range(3):
        bench.tell(b'{"t":"ping","id":"r1","colour":1}')
    assert bench.close is not None


def test_being_over_the_rate_is_a_refusal_with_the_wait() -> None:
    bench = Bench(commands_per_s=1, commands_burst=1).open()
    bench.tell(a_new("a"))
    error = bench.tell(a_new("b")).error
    assert (error.code, error.retry_after_ms, bench.close) == ("rate_limited", 1000, None)
    bench.tell(wire.OrderCancel(id="c", cseq=3, cancel=CancelOrder(all=True)))
    assert bench.asked[-1].request_id == "c"


def test_a_lost_router_leaves_commands_in_doubt_and_queries_without_effect() -> None:
    bench = Bench().open()
    bench.tell(a_new("c"))
    bench.tell(wire.OrdersList(id="q"))
    bench.do(bench.session.router_lost())
    command, query = bench.said[1:]
    assert (command.error.code, command.error.outcome) == ("router_unavailable", Outcome.UNKNOWN)
    assert command.error.retry is Retry.SAME_ID
    assert query.error.outcome is Outcome.NONE
    bench.is_up = False
    assert bench.tell(a_new("d")).error.outcome is Outcome.NONE


def test_a_found_router_is_logged_in_to_and_the_streams_read_on() -> None:
    bench = Bench().open(heads={OWN: 2})
    bench.do(bench.session.router_lost())
    bench.do(bench.session.router_found())
    assert isinstance(bench.asked[-1], Login)
    bench.answer(LoggedIn, heads={OWN: 3}, accounts=(ACCOUNT,))
    assert (bench.asked[-1].stream, bench.asked[-1].after) == (OWN, 2)


def test_a_stream_the_new_router_does_not_speak_of_is_read_once() -> None:
    bench = Bench().open(heads={OWN: 2})
    bench.do(bench.session.router_found())
    bench.answer(LoggedIn, heads={})
    assert isinstance(bench.asked[-1], ReadStream)
    asked = len(bench.asked)
    bench.answer(StreamPage, stream=OWN, head=2)
    bench.do(bench.session.tick())
    assert len(bench.asked) == asked


def test_nobody_logged_in_has_nothing_to_say_to_a_found_router() -> None:
    assert Bench().session.router_found() == []


def test_silence_of_the_router_is_answered_for_it() -> None:
    bench = Bench().open()
    bench.tell(a_new())
    bench.now += 31_000 * NS_PER_MS
    error = bench.do(bench.session.tick()).error
    assert (error.code, error.outcome) == ("no_answer", Outcome.UNKNOWN)
    assert bench.session.refs() == ()
    assert not bench.session.awaits(bench.asked[-1].ref)


@pytest.mark.parametrize(("logs_in", "code"), [(False, 4408), (True, 1013)])
def test_a_login_has_its_time(logs_in: bool, code: int) -> None:
    bench = Bench()
    bench.do(bench.session.greet())
    if logs_in:
        bench.tell(wire.Login(session="s"))
    assert bench.session.tick() == []
    bench.now += 11_000 * NS_PER_MS
    bench.do(bench.session.tick())
    assert bench.close is not None
    assert bench.close.code == code


def test_a_gap_in_what_is_published_is_read() -> None:
    bench = Bench().open()
    bench.do(bench.session.published(an_update(2)))
    bench.do(bench.session.published(an_update(3)))
    (read,) = [asked for asked in bench.asked if isinstance(asked, ReadStream)]
    assert read.after == 0
    bench.answer(StreamPage, stream=OWN, head=2, updates=(an_update(1), an_update(2)))
    bench.answer(StreamPage, stream=OWN, head=3, updates=(an_update(3),))
    assert [said.seq for said in bench.said[1:]] == [1, 2, 3]


def test_an_empty_page_is_asked_again_at_the_tick_only() -> None:
    bench = Bench().open()
    bench.do(bench.session.published(an_update(2)))
    asked = len(bench.asked)
    bench.answer(StreamPage, stream=OWN, head=2)
    assert len(bench.asked) == asked
    bench.do(bench.session.tick())
    assert len(bench.asked) == asked + 1


def test_pages_wait_for_a_slow_reader_but_what_is_published_does_not() -> None:
    bench = Bench().open()
    bench.session.follows.is_paused = True
    bench.do(bench.session.published(an_update(1)))
    assert bench.said[-1].seq == 1
    bench.do(bench.session.published(an_update(3)))
    assert not isinstance(bench.asked[-1], ReadStream)
    bench.session.follows.is_paused = False
    bench.do(bench.session.follows.read_on())
    assert bench.asked[-1].after == 1


def test_what_is_published_before_the_login_is_nothing() -> None:
    assert Bench().session.published(an_update(1)) == []


def test_sub_follows_from_a_number_and_reads_what_is_missing() -> None:
    bench = Bench().open()
    stream = f"account/{ACCOUNT}"
    res = bench.tell(wire.Sub(id="s", streams={stream: 4, "quotes/EUR/USD": None}))
    assert res.body["resume"][stream] == 4
    assert bench.done[1:] == [Follow(stream), Watch("EUR/USD")]
    assert (bench.asked[-1].stream, bench.asked[-1].after) == (stream, 4)
    bench.tell(wire.Sub(id="s", streams={stream: None, "quotes/EUR/USD": None}))
    assert bench.done[3:] == [Watch("EUR/USD")]


def test_sub_from_now_on_learns_the_head_first() -> None:
    bench = Bench().open()
    bench.tell(wire.Sub(id="s", streams={"connections": None}))
    assert "connections" not in bench.session.follows.heads()
    bench.answer(StreamPage, stream="connections", head=5)
    bench.do(bench.session.published(an_update(6, "connections")))
    assert bench.said[-1].seq == 6
    assert bench.session.follows.heads()["connections"] == 6


@pytest.mark.parametrize(
    ("streams", "snapshot", "code"),
    [
        ({"quotes/EUR/USD": 1}, False, "no_cursor"),
        ({OWN: 99}, False, "cursor_ahead"),
        ({OWN: 0, "connections": 0}, True, "one_stream"),
        ({"quotes/EUR/USD": None, OWN: 0}, True, "one_stream"),
        ({"connections": 0, f"account/{ACCOUNT}": 0}, False, "too_many"),
        ({"quotes/A": None, "quotes/B": None}, False, "too_many"),
    ],
)
def test_a_sub_that_cannot_be_is_refused(streams: Any, snapshot: bool, code: str) -> None:
    bench = Bench(streams_max=2, quotes_max=1).open()
    assert bench.tell(wire.Sub(id="s", streams=streams, snapshot=snapshot)).error.code == code


def test_who_subscribes_hears_the_newest_quote_at_once_as_a_repeat() -> None:
    bench = Bench().open()
    bench.quotes = [a_quote(7), a_quote(3, connection="c2"), a_quote(9, "USD/JPY")]
    bench.tell(wire.Sub(id="s", streams={"quotes/EUR/USD": None}))
    res, one, two = bench.said[-3:]
    assert (res.id, res.error) == ("s", None)
    assert [(q.quote.update, q.quote.connection) for q in (one, two)] == [(7, "c1"), (3, "c2")]
    assert all(q.quote.unchanged and q.quote.conflated == 0 for q in (one, two))


@pytest.mark.parametrize("codec", [JSON, MSGPACK])
def test_a_snapshot_of_quotes_has_one_snap_each_whose_hash_holds(codec: Codec) -> None:
    bench = Bench(codec).open()
    bench.quotes = [a_quote(7)]
    streams = {"quotes/EUR/USD": None, "quotes/USD/JPY": None}
    bench.tell(wire.Sub(id="s", streams=streams, snapshot=True))
    known, unknown, res = bench.said[-3:]
    assert (known.stream, known.seq, known.rows[0]["bid"]) == ("quotes/EUR/USD", 7, "1.08")
    digest = blake2b(msgspec.msgpack.encode(known.rows), digest_size=16).hexdigest()
    assert known.hash == digest
    assert (unknown.seq, unknown.rows) == (0, [])
    assert res.id == "s"
    assert bench.done[-2:] == [Watch("EUR/USD"), Watch("USD/JPY")]


def test_a_snapshot_of_quotes_needs_no_router() -> None:
    bench = Bench().open()
    bench.is_up = False
    res = bench.tell(wire.Sub(id="s", streams={"quotes/EUR/USD": None}, snapshot=True))
    assert res.error is None


def test_an_instrument_nobody_prices_is_refused_by_name_and_nothing_is_watched() -> None:
    bench = Bench().open()
    field = "streams.quotes/NOT/HERE"
    bench.quote_faults["NOT/HERE"] = refusal("unknown_instrument", "nobody prices it", field=field)
    streams = {"quotes/EUR/USD": None, "quotes/NOT/HERE": None}
    res = bench.tell(wire.Sub(id="s", streams=streams))
    assert (res.error.code, res.error.field) == ("unknown_instrument", field)
    assert (bench.session.follows.watched, bench.done[1:]) == ({}, [])


def test_a_watched_instrument_may_be_asked_for_each_quote_later() -> None:
    bench = Bench().open()
    for conflate in (True, False):
        bench.tell(wire.Sub(id="s", streams={"quotes/EUR/USD": None}, conflate=conflate))
    assert bench.done[1:] == [Watch("EUR/USD", True), Watch("EUR/USD", False)]
    bench.quote_faults["EUR/USD"] = refusal("unknown_instrument", "gone meanwhile")
    res = bench.tell(wire.Sub(id="s", streams={"quotes/EUR/USD": None}))
    assert res.error is None


def test_a_snapshot_too_large_to_send_is_refused() -> None:
    bench = Bench(message_bytes_out_max=100).open()
    bench.tell(wire.Sub(id="s", streams={OWN: None}, snapshot=True))
    body = msgspec.Raw(msgspec.msgpack.encode(["x" * 200]))
    res = bench.answer(QueryAnswer, position=4, body=body)
    assert res.error.code == "answer_too_large"


def test_a_snapshot_comes_with_its_hash_before_what_follows() -> None:
    bench = Bench(MSGPACK).open()
    bench.tell(wire.Sub(id="s", streams={OWN: None}, snapshot=True))
    assert (bench.asked[-1].what, bench.asked[-1].args) == ("snapshot", {"stream": OWN})
    rows = msgspec.Raw(msgspec.msgpack.encode([1, 2]))
    bench.answer(QueryAnswer, position=5, body=rows)
    snap, res = bench.said[-2:]
    assert (snap.seq, snap.rows, len(snap.hash), res.id) == (5, [1, 2], 32, "s")
    bench.do(bench.session.published(an_update(6)))
    assert bench.said[-1].seq == 6


def test_a_snapshot_that_cannot_be_had_is_an_error() -> None:
    bench = Bench().open()
    bench.tell(wire.Sub(id="s", streams={OWN: None}, snapshot=True))
    assert bench.answer(QueryAnswer, error=refusal("x", "y")).error.code == "x"
    bench.is_up = False
    res = bench.tell(wire.Sub(id="s", streams={OWN: None}, snapshot=True))
    assert res.error.code == "router_unavailable"


def test_unsub_ends_streams_and_quotes() -> None:
    bench = Bench().open()
    bench.tell(wire.Sub(id="s", streams={"quotes/EUR/USD": None}))
    bench.tell(wire.Unsub(id="u", streams=(OWN, "quotes/EUR/USD", "connections")))
    assert bench.done[-2:] == [Unfollow(OWN), Unwatch("EUR/USD")]
    assert bench.session.published(an_update(1)) == []


def test_a_page_of_a_stream_no_longer_followed_is_nothing() -> None:
    bench = Bench().open(heads={OWN: 2}, cursors={OWN: 0})
    read = bench.asked[-1]
    bench.tell(wire.Unsub(id="u", streams=(OWN,)))
    page = StreamPage(ref=read.ref, stream=OWN, head=2, updates=(an_update(1),))
    assert bench.session.answered(page) == []


def test_ack_takes_what_was_sent_and_no_more() -> None:
    bench = Bench().open(heads={OWN: 3})
    assert bench.tell(wire.Ack(id="a", stream=OWN, seq=3)).error is None
    assert bench.tell(wire.Ack(id="a", stream=OWN, seq=4)).error.code == "never_sent"
    assert bench.tell(wire.Ack(id="a", stream="connections", seq=1)).error.code == "not_followed"


def test_a_ping_measures_the_clock_and_the_least_delay_counts() -> None:
    bench = Bench().open()
    assert bench.tell(wire.Ping(id="p")).body == {"server_ns": bench.utc}
    ahead = bench.utc + 1_000
    bench.tell(wire.Ping(id="p", client_ns=ahead - 10, rtt_ns=40))
    bench.tell(wire.Ping(id="p", client_ns=ahead - 500))
    bench.tell(a_new(valid_until_ns=ahead + 2_000))
    assert bench.asked[-1].deadline_ns == bench.now + 2_000 + 1_000 - 990 - 40


def test_a_heartbeat_carries_the_heads_of_an_open_session() -> None:
    assert Bench().session.heartbeat() == []
    bench = Bench().open(heads={OWN: 3})
    hb = bench.do(bench.session.heartbeat())
    assert (hb.heads, hb.server_ns) == ({OWN: 3}, bench.utc)
