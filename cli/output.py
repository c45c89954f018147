"""What a command says: for people with rich, colors on a terminal only; for programs as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.trouble import Trouble

NS = 1_000_000_000
WIDTH_ELSEWHERE = 180
_encode = msgspec.json.Encoder(decimal_format="string").encode

STATUS_STYLE = {
    "filled": "green",
    "live": "cyan",
    "partially_filled": "cyan",
    "sending": "yellow",
    "unknown": "bold red",
    "denied": "red",
    "rejected": "red",
    "not_placed": "red",
    "canceled": "dim",
    "expired": "dim",
}


def console(is_error: bool = False) -> Console:
    """A console over what stdout (or stderr) is now; wide where nobody's window bounds it."""
    made = Console(stderr=is_error, highlight=False, soft_wrap=True)
    if not made.is_terminal:
        made.width = WIDTH_ELSEWHERE
    return made


def print_json(value: Any) -> None:
    """One JSON value on one line; decimals as strings."""
    text = _encode(value).decode()
    console().print(text, markup=False, emoji=False, no_wrap=True, crop=False)


def say(text: str, style: str = "") -> None:
    """A line for people."""
    console().print(Text(text, style=style))


def say_trouble(trouble: Trouble, is_json: bool) -> None:
    """What went wrong and the fix: JSON on stdout for programs, else on stderr."""
    if is_json:
        print_json(
            {"error": {"code": trouble.code, "message": trouble.message, "fix": trouble.fix}}
        )
        return
    out = console(is_error=True)
    out.print(Text.assemble(("error: ", "bold red"), trouble.message))
    if trouble.fix:
        out.print(Text.assemble(("fix:   ", "bold"), trouble.fix))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A table; a column whose name starts with `>` is flush right."""
    made = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for name in columns:
        made.add_column(
            name.lstrip(">"), justify="right" if name.startswith(">") else "left", overflow="fold"
        )
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    return made


def status_text(status: str) -> Text:
    """An order's status in its color."""
    return Text(status, style=STATUS_STYLE.get(status, ""))


def number(value: Decimal | str | None) -> str:
    """A number as people write it: no exponent, no idle zeros."""
    if value is None:
        return ""
    exact = Decimal(value)
    text = f"{exact:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def utc(at_ns: int | None) -> str:
    """A time to the millisecond, UTC."""
    if at_ns is None:
        return ""
    whole, rest = divmod(at_ns, NS)
    moment = datetime.fromtimestamp(whole, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{rest // 1_000_000:03d}"
