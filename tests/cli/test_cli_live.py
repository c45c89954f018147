"""Commands that talk to a running gateway, against a client that answers by heart."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import msgspec
import pytest
import typer

from actors.paths import Paths
from actors.supervisor import Running
from cli import dial
from cli.order import make_order, sort_words, to_decimal
from cli.orders import order_table
from cli.output import NS, console
from cli.quotes import Board, symbol_of
from cli.up import Progress, read_running
from domain import events as ev
from domain.commands import Decided
from domain.errors import Category, ErrorInfo, Outcome, Retry
from domain.lifecycle import Status
from domain.orders import NewOrder, OrderType, Side, TimeInForce
from domain.quotes import Quote
from domain.streams import OrderUpdate
from gateway import wire
from gateway.client_terms import ConnectionLostError, Refused
from tests.cli.cli_world import call, call_json, make_home
from tests.domain.builders import ERROR, a_fill

REFUSAL = ErrorInfo(
    code="max_quantity",
    category=Category.RISK,
    outcome=Outcome.NONE,
    retry=Retry.NEW_ID,
    message="quantity 9 is above 5",
    field="quantity",
    retry_after_ms=200,
)
ROW = {
    "order_id": "id-1",
    "client_order_id": "c-1",
    "status": "live",
    "pending": "cancel",
    "instrument": "EUR/USD",
    "side": "buy",
    "quantity": "1000",
    "filled": "400",
    "average_price": "1.10000",
    "account": "oanda-paper",
    "terms": {"type": "limit", "tag": "t-1"},
    "updated_ns": 0,
}
QUOTE = Quote(
    instrument="EUR/USD",
    connection="oanda-paper",
    bid=Decimal("1.10000"),
    ask=Decimal("1.10020"),
    broker_ns=0,
    received_ns=0,
    update=1,
)


def update_of(name: str, status: Status, event: ev.OrderEvent) -> OrderUpdate:
    return OrderUpdate(
        order_id="id-1",
        client_order_id=name,
        status=status,
        version=1,
        filled=Decimal(1000) if status is Status.FILLED else Decimal(0),
        leaves=Decimal(0),
        average_price=Decimal("1.1"),
        event=event,
    )


class FakeClient:
    """Answers as a gateway would, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.rows: list[Any] = [ROW]
        self.body: Any = None
        self.refusal: Refused | None = None
        self.trouble: Exception | None = None
        self.outcomes: list[tuple[Status, ev.OrderEvent]] = [
            (Status.LIVE, ev.Accepted(at_ns=0, broker_order_id="6"))
        ]
        self.welcome = SimpleNamespace(owner="o-test", accounts=("oanda-paper",))
        self.known: dict[str, OrderUpdate] = {}
        self.orders = SimpleNamespace(get=self.known.get)
        self.events: list[Any] = []

    async def __aenter__(self) -> Self:
        if self.trouble is not None:
            raise self.trouble
        return self

    async def close(self) -> None:
        """Nothing to close."""

    async def query(self, kind: type[wire.Request], **fields: Any) -> Any:
        self.asked.append((kind, fields))
        return SimpleNamespace(body=self.rows if kind is wire.OrdersList else self.body)

    async def follow(self, stream: str) -> None:
        self.asked.append(stream)

    async def place(self, order: NewOrder) -> Decided:
        self.asked.append(order)
        if self.refusal is not None:
            raise self.refusal
        return Decided(client_order_id=order.client_order_id, order_id="id-1", status="sending")

    async def place_and_wait(self, order: NewOrder) -> OrderUpdate:
        await self.place(order)
        return self._next(order.client_order_id)

    def _next(self, name: str) -> OrderUpdate:
        self.known[name] = update_of(name, *self.outcomes.pop(0))
        return self.known[name]

    async def updates(self) -> AsyncIterator[Any]:
        for event in self.events:
            yield event
        while self.outcomes:
            yield self._next(next(iter(self.known)))

    async def cancel(self, wanted: Any) -> tuple[Decided, ...]:
        self.asked.append(wanted)
        return (Decided(client_order_id="c-1", status="live"),) if self.rows else ()

    async def amend(self, wanted: Any) -> Decided:
        self.asked.append(wanted)
        return Decided(client_order_id="c-1", status="live")

    async def quotes(self, _: str) -> AsyncIterator[Quote]:
        while True:
            yield QUOTE
            await asyncio.sleep(0)


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    fake = FakeClient()
    monkeypatch.setattr(dial, "Client", SimpleNamespace(connect=lambda *_, **__: fake))
    return fake


@pytest.fixture
def home(tmp_path: Path) -> Any:
    """A home whose deployment seems to run."""
    paths = make_home(tmp_path)
    write_ready(paths)
    yield paths.home
    paths.ready.unlink()


