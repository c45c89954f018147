"""Alpaca's market data: two streams (stocks by IEX or SIP, crypto), quotes, halts and the clock.

A quote is tradeable unless its symbol is halted or, for a stock, the regular session is over.
The stream tells halts but not the bell: `GET /v2/clock`, read with the account, does. Halts, LULD
bands and short-sale restrictions are facts beside the prices. A stream tells them as they come
about and never again: what was missed while it was away shows in the first quote after, for
quotes are withdrawn in a halt.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from brokers import alpaca_messages as wire
from brokers import alpaca_words as words
from brokers.adapter import BrokerError, PriceReport, SocketStream, Step
from brokers.alpaca_messages import time_of
from brokers.reading import NOT_JSON, UnknownWord, need, parse_time
from domain.dates import NEW_YORK, local_date
from domain.market_facts import MarketFact
from domain.quotes import Quote

FEEDS = ("iex", "sip")
"""The stock feeds there are; IEX is free, SIP is every exchange."""
CRYPTO = "crypto"
PATHS = {"iex": "/v2/iex", "sip": "/v2/sip", CRYPTO: "/v1beta3/crypto/us"}
assert PATHS.keys() == {*FEEDS, CRYPTO}

CONTROL = frozenset({"success", "subscription"})
PASSED_OVER = frozenset({"t", "b", "u", "o", "c", "x", "i", "n"})
"""Trades, bars, books, corrections, news: never asked for, and no quotes."""
OF_STOCKS = ("statuses", "lulds")
"""What is asked for beside quotes."""
WHOLE_MARKET = "sip"
"""The feed whose daily bars tell the volume of all exchanges; one exchange's is no measure."""
LATE_NS = 3_600 * 10**9
"""How long before the close the day's volume is of interest."""


