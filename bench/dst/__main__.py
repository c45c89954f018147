"""Tells stories: one line by line, or many with a count of what went wrong.

python -m bench.dst SEED [--trace]          one seed; --trace tells all that happened
python -m bench.dst FIRST --count N         seeds FIRST ... FIRST+N-1
"""

from __future__ import annotations

import argparse
import sys
import time

from bench.dst.story import run_story


def main(arguments: list[str] | None = None) -> int:
    """0 where no story ended wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.dst")
    parser.add_argument("seed", type=int)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--trace", action="store_true")
    asked = parser.parse_args(arguments)
    began = time.perf_counter()
    bad = 0
    for seed in range(asked.seed, asked.seed + asked.count):
        verdict = run_story(seed, print if asked.trace else None)
        if verdict.violations:
            bad += 1
            print(f"seed {seed}: python -m bench.dst {seed} --trace")
            for violation in verdict.violations[:12]:
                print(f"    {violation}")
        if asked.count == 1:
            print(verdict)
    spent = time.perf_counter() - began
    print(f"{asked.count} stories, {bad} wrong, {1_000 * spent / asked.count:.1f} ms each")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
