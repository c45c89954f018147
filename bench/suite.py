"""Everything that is timed, in one go: figures for a program, a page for people.

    python -m bench.suite [--only NAME ...] [--again] [--runs 1] [--long] [--baseline]
                          [--out bench/results] [--page docs/benchmarks.md]

Each bench runs in a process of its own, one after the other. Writes `latest.json` into --out
(with --baseline also `bench/baseline.json`, which `bench.compare` holds later runs against: make it
with --runs 3 or more, so that it knows its noise) and, after a whole run, the page and its
pictures. Exit code 1 where a check failed, whatever the speed, and no page is
written; --again then runs those again that failed. A missed aim fails nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markdown import Markdown

from bench import capacity
from bench.chapters import CHAPTERS
from bench.machine import describe
from bench.results import Results, commit_of, keep, page, read
from bench.section import Section, combine, table

ROOT = Path(__file__).parent.parent
BASELINE = ROOT / "bench" / "baseline.json"

console = Console(stderr=True)


class BenchDied(Exception):
    """A bench ended without a section; its last words are above."""


def run_chapter(name: str, is_long: bool, out: Path) -> Section:
    """One bench in a process of its own. Raises BenchDied."""
    command = [sys.executable, "-m", "bench.chapters", name, "--pictures", str(out.resolve())]
    more = ["--long"] if is_long else []
    ended = subprocess.run(  # noqa: S603
        [*command, *more], cwd=ROOT, stdout=subprocess.PIPE, check=False
    )
    lines = ended.stdout.splitlines()
    if ended.returncode not in (0, 1) or not lines:
        raise BenchDied(f"{name} ended with {ended.returncode}")
    try:
        return msgspec.json.decode(lines[-1], type=Section)
    except msgspec.DecodeError as error:
        raise BenchDied(f"{name} said no section: {error}") from error


def run_all(names: Sequence[str], runs: int, is_long: bool, out: Path) -> list[Section]:
    """Every bench named, each so often; what died is a section with that as its fault."""
    sections = []
    for number, name in enumerate(names, 1):
        began = time.monotonic()
        with console.status(f"{number}/{len(names)} {name}"):
            try:
                section = combine([run_chapter(name, is_long, out) for _ in range(runs)])
            except BenchDied as died:
                section = Section(
                    name=name,
                    question=f"{name}: it died",
                    command=f"python -m bench.chapters {name}",
                    figures=[],
                    faults=[str(died)],
                )
        sections.append(section)
        took_s = time.monotonic() - began
        console.print(f"{number}/{len(names)} {name}: {took_s:.0f} s", style="dim")
    return sections


def write_page(results: Results, out: Path, path: Path) -> None:
    """The page, beside it the pictures it shows, and what follows for a machine's size."""
    for section in results.sections:
        if section.picture is not None:
            (path.parent / section.picture).write_bytes((out / section.picture).read_bytes())
    path.write_text(page(results))
    sized = capacity.page(results)
    if sized is not None:
        (path.parent / "capacity.md").write_text(sized)


def kept_sections(latest: Path) -> dict[str, Section]:
    """Those of the last run that hold, by name; none where that was of another commit."""
    last = read(latest)
    if last.commit != commit_of(ROOT):
        console.print(f"the last run was of {last.commit}: all run anew", markup=False)
        return {}
    return {one.name: one for one in last.sections if not one.faults}


def read_words(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=CHAPTERS, help="these; no page is written")
    parser.add_argument("--again", action="store_true", help="only those whose check failed")
    parser.add_argument("--runs", type=int, default=1, help="the median of so many")
    parser.add_argument("--long", action="store_true", help="the long forms: hours")
    parser.add_argument("--baseline", action="store_true", help="also keep it as the baseline")
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks.md")
    return parser.parse_args(words)


def main(words: list[str]) -> int:
    """Runs, writes, shows."""
    asked = read_words(words)
    asked.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    machine = describe(asked.out)
    kept = kept_sections(asked.out / "latest.json") if asked.again else {}
    names = [name for name in asked.only or CHAPTERS if name not in kept]
    ran = {one.name: one for one in run_all(names, asked.runs, asked.long, asked.out)}
    sections = [(kept | ran)[name] for name in asked.only or CHAPTERS]
    results = Results(
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=commit_of(ROOT),
        machine=machine,
        runs=asked.runs,
        is_long=asked.long,
        took_s=round(time.monotonic() - began, 1),
        sections=sections,
    )
    keep(results, asked.out / "latest.json")
    if asked.baseline:
        keep(results, BASELINE)
    if asked.only is None and not results.faults:
        write_page(results, asked.out, asked.page)
        console.print(f"written: {asked.page}, {asked.out / 'latest.json'}", style="dim")
    for section in sections:
        Console().print(Markdown("\n".join(table(section))))
    for fault in results.faults:
        console.print(f"check failed: {fault}", style="red", markup=False)
    return 1 if results.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
