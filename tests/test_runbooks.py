"""Every alarm has a runbook, whole; every command that the pages for operators show exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from actors.observer.alarms import ALARMS
from cli.main import app
from tests.shared_data import ROOT

RUNBOOKS = ROOT / "docs" / "operating" / "runbooks.md"
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
COMMAND = re.compile(r"(?:^|`)(?:\.venv/bin/)?fillgate ([a-z][^`#\n|>]*)", re.MULTILINE)


def _sections() -> dict[str, str]:
    parts = re.split(r"^## (\w+)\n", RUNBOOKS.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_alarm_has_a_runbook_and_every_runbook_an_alarm() -> None:
    assert set(_sections()) == {alarm.id for alarm in ALARMS} | {"observer_silent"}


@pytest.mark.parametrize("name", [*_sections()])
def test_a_runbook_says_what_happened_what_to_do_and_when_it_is_over(name: str) -> None:
    text = " ".join(_sections()[name].split())
    parts = ("**You see**", "**Do:**", "**Over**")
    assert all(part in text for part in parts), text
    assert "**The orders:**" in text or "orders meanwhile" in text


def _commands(page: Path) -> list[str]:
    return [found.strip() for found in COMMAND.findall(page.read_text())]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_on_a_page_exists_with_its_options(page: Path) -> None:
    for line in _commands(page):
        _look_up(line)


def _look_up(line: str) -> None:
    """Walks the words down the command tree; options must be known where they stand."""
    command = get_command(app)
    for word in line.split():
        if word.startswith("--"):
            names = {name for option in command.params for name in option.opts}
            assert word.split("=")[0] in names | {"--help"}, f"{line}: no {word}"
        else:
            subcommands = getattr(command, "commands", None)
            if subcommands is None:
                continue
            assert word in subcommands, f"fillgate {line}: no command {word}"
            command = subcommands[word]


def test_the_runbooks_do_show_commands() -> None:
    assert len(_commands(RUNBOOKS)) > 10
