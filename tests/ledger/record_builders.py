"""Any value of any struct of the vocabulary, for Hypothesis."""

from __future__ import annotations

import types
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from msgspec import Meta, Struct

from domain.records import Record

INT64 = st.integers(-(2**63), 2**63 - 1)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12)
PLAIN = {
    str: st.text(max_size=12),
    int: INT64,
    bool: st.booleans(),
    Decimal: DECIMALS,
    bytes: st.binary(max_size=16),
    type(None): st.none(),
}


@cache
def any_of(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type as the vocabulary writes it."""
    origin = get_origin(kind)
    if kind in PLAIN:
        return PLAIN[kind]
    if origin is Annotated:
        return _any_annotated(*get_args(kind))
    if origin in (Union, types.UnionType):
        return st.one_of(*map(any_of, get_args(kind)))
    if origin is tuple:
        return st.lists(any_of(get_args(kind)[0]), max_size=2).map(tuple)
    if origin is dict:
        key, value = get_args(kind)
        return st.dictionaries(any_of(key), any_of(value), max_size=2)
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    assert issubclass(kind, Struct), kind
    return st.deferred(lambda: any_struct(kind))


def any_struct(kind: type, **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Structs of a kind; `given` fields come from their own strategies."""
    hints = get_type_hints(kind, include_extras=True)
    names = [name for name in kind.__struct_fields__ if name not in given]
    return st.builds(kind, **{name: any_of(hints[name]) for name in names}, **given)


def any_record(number: int, cause: type) -> st.SearchStrategy[Record]:
    """Records of a cause; the schema is the present one."""
    return any_struct(Record, number=st.just(number), cause=any_struct(cause), schema=st.just(1))


def _any_annotated(kind: Any, *extras: Any) -> st.SearchStrategy[Any]:
    meta = next(extra for extra in extras if isinstance(extra, Meta))
    if meta.pattern is not None:
        longest = meta.max_length or 12
        return st.from_regex(meta.pattern, fullmatch=True).map(lambda text: text[:longest])
    if meta.ge is not None or meta.le is not None:
        return st.integers(meta.ge, meta.le)
    if kind is str:
        return st.text(min_size=meta.min_length or 0, max_size=meta.max_length)
    return any_of(kind)
