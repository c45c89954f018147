"""How long does the whole US book take to screen an order, and how much memory do accounts take?

    python -m bench.screen [--orders 20000] [--positions 200] [--accounts 1000] [--seed 1]
                           [--out bench/results] [--json]

Two accounts, each with so many open positions and fifty orders under way: stocks under every rule
there is (no limit left off), and forex at OANDA. What is timed is the answer, on requests as the
router makes them, and apart from it the reservation that is made right after it; that the order
then ends is told outside of both. Of every second order CPU time is taken instead of the clock's:
on a busy machine the two differ by what others took. Then so many accounts, twenty positions
each, are loaded and screened once in a process of its own. Checked at the end: what must pass
passed, what must not did not, and with every order ended nothing is reserved.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import subprocess
import sys
import time
from collections import deque
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from actors.calendars import build_calendar
from bench.histogram import Histogram
from bench.machine import describe
from compliance.limits import MarketSettings, Security
from compliance.screen import Screener
from compliance.settings import ComplianceSettings
from domain.accounts import AccountBalances, AccountSnapshot, BrokerAccount, Environment
from domain.events import Canceled
from domain.instruments import AssetClass, Instrument
from domain.lifecycle import Status
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from domain.portfolio import Lot, Position
from domain.screening import Candidate, Rate, ScreenRequest
from domain.streams import OrderUpdate, StreamUpdate

NOON_NS = 1_795_194_000_000_000_000
"""Friday 2026-11-20 12:00 in New York."""

STEP_NS = 2_000_000
PRICES = 260
OPEN_ORDERS = 50
SAMPLE_POSITIONS = 20
EVERY = MarketSettings(
    window_quantity_max=Decimal(10**9),
    window_notional_max=Decimal(10**12),
    repeats_max=1_000,
    customer_credit_max=Decimal(10**10),
    firm_credit_max=Decimal(10**11),
    daily_loss_max=Decimal(10**6),
    drawdown_percent_max=Decimal(50),
)
CURRENCIES = "EUR USD GBP JPY CHF CAD AUD NZD SEK NOK DKK MXN ZAR PLN HUF CZK SGD HKD TRY CNH ILS"
P50_US_MAX, P99_US_MAX, MIB_MAX = 20.0, 60.0, 300.0


class Desk(Struct, frozen=True):
    """One account's market: how orders are made for it."""

    name: str
    regime: str
    broker: str
    instruments: tuple[Instrument, ...]
    market: MarketSettings


def stocks(count: int) -> Desk:
    """US shares, each with all that is known of it."""
    rows = [f"S{number:03d}" for number in range(count)]
    facts = tuple(
        Security(
            symbol=symbol, tier=1, prior_close=Decimal(100), reference=Decimal(100),
            easy_to_borrow=True,
        )
        for symbol in rows
    )  # fmt: skip
    made = tuple(_instrument(symbol, AssetClass.EQUITY, symbol, "USD") for symbol in rows)
    market = msgspec.structs.replace(EVERY, securities=facts)
    return Desk("us_stocks", "us_stocks_intraday", "alpaca", made, market)


def pairs(count: int) -> Desk:
    """Currency pairs, all there are of so many currencies."""
    names = CURRENCIES.split()
    rows = [(base, quote) for base in names for quote in names if base < quote][:count]
    made = tuple(_instrument(f"{b}/{q}", AssetClass.FOREX, b, q) for b, q in rows)
    return Desk("us_forex", "us_forex", "oanda", made, EVERY)


def _instrument(symbol: str, kind: AssetClass, base: str, quote: str) -> Instrument:
    is_pair = kind is AssetClass.FOREX
    return Instrument(
        symbol=symbol,
        broker_symbol=symbol,
        asset_class=kind,
        base_currency=base,
        quote_currency=quote,
        tick=Decimal("0.00001" if is_pair else "0.01"),
        lot=Decimal(1),
        quantity_min=Decimal(1),
        quantity_max=Decimal(10**8),
        pip=Decimal("0.0001"),
        calendar="forex" if is_pair else "XNYS",
    )


def account_of(desk: Desk, name: str) -> BrokerAccount:
    """An account at the desk's broker."""
    return BrokerAccount(
        account=name,
        connection="c",
        owner=f"owner-{name}",
        broker=desk.broker,
        environment=Environment.PAPER,
        base_currency="USD",
        regime=desk.regime,
    )


def snapshot_of(desk: Desk, name: str, count: int) -> AccountSnapshot:
    """The account with a long position in each of its first instruments."""
    held = [position_of(name, instrument.symbol) for instrument in desk.instruments[:count]]
    money = AccountBalances(
        account=name, currency="USD", cash=Decimal(10**8), equity=Decimal(10**8)
    )
    return AccountSnapshot(
        account=account_of(desk, name), balances=money, positions=tuple(held), cursor="1"
    )


