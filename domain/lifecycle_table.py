"""The order's life as a page: `python -m domain.lifecycle_table > docs/lifecycle.md`.

Everything on it is read from the tables in code, so the page cannot say something else.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain.errors import UnifiedError
from domain.lifecycle import AT_BROKER, COMMON, TERMINAL, TRANSITIONS, Status
from domain.results import BY_CATEGORY, BY_CODE, MEANING, SUCCESS

HEAD = """# The order's life

Printed from `domain/lifecycle.py` and `domain/results.py` by `python -m domain.lifecycle_table`;
do not edit. A pair of state and event without a row is a *break*: recorded, never applied, and a
reason to reconcile. A pending cancel or amend is an overlay, never a state. A fill that leaves
nothing open ends in FILLED from any state, as does an amend down to what is filled; a fill
after a terminal state is kept and marked late. The same execution id twice is one fill.
"""


def render() -> str:
    """The whole page, the same for the same tables."""
    parts = (
        HEAD,
        "## States\n",
        _states(),
        "## Diagram\n",
        _diagram(),
        "## Transitions\n",
        "“stays” leaves the state as it is.\n",
        _transitions(),
        "## The common seven, and the order result\n",
        "`success` is open while nobody can say; any fill makes it true.\n",
        _common(),
        "## Errors\n",
        "The broker's word (as its file maps it) goes first, then our code, then its category.\n",
        _errors(),
    )
    return "\n".join(parts)


def _states() -> str:
    rows = (
        (
            status.name,
            MEANING[status],
            "yes" if status in TERMINAL else "",
            "yes" if status in AT_BROKER else "",
        )
        for status in Status
    )
    return _table(("state", "means", "terminal", "may be at the broker"), rows)


def _diagram() -> str:
    arrows: dict[tuple[Status, Status], list[str]] = {}
    for (at, kind), to in TRANSITIONS.items():
        if to is not None and to is not at:
            arrows.setdefault((at, to), []).append(kind.__name__)
    # The fold, not the table, tells the last fill from the others.
    arrows[(Status.PARTIALLY_FILLED, Status.FILLED)] = ["last Fill"]
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> RECEIVED"]
    lines += [
        f"    {at.name} --> {to.name}: {', '.join(kinds)}" for (at, to), kinds in arrows.items()
    ]
    lines += [f"    {status.name} --> [*]" for status in Status if status in TERMINAL]
    return "\n".join([*lines, "```", ""])


def _transitions() -> str:
    rows = (
        (at.name, kind.__name__, "stays" if to is None else to.name)
        for at in Status
        for (start, kind), to in TRANSITIONS.items()
        if start is at
    )
    return _table(("from", "event", "to"), rows)


def _common() -> str:
    words = {True: "true", False: "false", None: "open"}
    rows = ((status.name, COMMON[status].value, words[SUCCESS[status]]) for status in Status)
    return _table(("state", "common status", "success"), rows)


def _errors() -> str:
    rows = []
    for error in UnifiedError:
        codes = [f"`{code}`" for code, name in BY_CODE.items() if name is error]
        categories = [kind.value for kind, name in BY_CATEGORY.items() if name is error]
        rows.append((error.value, ", ".join(codes), ", ".join(categories)))
    return _table(("error", "our codes", "our categories"), rows)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    print(render(), end="")
