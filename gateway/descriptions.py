"""OpenAPI and AsyncAPI, made from the structs that are decoded and the table that routes.

Nothing is said twice: schemas come from msgspec, operations from `rest_operations.py`, messages
from `wire.py`. What a client sends is described by the strict twins that decode it.
`docs/openapi.json` and `docs/asyncapi.json` are written by `make api`; a test compares them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from gateway import wire
from gateway.authority import ANY_OF
from gateway.rest_operations import OPERATIONS, PREFIX, TICKET, Operation
from gateway.rest_problems import PROBLEM_TYPE
from gateway.rest_words import Problem
from gateway.settings import SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK
from gateway.strict import strict_twin
from gateway.wire_bounds import RequestId

VERSION = "1.0.0"
REFS = "#/components/schemas/"
SENT = "Sent"
"""Ends the name of what a client sends, where that is stricter than what it reads."""

Schema = dict[str, Any]


# -- schemas


def _components(sent: Iterable[Any], read: Iterable[Any]) -> tuple[dict[str, Schema], set[str]]:
    """Components for both ways, and the names that are stricter when sent."""
    template = REFS + "{name}"
    _, strict = msgspec.json.schema_components(sent, ref_template=template)
    _, loose = msgspec.json.schema_components(read, ref_template=template)
    differing = {name for name in strict if name in loose and strict[name] != loose[name]}
    while (
        more := {name for name in strict if name in loose and _refs(strict[name]) & differing}
        - differing
    ):
        differing |= more
    renamed = {_sent(name, differing): _rename(strict[name], differing) for name in strict}
    components = {name: _tidy(schema) for name, schema in (loose | renamed).items()}
    return dict(sorted(components.items())), differing


def _sent(name: str, differing: set[str]) -> str:
    return name + SENT if name in differing else name


def _refs(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        own = {schema["$ref"].removeprefix(REFS)} if "$ref" in schema else set()
        return own.union(*(_refs(value) for value in schema.values()))
    if isinstance(schema, list):
        return set().union(*(_refs(value) for value in schema))
    return set()


def _rename(schema: Any, differing: set[str]) -> Any:
    if isinstance(schema, dict):
        return {key: _rename(value, differing) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_rename(value, differing) for value in schema]
    if isinstance(schema, str) and schema.startswith(REFS):
        return REFS + _sent(schema.removeprefix(REFS), differing)
    return schema


def _tidy(schema: Any) -> Any:
    """In words of JSON Schema alone: its patterns end with `$`, its texts are no docstrings."""
    if isinstance(schema, list):
        return [_tidy(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    told = {key: _tidy(value) for key, value in schema.items()}
    if isinstance(told.get("pattern"), str):
        told["pattern"] = re.sub(r"\\Z$", "$", told["pattern"])
    if isinstance(told.get("description"), str):
        told["description"] = " ".join(inspect.cleandoc(told["description"]).split())
    return told


def _schema(kind: Any, differing: set[str] | None = None) -> Schema:
    """A reference to the type's component, or the type's own schema."""
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=REFS + "{name}")
    told: Schema = _tidy(_rename(schema, differing or set()))
    return told


def _twin(kind: Any) -> Any:
    return strict_twin(kind) if isinstance(kind, type) and issubclass(kind, Struct) else kind


# -- OpenAPI


def openapi() -> Schema:
    """The REST interface as OpenAPI 3.1."""
    sent = [_twin(operation.body) for operation in OPERATIONS if operation.body is not None]
    read = [answer for operation in OPERATIONS for answer in operation.answers]
    components, differing = _components(sent, [*read, Problem])
    paths: dict[str, Schema] = {}
    for operation in OPERATIONS:
        path = paths.setdefault(PREFIX + operation.path, {})
        path[operation.method.lower()] = _describe(operation, differing)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Fillgate",
            "version": VERSION,
            "description": "Orders, signals and portfolio over REST. To follow orders and prices "
            "use the WebSocket (asyncapi.json). Decimals are strings, times int64 ns UTC.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "Problem": {
                    "description": "Refused: what, why, what may have happened, and what to do.",
                    "content": {PROBLEM_TYPE: {"schema": _schema(Problem)}},
                }
            },
        },
        "security": [{"token": []}],
    }


def _describe(operation: Operation, differing: set[str]) -> Schema:
    scopes = sorted(scope.value for scope in ANY_OF[operation.request])
    problem = {"$ref": "#/components/responses/Problem"}
    responses: Schema = {
        status: {
            "description": "As asked.",
            "content": {"application/json": {"schema": _any_of(kinds)}},
        }
        for status, kinds in operation.good.items()
    }
    told: Schema = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.path.split("/")[1]],
        "x-scopes": scopes,
        "parameters": _parameters(operation),
        "responses": {**responses, "4XX": problem, "5XX": problem},
    }
    if operation.body is not None:
        schema = _schema(_twin(operation.body), differing)
        content = {"schema": schema}
        if operation.example is not None:
            content["example"] = operation.example
        told["requestBody"] = {"required": True, "content": {"application/json": content}}
    return told


def _any_of(kinds: tuple[Any, ...]) -> Schema:
    schemas = [_schema(kind) for kind in kinds]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _parameters(operation: Operation) -> list[Schema]:
    found: list[Schema] = []
    if operation.path.endswith("{id}"):
        text = {
            "type": "string",
            "minLength": 1,
            "maxLength": 64,
            "pattern": "^[A-Za-z0-9._:\\-]+$",
        }
        found.append({"name": "id", "in": "path", "required": True, "schema": text})
    if operation.query is not None:
        found += _query_parameters(operation.query)
    if issubclass(operation.request, wire.NumberedRequest):
        found.append(_header("Idempotency-Key", _schema(RequestId)))
    if operation.method == "PATCH":
        found.append(_header("If-Match", {"type": "string", "pattern": '^"[0-9]{1,18}"$'}))
    if operation is TICKET:
        found.append(_header("Origin", {"type": "string"}, is_required=True))
    return found


def _header(name: str, schema: Schema, is_required: bool = False) -> Schema:
    return {"name": name, "in": "header", "required": is_required, "schema": schema}


def _query_parameters(query: type[Struct]) -> list[Schema]:
    _, components = msgspec.json.schema_components([strict_twin(query)])
    schema = _tidy(components[query.__name__])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema["required"],
            "schema": _without_null(told),
        }
        for name, told in schema["properties"].items()
    ]


def _without_null(schema: Schema) -> Schema:
    """A query string leaves a name out; it cannot say null."""
    told = {key: value for key, value in schema.items() if key != "default" or value is not None}
    kinds = [kind for kind in told.pop("anyOf", []) if kind != {"type": "null"}]
    return {**told, **(kinds[0] if kinds else {})}


# -- AsyncAPI


def asyncapi() -> Schema:
    """The WebSocket protocol as AsyncAPI 3."""
    sent = [strict_twin(kind) for kind in wire.CLIENT_MESSAGES]
    components, differing = _components(sent, wire.SERVER_MESSAGES)
    messages = {
        kind.__name__: _message(kind, differing if kind in wire.CLIENT_MESSAGES else set())
        for kind in (*wire.CLIENT_MESSAGES, *wire.SERVER_MESSAGES)
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Fillgate",
            "version": VERSION,
            "description": "Orders, durable streams and quotes over one WebSocket. The subprotocol "
            f"{SUBPROTOCOL_JSON} sends JSON in text frames, {SUBPROTOCOL_MSGPACK} the same as "
            "msgpack in binary frames. docs/wire-protocol.md tells what can be relied on.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "client": {
                "address": "/ws",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
                "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
            }
        },
        "operations": {
            "fromClient": _operation("receive", wire.CLIENT_MESSAGES),
            "fromServer": _operation("send", wire.SERVER_MESSAGES),
        },
        "components": {"messages": messages, "schemas": components},
    }


def _operation(action: str, kinds: Iterable[type[Struct]]) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/client"},
        "messages": [{"$ref": f"#/channels/client/messages/{kind.__name__}"} for kind in kinds],
    }


def _message(kind: type[Struct], differing: set[str]) -> Schema:
    summary = " ".join(inspect.cleandoc(kind.__doc__ or "").split())
    payload = REFS + _sent(kind.__name__, differing)
    return {
        "name": kind.__struct_config__.tag,
        "summary": summary,
        "payload": {"$ref": payload},
    }
