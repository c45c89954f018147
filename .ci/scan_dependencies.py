"""Fails where a locked dependency has a known hole; says so and passes where nobody can be asked.

pip-audit asks the package index's own advisories. A hole that is no hole for us is accepted here
by its id, with the reason, until a release without it is locked.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKED = "requirements/run.txt"
ASK_S_MAX = 120
ACCEPTED: dict[str, str] = {}
"""Why each does not concern us, by advisory id."""


def ask() -> dict[str, Any] | None:
    """The auditor's report, or None where it could not make one."""
    command = [
        str(Path(sys.executable).parent / "pip-audit"), "--requirement", LOCKED, "--disable-pip",
        "--require-hashes", "--vulnerability-service", "pypi", "--format", "json",
        "--progress-spinner", "off", "--timeout", "5",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=ASK_S_MAX, check=False
        )
        found: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None
    return found


def find_holes(report: dict[str, Any]) -> list[str]:
    """Each known hole that is not accepted, and where it is mended."""
    holes = []
    for package in report["dependencies"]:
        for hole in package.get("vulns", ()):
            if {hole["id"], *hole.get("aliases", ())} & ACCEPTED.keys():
                continue
            mended = ", ".join(hole["fix_versions"]) or "no release yet"
            holes.append(
                f"{package['name']} {package['version']}: {hole['id']}; mended in {mended}"
            )
    return holes


def count_asked(report: dict[str, Any]) -> int:
    """How many packages the service knew."""
    return sum("vulns" in package for package in report["dependencies"])


def main() -> int:
    """The exit code."""
    report = ask()
    if report is None or not count_asked(report):
        print("dependencies: the advisory service could not be asked; nothing was checked")
        return 0
    holes = find_holes(report)
    print("\n".join(holes) or f"dependencies: {count_asked(report)} asked about, no known hole")
    return 1 if holes else 0


if __name__ == "__main__":
    sys.exit(main())
