"""What an edge asked in words this router does not know: refused by itself, the rest goes on.

While edges and router are of two releases, or where an edge let something through that the
router's stricter types do not take, one request must not cost all the others their link.
"""

from __future__ import annotations

from typing import Any

import msgspec

from domain.commands import Answer, LoggedIn, QueryAnswer, StreamPage
from domain.errors import Category, ErrorInfo, Outcome, Retry

WHY_CHARS_MAX = 200


def refuse_unread(frame: bytes, trouble: msgspec.MsgspecError) -> Any | None:
    """The answer to the request in the frame; None where nobody waits for one."""
    try:
        words = msgspec.msgpack.decode(frame)
    except msgspec.MsgspecError:
        return None
    ref = words.get("ref") if isinstance(words, dict) else None
    if not isinstance(ref, int):
        return None
    error = ErrorInfo(
        code="unreadable_request",
        category=Category.CLIENT,
        outcome=Outcome.NONE,
        retry=Retry.NEVER,
        message=f"the router cannot read this request: {trouble}"[:WHY_CHARS_MAX],
    )
    match words.get("type"):
        case "submit":
            return Answer(ref=ref, error=error)
        case "login":
            return LoggedIn(ref=ref, error=error)
        case "query":
            return QueryAnswer(ref=ref, error=error)
        case "read":
            return StreamPage(ref=ref, stream=str(words.get("stream")), head=0)
        case _:
            return None
