"""OpenAPI and AsyncAPI: made from the code, and as the files under docs/ show them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway import wire
from gateway.descriptions import asyncapi, openapi
from gateway.rest_documents import spell
from gateway.rest_operations import OPERATIONS, PREFIX
from tests.shared_data import ROOT

DESCRIPTIONS = {"openapi": openapi, "asyncapi": asyncapi}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_the_file_in_the_docs_is_what_the_code_says(name: str) -> None:
    shown = (ROOT / "docs" / f"{name}.json").read_bytes()
    assert shown == spell(DESCRIPTIONS[name]()), "run `make api` and look at the difference"


def _refs(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(_refs(inner) for inner in value.values()))
    if isinstance(value, list):
        return set().union(*(_refs(inner) for inner in value))
    return set()


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_every_reference_leads_somewhere_and_every_component_is_used(name: str) -> None:
    description = DESCRIPTIONS[name]()
    refs = _refs(description)
    for ref in refs:
        found: Any = description
        for part in ref.removeprefix("#/").split("/"):
            found = found[part]
    schemas = {ref.rpartition("/")[2] for ref in refs if "/schemas/" in ref}
    assert schemas == set(description["components"]["schemas"])


def test_every_operation_is_described_with_its_scopes() -> None:
    paths = openapi()["paths"]
    described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert described == {(op.method, PREFIX + op.path) for op in OPERATIONS}
    assert paths[f"{PREFIX}/orders"]["post"]["x-scopes"] == ["trade"]


def test_what_is_sent_is_described_as_strictly_as_it_is_read() -> None:
    schemas = openapi()["components"]["schemas"]
    sent, read = schemas["NewOrderSent"], schemas["NewOrder"]
    assert sent["properties"]["quantity"]["pattern"] == r"^-?[0-9]{1,18}(\.[0-9]{1,12})?$"
    assert read["properties"]["quantity"] == {"type": "string", "format": "decimal"}
    assert sent["additionalProperties"] is False


def test_every_message_of_the_protocol_is_described_both_ways() -> None:
    description = asyncapi()
    names = {kind.__name__ for kind in (*wire.CLIENT_MESSAGES, *wire.SERVER_MESSAGES)}
    assert description["components"]["messages"].keys() == names
    operations = description["operations"]
    assert len(operations["fromClient"]["messages"]) == len(wire.CLIENT_MESSAGES)
    assert len(operations["fromServer"]["messages"]) == len(wire.SERVER_MESSAGES)
    assert operations["fromClient"]["action"] == "receive"


def test_no_text_of_a_description_holds_a_docstring_s_indents() -> None:
    for describe in DESCRIPTIONS.values():
        text = msgspec.json.encode(describe()).decode()
        assert r"\n    " not in text
