"""`fillgate top` and `fillgate alarms`, over a node that only seems to run."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pyte
import pytest

from actors.paths import Paths
from cli import top
from cli.top_frame import span, us
from tests.cli.cli_world import call, call_json, make_home
from tests.observer.observer_world import lay_pages, make_node, observer_of

COLUMNS, LINES = 110, 46


def _observed(folder: Path, **router: float) -> Paths:
    paths, settings = make_node(folder)
    lay_pages(paths, settings, **router)
    observer_of(paths, settings).look(time.time_ns())
    return paths


@pytest.fixture(autouse=True)
def _at_once_and_without_remains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "ONCE_S", 0.0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_top_for_programs_tells_orders_latencies_and_alarms(tmp_path: Path) -> None:
    paths = _observed(tmp_path, halts=2, order_unknown_oldest_seconds=42)
    view = call_json(paths.home, "top")
    assert view["is_trading"] is True
    assert view["orders"]["open"] == {"live": 3, "unknown": 1}
    assert view["orders"]["unknown_oldest_s"] == 42.0
    assert [alarm["id"] for alarm in view["alarms"]] == ["unknown_order", "halted"]
    outcome = next(one for one in view["segments"] if one["name"] == "outcome")
    assert (outcome["count"], outcome["p50_us"]) == (1, 5_000)
    assert view["connections"][0]["is_up"] is True
    assert view["sessions"] == 2
    assert {one["role"] for one in view["processes"]} >= {"router", "edge-0", "observer"}


def test_top_for_people_is_one_frame_where_nobody_can_press_keys(tmp_path: Path) -> None:
    text = call(_observed(tmp_path, halts=1).home, "top").stdout
    for word in ("● trading", "unknown", "an order's way", "connections", "halted", "processes"):
        assert word in text


def test_top_says_when_nothing_runs_and_how_to_start(tmp_path: Path) -> None:
    found = call(make_home(tmp_path).home, "top", "--once")
    assert found.exit_code == 1
    assert "nothing runs here" in found.stderr
    assert " up`" in found.stderr


def test_top_says_when_its_figures_are_old_and_orders_do_not_get_through(tmp_path: Path) -> None:
    paths, settings = make_node(tmp_path)
    lay_pages(paths, settings, trading=0)
    observer_of(paths, settings).look(time.time_ns() - 3_700 * 10**9)
    assert "silent for 1 h 1 min" in call(paths.home, "top").stdout
    observer_of(paths, settings).look(time.time_ns())
    assert "not trading" in call(paths.home, "top").stdout


@contextmanager
def _terminal(home: Path) -> Iterator[tuple[int, int]]:
    """`fillgate top` on a terminal of its own: its pid and the terminal's other end."""
    pid, end = pty.fork()
    if pid == 0:
        size = {"COLUMNS": str(COLUMNS), "LINES": str(LINES)}
        environment = {**os.environ, **size, "TERM": "xterm-256color"}
        words = [sys.executable, "-m", "cli.main", "--home", str(home), "top"]
        os.execve(sys.executable, words, environment)
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    try:
        yield pid, end
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(end)


def _read_until(end: int, word: str, screen: pyte.Screen) -> list[str]:
    stream = pyte.ByteStream(screen)
    limit = time.monotonic() + 60
    while time.monotonic() < limit and not any(word in line for line in screen.display):
        if select.select([end], [], [], 0.1)[0]:
            stream.feed(os.read(end, 65_536))
    return [line.rstrip() for line in screen.display]


def test_top_lives_in_a_terminal_and_ends_with_q(tmp_path: Path) -> None:
    paths = _observed(tmp_path, halts=1)
    screen = pyte.Screen(COLUMNS, LINES)
    with _terminal(paths.home) as (pid, end):
        lines = _read_until(end, "q quit", screen)
        assert any("d-test" in line for line in lines), lines
        assert any("halted" in line for line in lines), lines
        assert all(len(line) <= COLUMNS for line in lines)
        os.write(end, b"q")
        limit = time.monotonic() + 20
        status = (0, 0)
        while status == (0, 0) and time.monotonic() < limit:
            if select.select([end], [], [], 0.05)[0]:
                with suppress(OSError):
                    os.read(end, 65_536)
            status = os.waitpid(pid, os.WNOHANG)
        assert status == (pid, 0)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (50, "50 µs"), (1_000, "1 ms"), (20_000, "20 ms"), (2_000_000, "2 s")],
)
def test_times_are_said_as_people_say_them(value: int | None, text: str) -> None:
    assert us(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.9, "3 s"), (61, "1 min 1 s"), (3_600, "1 h 0 min")]
)
def test_spans_have_two_units_at_most(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_alarms_are_listed_with_what_stands(tmp_path: Path) -> None:
    paths = _observed(tmp_path, halts=1)
    found = call_json(paths.home, "alarms", "list")
    assert [one["id"] for one in found["standing"]] == ["halted"]
    assert {one["id"] for one in found["alarms"]} >= {"unknown_order", "journal_disk_full"}
    text = call(paths.home, "alarms", "list").stdout
    assert "unknown_order" in text
    assert "router" in text


def test_a_test_notice_without_addresses_says_the_fix(tmp_path: Path) -> None:
    found = call(make_home(tmp_path).home, "alarms", "test")
    assert found.exit_code == 1
    assert "urls_file" in found.stderr


def test_an_address_not_understood_is_told_before_anything_starts(tmp_path: Path) -> None:
    urls = tmp_path / "urls"
    urls.write_text("nonsense://canary-secret\n")
    paths, _ = make_node(tmp_path, f'urls_file = "{urls}"')
    for words in (("alarms", "test"), ("up",)):
        found = call(paths.home, *words)
        assert found.exit_code == 1
        assert "address 1" in found.stderr
        assert "canary" not in found.output


def test_a_test_notice_fails_where_nobody_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setenv("NOTICES", f"json://127.0.0.1:{unused_tcp_port}/x")
    paths, _ = make_node(tmp_path, 'urls_env = "NOTICES"')
    found = call(paths.home, "alarms", "test")
    assert found.exit_code == 1
    assert "did not take" in found.stderr


def test_the_rules_are_written_for_prometheus(tmp_path: Path) -> None:
    assert "alert: fillgate_unknown_order" in call(tmp_path, "alarms", "rules").stdout


def test_an_alarms_section_with_faults_is_refused(tmp_path: Path) -> None:
    for text, word in (
        ('urls_env = "NO_SUCH_ONE"', "is not set"),
        ('urls_file = "/no/such/file"', "does not exist"),
    ):
        with pytest.raises(Exception, match=word):
            make_node(tmp_path / str(len(text)), text)


class _Webhook(BaseHTTPRequestHandler):
    """Takes what is posted."""

    bodies: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        pass


def test_a_test_notice_reaches_every_address(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Webhook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        urls = tmp_path / "urls"
        urls.write_text(f"json://127.0.0.1:{server.server_port}/hook\n")
        paths, _ = make_node(tmp_path, f'urls_file = "{urls}"')
        assert "every address" in call(paths.home, "alarms", "test").stdout
        assert call_json(paths.home, "alarms", "test") == {"sent": True}
        server.shutdown()
    assert len(_Webhook.bodies) == 2
    assert all(b"a test" in body for body in _Webhook.bodies)
