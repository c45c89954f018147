"""Market data: quotes of two feeds, halts, and a market that closes though nobody says so."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from alpaca_builders import NOW_NS, TIME, TIME_NS, account_answers, adapter, clock, settings

from brokers.adapter import BrokerError, Host, SocketStream
from brokers.alpaca import AlpacaAdapter
from brokers.reading import UnknownWord, parse_time
from domain.market_facts import MarketFact
from tests.shared_data import SHARED, requires_shared

D = Decimal
QUOTE = {
    "T": "q", "S": "AAPL", "bx": "U", "bp": 87.66, "bs": 1, "ax": "Q", "ap": 87.68, "as": 4,
    "t": TIME, "c": ["R"], "z": "B",
}  # fmt: skip
AT_CLOSE_NS = parse_time("2024-03-15T20:00:00Z")


def said(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()


def heard(speaker: AlpacaAdapter, message: dict[str, Any] | bytes, now_ns: int = NOW_NS) -> Any:
    text = message if isinstance(message, bytes) else said(message)
    return speaker.parse_price_line(text, "c1", now_ns)


def rung(is_open: bool = True, **fields: Any) -> AlpacaAdapter:
    speaker = adapter()
    speaker.parse_account(account_answers(bell=clock(is_open, **fields)), NOW_NS)
    return speaker


def test_a_quote_is_exact_to_the_digit_and_the_nanosecond() -> None:
    quote = heard(adapter(), QUOTE).quote
    assert (quote.bid, quote.ask) == (D("87.66"), D("87.68"))
    assert (quote.bid_size, quote.ask_size) == (D(1), D(4))
    assert (quote.broker_ns, quote.received_ns) == (TIME_NS, NOW_NS)
    assert (quote.instrument, quote.connection, quote.tradeable) == ("AAPL", "c1", True)


def test_a_quote_may_come_as_msgpack() -> None:
    at = datetime(2024, 3, 15, 14, 30, 0, 123456, tzinfo=UTC)
    packed = msgspec.msgpack.encode([{**QUOTE, "t": at}])
    stream = adapter().price_stream(("AAPL",))
    assert isinstance(stream, SocketStream)
    (line,) = stream.split(packed)
    quote = heard(adapter(), line).quote
    assert (quote.bid, quote.broker_ns) == (D("87.66"), TIME_NS // 1_000 * 1_000)


def test_a_side_without_a_price_is_no_quote() -> None:
    assert heard(adapter(), {**QUOTE, "bp": 0}).quote is None


@pytest.mark.parametrize("message", [{**QUOTE, "t": None}, {**QUOTE, "bp": None}, {"T": "q"}])
def test_half_a_quote_is_a_broker_error(message: dict[str, Any]) -> None:
    with pytest.raises(BrokerError):
        heard(adapter(), message)


@pytest.mark.parametrize("text", [b"{", b"[]", b"7", b'{"S":"AAPL"}', b"\xc1"])
def test_a_price_line_that_is_no_message_is_a_broker_error(text: bytes) -> None:
    with pytest.raises(BrokerError):
        heard(adapter(), text)


# -- halts and the bell


def status(code: str) -> dict[str, Any]:
    return {"T": "s", "S": "AAPL", "sc": code, "sm": "x", "rc": "T12", "rm": "y", "t": TIME}


@pytest.mark.parametrize(("halt", "resume"), [("2", "3"), ("H", "T"), ("P", "T")])
def test_a_halted_symbol_is_not_tradeable_until_it_resumes(halt: str, resume: str) -> None:
    speaker = adapter()
    heard(speaker, QUOTE)
    halted = heard(speaker, status(halt)).quote
    assert (halted.tradeable, halted.bid) == (False, D("87.66"))
    assert heard(speaker, status(halt)).quote is None
    assert not heard(speaker, QUOTE).quote.tradeable
    assert heard(speaker, {**QUOTE, "S": "TSLA"}).quote.tradeable
    assert heard(speaker, status("Q")).quote is None
    assert not heard(speaker, QUOTE).quote.tradeable
    assert heard(speaker, status(resume)).is_heartbeat
    assert heard(speaker, QUOTE).quote.tradeable


def test_a_halt_before_the_first_quote_holds() -> None:
    speaker = adapter()
    assert heard(speaker, status("H")).quote is None
    assert not heard(speaker, QUOTE).quote.tradeable


# -- facts beside the price


@pytest.mark.parametrize(
    ("code", "is_paused"), [("2", True), ("P", True), ("Q", True), ("3", False)]
)
def test_a_halt_and_its_end_are_facts(code: str, is_paused: bool) -> None:
    report = heard(adapter(), status(code))
    assert report.fact == MarketFact(instrument="AAPL", at_ns=TIME_NS, is_paused=is_paused)
    assert report.is_heartbeat


def test_a_published_band_is_a_fact_exact_to_the_digit() -> None:
    band = {"T": "l", "S": "AAPL", "u": 92.06, "d": 83.29, "i": "B", "t": TIME, "z": "C"}
    assert heard(adapter(), band).fact == MarketFact(
        instrument="AAPL", at_ns=TIME_NS, band_low=D("83.29"), band_high=D("92.06"),
        band_ns=TIME_NS,
    )  # fmt: skip
    for low, high in ((0, 92.06), (83.29, 83.29), (83.29, 0)):
        report = heard(adapter(), {**band, "u": high, "d": low})
        assert (report.fact, report.is_heartbeat) == (None, True)
    with pytest.raises(BrokerError):
        heard(adapter(), {**band, "u": None})


def test_a_short_sale_restriction_holds_from_its_date_in_new_york() -> None:
    late = {**status("E"), "t": "2024-03-16T01:30:00Z"}
    assert heard(adapter(), late).fact == MarketFact(
        instrument="AAPL", at_ns=parse_time(late["t"]), restricted_from="2024-03-15"
    )


def test_the_first_quote_of_a_new_stream_ends_a_halt_whose_end_was_missed() -> None:
    speaker = adapter()
    speaker.price_stream(("AAPL",))
    heard(speaker, QUOTE)
    assert heard(speaker, status("H")).fact.is_paused
    assert not heard(speaker, QUOTE).quote.tradeable  # the same stream: it would have told
    assert heard(speaker, QUOTE).fact is None
    speaker.price_stream(("AAPL",))
    report = heard(speaker, QUOTE)
    assert report.quote.tradeable
    assert report.fact == MarketFact(instrument="AAPL", at_ns=TIME_NS, is_paused=False)
    assert heard(speaker, QUOTE).fact is None


def test_a_halt_told_on_the_new_stream_holds_against_its_first_quote() -> None:
    speaker = adapter()
    speaker.price_stream(("AAPL", "TSLA"))
    heard(speaker, status("H"))
    report = heard(speaker, QUOTE)
    assert (report.quote.tradeable, report.fact) == (False, None)


def test_a_stock_that_is_followed_again_is_heard_anew_and_a_coin_has_no_facts() -> None:
    speaker = adapter()
    speaker.change_prices(("AAPL", "BTC/USD"), ())
    assert heard(speaker, {**QUOTE, "S": "BTC/USD"}).fact is None
    speaker.change_prices((), ("AAPL",))
    assert heard(speaker, QUOTE).fact is None
    speaker.change_prices(("AAPL",), ())
    assert heard(speaker, QUOTE).fact is not None


def test_the_day_s_volume_counts_before_the_close_and_is_asked_for_where_it_is_the_market_s() -> (
    None
):
    bar = {"T": "d", "S": "AAPL", "o": 1, "h": 1, "l": 1, "c": 1, "v": 31_000_000, "t": TIME}
    closing = rung()
    hour_ns = 3_600 * 10**9
    assert heard(closing, bar, AT_CLOSE_NS - hour_ns - 1).fact is None
    for now_ns in (AT_CLOSE_NS - hour_ns, AT_CLOSE_NS - 1):
        assert heard(closing, bar, now_ns).fact == MarketFact(
            instrument="AAPL", at_ns=now_ns, day_volume=D(31_000_000), closes_ns=AT_CLOSE_NS
        )
    assert heard(closing, bar, AT_CLOSE_NS).fact is None
    assert heard(adapter(), bar).fact is None, "no clock was read"
    for feed, asks in (("iex", False), ("sip", True)):
        stream = AlpacaAdapter(settings(feed=feed)).price_stream(("AAPL",))
        assert isinstance(stream, SocketStream)
        assert (b"dailyBars" in (stream.steps[-1].says or b"")) == asks


@pytest.mark.parametrize("code", ["5", "A", "F", "Z"])
def test_other_words_of_the_tape_are_about_no_halt(code: str) -> None:
    speaker = adapter()
    heard(speaker, QUOTE)
    assert heard(speaker, status(code)).is_heartbeat
    assert heard(speaker, QUOTE).quote.tradeable


def test_a_market_that_closes_is_told_of_every_stock_with_the_next_sign_of_life() -> None:
    speaker = rung()
    for symbol in ("AAPL", "TSLA", "BTC/USD"):
        assert heard(speaker, {**QUOTE, "S": symbol}).quote.tradeable
    assert heard(speaker, b"", AT_CLOSE_NS - 1).is_heartbeat
    closed = heard(speaker, b"", AT_CLOSE_NS)
    quotes = (closed.quote, *closed.others)
    assert {quote.instrument for quote in quotes} == {"AAPL", "TSLA"}
    assert not any(quote.tradeable for quote in quotes)
    assert heard(speaker, b"", AT_CLOSE_NS).quote is None
    assert not heard(speaker, QUOTE, AT_CLOSE_NS).quote.tradeable
    assert heard(speaker, {**QUOTE, "S": "BTC/USD"}, AT_CLOSE_NS).quote.tradeable


def test_a_closed_market_opens_when_its_clock_says() -> None:
    speaker = rung(is_open=False)
    assert not heard(speaker, QUOTE).quote.tradeable
    opens_ns = parse_time("2024-03-18T13:30:00Z")
    assert not heard(speaker, QUOTE, opens_ns - 1).quote.tradeable
    assert heard(speaker, QUOTE, opens_ns).quote.tradeable
    assert not heard(speaker, QUOTE, parse_time("2024-03-18T20:00:00Z")).quote.tradeable


# -- streams


def test_stocks_and_crypto_have_streams_of_their_own() -> None:
    speaker = adapter()
    assert speaker.price_feed("AAPL") == "iex"
    assert speaker.price_feed("BTC/USD") == "crypto"
    assert AlpacaAdapter(settings(feed="sip")).price_feed("AAPL") == "sip"
    paths = {s: speaker.price_stream((s,)).path for s in ("AAPL", "BTC/USD")}
    assert paths == {"AAPL": "/v2/iex", "BTC/USD": "/v1beta3/crypto/us"}


def test_a_stream_is_open_once_it_is_connected_logged_in_and_subscribed() -> None:
    stream = adapter().price_stream(("AAPL", "TSLA"))
    assert isinstance(stream, SocketStream)
    assert stream.host is Host.STREAM
    connected, login, subscribed = stream.steps
    assert connected.says is None
    assert json.loads(login.says or b"") == {
        "action": "auth", "key": "a-key-id", "secret": "a-secret-key",
    }  # fmt: skip
    assert json.loads(subscribed.says or b"") == {
        "action": "subscribe", "quotes": ["AAPL", "TSLA"], "statuses": ["AAPL", "TSLA"],
        "lulds": ["AAPL", "TSLA"],
    }  # fmt: skip
    assert connected.hears(said({"T": "success", "msg": "connected"}))
    assert not login.hears(said({"T": "success", "msg": "connected"}))
    assert login.hears(said({"T": "success", "msg": "authenticated"}))
    assert subscribed.hears(said({"T": "subscription", "quotes": ["AAPL", "TSLA"]}))
    assert not subscribed.hears(said(QUOTE))
    assert not subscribed.hears(b"")
    with pytest.raises(BrokerError, match="402 auth failed"):
        login.hears(said({"T": "error", "code": 402, "msg": "auth failed"}))


def test_a_stream_of_nothing_is_open_once_it_is_logged_in() -> None:
    stream = adapter().price_stream(())
    assert isinstance(stream, SocketStream)
    assert len(stream.steps) == 2


def test_an_open_stream_is_changed_by_saying_so() -> None:
    speaker = adapter()
    assert speaker.change_prices((), ()) == ()
    more, less = speaker.change_prices(("BTC/USD",), ("ETH/USD",)) or ()
    assert json.loads(more) == {"action": "subscribe", "quotes": ["BTC/USD"]}
    assert json.loads(less) == {"action": "unsubscribe", "quotes": ["ETH/USD"]}


def test_a_symbol_nobody_follows_any_more_is_not_told_closed() -> None:
    speaker = rung()
    heard(speaker, QUOTE)
    speaker.change_prices((), ("AAPL",))
    assert heard(speaker, b"", AT_CLOSE_NS).quote is None


@pytest.mark.parametrize(
    "message",
    [
        {"T": "subscription", "quotes": ["AAPL"]},
        {"T": "success", "msg": "authenticated"},
        {"T": "t", "S": "AAPL", "p": 1, "s": 1, "t": TIME},
    ],
)
def test_what_is_no_price_is_a_sign_of_life(message: dict[str, Any]) -> None:
    assert heard(adapter(), message).is_heartbeat


def test_an_error_on_the_stream_is_said_with_its_words() -> None:
    with pytest.raises(BrokerError, match="405: symbol limit exceeded"):
        heard(adapter(), {"T": "error", "code": 405, "msg": "symbol limit exceeded"})


def test_a_message_of_an_unknown_kind_is_an_unknown_word() -> None:
    with pytest.raises(UnknownWord):
        heard(adapter(), {"T": "??"})


@requires_shared
def test_recorded_stream_messages_are_read() -> None:
    path = SHARED / "vectors" / "alpaca-py" / "alpaca" / "test_websockets.json"
    cases = json.loads(path.read_bytes())["cases"]
    messages = [
        argument
        for case in cases
        for step in case["steps"]
        for argument in step.get("args", ())
        if step.get("func", "").endswith("._cast") and isinstance(argument, dict)
    ]
    assert len(messages) >= 7
    for message in messages:
        stamped = {**message, "t": TIME, "created_at": TIME, "updated_at": TIME}
        report = heard(adapter(), stamped)
        if message["T"] == "q":
            assert (report.quote.bid, report.quote.ask) == (D("25.41"), D("25.43"))
        else:
            assert report.is_heartbeat
