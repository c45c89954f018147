"""Checks of a deployment: settings, home, journal, tokens, ports, Ray, health, brokers."""

from __future__ import annotations

import http.client
import json
import os
import socket
import stat
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from actors import options
from actors.cluster import GCS, RAYLET, ray_processes
from actors.legacy import read_legacy
from actors.paths import Paths
from actors.settings import ConnectionSettings, Settings, SettingsError, load
from actors.supervisor import Running
from brokers.registry import BROKERS
from cli.checks import Check, fail, ok, warn
from gateway.tokens import TokenError, read_tokens
from ledger.faults import JournalError, JournalMissing
from ledger.places import Place, Reader, check, holder_of, reader_of
from ledger.verification import JournalReport

REACH_S = 3.0
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def check_settings(paths: Paths) -> tuple[Settings | None, list[Check]]:
    """The settings, or every fault in them."""
    try:
        settings = load(paths.settings)
    except SettingsError as trouble:
        fix = "correct fillgate.toml; deploy/fillgate.example.toml explains every key"
        return None, [fail("settings", fault, fix) for fault in trouble.faults]
    count = len(settings.connections)
    return settings, [ok("settings", f"deployment {settings.deployment.id}, {count} connections")]


def check_home(paths: Paths) -> list[Check]:
    """Ours, and for our eyes only."""
    checks = []
    for path in (paths.home, paths.settings, paths.tokens, paths.first_token, paths.journal):
        if not path.exists():
            continue
        found = path.stat()
        if found.st_uid != os.getuid():
            fix = "run as its owner, or choose another --home"
            checks.append(fail("home", f"{path} belongs to user {found.st_uid}", fix))
        elif found.st_mode & OTHERS and path != paths.settings:
            mode = oct(stat.S_IMODE(found.st_mode))
            checks.append(warn("home", f"{path} has mode {mode}", f"chmod go= {path}"))
    return checks or [ok("home", f"{paths.home}, for this user alone")]


def check_journal(place: Place) -> tuple[int | None, list[Check]]:
    """Whole, ours, and who holds it; with the time of its last record."""
    try:
        check(place)
    except JournalMissing:
        return None, [fail("journal", f"none in {place.where}", "run `fillgate init`")]
    except (JournalError, OSError) as fault:
        return None, [fail("journal", str(fault), "see the text itself")]
    reader = reader_of(place)
    report = reader.verify()
    if report.faults:
        return None, [fail("journal", fault, "see the text itself") for fault in report.faults]
    segments = f" in {report.segments} segments" if report.segments else f" in {place.where}"
    found = f"{report.records} records{segments}, whole"
    holder = holder_of(place)
    lock = ok("journal lock", f"held by {holder}" if holder else "free")
    return _last_ns(reader, report), [ok("journal", found), lock]


def _last_ns(reader: Reader, report: JournalReport) -> int | None:
    try:
        return max(
            (record.at_ns for record in reader.replay(max((report.last or 0) - 1, 0))),
            default=None,
        )
    except JournalError:
        return None


def check_tokens(paths: Paths) -> list[Check]:
    """At least one that opens the door."""
    try:
        tokens = read_tokens(paths.tokens)
    except TokenError as fault:
        return [fail("tokens", str(fault), "restore the file, or make new tokens")]
    now_ns = time.time_ns()
    in_force = [
        token
        for token in tokens
        if not token.revoked and (token.expires_ns is None or now_ns < token.expires_ns)
    ]
    if not in_force:
        return [fail("tokens", "none in force", "run `fillgate token create`")]
    return [ok("tokens", f"{len(in_force)} of {len(tokens)} in force")]


def check_ports(settings: Settings, running: Running | None) -> list[Check]:
    """Free, or held by our own deployment."""
    wanted = settings.deployment
    checks = []
    for name, host, port in (
        ("port", wanted.host, wanted.port),
        ("health port", "127.0.0.1", wanted.health_port),
        ("REST port", wanted.host, wanted.rest_port),
    ):
        if port == 0:
            checks.append(ok(name, "any free one"))
        elif running is not None:
            checks.append(ok(name, f"{port}, held by our own deployment"))
        else:
            checks.append(_check_free(name, host, port))
    return checks


