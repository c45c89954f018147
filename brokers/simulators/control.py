"""The simulator's own paths under /sim: faults, the whole book, quotes, replay, hours.

They are outside the broker's paths and carry no token: bind to loopback alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from brokers.simulators import facts as f
from brokers.simulators.book import Account, Lot, Order
from brokers.simulators.hostility import Hostility
from brokers.simulators.market_hours import hours_named
from brokers.simulators.ticks import Tick

if TYPE_CHECKING:
    from brokers.simulators.server import Server

ENCODER = msgspec.json.Encoder()
TICKS_MAX = 10_000


class TickBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Quotes to feed at once; `at_ns` absent means now."""

    ticks: list[dict[str, Any]]


class ReplayBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the feed is to do."""

    action: Literal["start", "stop"] | None = None
    speed: float | None = None


class ClockBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which hours hold, and (null: no longer) the market time pinned."""

    hours: Literal["always", "forex", "nyse"] | None = None
    market_ns: int | UnsetType | None = UNSET


class StreamsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to every open stream. How long they are silent is the hostility's."""

    action: Literal["cut"]


class Control:
    """Answers the paths under /sim."""

    def __init__(self, simulator: Server) -> None:
        self._sim = simulator
        self._routes: dict[tuple[str, str], Callable[[bytes], Awaitable[Any]]] = {
            ("GET", "/sim/hostility"): self._get_hostility,
            ("POST", "/sim/hostility"): self._set_hostility,
            ("GET", "/sim/book"): self._book,
            ("POST", "/sim/streams"): self._streams,
            ("POST", "/sim/ticks"): self._ticks,
            ("GET", "/sim/replay"): self._get_replay,
            ("POST", "/sim/replay"): self._replay,
            ("GET", "/sim/clock"): self._get_clock,
            ("POST", "/sim/clock"): self._clock,
        }

    def add(self, path: str, act: Callable[[dict[str, Any]], Any]) -> None:
        """Posts to the path go to `act`, decoded; a ValueError is the client's fault."""

        async def route(body: bytes) -> Any:
            return act(msgspec.json.decode(body, type=dict[str, Any]))

        self._routes["POST", path] = route

    async def answer(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and JSON body."""
        route = self._routes.get((method, path))
        if route is None:
            return 404, ENCODER.encode({"error": f"no {method} {path[:80]} here"})
        try:
            return 200, ENCODER.encode(await route(body))
        except (msgspec.MsgspecError, ValueError) as error:
            return 400, ENCODER.encode({"error": str(error)})

    async def _get_hostility(self, body: bytes) -> Any:
        return self._sim.hostility

    async def _set_hostility(self, body: bytes) -> Any:
        self._sim.be_hostile(msgspec.json.decode(body or b"{}", type=Hostility))
        return self._sim.hostility

    async def _ticks(self, body: bytes) -> Any:
        rows = msgspec.json.decode(body, type=TickBody).ticks
        if len(rows) > TICKS_MAX:
            raise ValueError(f"ticks: at most {TICKS_MAX} at once")
        now_ns = self._sim.clock.now_ns()
        ticks = [msgspec.convert({"at_ns": now_ns, **x}, type=Tick, strict=False) for x in rows]
        for tick in ticks:
            self._sim.feed(tick)
        return {"ticks": len(ticks)}

    async def _get_replay(self, body: bytes) -> Any:
        player = self._sim.player
        return {"running": player.is_running, "speed": player.speed, "played": player.played}

    async def _replay(self, body: bytes) -> Any:
        asked = msgspec.json.decode(body, type=ReplayBody)
        player = self._sim.player
        if asked.speed is not None:
            if not 0 <= asked.speed <= 1_000_000:
                raise ValueError("speed: must be between 0 and 1,000,000")
            player.speed = asked.speed
        if asked.action == "start":
            player.start()
        elif asked.action == "stop":
            await player.stop()
        return await self._get_replay(b"")

    async def _get_clock(self, body: bytes) -> Any:
        engine, clock = self._sim.engine, self._sim.clock
        return {
            "now_ns": clock.now_ns(),
            "market_ns": clock.market_ns(),
            "open": engine.is_open(),
        }

    async def _clock(self, body: bytes) -> Any:
        asked = msgspec.json.decode(body, type=ClockBody)
        if asked.hours is not None:
            self._sim.engine.hours = hours_named(asked.hours)
        if not isinstance(asked.market_ns, UnsetType):
            self._sim.clock.pinned_ns = asked.market_ns
        return await self._get_clock(b"")

    async def _streams(self, body: bytes) -> Any:
        asked = msgspec.json.decode(body, type=StreamsBody)
        if asked.action == "cut":
            self._sim.streams.cut_all()
        return asked

    async def _book(self, body: bytes) -> Any:
        accounts = self._sim.engine.accounts.values()
        return {
            "accounts": {x.id: account_book(x) for x in accounts},
            "orders": [self._order_row(x, o) for x in accounts for o in all_orders(x)],
            "fills": [self._fill_row(x, row) for x in accounts for row in fill_rows(x)],
            "orders_by_client_id": dict(self._sim.orders_by_client_id),
            "requests_seen": list(self._sim.requests_seen),
        }

    def _order_row(self, account: Account, order: Order) -> dict[str, Any]:
        """The row, with the dialect's own ids."""
        row = order_row(account, order)
        for name in ("id", "replaces", "replaced_by"):
            if row[name] is not None:
                row[name] = self._sim.order_name(account, row[name])
        return row

    def _fill_row(self, account: Account, row: dict[str, Any]) -> dict[str, Any]:
        row["transaction_id"] = self._sim.fill_name(account, row["transaction_id"])
        row["order_id"] = self._sim.order_name(account, row["order_id"])
        return row


def account_book(account: Account) -> dict[str, Any]:
    """Money, positions and open lots of one account."""
    return {
        "balance": account.balance,
        "realized": account.realized,
        "financing": account.financing,
        "last_id": account.last_id,
        "positions": {
            x.instrument: {"long": x.long, "short": x.short, "net": x.net}
            for x in account.positions.values()
        },
        "trades": [lot_row(x) for x in account.lots.values()],
    }


def lot_row(lot: Lot) -> dict[str, Any]:
    """An open lot."""
    return {
        "id": lot.id,
        "instrument": lot.instrument,
        "units": lot.units,
        "price": lot.price,
        "guards": lot.guards,
    }


def all_orders(account: Account) -> list[Order]:
    """Every order still kept, oldest first."""
    found = [*account.done.values(), *account.working.values()]
    return sorted(found, key=lambda order: order.id)


def order_row(account: Account, order: Order) -> dict[str, Any]:
    """An order, for checks."""
    terms = order.terms
    return {
        "id": order.id,
        "account": account.id,
        "client_order_id": order.client_id,
        "instrument": terms.instrument,
        "units": terms.units,
        "type": terms.kind,
        "cause": terms.cause,
        "price": terms.price,
        "state": order.state,
        "filled": order.filled,
        "created_ns": order.created_ns,
        "by": order.by,
        "lot": terms.lot,
        "replaces": order.replaces,
        "replaced_by": order.replaced_by,
    }


def fill_rows(account: Account) -> list[dict[str, Any]]:
    """Every fill still kept, oldest first."""
    return [
        {
            "transaction_id": fact.id,
            "account": account.id,
            "order_id": fact.order,
            "client_order_id": fact.client_id,
            "instrument": fact.instrument,
            "units": fact.units,
            "price": fact.price,
            "realized": fact.realized,
            "at_ns": fact.at_ns,
        }
        for fact in account.facts.values()
        if isinstance(fact, f.Filled)
    ]


def count_client_ids(act: list[f.AnyFact], counts: Counter[str]) -> None:
    """Adds the client ids of orders booked in an act."""
    for fact in act:
        if isinstance(fact, f.Booked) and fact.terms.client_id is not None:
            counts[fact.terms.client_id] += 1
