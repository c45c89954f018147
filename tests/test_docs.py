"""The documentation keeps its promises: what it shows is what is there."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.shared_data import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
STRATEGY = ROOT / "docs" / "examples" / "first_strategy.py"
STRATEGY_LINES_MAX = 20


def _links(page: Path) -> list[str]:
    found = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    return [link for link in found if not re.match(r"[a-z]+:", link)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_the_checkout_leads_somewhere(page: Path) -> None:
    dead = [link for link in _links(page) if not (page.parent / link).exists()]
    assert not dead, "\n".join(dead)


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(_links(folder / "README.md"))
    assert listed == {page.name for page in folder.glob("0*.md")}


def test_the_strategy_in_the_readme_is_the_one_that_runs() -> None:
    shown = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown is not None
    assert shown[1] in STRATEGY.read_text()


def test_the_first_strategy_fits_on_a_card() -> None:
    code = STRATEGY.read_text().partition("\n")[2]
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= STRATEGY_LINES_MAX


def test_the_picture_stands_alone_on_any_background() -> None:
    text = (ROOT / "docs" / "the-orders-way.svg").read_text()
    panel = ElementTree.fromstring(text).find("{http://www.w3.org/2000/svg}rect")
    assert panel is not None
    assert panel.get("fill", "none") != "none"
    assert "href" not in text


def test_every_make_target_in_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert named
    assert {target for target in named if f"\n{target}:" not in makefile} == set()
