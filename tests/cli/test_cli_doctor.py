"""`fillgate doctor` looks at everything and says the fix."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from actors.paths import Paths
from actors.settings import load
from actors.supervisor import Running
from cli import checks, checks_deployment
from cli.checks import Check, Level
from cli.doctor import worst_of
from ledger.places import Place
from tests.cli.cli_world import Story, call, call_json, make_home
from tests.shared_data import ROOT


def levels(found: list[Check]) -> list[str]:
    return [check.level.value for check in found]


def place_of(paths: Paths, deployment_id: str) -> Place:
    return Place(directory=paths.journal, deployment_id=deployment_id)


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[Paths]:
    made = make_home(tmp_path)
    text = made.settings.read_text()
    made.settings.write_text(text.replace("port = 8765", "port = 0").replace("8766", "0"))
    yield made
    for file in made.runtime.glob("*"):
        file.unlink()
    made.runtime.rmdir()


def test_a_fresh_deployment_has_nothing_that_must_be_fixed(paths: Paths) -> None:
    found = call_json(paths.home, "doctor")
    assert found["level"] != "fail", found
    names = {check["name"] for check in found["checks"]}
    assert {"python", "settings", "journal", "tokens", "fdatasync", "port", "ray"} <= names


def test_the_table_shows_each_check_and_a_verdict(paths: Paths) -> None:
    result = call(paths.home, "doctor")
    assert result.exit_code == 0
    assert "fdatasync" in result.stdout


def test_without_a_home_it_says_to_make_one(tmp_path: Path) -> None:
    result = call(tmp_path / "none", "doctor")
    assert result.exit_code == 1
    assert "run `fillgate init`" in result.stdout


def test_every_fault_in_the_settings_is_a_line(paths: Paths) -> None:
    text = paths.settings.read_text()
    paths.settings.write_text(text.replace("edges = 1", "edges = 99").replace("cpus = 16", "x = 1"))
    found = call_json(paths.home, "doctor")
    faults = [c["found"] for c in found["checks"] if c["name"] == "settings"]
    assert len(faults) == 2
    assert found["level"] == "fail"


def test_the_packages_are_those_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    required = checks.required_packages()
    assert required["ray"]
    assert {"aiohttp", "msgspec", "websockets"} <= required.keys()
    monkeypatch.setattr(checks, "PROJECT", ROOT / "none")
    monkeypatch.setattr(checks.importlib.metadata, "requires", lambda _: ["a", "b==1"])
    assert checks.required_packages() == {"a": "", "b": "1"}


def test_a_package_that_is_not_there_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "required_packages", lambda: {"no-such-module": ""})
    (check,) = checks.check_packages()
    assert check.level is Level.FAIL
    assert "make install" in check.fix


def test_another_version_than_the_measured_one_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "required_packages", lambda: {"rich": "0.0.1"})
    assert levels(checks.check_packages()) == ["fail"]


def test_an_old_python_and_another_system_are_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert levels(checks.check_python()) == ["ok"]
    monkeypatch.setattr(checks.sys, "platform", "plan9")
    assert levels(checks.check_python()) == ["fail"]
    monkeypatch.setattr(checks, "PYTHON_MIN", (9, 9))
    assert levels(checks.check_python()) == ["fail"]


@pytest.mark.parametrize(("median_us", "level"), [(90, "ok"), (5_000, "warn"), (50_000, "fail")])
def test_a_slow_disk_is_told(median_us: int, level: str) -> None:
    assert checks._judge_sync(median_us).level.value == level


@pytest.mark.parametrize(
    ("kind", "level"), [("ext4", "ok"), ("btrfs", "warn"), ("tmpfs", "warn"), ("nfs", "fail")]
)
def test_a_disk_that_cannot_keep_a_journal_is_told(
    kind: str, level: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checks, "file_system", lambda _: kind)
    assert levels(checks._check_file_system(tmp_path)) == [level]


def test_a_disk_that_is_nearly_full_is_told(tmp_path: Path) -> None:
    assert levels(checks.check_disk(tmp_path, 2**60))[0] == "fail"
    free = checks.shutil.disk_usage(tmp_path).free
    assert levels(checks.check_disk(tmp_path, free // 5))[0] == "warn"


def test_a_clock_behind_the_journal_is_a_fault() -> None:
    assert levels(checks.check_clock(time.time_ns() + 10**12)) == ["fail"]
    assert levels(checks.check_clock(1)) in (["ok"], ["warn"])


def test_few_open_files_and_little_shared_memory_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.resource, "getrlimit", lambda _: (256, 1024))
    assert levels(checks.check_limits(10**9)) == ["warn", "warn"]


def test_a_home_that_others_can_read_is_told(paths: Paths) -> None:
    paths.home.chmod(0o755)
    (check,) = checks_deployment.check_home(paths)
    assert check.level is Level.WARN
    assert "chmod go=" in check.fix


def test_a_home_of_another_user_is_a_fault(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert set(levels(checks_deployment.check_home(paths))) == {"fail"}


def test_the_journals_holder_is_named(paths: Paths) -> None:
    lock = paths.journal / "journal.lock"
    with lock.open("w") as file:
        file.write("4711\n")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        _, found = checks_deployment.check_journal(place_of(paths, "d-test"))
    assert "4711" in found[-1].found


def test_the_time_of_the_last_record_is_read(paths: Paths) -> None:
    story = Story(paths)
    story.place("c-1")
    story.close()
    last_ns, found = checks_deployment.check_journal(place_of(paths, "d-test"))
    assert last_ns is not None
    assert levels(found) == ["ok", "ok"]


def test_a_foreign_journal_is_a_fault(paths: Paths) -> None:
    _, found = checks_deployment.check_journal(place_of(paths, "d-other"))
    assert levels(found) == ["fail"]


def test_without_a_token_in_force_nobody_can_come_in(paths: Paths) -> None:
    paths.tokens.unlink()
    assert levels(checks_deployment.check_tokens(paths)) == ["fail"]
    paths.tokens.write_text("{")
    assert levels(checks_deployment.check_tokens(paths)) == ["fail"]


def test_a_port_that_another_program_has_is_a_fault(paths: Paths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = paths.settings.read_text()
        paths.settings.write_text(text.replace("port = 0\n", f"port = {port}\n", 1))
        found = checks_deployment.check_ports(load(paths.settings), None)
    assert levels(found) == ["fail", "ok", "ok"]


def a_running(**words: object) -> Running:
    plain: dict[str, object] = {
        "pid": 1, "url": "ws://x", "health_url": "http://127.0.0.1:1",
        "ray_address": "127.0.0.1:1",
    }  # fmt: skip
    return Running(**(plain | words))  # type: ignore[arg-type]


def test_a_deployment_whose_ray_is_gone_is_a_fault(paths: Paths) -> None:
    found = checks_deployment.check_ray(paths, a_running())
    assert [check.found for check in found][:2] == ["gcs_server is gone", "raylet is gone"]
    assert set(levels(found)) == {"fail"}


def test_a_ray_address_from_elsewhere_is_told(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert levels(checks_deployment.check_ray(paths, None)) == ["warn"]


def test_a_ray_process_under_other_settings_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    faults = checks_deployment._ray_faults(psutil.Process())
    assert any("RAY_worker_niceness" in fault for fault in faults)
    monkeypatch.setattr(psutil.Process, "nice", lambda _: 15)
    assert "niceness is 15, must be 0" in checks_deployment._ray_faults(psutil.Process())


def test_a_deployment_that_does_not_answer_is_a_fault() -> None:
    assert levels(checks_deployment.check_health(a_running())) == ["fail"]


@pytest.mark.parametrize(("status", "level"), [(200, "ok"), (503, "fail")])
def test_a_deployment_says_itself_whether_it_is_ready(status: int, level: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        found = checks_deployment.check_health(a_running(health_url=url))
        thread.join()
    assert levels(found) == [level]


def test_a_brokers_host_is_only_connected_to(paths: Paths) -> None:
    settings = load(paths.settings)
    assert "starts with" in checks_deployment.check_connections(paths, settings)[0].found
    facts = paths.runtime / "simulator-paper.json"
    with socket.create_server(("127.0.0.1", 0)) as broker:
        url = f"http://127.0.0.1:{broker.getsockname()[1]}"
        facts.write_text(json.dumps({"url": url}))
        assert levels(checks_deployment.check_connections(paths, settings)[:1]) == ["ok"]
    assert levels(checks_deployment.check_connections(paths, settings)[:1]) == ["fail"]


def test_the_worst_level_is_the_verdict() -> None:
    good, bad = checks.ok("a", "x"), checks.fail("b", "y", "z")
    assert worst_of([good]) is Level.OK
    assert worst_of([good, checks.warn("c", "y", "z")]) is Level.WARN
    assert worst_of([good, bad]) is Level.FAIL
