"""Checks a body against Alpaca's published OpenAPI files: every key known, every value its type.

DEVIATIONS names each place where Alpaca itself does not keep to its file, and how we know.
"""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from tests.shared_data import SHARED

SPECS = SHARED / "specs" / "alpaca"
DEVIATIONS = {
    ("Exchange", "CRYPTO"): "coins trade at CRYPTO, as alpaca-py's AssetExchange has it",
    ("ExchangeForPosition", "CRYPTO"): "the same, of a position",
    ("PositionClosedReponse", "body"): "a refusal's body is an Error: alpaca-py's recorded answer",
}
ERRORS = {"$ref": "#/components/schemas/Error"}
REFUSAL_KEYS = {
    "available", "balance", "base_price", "buying_power", "cost_basis", "existing_order_id",
    "existing_qty", "held_for_orders", "market_price", "reject_reason", "stop_price", "symbol",
}  # fmt: skip
"""What stands beside code and message of an error; the file names none of them."""


class Spec:
    """The published descriptions of trading and market data."""

    def __init__(self) -> None:
        if not SPECS.is_dir():
            pytest.skip("the shared specifications are not beside this checkout")
        self._files = [
            json.loads((SPECS / name).read_text())
            for name in ("trading-api.json", "market-data-api.json")
        ]
        self.checked: set[tuple[str, str, int]] = set()
        self.deviations: set[tuple[str, str]] = set()

    def check(self, method: str, path: str, status: int, body: Any) -> None:
        """Raises where the body is not what the file says of this path and status."""
        spec, template = self._find(path)
        where = f"{method} {template} {status}"
        if status >= 400:
            self._check(
                spec, ERRORS, {x: y for x, y in body.items() if x not in REFUSAL_KEYS}, where
            )
            return
        responses = spec["paths"][template][method.lower()]["responses"]
        assert str(status) in responses, where
        self.checked.add((method, template, status))
        content = self._resolve(spec, responses[str(status)]).get("content")
        if content is None:
            assert body is None, where
            return
        self._check(spec, content["application/json"]["schema"], body, where)

    def check_order(self, body: Any) -> None:
        """Raises where an order is told otherwise than over REST."""
        self._check(self._files[0], {"$ref": "#/components/schemas/Order"}, body, "event.order")

    def _find(self, path: str) -> tuple[Any, str]:
        found = [
            (spec, x)
            for spec in self._files
            for x in spec["paths"]
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", x), path)
        ]
        assert found, path
        return min(found, key=lambda x: x[1].count("{"))

    def _resolve(self, spec: Any, schema: Any) -> Any:
        while "$ref" in schema:
            found = spec
            for name in schema["$ref"].split("/")[1:]:
                found = found[name]
            schema = found
        return schema

    def _check(self, spec: Any, schema: Any, value: Any, where: str) -> None:
        name = schema.get("$ref", "").rpartition("/")[2]
        schema = self._resolve(spec, schema)
        if name == "PositionClosedReponse" and value["status"] != 200:
            self.deviations.add((name, "body"))
            value = {x: y for x, y in value.items() if x != "body"}
        if isinstance(value, str) and (name, value) in DEVIATIONS:
            self.deviations.add((name, value))
        elif value is None and schema.get("nullable"):
            return
        elif variants := schema.get("anyOf") or schema.get("oneOf"):
            self._check_any(spec, variants, value, where)
        elif "properties" in schema:
            self._check_object(spec, schema, value, where)
        elif isinstance(schema.get("additionalProperties"), dict):
            for key, item in value.items():
                self._check(spec, schema["additionalProperties"], item, f"{where}.{key}")
        elif schema.get("type") == "array":
            assert isinstance(value, list), where
            for index, item in enumerate(value):
                self._check(spec, schema["items"], item, f"{where}[{index}]")
        else:
            _check_leaf(schema, value, where)

    def _check_any(self, spec: Any, variants: Any, value: Any, where: str) -> None:
        faults = []
        for variant in variants:
            try:
                self._check(spec, variant, value, where)
            except AssertionError as fault:
                faults.append(str(fault))
            else:
                return
        raise AssertionError("; ".join(faults))

    def _check_object(self, spec: Any, schema: Any, value: Any, where: str) -> None:
        assert isinstance(value, dict), where
        unknown = value.keys() - schema["properties"].keys()
        assert not unknown, f"{where}: unknown {sorted(unknown)}"
        missing = set(schema.get("required", ())) - value.keys()
        assert not missing, f"{where}: missing {sorted(missing)}"
        for key, item in value.items():
            of_key = schema["properties"][key]
            is_sunset = "sunset" in of_key.get("x-deprecation", {})
            late = is_sunset and of_key["x-deprecation"]["sunset"] < "2026-08"
            assert not late, f"{where}.{key} was removed"
            self._check(spec, of_key, item, f"{where}.{key}")


def _check_leaf(schema: Any, value: Any, where: str) -> None:
    leaf = {x: schema[x] for x in ("type", "enum", "minLength", "maxLength") if x in schema}
    try:
        jsonschema.validate(value, leaf)
    except jsonschema.ValidationError as error:
        raise AssertionError(f"{where}: {error.message}") from error
    if schema.get("format") == "date-time" and isinstance(value, str):
        assert re.match(r"^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d))?$", value), (
            where
        )
    if schema.get("format") == "uuid":
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value), where
