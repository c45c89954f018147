"""The scans of `make check` find what they are for."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.shared_data import ROOT


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


secrets = _load("scan_secrets")
dependencies = _load("scan_dependencies")

PLANTED = {
    "aws": 'key = "AKIA' + 'IOSFODNN7EXAMPLF"\n',
    "github": "token: ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx\n",
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----\n",
    "url": 'url = "postgresql://me:' + 'hunter2hunter2@db/books"\n',
    "keyword": 'password = "' + 'correct-horse-battery"\n',
}


@pytest.mark.parametrize("kind", [*PLANTED])
def test_a_planted_secret_is_found_and_named_by_file_and_line(kind: str, tmp_path: Path) -> None:
    (tmp_path / "settings.py").write_text("# first line\n" + PLANTED[kind])
    found = secrets.scan(tmp_path, ["settings.py"])
    assert secrets.find_new(found, {}) == ["settings.py:2"]


def test_what_was_looked_at_is_not_told_again_even_where_it_moved(tmp_path: Path) -> None:
    path = tmp_path / "settings.py"
    path.write_text(PLANTED["keyword"])
    known = {name: list(marks) for name, marks in secrets.scan(tmp_path, [path.name]).items()}
    path.write_text("\n\n" + PLANTED["keyword"] + PLANTED["aws"])
    assert secrets.find_new(secrets.scan(tmp_path, [path.name]), known) == ["settings.py:4"]


REPORT: dict[str, Any] = {
    "dependencies": [
        {"name": "good", "version": "1.0", "vulns": []},
        {"name": "unheard-of", "version": "1.0", "skip_reason": "not found"},
        {
            "name": "holed",
            "version": "2.0",
            "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.1"]}],
        },
    ],
    "fixes": [],
}


def test_a_known_hole_fails_and_names_its_mend(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dependencies, "ask", lambda: REPORT)
    assert dependencies.main() == 1
    assert capsys.readouterr().out == "holed 2.0: PYSEC-1; mended in 2.1\n"


def test_a_hole_accepted_with_a_reason_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependencies, "ask", lambda: REPORT)
    monkeypatch.setitem(dependencies.ACCEPTED, "CVE-1", "we do not call it")
    assert dependencies.main() == 0


@pytest.mark.parametrize("report", [None, {"dependencies": [{"name": "x", "version": "1"}]}])
def test_a_service_that_is_away_is_said_and_fails_nothing(
    report: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dependencies, "ask", lambda: report)
    assert dependencies.main() == 0
    assert "nothing was checked" in capsys.readouterr().out
