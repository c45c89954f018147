"""What strangers' bytes reach: the gateway's sessions, the brokers' answers and streams, the links.

Each target takes bytes and may refuse them only as its callers expect; whatever else it raises
is a violation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from actors import messages as m
from bench.dst.deployment import PRINCIPAL
from bench.dst.story import at_rest
from bench.dst.venue import Lines, Venue
from bench.generated import drawer
from brokers import alpaca_messages as alpaca
from brokers import alpaca_words, oanda_words
from brokers.adapter import (
    Adapter,
    AdapterSettings,
    BrokerError,
    Request,
    Response,
    VenueOrder,
)
from brokers.alpaca import AlpacaAdapter
from brokers.oanda import OandaAdapter
from brokers.reading import NOT_JSON
from domain import commands
from domain.accounts import BrokerAccount, Environment
from domain.commands import LoggedIn, Login
from domain.instruments import AssetClass, Instrument
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from gateway import wire
from gateway.backend import Clocks, Status, Surroundings
from gateway.codec import JSON, MSGPACK, Codec
from gateway.refused import RefusedLogins
from gateway.session import Session, State
from gateway.settings import GatewaySettings

NOW_NS = 1_790_000_000_000_000_000
LIFE = 300
"""Inputs after which a target begins anew: what it remembers must not grow for ever."""
CORPUS_SIZE = 200
STATUSES = (*[200] * 20, 201, 204, 400, 401, 403, 404, 422, 429, 500, 503)
STORIES = (3, 19, 27)

Feed = Callable[[bytes, Random], bool]
"""Takes bytes; True where they were understood, False where they were refused."""


class Target(Struct, frozen=True):
    """A place that takes bytes; `make` gives one without a past."""

    name: str
    corpus: Sequence[bytes]
    words: Sequence[str]
    make: Callable[[], Feed]


def targets(luck: Random) -> list[Target]:
    """All of them, with corpora from the simulation and from our own types."""
    heard = _hear_the_broker()
    found = [_gateway(codec, luck) for codec in (JSON, MSGPACK)]
    found += [_client(codec, luck) for codec in (JSON, MSGPACK)]
    found += [_link(name, luck) for name in LINKS]
    found += _adapter_targets("oanda", OANDA, heard, tuple(_words_of(oanda_words)))
    found += _adapter_targets("alpaca", ALPACA, _alpaca(luck), tuple(_words_of(alpaca_words)))
    return found


def _words_of(module: Any) -> set[str]:
    """The broker's own words, so that a bent document is still read deeply."""
    return {
        word
        for table in vars(module).values()
        if isinstance(table, dict | frozenset | set)
        for word in table
        if isinstance(word, str)
    }


# -- the gateway


def _gateway(codec: Codec, luck: Random) -> Target:
    corpus = [codec.encode(drawer(kind)(luck)) for kind in wire.CLIENT_MESSAGES * 5]
    return Target(f"session, {codec.name}", corpus, (), lambda: _session_feed(codec))


def _session_feed(codec: Codec) -> Feed:
    """A session that is open; where it closes another takes its place."""
    sessions: list[Session] = []

    def feed(data: bytes, _luck: Random) -> bool:
        if not sessions or sessions[0].state is not State.OPEN:
            sessions[:] = [_open_session(codec)]
        sessions[0].receive(data)
        return sessions[0].state is State.OPEN

    return feed


def _open_session(codec: Codec) -> Session:
    refs = iter(range(1, 1_000_000))
    status = Status(epoch=1, deployment="d", venues=("v",), is_router_up=True)
    around = Surroundings(
        settings=GatewaySettings(),
        clocks=Clocks(lambda: NOW_NS, lambda: NOW_NS),
        next_ref=lambda: next(refs),
        status=lambda: status,
        latest_quotes=lambda _name: (),
        find_quote_fault=lambda _name: None,
        refused=RefusedLogins(),
    )
    session = Session(PRINCIPAL, codec, around)
    session.greet()
    (login,) = session.receive(codec.encode(wire.Login(session="s")))
    assert isinstance(login, Login)
    session.answered(LoggedIn(ref=login.ref, last_cseq=0, heads={}, accounts=("acc-1",)))
    return session


def _client(codec: Codec, luck: Random) -> Target:
    corpus = [codec.encode(drawer(kind)(luck)) for kind in wire.SERVER_MESSAGES * 10]
    return Target(f"client, {codec.name}", corpus, (), lambda: _decoder_feed(codec.decode_server))


def _decoder_feed(decode: Callable[[bytes], Any]) -> Feed:
    def feed(data: bytes, _luck: Random) -> bool:
        try:
            decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        return True

    return feed


# -- the links

