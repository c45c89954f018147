"""What one run of the suite found: kept as JSON, written as a page."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.machine import Machine
from bench.section import Section, table

HEAD = """# Benchmarks

What `make bench` measured. This page is written by it: do not edit.
[How it is measured and checked](benchmarking.md), [what follows for a machine's size](capacity.md).
"""


class Results(Struct, kw_only=True):
    """Everything of one run: when, of which commit, on what machine, what it found."""

    date: str
    commit: str
    machine: Machine
    runs: int
    is_long: bool
    took_s: float
    sections: list[Section]

    @property
    def faults(self) -> list[str]:
        """What was wrong, wherever it was."""
        return [f"{one.name}: {fault}" for one in self.sections for fault in one.faults]


def commit_of(folder: Path) -> str:
    """The checkout's commit, marked where it has changes that no commit holds."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"],  # noqa: S607
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()


def read(path: Path) -> Results:
    """Kept results. Raises OSError, or msgspec's errors, which name the field."""
    return msgspec.json.decode(path.read_bytes(), type=Results)


def keep(results: Results, path: Path) -> None:
    """Writes them for a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")


def page(results: Results) -> str:
    """The page: where it was measured, what was missed, then every section's table."""
    machine = results.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    form = "long" if results.is_long else "short"
    lines = [
        HEAD,
        f"{results.date}, commit `{results.commit}`, the {form} forms, median of {results.runs} "
        f"run(s), {results.took_s / 60:.1f} minutes in all. {machine.cpu}, {machine.cores} cores, "
        f"{machine.memory_gib} GiB, Linux {machine.kernel}, {machine.filesystem}, Python "
        f"{machine.python}, load before {machine.load_before}; {packages}. Client, broker and all "
        "of Fillgate share the machine.",
        "",
        *_verdict(results),
    ]
    for section in results.sections:
        lines += ["", *table(section), *_yardstick(section)]
    return "\n".join(lines).rstrip() + "\n"


def _verdict(results: Results) -> list[str]:
    aims = [
        (section, figure)
        for section in results.sections
        for figure in section.figures
        if figure.is_met is not None
    ]
    missed = [(section, figure) for section, figure in aims if not figure.is_met]
    lines = [f"**{len(aims) - len(missed)} of {len(aims)} aims are met.**"]
    lines += [
        f"* missed: {figure.name} ({section.name}): {figure.value:.4g} {figure.unit}, "
        f"aimed for {figure.bar:.4g}"
        for section, figure in missed
    ]
    if results.faults:
        lines += ["", f"**Checks failed: {len(results.faults)}; these figures mean nothing.**"]
    else:
        lines += ["", "Every check held."]
    return lines


def _yardstick(section: Section) -> list[str]:
    if not section.yardstick_ms:
        return []
    return ["", f"Raw aiohttp to an idle stub, before and after: {section.yardstick_ms:.3f} ms."]