def write_ready(paths: Paths) -> None:
    running = Running(pid=1, url="ws://x", health_url="http://x", ray_address="127.0.0.1:1")
    paths.ready.write_bytes(msgspec.json.encode(running))


# -- orders


def test_orders_are_listed_with_what_is_pending(home: Path, gateway: FakeClient) -> None:
    text = call(home, "orders", "--status", "all", "--instrument", "eur_usd").stdout
    assert "c-1" in text
    assert "live (cancel pending)" in text
    kind, fields = gateway.asked[0]
    assert kind is wire.OrdersList
    assert fields == {"status": "all", "instrument": "EUR/USD", "limit": 50}


def test_orders_are_listed_for_programs(home: Path, gateway: FakeClient) -> None:
    assert call_json(home, "orders") == {"orders": gateway.rows}


def test_an_empty_list_says_so(gateway: FakeClient) -> None:
    shown = order_table([])
    with console().capture() as captured:
        console().print(shown)
    assert shown.caption == "no orders"
    assert captured.get() == ""


def test_watching_orders_as_json_gives_the_entries(home: Path, gateway: FakeClient) -> None:
    gateway.events, gateway.outcomes = [{"seq": 1}, {"seq": 2}], []
    lines = call(home, "orders", "--watch", "--json").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 2]


def test_watching_orders_lists_again_after_each_entry(home: Path, gateway: FakeClient) -> None:
    gateway.events, gateway.outcomes = [{"seq": 1}, {"seq": 2}], []
    assert call(home, "orders", "--watch").exit_code == 0
    lists = [asked for asked in gateway.asked if isinstance(asked, tuple)]
    assert len(lists) == 3


# -- order place


def test_a_market_order_is_waited_for_to_its_end(home: Path, gateway: FakeClient) -> None:
    gateway.outcomes.append((Status.FILLED, a_fill(1000)))
    result = call(home, "order", "place", "EUR/USD", "buy", "1000")
    assert result.exit_code == 0, result.output
    assert "filled 1000 at 1.1" in result.stdout
    order = gateway.asked[1]
    assert (order.type, order.time_in_force) == (OrderType.MARKET, TimeInForce.FOK)


def test_a_resting_order_is_waited_for_until_the_broker_has_it(
    home: Path, gateway: FakeClient
) -> None:
    result = call(home, "order", "place", "EUR/USD", "sell", "10", "--limit", "1.2", "--id", "n-1")
    assert "live" in result.stdout
    assert "order cancel n-1" in result.stdout
    order = gateway.asked[1]
    assert order.side is Side.SELL
    assert (order.limit_price, order.time_in_force) == (Decimal("1.2"), TimeInForce.GTC)


def test_nobody_waits_where_that_was_asked_for(home: Path, gateway: FakeClient) -> None:
    made = call_json(home, "order", "place", "EUR/USD", "buy", "1", "--no-wait", "--tag", "x")
    assert made["decided"]["status"] == "sending"
    assert made["update"] is None
    assert "written down as sending" in call(
        home, "order", "place", "EUR/USD", "buy", "1", "--no-wait"
    ).stdout  # fmt: skip


def test_brackets_and_lots_are_passed_on(home: Path, gateway: FakeClient) -> None:
    words = ("--take-profit", "1.2", "--stop-loss", "1.0", "--limit", "1.1", "--tif", "day")
    call(home, "order", "place", "EUR/USD", "buy", "1", *words, "--lot", "7", "--reduce-only")
    order = gateway.asked[1]
    assert order.bracket.take_profit.limit_price == Decimal("1.2")
    assert order.bracket.stop_loss.stop_price == Decimal("1.0")
    assert (order.closes_lot, order.reduce_only) == ("7", True)
    assert order.time_in_force is TimeInForce.DAY


def test_a_refusal_tells_field_and_what_may_have_happened(home: Path, gateway: FakeClient) -> None:
    gateway.refusal = Refused(REFUSAL)
    result = call(home, "order", "place", "EUR/USD", "buy", "9", "--no-wait")
    assert result.exit_code == 1
    assert "quantity 9 is above 5 (quantity)" in result.stderr
    assert "nothing was done; try again in 200 ms" in result.stderr


def test_a_rejection_by_the_broker_is_exit_code_1(home: Path, gateway: FakeClient) -> None:
    gateway.outcomes = [(Status.REJECTED, ev.Rejected(at_ns=0, error=ERROR))]
    result = call(home, "order", "place", "EUR/USD", "buy", "9")
    assert result.exit_code == 1
    assert "rejected: not enough" in result.stdout


