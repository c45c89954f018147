"""The doctor's look at Ray's ports: open, closed, or not to be seen."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from actors.paths import Paths
from actors.settings import RaySettings
from actors.supervisor import Running
from cli import checks_ray
from cli.checks import Level
from cli.checks_ray import check_ray_ports

RUNNING = Running(pid=1, url="", health_url="", ray_address="")
NOWHERE = Paths(Path("/nowhere"))
FIXED = RaySettings(first_port=20_000)


def look(
    monkeypatch: pytest.MonkeyPatch, *, rules: tuple[str, ...] = (), uid: int = 0
) -> tuple[Level, str]:
    """What it says where these tables have the rule."""

    def run(words: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        assert words[1:3] == ["-C", "INPUT"]
        assert "20000:20199" in words
        return subprocess.CompletedProcess(words, 0 if words[0] in rules else 1)

    monkeypatch.setattr(checks_ray.os, "geteuid", lambda: uid)
    monkeypatch.setattr(checks_ray.shutil, "which", lambda name: f"/sbin/{name}")
    monkeypatch.setattr(checks_ray.subprocess, "run", run)
    monkeypatch.setattr(checks_ray, "find_outside", lambda _: [20_001])
    (check,) = check_ray_ports(NOWHERE, FIXED, RUNNING)
    return check.level, check.found


def test_what_listens_on_loopback_alone_needs_no_firewall() -> None:
    (check,) = check_ray_ports(NOWHERE, RaySettings(), RUNNING)
    assert (check.level, check.found) == (Level.OK, "on loopback alone")


@pytest.mark.parametrize(("address", "is_ours"), [("127.0.0.1", True), ("0.0.0.0", False)])
def test_a_port_beyond_loopback_is_found(
    monkeypatch: pytest.MonkeyPatch, address: str, is_ours: bool
) -> None:
    with socket.create_server((address, 0)) as server:
        monkeypatch.setattr(checks_ray, "ray_processes", lambda _: {"raylet": psutil.Process()})
        port = server.getsockname()[1]
        assert (port in checks_ray.find_outside(NOWHERE)) is not is_ours


def test_a_loopback_within_ipv6_is_one() -> None:
    assert checks_ray.is_loopback("::ffff:127.0.0.1")
    assert checks_ray.is_loopback("::1")
    assert not checks_ray.is_loopback("::")


def test_ports_at_any_number_cannot_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_ray, "find_outside", lambda _: [40_001])
    (check,) = check_ray_ports(NOWHERE, RaySettings(), RUNNING)
    assert check.level is Level.WARN
    assert "40001" in check.found
    assert "first_port" in check.fix


def test_what_does_not_run_opens_nothing() -> None:
    (check,) = check_ray_ports(NOWHERE, RaySettings(), None)
    assert check.level is Level.OK


def test_rules_for_both_protocols_close_them(monkeypatch: pytest.MonkeyPatch) -> None:
    level, found = look(monkeypatch, rules=("iptables", "ip6tables"))
    assert level is Level.OK
    assert "20000 to 20199" in found


def test_rules_for_one_protocol_leave_the_other_open(monkeypatch: pytest.MonkeyPatch) -> None:
    level, found = look(monkeypatch, rules=("iptables",))
    assert level is Level.WARN
    assert "(ip6tables)" in found


def test_without_a_firewall_program_they_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_ray.shutil, "which", lambda _: None)
    assert not checks_ray._is_closed("iptables", 20_000)


def test_only_root_can_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    level, found = look(monkeypatch, uid=1000)
    assert level is Level.WARN
    assert "only root" in found
