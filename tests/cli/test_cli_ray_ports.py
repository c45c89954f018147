"""The doctor's look at Ray's ports: open, closed, or not to be seen."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from actors.settings import RaySettings
from actors.supervisor import Running
from cli import checks_ray
from cli.checks import Level
from cli.checks_ray import check_ray_ports

RUNNING = Running(pid=1, url="", health_url="", ray_address="")
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
    (check,) = check_ray_ports(FIXED, RUNNING)
    return check.level, check.found


def test_ports_at_any_number_cannot_be_closed() -> None:
    (check,) = check_ray_ports(RaySettings(), RUNNING)
    assert check.level is Level.WARN
    assert "first_port" in check.fix


def test_what_does_not_run_opens_nothing() -> None:
    (check,) = check_ray_ports(RaySettings(), None)
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
