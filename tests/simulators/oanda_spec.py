"""Checks a body against OANDA's published Swagger file: every key known, every value its type."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

SHARED = Path(__file__).parents[3] / "shared" / "data"
SPEC = SHARED / "specs" / "oanda" / "json" / "v20.json"
DECIMAL = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$"}
TIME = {"type": "string", "pattern": r"^(0|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z)$"}
# Newer than the published file (2018); COMPLIANCE.md 4 lists them.
NEWER = re.compile(r"FIFO_VIOLATION|WOULD_VIOLATE|_GUARANTEED")


class Spec:
    """The published description of OANDA v20."""

    def __init__(self) -> None:
        if not SPEC.exists():
            pytest.skip("the shared specifications are not beside this checkout")
        self._spec = json.loads(SPEC.read_text())
        self.checked: set[tuple[str, str, int]] = set()

    def check(self, method: str, path: str, status: int, body: Any) -> None:
        """Raises where the body is not what the file says of this path and status."""
        template = self._template(path)
        responses = self._spec["paths"][template][method.lower()]["responses"]
        schema = responses[str(status)]
        if "$ref" in schema:
            schema = self._resolve(schema["$ref"])
        self.checked.add((method, template, status))
        self.check_value(schema["schema"], body, f"{method} {template} {status}")

    def check_line(self, name: str, body: Any) -> None:
        """Raises where a stream line is not that definition."""
        self.check_value({"$ref": f"#/definitions/{name}"}, body, name)

    def _template(self, path: str) -> str:
        found = [
            x for x in self._spec["paths"] if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", x), path)
        ]
        # The literal path wins over one with a parameter.
        return min(found, key=lambda x: x.count("{"))

    def _resolve(self, ref: str) -> dict[str, Any]:
        _, kind, name = ref.split("/")
        return self._spec[kind][name]

    def check_value(self, schema: dict[str, Any], value: Any, where: str) -> None:
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            if name == "Transaction":
                schema = {"$ref": f"#/definitions/{_camel(value['type'])}Transaction"}
            elif name == "Order":
                schema = {"$ref": f"#/definitions/{_camel(value['type'])}Order"}
            self.check_value(self._resolve(schema["$ref"]), value, where)
        elif "properties" in schema:
            assert isinstance(value, dict), where
            unknown = value.keys() - schema["properties"].keys()
            assert not unknown, f"{where}: unknown {sorted(unknown)}"
            for key, item in value.items():
                self.check_value(schema["properties"][key], item, f"{where}.{key}")
        elif schema.get("type") == "array":
            assert isinstance(value, list), where
            for index, item in enumerate(value):
                self.check_value(schema["items"], item, f"{where}[{index}]")
        else:
            _check_leaf(schema, value, where)


def _check_leaf(schema: dict[str, Any], value: Any, where: str) -> None:
    meaning = schema.get("format", "")
    if isinstance(value, str) and "enum" in schema and NEWER.search(value):
        return
    leaf = {key: schema[key] for key in ("type", "enum") if key in schema}
    if meaning.startswith("A decimal number"):
        # The close of a whole trade is asked for as the word ALL.
        leaf = {"anyOf": [DECIMAL, {"enum": ["ALL"]}]} if where.endswith("units") else DECIMAL
    elif meaning.startswith("The RFC 3339"):
        leaf = TIME
    try:
        jsonschema.validate(value, leaf)
    except jsonschema.ValidationError as error:
        raise AssertionError(f"{where}: {error.message}") from error


def _camel(word: str) -> str:
    return "".join(part.capitalize() for part in word.split("_"))
