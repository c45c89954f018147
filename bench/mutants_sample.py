"""Which tests notice a line of compliance/ changed at random? Some of all mutants, drawn by a seed.

    python -m bench.mutants_sample SIZE [--seed N] [--jobs N]

Each mutant has its place in the draw by its name alone: a larger sample begins with the smaller
one, and a change of the code moves no other. What was noticed stands, what survived is tried again:
it goes on where it stopped. It ends with the share noticed, the interval that holds the share of
all mutants 95 times in 100 (Wilson's), and the names of those that nothing noticed.
"""

from __future__ import annotations

import argparse
import math
import os
from hashlib import sha256

from mutmut import __main__ as mutmut
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import copy_src_dir

SEED = 6
NOTICED = {"killed", "timeout", "segfault"}
Z = 1.959964
"""Within so many standard errors lie 95 of 100."""

Verdicts = dict[str, int | None]


def generate(jobs: int) -> None:
    """Write every mutant of what changed since the last time."""
    os.makedirs("mutants", exist_ok=True)
    copy_src_dir()
    mutmut.create_mutants(jobs)


def verdicts() -> Verdicts:
    """Every mutant by name, with how its tests ended: None where it was not tried."""
    mutants, _ = mutmut.collect_source_file_mutation_data(mutant_names=())
    return {name: code for _, name, code in mutants}


def draw(names: list[str], size: int, seed: int) -> list[str]:
    """So many of the names; those of a smaller size come first."""
    return sorted(names, key=lambda name: sha256(f"{seed} {name}".encode()).digest())[:size]


def interval(noticed: int, tried: int) -> tuple[float, float]:
    """Between which shares that of all mutants lies, 95 times in 100."""
    share, square = noticed / tried, Z * Z / tried
    middle = share + square / 2
    spread = Z * math.sqrt(share * (1 - share) / tried + square / (4 * tried))
    return (middle - spread) / (1 + square), (middle + spread) / (1 + square)


def main() -> None:
    """Draw, try what was not noticed yet, and tell."""
    parser = argparse.ArgumentParser(prog="python -m bench.mutants_sample")
    parser.add_argument("size", type=int)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    generate(asked.jobs)
    before = verdicts()
    sample = draw(list(before), asked.size, asked.seed)
    if due := [name for name in sample if status_by_exit_code[before[name]] not in NOTICED]:
        mutmut._run(due, asked.jobs)
    told = {name: status_by_exit_code[code] for name, code in verdicts().items()}
    left = [name for name in sample if told[name] not in NOTICED]
    low, high = interval(len(sample) - len(left), len(sample))
    print(f"{len(sample)} of {len(before)} mutants, seed {asked.seed}: {len(left)} survived,")
    print(f"{1 - len(left) / len(sample):.1%} noticed ({low:.1%} to {high:.1%} of all).")
    print(*(f"{told[name]}  {name}" for name in sorted(left)), sep="\n")


if __name__ == "__main__":
    main()
