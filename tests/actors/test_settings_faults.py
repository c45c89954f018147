"""Settings are refused whole, with every fault and its fix; secrets stay out of sight."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
import structlog

from actors import logs
from actors.logs import conceal, configure_logs
from actors.paths import Paths
from actors.roles import has_limits
from actors.settings import (
    ConnectionSettings,
    SettingsError,
    find_journal,
    journal_place,
    load,
    read_token,
)
from brokers.registry import BROKERS, PAPER_TOKEN

EXAMPLE = Path(__file__).parents[2] / "deploy" / "fillgate.example.toml"

PLAIN = """
[deployment]
id = "test"

[[owners]]
id = "alice"

[[connections]]
id = "paper-1"
owner = "alice"
broker = "oanda"
broker_account_id = "101-001-1000001-001"
account = "acc-1"
simulator = "sim"

[[simulators]]
id = "sim"
"""

LIVE = """
[deployment]
id = "test"

[[owners]]
id = "alice"

[[connections]]
id = "live-1"
owner = "alice"
broker = "oanda"
broker_account_id = "001-001-1000001-001"
account = "acc-1"
environment = "live"
"""


def faults_of(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "fillgate.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(path)
    return caught.value.faults


def test_the_example_settings_can_be_used() -> None:
    assert load(EXAMPLE).connections


def test_defaults_are_the_safe_choice(tmp_path: Path) -> None:
    path = tmp_path / "fillgate.toml"
    path.write_text(PLAIN)
    settings = load(path)
    assert settings.deployment.host == "127.0.0.1"
    assert settings.connections[0].environment.value == "paper"


FAULTS = {
    "owner unknown": (PLAIN.replace('owner = "alice"', 'owner = "bob"'), "[[owners]]"),
    "broker unknown": (PLAIN.replace('"oanda"', '"acme"'), "known: oanda"),
    "simulator unknown": (PLAIN.replace('= "sim"', '= "other"', 1), "[[simulators]]"),
    "host without TLS": (
        PLAIN.replace('id = "test"', 'id = "test"\nhost = "0.0.0.0"'), "127.0.0.1",
    ),
    "a name twice": (PLAIN + '[[owners]]\nid = "alice"\n', "alice is used twice"),
    "a live connection over a simulator": (
        PLAIN.replace('simulator = "sim"', 'simulator = "sim"\nenvironment = "live"'),
        "live connection cannot use a simulator",
    ),
    "no token": (LIVE, "needs token_env or token_file"),
    "token not in the environment": (LIVE + 'token_env = "NO_SUCH_TOKEN"\n', "NO_SUCH_TOKEN"),
    "token file missing": (LIVE + 'token_file = "nowhere.token"\n', "nowhere.token does not exist"),
    "an unknown key": (PLAIN.replace('id = "test"', 'id = "test"\ncolour = "red"'), "colour"),
    "an unknown section": (PLAIN + "[colours]\n", "unknown section [colours]"),
    "a section missing": (PLAIN.replace('[deployment]\nid = "test"', ""), "[deployment] is miss"),
    "a name that is none": (PLAIN.replace('id = "test"', 'id = "no spaces"'), "[deployment]"),
    "a port that is none": (PLAIN.replace('id = "test"', 'id = "test"\nport = 70000'), "port"),
    "a table as a list": (
        PLAIN.replace("[deployment]", "[[deployment]]"), "[deployment]",
    ),
    "a list as a table": (PLAIN.replace("[[owners]]", "[owners]"), "[owners]"),
    "a limit out of bounds": (PLAIN + '[compliance]\ncollar_percent = "99"\n', "collar_percent"),
    "a journal without its database": (
        PLAIN + '[journal]\nbackend = "postgres"\n', "needs either url_env or url_file",
    ),
    "a database named twice": (
        PLAIN + '[journal]\nbackend = "postgres"\nurl_env = "A"\nurl_file = "b"\n',
        "needs either url_env or url_file",
    ),
    "a database not in the environment": (
        PLAIN + '[journal]\nbackend = "postgres"\nurl_env = "NO_SUCH_URL"\n', "NO_SUCH_URL",
    ),
    "a database's file missing": (
        PLAIN + '[journal]\nbackend = "postgres"\nurl_file = "nowhere.url"\n',
        "nowhere.url does not exist",
    ),
    "a schema that is no name": (
        PLAIN + '[journal]\nschema = "a; drop"\n', "schema",
    ),
    "a reserve that leaves no journal": (
        PLAIN + "[journal]\nsegment_bytes = 1048576\nreserve_bytes = 1048576\n",
        "reserve_bytes 1048576 is more than half of segment_bytes 1048576; set 524288 or less",
    ),
    "no TOML": ("[deployment\n", "not valid TOML"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_each_fault_is_named_with_its_fix(tmp_path: Path, case: str) -> None:
    text, expected = FAULTS[case]
    faults = faults_of(tmp_path, text)
    assert any(expected in fault for fault in faults), faults


def test_a_databases_url_that_is_none_is_a_fault_and_is_not_repeated(tmp_path: Path) -> None:
    secret = tmp_path / "journal.url"
    secret.write_text("postgres//fillgate:hunter2@host/db")
    text = PLAIN + f'[journal]\nbackend = "postgres"\nurl_file = "{secret}"\n'
    (fault,) = faults_of(tmp_path, text)
    assert "holds no PostgreSQL URL" in fault
    assert "hunter2" not in fault


def test_who_only_reads_the_journal_needs_no_brokers_token(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.settings.write_text(LIVE + 'token_env = "NO_SUCH_TOKEN"\n')
    place = find_journal(paths)
    assert (place.is_local, place.deployment_id) == (True, "test")
    paths.settings.unlink()
    assert find_journal(paths).deployment_id is None


@pytest.mark.parametrize(
    "section", ["[journal]\nsegment_bytes = 1\n", '[journal]\nbackend = "postgres"\n']
)
def test_who_only_reads_is_told_of_faults_in_the_journals_section(
    tmp_path: Path, section: str
) -> None:
    paths = Paths(tmp_path)
    paths.settings.write_text(PLAIN + section)
    with pytest.raises(SettingsError, match="journal"):
        find_journal(paths)


def test_a_databases_url_comes_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = Paths(tmp_path)
    url = "postgresql://fillgate:hunter2@host/db"
    monkeypatch.setenv("JOURNAL_URL", url)
    (tmp_path / "url").write_text(url + "\n")
    for words in ('url_env = "JOURNAL_URL"', f'url_file = "{tmp_path / "url"}"'):
        paths.settings.write_text(PLAIN + f'[journal]\nbackend = "postgres"\n{words}\n')
        place = journal_place(paths, load(paths.settings))
        assert place.url == url
        assert repr(place) == "Place(schema fillgate_journal of db at host)"


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = (
        PLAIN.replace('owner = "alice"', 'owner = "bob"')
        .replace('= "sim"', '= "other"', 1)
        .replace('id = "test"', 'id = "test"\nhost = "0.0.0.0"')
    )
    assert len(faults_of(tmp_path, text)) == 3


def test_a_fault_in_one_section_does_not_hide_the_next(tmp_path: Path) -> None:
    text = PLAIN.replace('id = "test"', "id = 5") + "[compliance]\nmax = 1\n[ray]\ncpus = 0\n"
    faults = faults_of(tmp_path, text)
    assert [f.split(":")[0] for f in faults] == ["[deployment]", "[compliance]", "[ray]"]


def test_settings_that_are_not_there_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="fillgate init"):
        load(tmp_path / "none.toml")


# -- secrets


def connection(**words: Any) -> ConnectionSettings:
    plain = {
        "id": "c-1", "owner": "alice", "broker": "oanda", "broker_account_id": "1",
        "account": "acc-1",
    }  # fmt: skip
    return ConnectionSettings(**(plain | words))


def test_a_token_comes_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "from-the-environment")
    secret = tmp_path / "oanda.token"
    secret.write_text("from-a-file\n")
    assert read_token(connection(token_env="MY_TOKEN")) == "from-the-environment"
    assert read_token(connection(token_file=str(secret))) == "from-a-file"
    assert read_token(connection(simulator="sim")) == PAPER_TOKEN


ALPACA = LIVE.replace('"oanda"', '"alpaca"') + 'token_env = "MY_TOKEN"\n'


def test_a_token_of_the_wrong_form_is_told_by_its_source_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_TOKEN", "canary-secret")
    (fault,) = faults_of(tmp_path, ALPACA)
    assert "MY_TOKEN must be KEY_ID:SECRET" in fault
    assert "canary" not in fault
    monkeypatch.setenv("MY_TOKEN", "key:canary-secret")
    path = tmp_path / "fillgate.toml"
    path.write_text(ALPACA)
    assert load(path).connections[0].broker == "alpaca"


def test_a_feed_is_one_of_its_broker_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "key:secret")
    (fault,) = faults_of(tmp_path, ALPACA + 'feed = "otc"\n')
    assert "feed otc is not known; known: iex, sip" in fault
    (fault,) = faults_of(tmp_path, PLAIN.replace('= "sim"', '= "sim"\nfeed = "iex"', 1))
    assert "known: none" in fault


def test_a_url_that_would_send_the_secret_in_the_clear_is_told_at_start(tmp_path: Path) -> None:
    (fault,) = faults_of(
        tmp_path, PLAIN.replace('= "sim"', '= "sim"\napi_url = "http://broker.example"', 1)
    )
    assert "api_url http is for loopback only; use https" in fault


@pytest.mark.parametrize(("rate", "is_fault"), [(0, False), (9, True), (10, False)])
def test_a_rate_too_low_to_share_is_refused(tmp_path: Path, rate: int, is_fault: bool) -> None:
    path = tmp_path / "fillgate.toml"
    text = PLAIN.replace('= "sim"', f'= "sim"\nrequests_per_minute = {rate}', 1)
    if is_fault:
        (fault,) = faults_of(tmp_path, text)
        assert "requests_per_minute must be 0 (no limit) or at least 10" in fault
    else:
        path.write_text(text)
        assert load(path).connections[0].requests_per_minute == rate


@pytest.mark.parametrize(
    ("sessions", "credits", "found"), [(64, 64, 56), (64, 10, 10), (8, 64, 7), (1, 64, 1)]
)
def test_some_sessions_are_left_to_cancels(sessions: int, credits: int, found: int) -> None:
    assert connection(sessions=sessions, credits=credits).order_credits == found


def test_a_paper_broker_counts_only_where_it_is_told_to(tmp_path: Path) -> None:
    path = tmp_path / "fillgate.toml"
    for text, counts in ((PLAIN, False), (PLAIN + "limits = true\n", True)):
        path.write_text(text)
        settings = load(path)
        assert has_limits(settings, settings.connections[0]) is counts
    assert has_limits(settings, connection(simulator=None))


def test_each_broker_s_simulator_is_opened_by_a_token_of_its_own_form() -> None:
    for name, broker in BROKERS.items():
        token = read_token(connection(broker=name, simulator="sim"))
        assert broker.find_token_fault(token) is None


def test_settings_never_show_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MY_TOKEN", "canary-secret")
    path = tmp_path / "fillgate.toml"
    path.write_text(LIVE + 'token_env = "MY_TOKEN"\n')
    settings = load(path)
    assert read_token(settings.connections[0]) == "canary-secret"
    assert "canary-secret" not in repr(settings)


# -- logs


@pytest.fixture
def log_file(tmp_path: Path) -> Any:
    path = tmp_path / "router.log"
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logs(path, "info", "router")
    yield path
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = before
    root.setLevel(level)


def test_logs_are_json_lines_for_this_user_alone(log_file: Path) -> None:
    log = structlog.get_logger()
    log.info("started", epoch=3)
    log.debug("not at this level")
    (line,) = [json.loads(text) for text in log_file.read_text().splitlines()]
    assert (line["message"], line["fillgate.epoch"], line["log.level"]) == ("started", 3, "info")
    assert (line["service.name"], line["service.node.name"]) == ("fillgate", "router")
    assert (line["event.action"], line["process.pid"]) == ("started", os.getpid())
    assert line["@timestamp"].endswith("Z")
    assert log_file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("field", ["token", "authorization", "secret", "password", "Authorization"])
def test_secrets_are_struck_out(log_file: Path, field: str) -> None:
    structlog.get_logger().warning("login", **{field: "canary-secret"})
    text = log_file.read_text()
    assert "canary-secret" not in text
    assert "***" in text


def test_a_concealed_value_is_struck_out_wherever_it_turns_up(log_file: Path) -> None:
    conceal("mailto://me:canary-pass-1@host")
    log = structlog.get_logger()
    log.warning("sent to canary-pass-1", why="canary-pass-1")
    logging.getLogger("aiohttp").warning("header canary-pass-1")
    try:
        raise ValueError("refused: canary-pass-1")
    except ValueError as trouble:
        log.error("failed", exc_info=trouble)
    assert "canary-pass-1" not in log_file.read_text()
    assert log_file.read_text().count("***") >= 4


def test_an_exception_is_told_in_ecs_words(log_file: Path) -> None:
    log = structlog.get_logger()
    try:
        raise ValueError("the cause")
    except ValueError as trouble:
        log.error("it failed", exc_info=trouble)
    line = json.loads(log_file.read_text())
    assert (line["error.type"], line["error.message"]) == ("ValueError", "the cause")
    assert "test_an_exception_is_told" in line["error.stack_trace"]


def test_a_log_file_is_turned_at_its_limit_and_old_ones_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES_MAX", 2_000)
    path = tmp_path / "noisy.log"
    configure_logs(path, "info", "router")
    for number in range(200):
        structlog.get_logger().info("again", number=number)
    structlog.reset_defaults()
    files = sorted(tmp_path.glob("noisy.log*"))
    assert len(files) == 1 + logs.FILES_KEPT
    assert all(file.stat().st_size <= 2_000 for file in files)
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    assert json.loads(path.read_text().splitlines()[-1])["fillgate.number"] == 199


def test_what_libraries_log_goes_to_the_same_file(log_file: Path) -> None:
    logging.getLogger("aiohttp").warning("look at %s", "this")
    assert "look at this" in log_file.read_text()


def test_what_libraries_log_with_quotes_is_json_all_the_same(log_file: Path) -> None:
    logging.getLogger("aiohttp").warning('a "quoted" word')
    (line,) = log_file.read_text().splitlines()
    assert json.loads(line)["message"] == 'a "quoted" word'


def test_an_unknown_level_is_the_usual_one(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    configure_logs(path, "loud", "router")
    structlog.get_logger().info("heard")
    structlog.reset_defaults()
    assert "heard" in path.read_text()


SIGNALS = """
[[signals]]
name = "trend"
account = "acc-9"
match = { strategy = "trend" }
sizing = { by = "fixed" }

[[signals]]
name = "trend"
account = "acc-1"
match = { strategy = "other" }
sizing = { by = "sometimes" }
"""


def test_a_faulty_signal_rule_stops_the_start_with_its_fix(tmp_path: Path) -> None:
    path = tmp_path / "fillgate.toml"
    path.write_text(PLAIN + SIGNALS)
    with pytest.raises(SettingsError) as refused:
        load(path)
    assert any("[[signals]] number 2" in fault for fault in refused.value.faults)
    path.write_text(PLAIN + SIGNALS.replace('"sometimes"', '"signal"'))
    with pytest.raises(SettingsError) as refused:
        load(path)
    faults = refused.value.faults
    assert any("account acc-9 is not that of a connection" in fault for fault in faults)
    assert any("needs a value" in fault for fault in faults)
    assert any("used twice" in fault for fault in faults)