def test_a_dry_run_says_what_would_pass(home: Path, gateway: FakeClient) -> None:
    gateway.body = {"all_violations": []}
    assert call(home, "order", "place", "EUR/USD", "buy", "9", "--dry-run").exit_code == 0
    violation = {"message": "too much", "rule": "r", "citation": "c", "would_pass": "less"}
    gateway.body = {"all_violations": [violation]}
    result = call(home, "order", "place", "EUR/USD", "buy", "9", "--dry-run")
    assert result.exit_code == 1
    assert "too much (r: c)" in result.stdout
    assert "would pass: less" in result.stdout
    assert not call_json(home, "order", "place", "EUR/USD", "buy", "9", "--dry-run")["passes"]


@pytest.mark.parametrize(
    "words",
    [("EUR/USD", "buy", "1000"), ("buy", "1000", "eur_usd"), ("1000", "EUR/USD", "BUY")],
)
def test_instrument_side_and_quantity_may_come_in_any_order(words: tuple[str, ...]) -> None:
    assert sort_words(*words) == ("EUR/USD", "buy", Decimal(1000))


@pytest.mark.parametrize(
    "words", [("EUR/USD", "GBP/USD", "1"), ("buy", "sell", "1"), ("EUR/USD", "buy", "sell")]
)
def test_words_that_name_no_order_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(typer.BadParameter):
        sort_words(*words)


@pytest.mark.parametrize("text", ["x", "0", "-1", "NaN", "1e999999999", "Infinity"])
def test_a_number_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        to_decimal(text)


PRICES = [
    ({}, OrderType.MARKET),
    ({"limit_price": Decimal(1)}, OrderType.LIMIT),
    ({"stop_price": Decimal(1)}, OrderType.STOP),
    ({"limit_price": Decimal(1), "stop_price": Decimal(1)}, OrderType.STOP_LIMIT),
    ({"trailing": object()}, OrderType.TRAILING_STOP),
]


@pytest.mark.parametrize(("prices", "kind"), PRICES)
def test_the_type_follows_from_the_prices(prices: dict[str, Any], kind: OrderType) -> None:
    terms: dict[str, Any] = {
        "client_order_id": "c", "instrument": "EUR/USD", "side": Side.BUY,
        "quantity": Decimal(1), "type": None, "time_in_force": None, "limit_price": None,
        "stop_price": None, "trailing": None,
    }  # fmt: skip
    assert make_order(**(terms | prices)).type is kind


# -- order cancel, amend


def test_an_order_is_canceled_by_its_id(home: Path, gateway: FakeClient) -> None:
    assert "cancel asked for" in call(home, "order", "cancel", "c-1").stdout
    assert gateway.asked[0].client_order_id == "c-1"


@pytest.mark.parametrize("words", [(), ("c-1", "--all"), ("--all", "--tag", "x")])
def test_a_cancel_says_one_thing(home: Path, gateway: FakeClient, words: tuple[str, ...]) -> None:
    assert call(home, "order", "cancel", *words).exit_code == 2


def test_a_cancel_of_nothing_says_so(home: Path, gateway: FakeClient) -> None:
    gateway.rows = []
    assert "nothing to cancel" in call(home, "order", "cancel", "--instrument", "eur_usd").stdout
    assert gateway.asked[0].instrument == "EUR/USD"
    assert call_json(home, "order", "cancel", "--all") == {"decided": []}


def test_an_amend_passes_on_what_was_said_alone(home: Path, gateway: FakeClient) -> None:
    words = ("--limit", "1.2", "--trail", "0.1", "--if-version", "3")
    assert "amend asked for" in call(home, "order", "amend", "c-1", *words).stdout
    amend = gateway.asked[0]
    assert (amend.limit_price, amend.quantity, amend.if_version) == (Decimal("1.2"), None, 3)


def test_an_amend_of_nothing_is_a_usage_error(home: Path, gateway: FakeClient) -> None:
    assert call(home, "order", "amend", "c-1").exit_code == 2


# -- quotes


def test_quotes_come_as_json_lines(home: Path, gateway: FakeClient) -> None:
    lines = call(home, "quotes", "eur_usd", "--count", "2", "--json").stdout.splitlines()
    assert [json.loads(line)["bid"] for line in lines] == ["1.10000", "1.10000"]


def test_quotes_come_in_a_table_with_the_spread_in_pips(home: Path, gateway: FakeClient) -> None:
    gateway.body = [{"symbol": "EUR/USD", "pip": "0.0001"}]
    text = call(home, "quotes", "EUR/USD", "--count", "1").stdout
    row = next(line for line in text.splitlines() if "1.10000" in line).split()
    assert row[:4] == ["EUR/USD", "1.10000", "1.10020", "2"]


def cells(board: Board) -> list[str]:
    return [str(cell) for column in board.table().columns for cell in column.cells]


