"""Values of any of our types, drawn from a seed: every field, bounds kept, awkward ones often."""

from __future__ import annotations

import types
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import cache
from random import Random
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

Draw = Callable[[Random], Any]

LIST_MAX = 3
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
ODD_DECIMALS = tuple(
    Decimal(x) for x in ("0", "-0", "1E+3", "1E-9", "0E-8", "999999999999999", "-0.000000001")
)
NAME_CHARS = "abcXYZ019"
TEXT_CHARS = NAME_CHARS + " \t\"\\/<>&'\0\x1f\x7fäß€日本語\u2028\ufeff😀\ud7ff\ue000"
PLAIN: dict[Any, Draw] = {
    Decimal: lambda luck: _decimal(luck),
    int: lambda luck: _integer(luck, INT64_MIN, INT64_MAX),
    str: lambda luck: _text(luck, TEXT_CHARS, 0, 20),
    bool: lambda luck: luck.random() < 0.5,
    bytes: lambda luck: luck.randbytes(luck.randint(0, 12)),
    date: lambda luck: date.fromordinal(luck.randint(1, date.max.toordinal())),
    type(None): lambda _: None,
    Any: lambda luck: _anything(luck, 2),
}


@cache
def drawer(hint: Any) -> Draw:
    """How values of a type hint are drawn."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _bounded(args[0], args[1:])
    if origin in (Union, types.UnionType):
        choices = tuple(drawer(arg) for arg in args)
        return lambda luck: luck.choice(choices)(luck)
    if origin is Literal:
        return lambda luck: luck.choice(args)
    if origin in (tuple, list):
        return _many(drawer(args[0]), 0, LIST_MAX)
    if origin is dict:
        return _mapping(drawer(args[0]), drawer(args[1]), LIST_MAX)
    if isinstance(hint, type) and issubclass(hint, Struct):
        return _struct(hint)
    if isinstance(hint, type) and issubclass(hint, Enum):
        members = tuple(hint)
        return lambda luck: luck.choice(members)
    return PLAIN[hint]


def _struct(kind: type[Struct]) -> Draw:
    """Each field drawn, or left at its default half of the time."""
    hints = get_type_hints(kind, include_extras=True)
    needed = {
        field.name
        for field in fields(kind)
        if field.default is NODEFAULT and field.default_factory is NODEFAULT
    }
    parts: list[tuple[str, bool, Draw]] = []

    def draw(luck: Random) -> Any:
        if not parts:
            # A type may hold itself: its parts are looked up when first drawn.
            parts.extend((name, name in needed, drawer(hint)) for name, hint in hints.items())
        return _build(kind, parts, luck)

    return draw


def _build(kind: type[Struct], parts: list[tuple[str, bool, Draw]], luck: Random) -> Any:
    chosen = {
        name: draw(luck) for name, is_needed, draw in parts if is_needed or luck.random() < 0.5
    }
    return kind(**chosen)


def _bounded(inner: Any, metas: tuple[Any, ...]) -> Draw:
    def bound(name: str, otherwise: int, pick: Callable[..., int]) -> int:
        given = [value for meta in metas if (value := getattr(meta, name)) is not None]
        return pick(given) if given else otherwise

    if inner is int:
        low, high = bound("ge", INT64_MIN, max), bound("le", INT64_MAX, min)
        return lambda luck: _integer(luck, low, high)
    least, most = bound("min_length", 0, max), bound("max_length", 20, min)
    if inner is str:
        has_pattern = any(meta.pattern is not None for meta in metas)
        chars = NAME_CHARS if has_pattern else TEXT_CHARS
        longest = min(most, 20)
        return lambda luck: _text(luck, chars, max(least, int(has_pattern)), longest)
    origin, args = get_origin(inner), get_args(inner)
    if origin is tuple:
        return _many(drawer(args[0]), least, min(most, LIST_MAX))
    if origin is dict:
        return _mapping(drawer(args[0]), drawer(args[1]), min(most, LIST_MAX), least)
    return drawer(inner)


def _many(item: Draw, least: int, most: int) -> Draw:
    return lambda luck: tuple(item(luck) for _ in range(luck.randint(least, most)))


def _mapping(key: Draw, value: Draw, most: int, least: int = 0) -> Draw:
    def draw(luck: Random) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for _ in range(luck.randint(least, most)):
            found[key(luck)] = value(luck)
        return found

    return draw


def _integer(luck: Random, low: int, high: int) -> int:
    kind = luck.random()
    if kind < 0.1:
        return luck.choice((low, high))
    if kind < 0.5:
        return luck.randint(max(low, -1_000), min(high, max(low, 1_000)))
    return luck.randint(low, high)


def _decimal(luck: Random) -> Decimal:
    if luck.random() < 0.15:
        return luck.choice(ODD_DECIMALS)
    return Decimal(luck.randint(-(10**14), 10**14)).scaleb(-luck.randint(0, 8))


def _text(luck: Random, chars: str, least: int, most: int) -> str:
    return "".join(luck.choices(chars, k=luck.randint(least, most)))


def _anything(luck: Random, depth: int) -> Any:
    """What JSON and msgpack both know: rows that a query answers with."""
    kind = luck.randrange(7 if depth else 5)
    match kind:
        case 0:
            return None
        case 1:
            return luck.random() < 0.5
        case 2:
            return _integer(luck, INT64_MIN, INT64_MAX)
        case 3 | 4:
            return _text(luck, TEXT_CHARS, 0, 12)
        case 5:
            return [_anything(luck, depth - 1) for _ in range(luck.randint(0, LIST_MAX))]
        case _:
            return {
                _text(luck, NAME_CHARS, 1, 6): _anything(luck, depth - 1)
                for _ in range(luck.randint(0, LIST_MAX))
            }