class PriceReader:
    """Reads both streams of one login, and says how to open and change them."""

    def __init__(self, key: str, secret: str, stock_feed: str) -> None:
        self._key, self._secret = key, secret
        self._stock_feed = stock_feed or FEEDS[0]
        self._latest: dict[str, Quote] = {}
        self._halted: set[str] = set()
        self._unheard: set[str] = set()
        """Stocks of which this stream has told nothing yet."""
        self._clock: tuple[bool, int, int] | None = None

    def feed_of(self, symbol: str) -> str:
        """Crypto pairs have a slash."""
        return CRYPTO if "/" in symbol else self._stock_feed

    def stream(self, symbols: tuple[str, ...]) -> SocketStream:
        """The stream of one feed, with quotes of these symbols; of stocks, the facts too."""
        feed = self.feed_of(symbols[0]) if symbols else self._stock_feed
        login = wire.encode({"action": "auth", "key": self._key, "secret": self._secret})
        steps = (
            Step(None, _hears("success", "connected")),
            Step(login, _hears("success", "authenticated")),
            *(Step(said, _hears("subscription")) for said in self.change(symbols, ())),
        )
        return SocketStream(path=PATHS[feed], steps=steps, split=wire.split_messages)

    def change(self, added: tuple[str, ...], removed: tuple[str, ...]) -> tuple[bytes, ...]:
        """What to say on the open stream. What it acknowledges are lines like any other."""
        for symbol in removed:
            self._latest.pop(symbol, None)
        self._unheard.update(symbol for symbol in added if self.feed_of(symbol) != CRYPTO)
        self._unheard.difference_update(removed)
        said = [self._subscription("subscribe", added)] if added else []
        if removed:
            said.append(self._subscription("unsubscribe", removed))
        return tuple(said)

    def _subscription(self, action: str, symbols: tuple[str, ...]) -> bytes:
        asked = {"action": action, "quotes": symbols}
        stocks = tuple(symbol for symbol in symbols if self.feed_of(symbol) != CRYPTO)
        bars = ("dailyBars",) if self._stock_feed == WHOLE_MARKET else ()
        return wire.encode(asked | dict.fromkeys((*OF_STOCKS, *bars), stocks) if stocks else asked)

    # Lines

    def read(self, line: bytes, connection: str, now_ns: int) -> PriceReport:
        """A quote, or the last one again where it stops or starts to be tradeable.

        Raises UnknownWord, BrokerError for an error the stream tells.
        """
        if not line:
            return self._rung(now_ns)
        said = wire.decode_market(line)
        if said.kind == "q":
            return self._quoted(said, connection, now_ns)
        if said.kind == "s":
            return self._status(said)
        if said.kind == "l":
            return PriceReport(is_heartbeat=True, fact=_band(said))
        if said.kind == "d":
            return PriceReport(is_heartbeat=True, fact=self._volume(said, now_ns))
        if said.kind == "error":
            raise BrokerError(f"the price stream says {said.code}: {said.msg}")
        if said.kind not in CONTROL and said.kind not in PASSED_OVER:
            raise UnknownWord(f"price message {said.kind[:40]!r}")
        return PriceReport(is_heartbeat=True)

    def _quoted(self, said: wire.Market, connection: str, now_ns: int) -> PriceReport:
        bid, ask = need(said.bp, "bp"), need(said.ap, "ap")
        if bid <= 0 or ask <= 0:
            return PriceReport()  # One side is empty, as before the open.
        symbol = need(said.symbol or None, "S")
        fact = self._first_heard(symbol, time_of(said.t)) if symbol in self._unheard else None
        quote = Quote(
            instrument=symbol,
            connection=connection,
            bid=bid,
            ask=ask,
            broker_ns=time_of(said.t),
            received_ns=now_ns,
            update=0,
            bid_size=said.bs,
            ask_size=said.ask_size,
            tradeable=self._is_tradeable(symbol, now_ns),
        )
        self._latest[symbol] = quote
        return PriceReport(quote=quote, fact=fact)

    def _first_heard(self, symbol: str, at_ns: int) -> MarketFact:
        """It is quoted: a halt of before, whose end was missed, is over."""
        self._unheard.discard(symbol)
        self._halted.discard(symbol)
        return MarketFact(instrument=symbol, at_ns=at_ns, is_paused=False)

    def _volume(self, said: wire.Market, now_ns: int) -> MarketFact | None:
        """What the day traded so far, when its session is about to close."""
        if self._clock is None or not self._is_session(now_ns):
            return None
        closes_ns = self._clock[2]
        if now_ns < closes_ns - LATE_NS:
            return None
        return MarketFact(
            instrument=need(said.symbol or None, "S"),
            at_ns=now_ns,
            day_volume=need(said.v, "v"),
            closes_ns=closes_ns,
        )

    def _status(self, said: wire.Market) -> PriceReport:
        if said.sc == words.SHORT_RESTRICTED:
            return PriceReport(is_heartbeat=True, fact=_restriction(said))
        is_halt = words.HALTS.get(said.sc or "")
        if is_halt is None:
            return PriceReport(is_heartbeat=True)
        symbol, at_ns = need(said.symbol or None, "S"), time_of(said.t)
        self._unheard.discard(symbol)
        fact = MarketFact(instrument=symbol, at_ns=at_ns, is_paused=is_halt)
        if not is_halt:
            # The price it resumes at comes as a quote of its own.
            self._halted.discard(symbol)
            return PriceReport(is_heartbeat=True, fact=fact)
        self._halted.add(symbol)
        last = self._latest.get(symbol)
        if last is None or not last.tradeable:
            return PriceReport(is_heartbeat=True, fact=fact)
        halted = replace(last, tradeable=False, broker_ns=at_ns)
        self._latest[symbol] = halted
        return PriceReport(quote=halted, fact=fact)

    # The bell

    def set_clock(self, clock: wire.Clock) -> None:
        """What the clock says of the regular session. Raises ValueError."""
        opens, closes = parse_time(clock.next_open), parse_time(clock.next_close)
        self._clock = (clock.is_open, opens, closes)

    def _rung(self, now_ns: int) -> PriceReport:
        """A sign of life; with it the last quotes of stocks whose session ended meanwhile."""
        if self._is_session(now_ns):
            return PriceReport(is_heartbeat=True)
        closed = tuple(
            replace(quote, tradeable=False)
            for quote in self._latest.values()
            if quote.tradeable and self.feed_of(quote.instrument) != CRYPTO
        )
        if not closed:
            return PriceReport(is_heartbeat=True)
        self._latest.update({quote.instrument: quote for quote in closed})
        return PriceReport(quote=closed[0], others=closed[1:])

    def _is_session(self, now_ns: int) -> bool:
        """Whether the regular session is on; while the clock was never read it is taken to be."""
        if self._clock is None:
            return True
        is_open, opens, closes = self._clock
        return now_ns < closes if is_open else opens <= now_ns < closes

    def _is_tradeable(self, symbol: str, now_ns: int) -> bool:
        is_crypto = self.feed_of(symbol) == CRYPTO
        return symbol not in self._halted and (is_crypto or self._is_session(now_ns))


def _band(said: wire.Market) -> MarketFact | None:
    """A band as published; None where it has no two sides."""
    low, high, at_ns = need(said.d, "d"), need(said.u, "u"), time_of(said.t)
    if not 0 < low < high:
        return None
    return MarketFact(
        instrument=need(said.symbol or None, "S"),
        at_ns=at_ns,
        band_low=low,
        band_high=high,
        band_ns=at_ns,
    )


def _restriction(said: wire.Market) -> MarketFact:
    at_ns = time_of(said.t)
    day = local_date(at_ns, NEW_YORK).isoformat()
    return MarketFact(instrument=need(said.symbol or None, "S"), at_ns=at_ns, restricted_from=day)


def _hears(kind: str, text: str | None = None) -> Callable[[bytes], bool]:
    """Whether a line confirms a step. Raises BrokerError where it refuses."""

    def hears(line: bytes) -> bool:
        try:
            said = wire.decode_market(line)
        except NOT_JSON:
            return False
        if said.kind == "error":
            raise BrokerError(f"the price stream refuses: {said.code} {said.msg}")
        return said.kind == kind and text in (None, said.msg)

    return hears