LINKS: dict[str, tuple[msgspec.msgpack.Decoder[Any], Any]] = {
    "router": (m.router_inbox, commands.ToRouter),
    "edge": (m.edge_inbox, commands.FromRouter | m.Quotes | m.PriceOffer | m.Standing | m.TooOld),
    "edge from router": (m.edge_from_router, commands.FromRouter | m.Standing | m.TooOld),
    "connection": (m.connection_inbox, m.ToConnection | m.WatchQuotes),
    "router from connection": (m.router_from_connection, m.FromConnection),
    "compliance": (m.compliance_inbox, m.ToCompliance),
    "router from compliance": (m.router_from_compliance, m.FromCompliance),
}


def _link(name: str, luck: Random) -> Target:
    decoder, hint = LINKS[name]
    draw = drawer(hint)
    corpus = [msgspec.msgpack.encode(draw(luck)) for _ in range(CORPUS_SIZE)]
    return Target(f"link, {name}", corpus, (), lambda: _decoder_feed(decoder.decode))


# -- the brokers

ACCOUNT = BrokerAccount(
    account="acc-1", connection="c", owner="o", broker="b", environment=Environment.PAPER,
    base_currency="USD", regime="house",
)  # fmt: skip
INSTRUMENT = Instrument(
    symbol="EUR/USD", broker_symbol="EUR_USD", asset_class=AssetClass.FOREX, base_currency="EUR",
    quote_currency="USD", tick=Decimal("0.00001"), lot=Decimal(1), quantity_min=Decimal(1),
    quantity_max=Decimal(1_000_000), pip=Decimal("0.0001"),
)  # fmt: skip
ORDER = VenueOrder(
    order=NewOrder(
        client_order_id="o-1", instrument="EUR/USD", side=Side.BUY, quantity=Decimal(100),
        type=OrderType.LIMIT, time_in_force=TimeInForce.GTC, limit_price=Decimal("1.1"),
    ),
    instrument=INSTRUMENT, venue_client_id="x", broker_order_id="3",
)  # fmt: skip


def _oanda() -> Adapter:
    return OandaAdapter(AdapterSettings(account=ACCOUNT, broker_account_id="1", token="t"))  # noqa: S106


def _alpaca_adapter() -> Adapter:
    return AlpacaAdapter(AdapterSettings(account=ACCOUNT, broker_account_id="1", token="k:s"))  # noqa: S106


Read = Callable[[Adapter, bytes, Response], object]
READS: dict[str, Read] = {
    "stream": lambda a, data, _: a.parse_event_line(data, NOW_NS),
    "prices": lambda a, data, _: a.parse_price_line(data, "c", NOW_NS),
    "placed": lambda a, _, said: a.parse_placed(ORDER, said, NOW_NS),
    "canceled": lambda a, _, said: a.parse_canceled(ORDER, said, NOW_NS),
    "amended": lambda a, _, said: a.parse_amended(ORDER, said, NOW_NS),
    "looked up": lambda a, _, said: a.parse_looked_up("x", said, NOW_NS),
    "since": lambda a, _, said: a.parse_since(CURSORS[type(a)], said, NOW_NS),
    "instruments": lambda a, _, said: a.parse_instruments((said,)),
    "account": lambda a, _, said: _read_account(a, said),
}
CURSORS: dict[type, str] = {
    OandaAdapter: "3",
    AlpacaAdapter: "2026-09-21T14:13:20Z;2026-09-21T14:13:20Z;;",
}
OANDA, ALPACA = _oanda, _alpaca_adapter


def _read_account(adapter: Adapter, said: Response) -> None:
    count = len(adapter.account())
    answers = (said,) * count
    if count > 1:
        # Read in parts, which stand in a list here.
        with suppress(*NOT_JSON, TypeError):
            parts = msgspec.json.decode(said.body, type=list[msgspec.Raw])
            answers = (
                tuple(
                    Response(status=said.status, body=bytes(part))
                    for part in (parts * count)[:count]
                )
                or answers
            )
    adapter.parse_account(answers, NOW_NS)
    adapter.parse_open_orders(answers, NOW_NS)


def _adapter_targets(
    broker: str, make: Callable[[], Adapter], heard: dict[str, list[bytes]], words: Sequence[str]
) -> list[Target]:
    return [
        Target(f"{broker}, {name}", heard[name], words, lambda read=read: _read_feed(make(), read))  # type: ignore[misc]
        for name, read in READS.items()
    ]


def _read_feed(adapter: Adapter, read: Read) -> Feed:
    def feed(data: bytes, luck: Random) -> bool:
        try:
            read(adapter, data, Response(status=luck.choice(STATUSES), body=data))
        except BrokerError:
            return False
        return True

    return feed


