"""What REST serves without a token: the two descriptions, and a page of them for people."""

from __future__ import annotations

from functools import cache
from html import escape

import msgspec

from gateway.descriptions import asyncapi, openapi
from gateway.rest_operations import OPERATIONS, PREFIX

JSON = "application/json"
HTML = "text/html; charset=utf-8"

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Fillgate REST</title>
<style>body{{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}}
td{{padding:.3rem 1rem .3rem 0;vertical-align:top}}code{{white-space:nowrap}}</style>
<h1>Fillgate REST</h1>
<p>Described in full by <a href="openapi.json">openapi.json</a>; the WebSocket by
<a href="asyncapi.json">asyncapi.json</a>. Send <code>Authorization: Bearer</code> with a token.</p>
<table>{rows}</table></html>
"""


@cache
def documents() -> dict[str, tuple[str, bytes]]:
    """Content type and content by path."""
    return {
        f"{PREFIX}/openapi.json": (JSON, spell(openapi())),
        f"{PREFIX}/asyncapi.json": (JSON, spell(asyncapi())),
        f"{PREFIX}/docs": (HTML, _page().encode()),
    }


def spell(description: object) -> bytes:
    """A description as the files under docs/ hold it."""
    return msgspec.json.format(msgspec.json.encode(description)) + b"\n"


def _page() -> str:
    rows = "\n".join(
        f"<tr><td><code>{operation.method} {escape(PREFIX + operation.path)}</code></td>"
        f"<td>{escape(operation.summary)}</td></tr>"
        for operation in OPERATIONS
    )
    return _PAGE.format(rows=rows)
