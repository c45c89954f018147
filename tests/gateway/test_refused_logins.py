"""Whoever is not let in is told to the router: at once, then once a minute with a count."""

from __future__ import annotations

from pathlib import Path

import pytest
from gateway_world import a_world, until
from rest_world import a_rest

from domain.commands import Refusal, Refusals
from gateway.refused import OTHERS, PEERS_MAX, QUIET_NS, RefusedLogins
from gateway.rest_operations import PREFIX
from gateway.settings import GatewaySettings
from gateway.way import PLAIN_ON_LOOPBACK, Way, peer_of

HERE = "127.0.0.1"
FAST = {"heartbeat_ms": 40}


@pytest.mark.asyncio
async def test_a_refused_upgrade_and_a_refused_call_are_told(tmp_path: Path) -> None:
    async with a_rest(tmp_path, **FAST) as rest:
        world = rest.world
        assert (await world.raw(token="fg_wrong")).response.status_code == 401
        await until(lambda: world.router.refused)
        assert world.router.refused == [Refusal(peer=HERE, code="unauthorized")]
        assert (await rest.call("GET", f"{PREFIX}/orders", token="fg_wrong")).status == 401
        foreign = await rest.call(
            "GET", f"{PREFIX}/orders", headers=[("Origin", "https://x.example")]
        )
        assert foreign.status == 403
        told = rest.rest.desk.around.refused.take(1 << 62)
        assert told is not None
        assert {(one.code, one.count) for one in told.refused} == {
            ("unauthorized", 1), ("foreign_origin", 1),
        }  # fmt: skip


@pytest.mark.asyncio
async def test_without_a_router_it_is_kept_until_there_is_one(tmp_path: Path) -> None:
    async with a_world(tmp_path, **FAST) as world:
        world.router.lose()
        await world.raw(token="fg_wrong")
        await world.raw(token="fg_wrong")
        world.router.find()
        await until(lambda: world.router.refused)
        assert world.router.refused == [Refusal(peer=HERE, code="unauthorized", count=2)]


def test_a_flood_of_refusals_is_a_few_numbers_a_minute() -> None:
    refused = RefusedLogins()
    assert refused.take(0) is None
    for number in range(10_000):
        refused.note(f"192.0.2.{number}", "unauthorized")
    told = refused.take(0)
    assert isinstance(told, Refusals)
    assert len(told.refused) == PEERS_MAX + 1
    assert told.refused[-1] == Refusal(peer=OTHERS, code="unauthorized", count=10_000 - PEERS_MAX)
    refused.note("192.0.2.1", "unauthorized")
    assert refused.take(QUIET_NS - 1) is None
    assert refused.take(QUIET_NS) is not None


def test_a_socket_without_an_address_has_none() -> None:
    class Unix:
        def get_extra_info(self, _: str) -> str:
            return ""

    assert peer_of(None) == peer_of(Unix()) == ""


def test_plain_text_beyond_loopback_is_served_where_told_so_alone() -> None:
    class Sock:
        family = 2

        def getsockname(self) -> tuple[str, int]:
            return ("192.0.2.1", 1)

    with pytest.raises(ValueError, match="loopback"):
        PLAIN_ON_LOOPBACK.options(Sock(), GatewaySettings())  # type: ignore[arg-type]
    assert Way(None, allowed=True).options(Sock(), GatewaySettings()) == {}  # type: ignore[arg-type]
