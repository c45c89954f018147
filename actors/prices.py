"""The prices of a connection: what is asked of its broker, and who gets the quotes.

Edges say which instruments their clients watch, a router which ones its orders and positions
need; these, the settings' own and the pairs that turn their currencies into the account's are
what is followed, and an instrument that nobody wants any more a little longer. Edges get every
update (a reader that lags gets the latest of each); the router gets at most 20 a second and
instrument, never raw ticks. What a market says of a security beside its price the router gets
when it changes, and all of it before the prices when it comes anew. A still market is told once
a second, marked `unchanged`, for as long as its stream gives signs of life: so a quote's age says
whether the line is dead, not whether the market is quiet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from actors import messages as m
from actors.calendars import read_spans
from actors.connection import BrokerConnection
from actors.link import Link, LinkOwner
from actors.price_feed import PriceFeed
from domain.instruments import Instrument, conversion_pairs
from domain.market_facts import MarketFact, fold_fact, says_more
from domain.quotes import Quote
from streaming.quotes import Throttle
from streaming.sessions import ALWAYS, FOREX, Sessions, Span
from streaming.watching import INSTRUMENTS_MAX, Following

FLUSH_S = 0.05
REPEAT_EVERY_FLUSHES = 4
CALENDARS_EVERY_S = 6 * 3600.0


class Prices(LinkOwner[Any]):
    """Takes the connection's links: routers' go on to the connection, edges' stay here."""

    def __init__(self, connection: BrokerConnection) -> None:
        self._connection = connection
        self._edges: dict[Link[Any], frozenset[str]] = {}
        self._needed: tuple[str, ...] = ()
        self._updates: dict[str, int] = {}
        self._feeds: dict[str, PriceFeed] = {}
        self._following = Following()
        self._throttle = Throttle()
        self._sessions = Sessions()
        self._closed: frozenset[str] = frozenset()
        self._shut: set[str] = set()
        """Instruments whose broker still calls them tradeable, and their calendar does not."""
        self._facts: dict[str, MarketFact] = {}
        self._listed: dict[str, Instrument] = {}
        self._offer: m.PriceOffer | None = None
        self._to_edges: list[Quote] = []
        self._to_router: list[Quote] = []
        self._is_to_settle = True
        self._is_to_tell = False
        self._tasks: asyncio.TaskGroup | None = None

    # -- readers

    def link_up(self, link: Link[Any]) -> None:
        """An edge learns what it could have; a router attaches first."""
        if link.peer is not None and link.peer.role.startswith("edge"):
            self._edges[link] = frozenset()
            self._make_offer(link)

    def link_down(self, link: Link[Any]) -> None:
        """A router or an edge went."""
        if self._edges.pop(link, None) is None:
            self._connection.link_down(link)
        self._is_to_settle = True

    def received(self, link: Link[Any], message: Any) -> None:
        """What an edge or the router wants, or a router's other word."""
        if not isinstance(message, m.WatchQuotes):
            # Orders come this way: nothing here may cost them more than the look.
            was = self._connection.router
            self._connection.received(link, message)
            if self._connection.router is not was:
                self._tell_facts(link, tuple(self._facts.values()))
                self._tell_latest(link, self._following.instruments)
            return
        if link is self._connection.router:
            self._needed = message.instruments
        else:
            wanted = frozenset(message.instruments)
            added = wanted - self._edges.get(link, frozenset())
            self._edges[link] = wanted
            self._tell_latest(link, added)
        self._settle_soon()

    def _tell_latest(self, link: Link[Any], instruments: Iterable[str]) -> None:
        latest = (self._latest(name) for name in instruments)
        quotes = tuple(quote for quote in latest if quote is not None)
        if quotes:
            link.send(m.Quotes(quotes=quotes))

    def _tell_facts(self, link: Link[Any] | None, facts: tuple[MarketFact, ...]) -> None:
        if facts and link is not None:
            link.send(m.MarketFacts(facts=facts))

    def _latest(self, name: str) -> Quote | None:
        feed = self._feeds.get(self._connection.adapter.price_feed(name))
        return None if feed is None else feed.book.latest(name)

    def is_ready(self) -> bool:
        """What a Pong says."""
        return self._connection.is_ready()

    @property
    def updates_taken(self) -> int:
        """How many price updates the broker has sent."""
        return sum(self._updates.values())

    @property
    def followed(self) -> int:
        """How many instruments are followed."""
        return len(self._following.instruments)

    # -- what is followed

    def _settle_soon(self) -> None:
        if not self._is_to_settle:
            self._is_to_settle = True
            asyncio.get_running_loop().call_soon(self._settle)

    def _settle(self) -> None:
        """Asks the feeds for what is wanted now, and forgets what is not."""
        self._is_to_settle = False
        self._learn_instruments()
        pinned = self._with_pairs((*self._floor(), *self._needed))
        watched = self._with_pairs(name for wanted in self._edges.values() for name in wanted)
        now_ns = self._connection.clocks.boot_ns()
        before = self._following.instruments
        followed = self._following.settle(pinned, watched, now_ns)
        for gone in set(before).difference(followed):
            self._throttle.drop(gone)
            self._facts.pop(gone, None)
        by_feed: dict[str, set[str]] = {name: set() for name in self._feeds}
        for symbol in followed:
            by_feed.setdefault(self._connection.adapter.price_feed(symbol), set()).add(symbol)
        for name, symbols in by_feed.items():
            self._feed(name).want(frozenset(symbols))
        self._make_offer()

    def _learn_instruments(self) -> None:
        if self._listed is self._connection.instruments:
            return
        self._listed = self._connection.instruments
        calendars = {one.calendar for one in self._listed.values()} - {ALWAYS, FOREX}
        # The paper broker keeps hours of its own, and says so with each price.
        if calendars and self._connection.settings.simulator is None:
            self._start(self._learn_calendars(sorted(calendars)))

    async def _learn_calendars(self, names: list[str]) -> None:
        while True:
            for name in names:
                self._sessions.learn(name, await self._read_spans(name))
            await asyncio.sleep(CALENDARS_EVERY_S)

    async def _read_spans(self, calendar: str) -> tuple[Span, ...]:
        return await asyncio.to_thread(read_spans, calendar, self._connection.clocks.utc_ns())

    def _floor(self) -> tuple[str, ...]:
        """The settings' instruments; where none are named all there are, if they are not many."""
        named = self._connection.settings.instruments
        if named or len(self._listed) > INSTRUMENTS_MAX:
            return named
        return tuple(self._listed)

    def _with_pairs(self, names: Iterable[str]) -> list[str]:
        """Those listed, each before the pairs that value it in the account's currency."""
        home = self._connection.settings.currency
        found = []
        for name in names:
            instrument = self._listed.get(name)
            if instrument is not None:
                pairs = conversion_pairs(instrument, home)
                found += [name, *(pair for pair in pairs if pair in self._listed)]
        return found

    def _feed(self, name: str) -> PriceFeed:
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._feeds[name] = PriceFeed(self._connection, self._take, self._learn)
            self._start(feed.run())
        return feed

    def _start(self, work: Any) -> None:
        assert self._tasks is not None, "nothing is followed before run()"
        self._tasks.create_task(work)

    def _make_offer(self, newcomer: Link[Any] | None = None) -> None:
        """Tells edges what could be had, where that changed; a newcomer anyway."""
        if not self._listed:
            return
        is_full = self._following.is_full
        names = self._following.instruments if is_full else tuple(self._listed)
        offer = m.PriceOffer(
            connection=self._connection.settings.id, instruments=names, is_full=is_full
        )
        if newcomer is not None:
            newcomer.send(offer)
        elif offer != self._offer:
            for link in self._edges:
                link.send(offer)
        self._offer = offer

    # -- quotes

    async def run(self) -> None:
        """Follows the prices while the connection is up, for ever."""
        async with asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self._flush_for_ever())

    def _learn(self, fact: MarketFact) -> None:
        """Tells the router what is new of a security."""
        known = self._facts.get(fact.instrument)
        self._facts[fact.instrument] = folded = fold_fact(known, fact)
        if says_more(known, folded):
            self._tell_facts(self._connection.router, (folded,))

    def _take(self, quote: Quote) -> None:
        """Numbers an update and tells it; a closed session closes its market."""
        name = quote.instrument
        self._updates[name] = number = self._updates.get(name, 0) + 1
        is_shut = quote.tradeable and self._listed[name].calendar in self._closed
        (self._shut.add if is_shut else self._shut.discard)(name)
        told = replace(quote, update=number, tradeable=quote.tradeable and not is_shut)
        feed = self._feeds[self._connection.adapter.price_feed(name)]
        feed.book.update(told, self._connection.clocks.boot_ns())
        self._tell(told)

    def _tell(self, quote: Quote) -> None:
        """Tells what one turn of the loop brought in one message to each reader."""
        at_once = self._throttle.offer(quote, self._connection.clocks.boot_ns())
        if at_once is not None:
            self._to_router.append(at_once)
        self._to_edges.append(quote)
        if not self._is_to_tell:
            self._is_to_tell = True
            asyncio.get_running_loop().call_soon(self._tell_all)

    def _tell_all(self) -> None:
        self._is_to_tell = False
        quotes, self._to_edges = self._to_edges, []
        for link, wanted in self._edges.items():
            some = tuple(quote for quote in quotes if quote.instrument in wanted)
            if some:
                link.send(m.Quotes(quotes=some))
        router, self._to_router = self._to_router, []
        if router and self._connection.router is not None:
            self._connection.router.send(m.Quotes(quotes=tuple(router)))

    async def _flush_for_ever(self) -> None:
        turn = 0
        self._settle()
        while True:
            await asyncio.sleep(FLUSH_S)
            turn += 1
            if self._has_moved():
                self._settle()
            self._to_router += self._throttle.due(self._connection.clocks.boot_ns())
            if turn % REPEAT_EVERY_FLUSHES == 0:
                self._is_to_settle = self._following.lingering > 0
                self._look_at_sessions()
                self._repeat()
            self._tell_all()

    def _has_moved(self) -> bool:
        """True where wishes, or what the broker lists, changed."""
        return self._is_to_settle or self._listed is not self._connection.instruments

    def _repeat(self) -> None:
        now_ns = self._connection.clocks.boot_ns()
        for feed in self._feeds.values():
            for quote in feed.book.repeats(now_ns):
                self._tell(quote)

    def _look_at_sessions(self) -> None:
        """Tells a market that its calendar closes or opens: an update like any other."""
        if self._connection.settings.simulator is not None:
            return
        now_ns = self._connection.clocks.utc_ns()
        calendars = {self._listed[name].calendar for name in self._following.instruments}
        closed = frozenset(c for c in calendars if not self._sessions.is_open(c, now_ns))
        if closed == self._closed:
            return
        self._closed = closed
        for name in self._following.instruments:
            self._turn(name, self._listed[name].calendar in closed)

    def _turn(self, name: str, is_closed: bool) -> None:
        feed = self._feeds[self._connection.adapter.price_feed(name)]
        quote = feed.book.find(name)
        # One that its broker calls closed stays so whatever the calendar says.
        if quote is not None and is_closed == quote.tradeable and (is_closed or name in self._shut):
            self._take(replace(quote, tradeable=True))
