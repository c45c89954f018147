"""Starts a deployment and lets Locust's users loose on it.

    python -m bench.under_locust [--web] [LOCUST'S OWN WORDS ...]

Without words of its own: 20 users of all kinds for 20 s, headless, and a table at the end. The exit
code is Locust's: 1 where anything failed. With --web its page is served until Ctrl-C.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from bench.signal_to_order import RULE
from bench.world import WorldOptions, world

FILE = Path(__file__).parent / "locustfile.py"
USERS, SECONDS = 20, 20
MANY_CONNECTIONS = """
[gateway]
connections_per_token_max = 1000
"""


async def attack(url: str, rest_url: str, token_file: Path, *words: str) -> int:
    """Locust in a process of its own, which it patches through and through; its exit code."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "locust", "--locustfile", str(FILE), "--url", url,
        "--rest-url", rest_url, "--token-file", str(token_file), *words,
        cwd=FILE.parent.parent,
    )  # fmt: skip
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def words_for(given: list[str]) -> list[str]:
    """Locust's words: headless and short unless said otherwise."""
    if "--web" in given:
        return [word for word in given if word != "--web"]
    plain = {"--users": str(USERS), "--spawn-rate": str(USERS), "--run-time": f"{SECONDS}s"}
    more = [part for name, value in plain.items() if name not in given for part in (name, value)]
    return ["--headless", "--only-summary", *more, *given]


async def main(given: list[str]) -> int:
    """One deployment, one attack."""
    options = WorldOptions(extra=MANY_CONNECTIONS + RULE)
    async with world(options) as deployment:
        token_file = deployment.home / "locust.token"
        token_file.touch(mode=0o600)
        token_file.write_text(deployment.token)
        rest_url = str(deployment.ready["rest_url"])
        return await attack(deployment.url, rest_url, token_file, *words_for(given))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
