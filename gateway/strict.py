"""Twins of client messages that refuse what msgspec alone would let pass.

msgspec reads a number where a `Decimal` is asked for, an int of any size, a text of any length.
A twin is the same struct with `Decimal` as a pattern of text, and bounds on bare `int` and
`str`; it is built from the type hints, so it cannot drift. What passed the twin is then
converted to the plain struct.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

DECIMAL_PATTERN = r"^-?[0-9]{1,18}(\.[0-9]{1,12})?\Z"
TEXT_CHARS_MAX = 200

_pack = msgspec.msgpack.Encoder().encode
_EXPONENT = re.compile(rb"[0-9]E[+-]?[0-9]")
_BOUNDS = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "extra_json_schema")

_REPLACED: dict[Any, Any] = {
    Decimal: Annotated[str, Meta(pattern=DECIMAL_PATTERN)],
    int: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)],
    str: Annotated[str, Meta(max_length=TEXT_CHARS_MAX)],
}


@cache
def strict_twin(struct: type[Struct]) -> type[Struct]:
    """The refusing twin of a struct, with the same name, tag and defaults."""
    hints = get_type_hints(struct, include_extras=True)
    config = struct.__struct_config__
    fields: list[Any] = []
    for field in msgspec.structs.fields(struct):
        hint = _strict(hints[field.name])
        if field.default is not msgspec.NODEFAULT:
            fields.append((field.encode_name, hint, field.default))
        elif field.default_factory is not msgspec.NODEFAULT:
            default = msgspec.field(default_factory=field.default_factory)
            fields.append((field.encode_name, hint, default))
        else:
            fields.append((field.encode_name, hint))
    return msgspec.defstruct(
        struct.__name__,
        fields,
        namespace={"__doc__": struct.__doc__},
        kw_only=True,
        frozen=True,
        forbid_unknown_fields=True,
        tag_field=config.tag_field,
        tag=config.tag,
    )


def _strict(hint: Any) -> Any:
    if hint in _REPLACED:
        return _REPLACED[hint]
    if isinstance(hint, type) and issubclass(hint, Struct):
        return strict_twin(hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        inner, *meta = args
        # A bound already given stands; only what is inside a container is looked at.
        inner = inner if inner in _REPLACED else _strict(inner)
        return Annotated[(inner, *(_anchored(one) for one in meta))]
    if origin in (Union, UnionType):
        return Union[tuple(_strict(arg) for arg in args)]  # noqa: UP007
    if origin is not None:
        return origin[tuple(arg if arg is ... else _strict(arg) for arg in args)]
    return hint


def _anchored(meta: Any) -> Any:
    """The bound with its pattern's end taken literally: `$` would let a line feed follow."""
    if not isinstance(meta, Meta) or meta.pattern is None or not meta.pattern.endswith("$"):
        return meta
    given = {name: getattr(meta, name) for name in _BOUNDS}
    return Meta(**given | {"pattern": meta.pattern.removesuffix("$") + r"\Z"})


@cache
def _decimal_fields(struct: type) -> tuple[str, ...]:
    """The fields that hold, or may hold further down, a decimal."""
    hints = get_type_hints(struct)
    return tuple(name for name in hints if _may_hold_decimal(hints[name]))


def _may_hold_decimal(hint: Any) -> bool:
    if isinstance(hint, type) and issubclass(hint, Struct):
        return bool(_decimal_fields(hint))
    return hint is Decimal or any(_may_hold_decimal(arg) for arg in get_args(hint))


def may_have_exponent(data: bytes) -> bool:
    """False where nothing encoded holds a decimal with an exponent, which always has a sign."""
    return b"E-" in data or b"E+" in data


def has_exponent(value: Any) -> bool:
    """True where a decimal in it would be written with an exponent, such as `1E-7`."""
    if isinstance(value, Decimal):
        return "E" in str(value)
    if isinstance(value, tuple):
        return any([has_exponent(item) for item in value])
    if not isinstance(value, Struct):
        return False
    for name in _decimal_fields(type(value)):
        held = getattr(value, name)
        if held is not None and has_exponent(held):
            return True
    return False


def encode_rows(rows: Any) -> bytes:
    """What a read answers with, as msgpack, its decimals without exponents."""
    body = _pack(rows)
    return _pack(spell_out(rows)) if _EXPONENT.search(body) else body


def spell_out(message: Any) -> Any:
    """The message as plain objects, its decimals without exponents; the slow and rare path."""
    return _spell(msgspec.to_builtins(message, builtin_types=(Decimal,)))


def _spell(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return {key: _spell(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spell(item) for item in value]
    return value
