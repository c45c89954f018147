"""JSON Schema counts 4.0 among the integers; the protocol takes no floats, whatever they hold."""

from __future__ import annotations

from typing import Any

import schemathesis


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return value


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    return _whole(body)
