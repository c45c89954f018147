"""`fillgate api`: the descriptions, as they are served."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.cli_world import call
from tests.shared_data import ROOT


@pytest.mark.parametrize("name", ["openapi", "asyncapi"])
def test_the_description_of_an_interface_is_printed(tmp_path: Path, name: str) -> None:
    result = call(tmp_path, "api", name)
    assert result.exit_code == 0
    assert result.stdout_bytes == (ROOT / "docs" / f"{name}.json").read_bytes()