def position_of(account: str, symbol: str) -> Position:
    """A hundred, in one lot."""
    hundred, price = Decimal(100), Decimal(100)
    lot = Lot(
        lot_id=f"L-{symbol}", instrument=symbol, quantity=hundred, price=price, opened_ns=1,
        opened_sequence=1,
    )  # fmt: skip
    return Position(
        account=account, instrument=symbol, quantity=hundred, average_cost=price, lots=(lot,)
    )


def make_screener(desk: Desk, accounts: tuple[AccountSnapshot, ...]) -> Screener:
    """A loaded screener with every currency and instrument priced."""
    settings = ComplianceSettings(
        max_quantity=Decimal(10**6),
        max_notional=Decimal(10**9),
        quote_age_ms_max=60_000,
        valuation_age_ms_max=3_600_000,
        market=desk.market,
    )
    calendar = build_calendar("XNYS", datetime.fromtimestamp(NOON_NS // 10**9, UTC).date())
    screener = Screener(settings, "bench", {"XNYS": calendar})
    screener.load(accounts=accounts, orders=(), halts=(), instruments=desk.instruments)
    names = [f"{currency}/USD" for currency in CURRENCIES.split() if currency != "USD"]
    names += [instrument.symbol for instrument in desk.instruments]
    screener.observe_rates(tuple(_rate(name, NOON_NS) for name in names))
    return screener


def _rate(symbol: str, at_ns: int) -> Rate:
    price = Decimal(100) if "/" not in symbol else Decimal(1)
    return Rate(instrument=symbol, bid=price, ask=price, received_ns=at_ns)


def make_order(desk: Desk, luck: Random, number: int) -> NewOrder:
    """A limit order to buy or to sell what is held, near the market; one in fifty far from it."""
    instrument = luck.choice(desk.instruments)
    is_pair = instrument.asset_class is AssetClass.FOREX
    middle, tick = (Decimal(1), instrument.tick) if is_pair else (Decimal(100), instrument.tick)
    buys = luck.random() < 0.7
    # Never through one's own: buys rest below the middle, sales above it.
    # Nor as another one of the last half second, which the duplicate guard would refuse.
    away = tick * (1 + number % PRICES)
    price = middle - away if buys else middle + away
    if number % 50 == 0:
        price = middle * 2 if buys else middle / 2
    return NewOrder(
        client_order_id=f"c-{number}",
        instrument=instrument.symbol,
        side=Side.BUY if buys else Side.SELL,
        quantity=Decimal(luck.randrange(1, 100) if buys else 1),
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC if is_pair else TimeInForce.DAY,
        limit_price=price,
    )


class Figures(Struct):
    """What one desk's run measured, and what came of its orders."""

    durations_ns: list[int]
    work_ns: list[int]
    reserving_ns: list[int]
    passed: int = 0
    refused: int = 0
    wrong: int = 0
    left_reserved: int = 0


def time_screens(desk: Desk, orders: int, seed: int) -> Figures:
    """Screens so many orders; each is ended once fifty younger ones are under way."""
    luck = Random(seed)
    screener = make_screener(desk, (snapshot_of(desk, "a", len(desk.instruments)),))
    figures = Figures([], [], [])
    clocks = (
        (time.perf_counter_ns, figures.durations_ns),
        (time.thread_time_ns, figures.work_ns),
    )
    open_orders: deque[tuple[str, NewOrder]] = deque()
    candidates = (Candidate(connection="c", account="a"),)
    for number in range(orders):
        now_ns = NOON_NS + number * STEP_NS
        order = make_order(desk, luck, number)
        request = ScreenRequest(
            number=number,
            owner="owner-a",
            order_id=f"o-{number}",
            order=order,
            candidates=candidates,
            rates=(_rate(order.instrument, now_ns),),
            now_ns=now_ns,
        )
        clock, durations = clocks[number % 2]
        began = clock()
        answer = screener.screen(request)
        answered = clock()
        screener.settle()
        durations.append(answered - began)
        if not number % 2:
            figures.reserving_ns.append(clock() - answered)
        passed = answer.passed is not None
        figures.passed += passed
        figures.refused += not passed
        figures.wrong += passed == (number % 50 == 0)
        if passed:
            open_orders.append((request.order_id, order))
        if len(open_orders) > OPEN_ORDERS:
            end(screener, *open_orders.popleft(), number)
    while open_orders:
        end(screener, *open_orders.popleft(), orders)
    figures.left_reserved = len(screener.book.orders)
    return figures


def end(screener: Screener, order_id: str, order: NewOrder, number: int) -> None:
    """The order is canceled."""
    at_ns = NOON_NS + number * STEP_NS
    update = OrderUpdate(
        order_id=order_id,
        status=Status.CANCELED,
        version=1,
        filled=Decimal(0),
        leaves=Decimal(0),
        event=Canceled(at_ns=at_ns, reason="bench"),
        instrument=order.instrument,
        account="a",
    )
    screener.observe(StreamUpdate(stream="s", seq=number + 1, at_ns=at_ns, body=update))


def fill_memory(accounts: int) -> float:
    """MiB that a process has once so many accounts are loaded and each has screened an order."""
    desk = stocks(500)
    luck = Random(1)
    owns = [
        msgspec.structs.replace(
            desk, instruments=tuple(luck.sample(desk.instruments, SAMPLE_POSITIONS))
        )
        for _ in range(accounts)
    ]
    snapshots = [
        snapshot_of(own, f"a{number}", SAMPLE_POSITIONS) for number, own in enumerate(owns)
    ]
    screener = make_screener(desk, tuple(snapshots))
    for number, own in enumerate(owns):
        order = make_order(own, luck, 1)
        request = ScreenRequest(
            number=number,
            owner=f"owner-a{number}",
            order_id=f"o-{number}",
            order=order,
            candidates=(Candidate(connection="c", account=f"a{number}"),),
            rates=(_rate(order.instrument, NOON_NS),),
            now_ns=NOON_NS,
        )
        assert screener.screen(request).passed is not None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_memory(accounts: int) -> float:
    """The same in a fresh process."""
    command = [sys.executable, "-m", "bench.screen", "--memory", str(accounts)]
    found = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    return float(found.stdout)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Everything, as one result."""
    result: dict[str, Any] = {"machine": msgspec.to_builtins(describe(args.out.parent))}
    is_right = True
    for desk in (stocks(args.positions), pairs(args.positions)):
        time_screens(desk, 500, args.seed)
        gc.collect()
        gc.freeze()
        figures = time_screens(desk, args.orders, args.seed)
        gc.unfreeze()
        micros = {
            f"{name}{kind}": round(Histogram(durations).at_ms(at) * 1000, 1)
            for kind, durations in (("", figures.durations_ns), ("_cpu", figures.work_ns))
            for name, at in PERCENTILES.items()
        }
        reserving = Histogram(figures.reserving_ns)
        micros["reserving_p50_us"] = round(reserving.at_ms(50.0) * 1000, 1)
        checks = {
            "passed": figures.passed, "refused": figures.refused, "wrong": figures.wrong,
            "left_reserved": figures.left_reserved,
        }  # fmt: skip
        is_right = is_right and not figures.wrong and not figures.left_reserved
        result[desk.name] = {"positions": len(desk.instruments), **micros, **checks}
    result["memory"] = {"accounts": args.accounts, "mib": round(measure_memory(args.accounts), 1)}
    result["checks_passed"] = is_right
    return result


CPU = ("p50_us_cpu", "p99_us_cpu")
PERCENTILES = {"p50_us": 50.0, "p99_us": 99.0, "p999_us": 99.9}


def markdown(result: dict[str, Any]) -> str:
    """The result as a table, beside the aims."""
    machine = result["machine"]
    lines = [
        "# Screen",
        "",
        f"| account | positions | p50 µs (≤ {P50_US_MAX:.0f}) | p99 µs (≤ {P99_US_MAX:.0f}) "
        "| p99.9 µs | p50 CPU | p99 CPU | reserving p50 | passed | refused |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in ("us_stocks", "us_forex"):
        row = result[name]
        cells = [
            row[key]
            for key in ("positions", *PERCENTILES, *CPU, "reserving_p50_us", "passed", "refused")
        ]
        lines.append(f"| {name} | {' | '.join(str(cell) for cell in cells)} |")
    memory = result["memory"]
    lines += [
        "",
        f"{memory['accounts']} accounts in one process: {memory['mib']} MiB (≤ {MIB_MAX:.0f}).",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, "
        f"load before {machine['load_before']}.",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Runs, writes `screen.json` and `screen.md`, and says whether the checks held."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--orders", type=int, default=20_000)
    parser.add_argument("--positions", type=int, default=200)
    parser.add_argument("--accounts", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--memory", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory is not None:
        print(fill_memory(args.memory))
        return 0
    result = run(args)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "screen.json").write_text(json.dumps(result, indent=2) + "\n")
    (args.out / "screen.md").write_text(markdown(result))
    print(json.dumps(result) if args.json else markdown(result))
    return 0 if result["checks_passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
