"""Fails where a tracked file holds what looks like a secret and is not in `.secrets.baseline`.

The baseline names what was looked at and is none (test data, examples), by file and hash, so a
line that moves is nothing new. After looking at a new find: `scan_secrets.py --accept`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).resolve().parent.parent
BASELINE = ROOT / ".secrets.baseline"
GENERATED = ("requirements/run.txt", "requirements/dev.txt", "docs/openapi.json")
GENERATED += ("docs/asyncapi.json", BASELINE.name)
PLUGINS = (
    "ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector",
    "CloudantDetector", "DiscordBotTokenDetector", "GitHubTokenDetector", "GitLabTokenDetector",
    "JwtTokenDetector", "KeywordDetector", "MailchimpDetector", "NpmDetector", "OpenAIDetector",
    "PrivateKeyDetector", "PypiTokenDetector", "SendGridDetector", "SlackDetector",
    "SquareOAuthDetector", "StripeDetector", "TelegramBotTokenDetector", "TwilioKeyDetector",
)  # fmt: skip
FILTERS = (
    "detect_secrets.filters.allowlist.is_line_allowlisted",
    "detect_secrets.filters.heuristic.is_indirect_reference",
    "detect_secrets.filters.heuristic.is_likely_id_string",
    "detect_secrets.filters.heuristic.is_not_alphanumeric_string",
    "detect_secrets.filters.heuristic.is_potential_uuid",
    "detect_secrets.filters.heuristic.is_prefixed_with_dollar_sign",
    "detect_secrets.filters.heuristic.is_sequential_string",
    "detect_secrets.filters.heuristic.is_templated_secret",
)
Finds = dict[str, dict[str, int]]
"""By file: the hash of each find, and a line it stands on."""


def scan(root: Path, files: Iterable[str]) -> Finds:
    """What looks like a secret."""
    words = {
        "plugins_used": [{"name": name} for name in PLUGINS],
        "filters_used": [{"path": path} for path in FILTERS],
    }
    found: Finds = {}
    with transient_settings(words):
        secrets = SecretsCollection(root=str(root))
        for name in files:
            secrets.scan_file(name)
    for name, secret in secrets:
        found.setdefault(name, {})[secret.secret_hash] = secret.line_number
    return found


def find_new(found: Finds, known: dict[str, list[str]]) -> list[str]:
    """Where there is something that nobody has looked at."""
    return [
        f"{name}:{line}"
        for name, by_hash in sorted(found.items())
        for mark, line in by_hash.items()
        if mark not in known.get(name, ())
    ]


def _tracked() -> list[str]:
    """Every tracked file that is written by people."""
    command = ["git", "ls-files", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    texts = [name for name in names.decode().split("\0") if name and name not in GENERATED]
    return [
        name for name in texts if not name.endswith((".png", ".svg")) and (ROOT / name).exists()
    ]


def main(words: list[str]) -> int:
    """The exit code."""
    found = scan(ROOT, _tracked())
    if "--accept" in words:
        known = {name: sorted(by_hash) for name, by_hash in sorted(found.items())}
        BASELINE.write_text(json.dumps(known, indent=1) + "\n")
        return 0
    fresh = find_new(found, json.loads(BASELINE.read_text()))
    for place in fresh:
        print(f"{place}: looks like a secret")
    if fresh:
        print("take it out and revoke it; if it is none: scan_secrets.py --accept")
    return 1 if fresh else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