def test_the_board_shows_which_way_a_price_moved_and_what_is_closed() -> None:
    board = Board(("EUR/USD", "USD/JPY"), now_ns=lambda: QUOTE.received_ns)
    up = msgspec.structs.replace(QUOTE, bid=Decimal("1.2"), ask=Decimal("1.3"))
    assert board(QUOTE)
    assert board(up)
    assert {"▲", "waiting"} <= set(cells(board))
    assert board(msgspec.structs.replace(QUOTE, conflated=7))
    assert {"▼", "7"} <= set(cells(board))
    board(msgspec.structs.replace(QUOTE, tradeable=False))
    assert "closed" in cells(board)


def test_the_board_tells_a_still_market_from_a_dead_line() -> None:
    now_ns = QUOTE.received_ns + 65 * NS
    board = Board(("EUR/USD",), now_ns=lambda: now_ns)
    board(msgspec.structs.replace(QUOTE, unchanged=True, stream_ns=now_ns - NS // 2))
    assert {"1 min 5 s", "0.5 s"} <= set(cells(board))
    assert "no word" not in cells(board)
    now_ns += 7_200 * NS
    assert {"2 h 1 min", "2 h 0 min", "no word"} <= set(cells(board))


def test_two_connections_have_a_row_each() -> None:
    board = Board(("EUR/USD",))
    board(QUOTE)
    board(msgspec.structs.replace(QUOTE, connection="other"))
    assert board.table().row_count == 2


def test_an_instrument_may_be_written_the_brokers_way() -> None:
    assert symbol_of(" eur_usd ") == "EUR/USD"


# -- the way there


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (ConnectionLostError("gone"), "no connection to the gateway: gone"),
        (TimeoutError(), "did not answer in time"),
    ],
)
def test_a_lost_way_is_a_sentence(
    home: Path, gateway: FakeClient, trouble: Exception, words: str
) -> None:
    gateway.trouble = trouble
    result = call(home, "orders")
    assert result.exit_code == 1
    assert words in result.stderr


def test_without_the_first_token_it_says_how_to_make_one(home: Path, gateway: FakeClient) -> None:
    (home / "first.token").unlink()
    assert "fillgate token create" in call(home, "orders").stderr


# -- up


def test_a_ready_deployment_says_what_to_do_next(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cli.app import State

    progress = Progress(State(home=home))
    progress("ready at ws://x")
    progress("stopping")
    out = capsys.readouterr().out
    assert out.count("ready to trade") == 1
    for words in ("order place EUR/USD buy 1000", "quotes EUR/USD", "demo --orders", "first.token"):
        assert words in out
    assert "stopping" in out


def test_a_starting_deployment_tells_its_steps_for_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cli.app import State

    paths = make_home(tmp_path)
    progress = Progress(State(home=paths.home, is_json=True))
    progress("starting Ray")
    write_ready(paths)
    progress("ready")
    step, ready = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert step == {"step": "starting Ray"}
    assert ready["ready"]["url"] == "ws://x"
    paths.ready.unlink()


def test_what_a_deployment_tells_of_itself_may_be_torn(tmp_path: Path) -> None:
    paths = make_home(tmp_path)
    assert read_running(paths) is None
    paths.ready.write_text("{")
    assert read_running(paths) is None
    paths.ready.unlink()


class FakeSupervisor:
    """Starts nothing; remembers whether there was a journal."""

    ran: ClassVar[list[bool]] = []

    def __init__(self, paths: Paths, *_: object) -> None:
        self._paths = paths

    async def run(self) -> None:
        self.ran.append(self._paths.journal.is_dir())


def test_up_makes_a_missing_deployment_and_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_segments: None
) -> None:
    FakeSupervisor.ran.clear()
    monkeypatch.setattr("cli.up.Supervisor", FakeSupervisor)
    result = call(tmp_path / "home", "up")
    assert FakeSupervisor.ran == [True]
    assert "made a new deployment" in result.stdout
    assert "stopped" in result.stdout
    assert call(tmp_path / "home", "up").exit_code == 0


def test_up_never_makes_a_new_journal_for_a_deployment_that_lost_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = make_home(tmp_path)
    for file in paths.journal.iterdir():
        file.unlink()
    result = call(paths.home, "up")
    assert result.exit_code == 1
    assert "no journal" in result.stderr


def test_up_does_not_guess_the_settings_of_a_journal(tmp_path: Path) -> None:
    paths = make_home(tmp_path)
    paths.settings.unlink()
    result = call(paths.home, "up")
    assert result.exit_code == 1
    assert "the journal belongs to deployment d-test" in result.stderr


def test_up_finishes_what_a_broken_off_init_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = make_home(tmp_path)
    for file in (*paths.journal.iterdir(), paths.tokens, paths.first_token):
        file.unlink()
    monkeypatch.setattr("cli.up.Supervisor", FakeSupervisor)
    assert call(paths.home, "up").exit_code == 0
    assert paths.first_token.exists()
