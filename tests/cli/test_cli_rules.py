"""`fillgate rules` and `audit explain` over a journal with what screens depended on."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.paths import Paths
from actors.settings import journal_place, load
from compliance.regimes import as_of
from compliance.rules import RULES
from compliance.settings import ComplianceSettings
from domain.accounts import AccountBalances, AccountSnapshot, BrokerAccount, Environment
from domain.instruments import AssetClass, Instrument
from domain.records import Halted, HaltScope, Resumed, Ruled, Synced
from domain.screening import Rate
from ledger.audit_heads import HeadFile
from ledger.audit_log import AuditLog
from ledger.places import reader_of
from tests.cli import cli_world
from tests.cli.cli_world import ACCOUNT, CONNECTION, VIOLATION, Story, call, call_json, make_home

SETTINGS = ComplianceSettings(max_quantity=Decimal(5_000))


class Screened(Story):
    """A story with its settings, instruments, account and moments written down."""

    def begin(self) -> None:
        """What a router writes before the first order."""
        pair = Instrument(
            symbol="EUR/USD",
            broker_symbol="EUR_USD",
            asset_class=AssetClass.FOREX,
            base_currency="EUR",
            quote_currency="USD",
            tick=Decimal("0.00001"),
            lot=Decimal(1),
            quantity_min=Decimal(1),
            quantity_max=Decimal(10**8),
            pip=Decimal("0.0001"),
            calendar="forex",
        )
        account = BrokerAccount(
            account=ACCOUNT,
            connection=CONNECTION,
            owner=self.owner,
            broker="oanda",
            environment=Environment.PAPER,
            base_currency="USD",
            regime="us_forex",
        )
        money = AccountBalances(
            account=ACCOUNT, currency="USD", cash=Decimal(100_000), equity=Decimal(100_000)
        )
        snapshot = AccountSnapshot(account=account, balances=money, positions=(), cursor="1")
        self._write(Synced(connection=CONNECTION, incarnation="c-1", snapshot=snapshot), ())
        told = msgspec.json.encode(SETTINGS).decode()
        self._write(Ruled(incarnation="i-1", settings=told, instruments=(pair,)), ())

    def _write(self, cause: Any, updates: Any) -> None:
        if hasattr(cause, "screened_ns"):
            now_ns = cli_world.START_NS + self._journal.last * cli_world.SECOND
            rate = Rate(
                instrument="EUR/USD", bid=Decimal("1.1"), ask=Decimal("1.1002"), received_ns=now_ns
            )
            cause = msgspec.structs.replace(cause, screened_ns=now_ns, rates=(rate,))
        super()._write(cause, updates)

    def halt(self) -> None:
        """All is halted for a while."""
        self._write(Halted(scope=HaltScope.ALL, subject="*", by="o", reason="look"), ())
        self._write(Resumed(scope=HaltScope.ALL, subject="*", by="o"), ())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setattr(cli_world, "START_NS", time.time_ns() - 1000 * cli_world.SECOND)
    paths = make_home(tmp_path)
    story = Screened(paths)
    story.begin()
    story.place("c-1")
    story.halt()
    story.place("c-2", quantity=Decimal(3_000))
    over = msgspec.structs.replace(VIOLATION, code="max_quantity")
    story.place("c-3", over, quantity=Decimal(9_000))
    story.close()
    return paths


def test_every_rule_is_listed_with_its_source_and_dates(tmp_path: Path) -> None:
    rows = call_json(tmp_path, "rules", "list")
    assert [row["rule"] for row in rows] == list(RULES)
    [fifo] = [row for row in rows if row["rule"] == "us_fx_fifo"]
    assert fifo["from"] == "2009-05-15"
    assert fifo["confirmed"] == "2026-11-21"
    assert "us_fx_fifo" in call(tmp_path, "rules", "list").stdout


def test_a_rule_is_shown_with_the_regimes_that_ask_it(tmp_path: Path) -> None:
    told = call(tmp_path, "rules", "show", "intraday_margin").stdout
    assert "us_stocks_intraday" in told
    assert "maintenance" in told
    assert call_json(tmp_path, "rules", "show", "halt")["jurisdiction"] == "house"
    assert "there is no rule nothing" in call(tmp_path, "rules", "show", "nothing").stderr


def test_a_diff_tells_which_orders_another_table_would_refuse(home: Paths, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('[compliance]\nmax_quantity = "2000"\n')
    told = call_json(home.home, "rules", "diff", "--to", str(other))
    assert told["orders"] == 3
    assert told["not_reproduced"] == 0
    [changed] = told["differences"]
    assert changed["client_order_id"] == "c-2"
    assert (changed["was"]["outcome"], changed["would"]["rule"]) == ("pass", "max_quantity")
    spoken = call(home.home, "rules", "diff", "--to", str(other)).stdout
    assert "3 orders of 7 days: 1 would be judged differently" in spoken
    assert "would be deny  max_quantity: quantity 3000 is above 2000" in spoken


def test_a_diff_tells_what_a_looser_table_would_let_pass(home: Paths, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('[compliance]\nmax_quantity = "10000"\n')
    [changed] = call_json(home.home, "rules", "diff", "--to", str(other))["differences"]
    assert (changed["client_order_id"], changed["would"]["outcome"]) == ("c-3", "pass")


def test_a_diff_takes_the_rule_book_of_a_date(home: Paths) -> None:
    told = call_json(home.home, "rules", "diff", "--to", "2030-01-01")
    codes = {each["would"]["violation"]["code"] for each in told["differences"]}
    assert codes == {"rule_expired"}  # nobody has confirmed the law for so long
    same = call_json(home.home, "rules", "diff", "--from", "2026-11-22", "--to", "2026-11-23")
    assert same["differences"] == []


def test_orders_before_the_days_asked_for_only_build_the_book(home: Paths) -> None:
    # All are minutes old.
    assert call_json(home.home, "rules", "diff", "--to", "2030-01-01", "--days", "1")["orders"] == 3


def test_another_word_than_then_is_counted_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_world, "START_NS", time.time_ns() - 1000 * cli_world.SECOND)
    paths = make_home(tmp_path)
    story = Screened(paths)
    story.begin()
    story.place("c-1", quantity=Decimal(9_000))  # above the limit, and yet it had passed
    story.place("c-2", VIOLATION)  # denied, though nothing is wrong with it
    story.close()
    told = call(paths.home, "rules", "diff", "--to", "2026-11-22")
    assert "2 of them came to another word then" in told.stdout


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ((), "say which table"),
        (("--to", "nowhere.toml"), "is no date and no file"),
        (("--to", "bad.toml"), "[compliance]"),
        (("--to", "worse.toml"), "collar_percent"),
    ],
)
def test_a_table_that_cannot_be_read_is_told(
    home: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: Any, fault: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.toml").write_text('[compliance]\nmax_quantity = "many"\n')
    Path("worse.toml").write_text('[compliance]\ncollar_percent = "90"\n')
    assert fault in call(home.home, "rules", "diff", *words).stderr


def test_the_rules_of_a_date_are_for_the_days_of_the_orders() -> None:
    account = BrokerAccount(
        account="a", connection="c", owner="o", broker="oanda", base_currency="USD",
        environment=Environment.PAPER, regime="us_forex",
    )  # fmt: skip
    day_ns = 86_400 * 10**9
    plan = as_of(1_795_000_000 * 10**9)(account, SETTINGS, 1_795_000_000 * 10**9 + 3 * day_ns)
    assert (plan.business_date - plan.tables_on).days == 3


def test_explain_tells_every_rule_with_its_numbers_and_the_proof(home: Paths) -> None:
    settings = load(home.settings)
    log = AuditLog(home.audit, settings.deployment.id)
    tail = log.follow(reader_of(journal_place(home, settings)))
    log.append(tail.read())
    tail.close()
    HeadFile(home.audit_heads).put(log.seal.head(7))
    log.close()
    told = call(home.home, "audit", "explain", "c-3").stdout
    assert "proved by the newest head" in told
    assert "deny max_quantity: " in told
    assert "would pass: largest quantity that fits: 5000" in told
    assert "pass price_collar: mid 1.1001" in told
    raw = json.loads(call(home.home, "audit", "explain", "c-1", "--json").stdout)
    assert raw["proved"]
    assert {rule["outcome"] for rule in raw["rules"]} == {"pass"}
    assert raw["record"]["cause"]["command"]["client_order_id"] == "c-1"
    assert "knows no order" in call(home.home, "audit", "explain", "c-9").stderr
