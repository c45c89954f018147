"""A request that the router cannot read is refused by itself; the edge and the others go on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from router_world import World

from actors import messages as m
from actors.router.sides import EdgeSide
from actors.router.unread import refuse_unread
from domain import commands as c

TROUBLE = msgspec.ValidationError("Expected `str`, got `int` - at `$.command`")


def frame(**words: Any) -> bytes:
    return msgspec.msgpack.encode(words)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ({"type": "submit", "ref": 7, "command": {"type": "from the future"}}, c.Answer),
        ({"type": "login", "ref": 7}, c.LoggedIn),
        ({"type": "query", "ref": 7, "what": 3}, c.QueryAnswer),
        ({"type": "read", "ref": 7, "stream": "orders/a"}, c.StreamPage),
    ],
)
def test_what_waits_for_an_answer_gets_one(words: dict[str, Any], kind: type) -> None:
    answer = refuse_unread(frame(**words), TROUBLE)
    assert isinstance(answer, kind)
    assert answer.ref == 7
    error = getattr(answer, "error", None)
    assert kind is c.StreamPage or (error is not None and error.code == "unreadable_request")
    # An edge can read it.
    assert m.edge_inbox.decode(msgspec.msgpack.encode(answer)) == answer


@pytest.mark.parametrize(
    "body", [b"\xc1", b"\x07", frame(type="submit"), frame(type="logout", ref=1), frame(ref="x")]
)
def test_what_waits_for_none_gets_none(body: bytes) -> None:
    assert refuse_unread(body, TROUBLE) is None


def test_the_router_refuses_one_request_and_takes_the_next() -> None:
    world = World().open()
    side = EdgeSide(world.router)
    link: Any = world.links["edge-0"]
    bad = frame(type="submit", ref=901, owner="o", command={"type": "from the future"})
    side.unread(link, bad, TROUBLE)
    side.unread(link, b"\xc1", TROUBLE)
    side.batch_ended()
    (refused,) = world.sent("edge-0", c.Answer)
    assert (refused.ref, refused.error.code) == (901, "unreadable_request")
    assert world.place().error is None