def _hear_the_broker() -> dict[str, list[bytes]]:
    """What the simulated OANDA said in a few stories, by what it was asked."""
    heard: dict[str, list[bytes]] = {name: [] for name in READS}
    answer, tell = Venue.answer, Lines.tell

    def answer_and_keep(self: Venue, request: Request) -> Response:
        response = answer(self, request)
        heard[_kind_of(request)].append(response.body)
        return response

    def tell_and_keep(self: Lines, line: bytes | None) -> None:
        if line is not None:
            heard["stream" if self.symbols is None else "prices"].append(line)
        tell(self, line)

    Venue.answer, Lines.tell = answer_and_keep, tell_and_keep  # type: ignore[method-assign]
    try:
        for seed in STORIES:
            with at_rest(seed):
                pass
    finally:
        Venue.answer, Lines.tell = answer, tell  # type: ignore[method-assign]
    heard["looked up"] += heard["placed"]
    return {name: said[:CORPUS_SIZE] for name, said in heard.items()}


def _kind_of(request: Request) -> str:
    tail = request.path.partition("?")[0].split("/")[4:]
    match (request.method, *tail):
        case ("POST", *_):
            return "placed"
        case ("PUT", *_, "cancel"):
            return "canceled"
        case ("PUT", *_):
            return "amended"
        case ("GET", "transactions", *_):
            return "since"
        case ("GET", "instruments"):
            return "instruments"
        case ("GET", "orders", *_):
            return "looked up"
        case _:
            return "account"


PLAUSIBLE = {
    "id": "61e69015-8549-4bfd-b9c3-01e75843f47d", "symbol": "AAPL", "side": "buy", "type": "limit",
    "order_type": "limit", "time_in_force": "day", "status": "new", "event": "fill",
    "stream": "trade_updates", "activity_type": "FILL", "class": "us_equity", "T": "q", "S": "AAPL",
    "asset_class": "us_equity", "currency": "USD", "client_order_id": "x", "order_class": "simple",
    "account_number": "010203ABCD", "exchange": "NASDAQ", "message": "no",
    "t": "2026-09-21T14:13:20Z",
}  # fmt: skip
TIME = "2026-09-21T14:13:20.123456789Z"
TIMES = ("_at", "_time", "timestamp", "next_open", "next_close")
FITTING: dict[type[Struct], dict[str, Any]] = {
    alpaca.Account: {"status": "ACTIVE"},
    alpaca.Market: {"t": TIME, "bp": "1.5", "ap": "1.6"},
    alpaca.HeldPosition: {"side": "long"},
}
SHAPES: dict[str, tuple[type[Struct], bool]] = {
    "stream": (alpaca.TradeUpdate, False), "prices": (alpaca.Market, False),
    "placed": (alpaca.Order, False), "canceled": (alpaca.Refusal, False),
    "amended": (alpaca.Order, False), "looked up": (alpaca.Order, False),
    "since": (alpaca.Activity, True), "instruments": (alpaca.Asset, True),
}  # fmt: skip
"""What each read is answered with, and whether it is a list of these."""


def _alpaca(luck: Random) -> dict[str, list[bytes]]:
    """Alpaca's messages as its spec has them, with words and numbers where it has such."""
    heard: dict[str, list[bytes]] = {}
    for name, (kind, is_list) in SHAPES.items():
        views = [_view(kind, luck) for _ in range(CORPUS_SIZE)]
        if name == "stream":
            views = [{"stream": "trade_updates", "data": view} for view in views]
        heard[name] = [msgspec.json.encode([view] if is_list else view) for view in views]
    heard["account"] = [msgspec.json.encode(_account_parts(luck)) for _ in range(CORPUS_SIZE)]
    return heard


def _view(kind: type[Struct], luck: Random) -> Any:
    view = _plausible(msgspec.to_builtins(drawer(kind)(luck)))
    return view | {name: word for name, word in FITTING.get(kind, {}).items() if name in view}


def _account_parts(luck: Random) -> list[Any]:
    """Fills, the account, its positions, its orders, the clock, and the fills again."""
    fills, positions, orders = (
        [_view(kind, luck) for _ in range(luck.randint(0, 2))]
        for kind in (alpaca.Activity, alpaca.HeldPosition, alpaca.Order)
    )
    return [fills, _view(alpaca.Account, luck), positions, orders, _view(alpaca.Clock, luck), fills]


def _plausible(tree: Any, name: str = "") -> Any:
    if isinstance(tree, dict):
        return {key: _plausible(value, key) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_plausible(value, name) for value in tree]
    if not isinstance(tree, str):
        return tree
    return TIME if name.endswith(TIMES) else PLAUSIBLE.get(name, "10")
