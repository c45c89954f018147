"""Locust's users against bare processes for some seconds: nobody fails."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.bare_world import bare_world
from bench.signal_to_order import RULE
from bench.under_locust import attack, words_for


def test_a_mixed_crowd_is_served_without_a_failure(tmp_path: Path) -> None:
    async def play() -> int:
        async with bare_world(rules=RULE) as world:
            token_file = tmp_path / "token"
            token_file.write_text(world.token)
            rest_url = f"http://127.0.0.1:{world.rest_port}"
            short = words_for(["--users", "6", "--run-time", "4s", "--csv", str(tmp_path / "seen")])
            return await attack(world.url, rest_url, token_file, *short)

    assert asyncio.run(play()) == 0
    seen = (tmp_path / "seen_stats.csv").read_text()
    for name in ("order → broker's outcome", "/api/v1/signals", "/api/v1/orders", "quote: its age"):
        assert name in seen


def test_locust_is_headless_and_short_unless_said_otherwise() -> None:
    assert "--headless" in words_for([])
    assert words_for(["--users", "5"]).count("--users") == 1
    assert words_for(["--web", "Strategy"]) == ["Strategy"]
