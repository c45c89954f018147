"""The settings file that `init` writes explains every key there is."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from msgspec import Struct

from actors.settings import Settings, load
from cli.template import EXAMPLE_DEPLOYMENT, EXAMPLE_OWNER, Names, render
from tests.shared_data import ROOT

EXAMPLE = ROOT / "deploy" / "fillgate.example.toml"
NAMES = Names(deployment=EXAMPLE_DEPLOYMENT, owner=EXAMPLE_OWNER)


def all_on(text: str) -> str:
    """The file with every optional setting switched on."""
    text = re.sub(r"(?m)^#url = .*\n", "", text)  # either it, or url_env
    text = text[: text.index("several machines")]  # they need files, and a journal in PostgreSQL
    text = re.sub(r"(?m)^#(?=[a-z\[])", "", text)
    return text.replace('simulator = "paper"\n', "", 1)


def structs_in(kind: Any) -> list[type[Struct]]:
    """The settings structs within a type."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        return [kind]
    return [found for inner in get_args(kind) for found in structs_in(inner)]


def keys_of(kind: type[Struct], done: set[type[Struct]]) -> set[str]:
    """All keys of a struct and of the structs within it."""
    if kind in done:
        return set()
    done.add(kind)
    found: set[str] = set()
    for field in msgspec.structs.fields(kind):
        found.add(field.encode_name)
        for inner in structs_in(field.type):
            found |= keys_of(inner, done)
    return found


def test_the_example_in_deploy_is_what_init_writes() -> None:
    assert EXAMPLE.read_text() == render(NAMES)


def test_the_file_can_be_used_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "fillgate.toml"
    path.write_text(render(Names(deployment="d-1", owner="o-1")))
    settings = load(path)
    assert (settings.deployment.id, settings.owners[0].id) == ("d-1", "o-1")


def test_the_file_spells_the_defaults_out_and_changes_none(tmp_path: Path) -> None:
    path = tmp_path / "fillgate.toml"
    path.write_text(render(NAMES))
    settings = load(path)
    assert settings.gateway == Settings.__struct_defaults__[1]
    assert settings.journal == Settings.__struct_defaults__[2]
    assert settings.compliance == Settings.__struct_defaults__[3]
    assert settings.ray == Settings.__struct_defaults__[4]


def test_the_file_can_be_used_with_everything_switched_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OANDA_TOKEN", "secret")
    monkeypatch.setenv("FILLGATE_STORE_URL", "postgresql://fillgate@127.0.0.1/fillgate")
    (tmp_path / "oanda.token").write_text("secret")
    (tmp_path / "notices.urls").touch()
    monkeypatch.setenv("FILLGATE_NOTICES", "json://127.0.0.1/notices")
    path = tmp_path / "fillgate.toml"
    path.write_text(all_on(render(NAMES)))
    settings = load(path)
    assert settings.compliance.halts
    assert settings.compliance.restricted
    assert settings.simulators[0].ticks == "ticks"


def test_every_key_of_the_settings_is_in_the_file() -> None:
    text = render(NAMES)
    written = set(re.findall(r"(?m)^#?([a-z_]+) = ", text))
    sections = set(re.findall(r"(?m)^#?\[+(?:[a-z]+\.)*([a-z_]+)\]+", text))
    missing = keys_of(Settings, set()) - written - sections
    assert not missing


def test_every_setting_has_a_word_of_explanation_above_it() -> None:
    lines = render(NAMES).splitlines()
    bare = [
        line
        for above, line in itertools.pairwise(lines)
        if re.match(r"#?[a-z_]+ = ", line)
        and not above.startswith(("# ", "#"))
        and not re.match(r"#?[a-z_]+ = ", above)
        and not above.startswith("[")
    ]
    assert not bare
