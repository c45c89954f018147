"""Where Ray's processes sit, which ports they take, and which hosts a node has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors import options
from actors.cluster import PORTS, Seat, _fixed_ports, find_seat, note_nodes, ray_environment
from actors.deploy import complete
from actors.settings import (
    ClusterSettings,
    DeploymentSettings,
    NodeSettings,
    Settings,
)

PLAIN = Settings(deployment=DeploymentSettings(id="d"), owners=(), connections=())
NODES = (NodeSettings(id="n1", host="10.0.0.1"), NodeSettings(id="n2", host="10.0.0.2"))


def on(node: str) -> Settings:
    return msgspec.structs.replace(PLAIN, nodes=NODES, cluster=ClusterSettings(node=node))


def test_one_machine_sits_on_its_loopback() -> None:
    assert find_seat(PLAIN) == Seat(host="127.0.0.1", head=None)


def test_the_first_node_is_the_head_and_the_others_join_it() -> None:
    first, second = find_seat(on("n1")), find_seat(on("n2"))
    assert (first.host, first.head) == ("10.0.0.1", None)
    assert (second.host, second.head) == ("10.0.0.2", "10.0.0.1")
    assert first.resources.keys() == {options.node_resource("n1")}


def test_all_fixed_ports_lie_in_the_block_and_none_is_given_twice() -> None:
    words = [word.partition("=") for word in _fixed_ports(20_000)]
    ports = [int(port) for _, _, port in words]
    assert len(ports) == len(set(ports)) == 8
    assert min(ports) == 20_001  # the first is the GCS's
    assert max(ports) == 20_000 + PORTS - 1
    assert _fixed_ports(0) == []


def test_the_token_is_for_our_eyes_only_and_nodes_share_theirs(tmp_path: Path) -> None:
    ray_environment(tmp_path)
    token = tmp_path / "ray.token"
    own = token.read_text()
    assert token.stat().st_mode & 0o777 == 0o600
    note_nodes(PLAIN, tmp_path)
    assert token.read_text() == own
    (tmp_path / "shared").write_text("ab" * 32 + "\n")
    cluster = ClusterSettings(node="n1", ray_token_file=str(tmp_path / "shared"))
    note_nodes(msgspec.structs.replace(on("n1"), cluster=cluster), tmp_path)
    assert token.read_text() == "ab" * 32
    assert token.stat().st_mode & 0o777 == 0o600


def test_ray_listens_on_loopback_alone_unless_there_are_several_machines(tmp_path: Path) -> None:
    (tmp_path / "nodes").touch()
    assert not options.LOOPBACK_ONLY.keys() & ray_environment(tmp_path).keys()
    note_nodes(PLAIN, tmp_path)
    assert options.LOOPBACK_ONLY.items() <= ray_environment(tmp_path).items()


def test_a_role_is_filled_up_with_free_names_of_its_node() -> None:
    found = ["router.1", "router.0@n2", "compliance.0", "connection-a.b.0"]
    assert complete("router", found, 2) == ["router.1", "router.0"]
    assert complete("router", found, 1) == ["router.1"]
    assert complete("router", found, 2, "n2") == ["router.0@n2", "router.1@n2"]
    assert complete("connection-a.b", found, 1) == ["connection-a.b.0"]


@pytest.mark.parametrize("name", ["router.0", "router.0@n2"])
def test_a_host_of_a_node_asks_ray_for_that_node(name: str) -> None:
    asked: dict[str, Any] = {}

    class Named:  # a handle
        def options(self, **words: Any) -> Named:
            asked.update(words)
            return self

        def remote(self, *words: Any) -> tuple[Any, ...]:
            return words

    class Ray:
        def remote(self, **_: Any) -> Any:
            return lambda _host: Named()

    assert options.spawn(Ray(), object, name, "/home") == ("router", "/home")
    assert asked["name"] == name
    assert ("resources" in asked) is ("@" in name)