def _check_free(name: str, host: str, port: int) -> Check:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as trouble:
            why = trouble.strerror or str(trouble)
            fix = "stop the other program, or set another in fillgate.toml, [deployment]"
            return fail(name, f"{port}: {why.lower()}", fix)
    return ok(name, f"{port}, free")


def check_ray(paths: Paths, running: Running | None) -> list[Check]:
    """Ray's settings as we need them, and its processes where the deployment runs."""
    name = "ray"
    if "RAY_ADDRESS" in os.environ:
        fix = "unset RAY_ADDRESS: Fillgate runs a Ray of its own"
        return [warn(name, f"RAY_ADDRESS is {os.environ['RAY_ADDRESS']}", fix)]
    if running is None:
        return [ok(name, "not running; starts with `fillgate up`")]
    checks = []
    processes = ray_processes(paths.runtime)
    legacy = read_legacy(paths.kept)
    for kind in (GCS, RAYLET):
        # On another node than the head there is no GCS.
        if kind not in processes and (legacy is None or kind in legacy.kept):
            fix = "trading goes on, and it is started again; if not, see logs/supervisor.log"
            checks.append(fail(name, f"{kind} is gone", fix))
    for kind, process in processes.items():
        checks += [fail(name, f"{kind}: {fault}", "restart it") for fault in _ray_faults(process)]
    host, _, port = running.ray_address.rpartition(":")
    if not _answers(host, int(port)):
        checks.append(fail(name, f"{running.ray_address} does not answer", "see `fillgate up`"))
    return checks or [ok(name, f"{running.ray_address}, under our settings")]


def _ray_faults(process: psutil.Process) -> list[str]:
    """Where a Ray process runs under other settings than actors/options.py says."""
    try:
        theirs, niceness = process.environ(), process.nice()
    except psutil.Error as trouble:
        return [f"cannot be looked at: {trouble}"]
    faults = [
        f"{name} is {theirs.get(name)!r}, must be {value!r}"
        for name, value in options.RAY_ENVIRONMENT.items()
        if theirs.get(name) != value
    ]
    return [*faults, *([f"niceness is {niceness}, must be 0"] if niceness > 0 else [])]


def check_health(running: Running | None) -> list[Check]:
    """What the running deployment says of itself."""
    if running is None:
        return [ok("deployment", "not running; start it with `fillgate up`")]
    try:
        status, body = _get(f"{running.health_url}/readyz")
    except OSError as trouble:
        fix = "see logs/ in the home; restart with `fillgate up`"
        return [fail("deployment", f"health does not answer: {trouble}", fix)]
    if status != 200:
        fix = "wait a moment; then see logs/router.log in the home"
        return [fail("deployment", f"not ready: {body}", fix)]
    return [ok("deployment", f"ready at {running.url}, process {running.pid}")]


def _get(url: str) -> tuple[int, Any]:
    """One HTTP answer. Raises OSError."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=REACH_S)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        return answer.status, answer.read(4096).decode("utf-8", "replace")
    except http.client.HTTPException as trouble:
        raise OSError(str(trouble)) from trouble
    finally:
        connection.close()


def check_connections(paths: Paths, settings: Settings) -> list[Check]:
    """Each broker's hosts, by a connect alone: no request is sent."""
    return [check for connection in settings.connections for check in _check_one(paths, connection)]


def _check_one(paths: Paths, connection: ConnectionSettings) -> list[Check]:
    name = f"connection {connection.id}"
    urls = _urls(paths, connection)
    if not urls:
        return [ok(name, f"simulator {connection.simulator}, starts with `fillgate up`")]
    for url in urls:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if not _answers(parts.hostname or "", port):
            fix = "check the network, the firewall, and the broker's status page"
            return [fail(name, f"{parts.hostname}:{port} cannot be reached", fix)]
    return [ok(name, f"{urls[0]} can be reached")]


def _urls(paths: Paths, connection: ConnectionSettings) -> list[str]:
    if connection.simulator is not None and connection.api_url is None:
        facts = paths.runtime / f"simulator-{connection.simulator}.json"
        return _simulator_urls(facts)
    rest, stream = BROKERS[connection.broker].hosts[connection.environment]
    return [connection.api_url or rest, connection.stream_url or stream]


def _simulator_urls(facts: Path) -> list[str]:
    try:
        return [json.loads(facts.read_text())["url"]]
    except (FileNotFoundError, ValueError, KeyError):
        return []


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=REACH_S):
            return True
    except OSError:
        return False
