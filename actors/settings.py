"""Settings: one TOML file, secrets apart, and the full list of what is wrong with them.

Every folder declares its own settings beside the code that reads them; this is where they
are put together and checked, once, at start. Nobody else reads the environment.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from actors.paths import Paths
from actors.sections import (
    REQUESTS_PER_MINUTE_MIN,
    AlarmSettings,
    ClusterSettings,
    ConnectionSettings,
    DeploymentSettings,
    NodeSettings,
    OwnerSettings,
    RaySettings,
    Settings,
    SimulatorSettings,
)
from actors.tracing import find_trace_fault
from brokers.registry import BROKERS
from brokers.transport import find_url_fault
from compliance.settings import find_faults as find_compliance_faults
from domain.accounts import Environment
from domain.signals import find_faults as find_signal_faults
from ledger.journal import JournalSettings
from ledger.places import Place
from ledger.places import find_url_fault as find_database_url_fault
from ledger.store_settings import StoreSettings
from ledger.store_settings import find_faults as find_store_faults

LOOPBACK = ("127.0.0.1", "::1")

__all__ = [
    "AlarmSettings",
    "ClusterSettings",
    "ConnectionSettings",
    "DeploymentSettings",
    "NodeSettings",
    "OwnerSettings",
    "RaySettings",
    "Settings",
    "SettingsError",
    "SimulatorSettings",
    "find_journal",
    "journal_place",
    "load",
    "read_notice_urls",
    "read_store_url",
    "read_token",
]


class SettingsError(Exception):
    """The settings cannot be used; `faults` is the whole list, each with its fix."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(f"- {fault}" for fault in faults))
        self.faults = faults


def load(path: Path) -> Settings:
    """The settings of a file. Raises SettingsError with every fault found."""
    raw = _read_toml(path)
    faults = _section_faults(raw)
    if faults:
        raise SettingsError(faults)
    settings = msgspec.convert(raw, Settings, strict=True)
    faults = _find_faults(settings)
    if faults:
        raise SettingsError(faults)
    return settings


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise SettingsError([f"{path} does not exist; run `fillgate init` to make one"]) from None
    except tomllib.TOMLDecodeError as trouble:
        raise SettingsError([f"{path} is not valid TOML: {trouble}"]) from None


def _section_faults(raw: dict[str, Any]) -> list[str]:
    """Decodes section by section, so that one fault does not hide the next."""
    faults = [f"unknown section [{name}]" for name in raw if name not in Settings.__struct_fields__]
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    for name, field in fields.items():
        if name not in raw:
            if field.required:
                faults.append(f"section [{name}] is missing; run `fillgate init` for an example")
            continue
        value = raw[name]
        many = isinstance(value, list) and hasattr(field.type, "__args__")
        kind = field.type.__args__[0] if many else field.type
        for number, entry in enumerate(value if many else [value]):
            where = f"[[{name}]] number {number + 1}" if many else f"[{name}]"
            faults += _convert_faults(where, entry, kind)
    return faults


def _convert_faults(where: str, entry: Any, kind: Any) -> list[str]:
    try:
        msgspec.convert(entry, kind, strict=True)
    except msgspec.ValidationError as trouble:
        return [f"{where}: {trouble}"]
    return []


def _find_faults(settings: Settings) -> list[str]:
    """What each part alone cannot know: names that must match, secrets that must exist."""
    owners = {owner.id for owner in settings.owners}
    simulators = {simulator.id: simulator.broker for simulator in settings.simulators}
    faults = list(find_compliance_faults(settings.compliance))
    faults += find_store_faults(settings.store, read_store_url(settings.store))
    faults += find_signal_faults(settings.signals, [c.account for c in settings.connections])
    faults += _way_faults(settings.deployment)
    for kind, names in (
        ("owners", [o.id for o in settings.owners]),
        ("connections", [c.id for c in settings.connections]),
        ("connections' account", [c.account for c in settings.connections]),
        ("simulators", [s.id for s in settings.simulators]),
    ):
        twice = sorted({name for name in names if names.count(name) > 1})
        faults += [f"{kind}: {name} is used twice; each must be unique" for name in twice]
    fault = find_trace_fault(settings.traces)
    faults += [f"[traces]: {fault}"] if fault else []
    for connection in settings.connections:
        faults += _connection_faults(connection, owners, simulators)
    faults += _journal_faults(settings.journal) + _alarm_faults(settings.alarms)
    return faults + find_node_faults(settings)


def _way_faults(deployment: DeploymentSettings) -> list[str]:
    host = deployment.host
    if host in LOOPBACK or deployment.tls is not None or deployment.plaintext:
        return []
    fix = "add [deployment.tls] with certificate and key, or say plaintext = true in [deployment]"
    return [f"[deployment] host {host}: without TLS only {', '.join(LOOPBACK)} is served; {fix}"]


def find_node_faults(settings: Settings) -> list[str]:
    """What several machines need beyond one."""
    if not settings.nodes:
        return []
    faults = []
    names = [node.id for node in settings.nodes]
    if settings.cluster.node not in names:
        faults.append(f"[cluster] node {settings.cluster.node!r} is not among [[nodes]]")
    if settings.journal.backend == "local":
        faults.append("[[nodes]]: a local journal has one machine; use backend postgres")
    if not settings.ray.first_port:
        faults.append("[[nodes]]: [ray] first_port must be set, the same on all of them")
    for name in ("ca_file", "cert_file", "key_file", "ray_token_file"):
        path = getattr(settings.cluster, name)
        if path is None or not Path(path).is_file():
            faults.append(f"[cluster] {name} {path} does not exist")
    return faults


def _journal_faults(journal: JournalSettings) -> list[str]:
    if journal.backend == "local":
        return _local_journal_faults(journal)
    if (journal.url_env is None) == (journal.url_file is None):
        return ["[journal]: backend postgres needs either url_env or url_file"]
    if journal.url_env is not None and not os.environ.get(journal.url_env):
        return [f"[journal]: environment variable {journal.url_env} is not set"]
    if journal.url_file is not None and not Path(journal.url_file).is_file():
        return [f"[journal]: url_file {journal.url_file} does not exist"]
    name = journal.url_env or journal.url_file
    fault = find_database_url_fault(_read_journal_url(journal))
    return [f"[journal]: {name} {fault}"] if fault else []


def _alarm_faults(alarms: AlarmSettings) -> list[str]:
    if alarms.urls_env is not None and not os.environ.get(alarms.urls_env):
        return [f"[alarms]: environment variable {alarms.urls_env} is not set"]
    if alarms.urls_file is not None and not Path(alarms.urls_file).is_file():
        return [f"[alarms]: urls_file {alarms.urls_file} does not exist"]
    return []


def read_notice_urls(alarms: AlarmSettings) -> tuple[str, ...]:
    """Where notices to operators go; each is a secret."""
    text = ""
    if alarms.urls_env is not None:
        text = f"{os.environ[alarms.urls_env]}\n"
    if alarms.urls_file is not None:
        text += Path(alarms.urls_file).read_text()
    lines = (line.strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


def _local_journal_faults(journal: JournalSettings) -> list[str]:
    """A reserve that leaves no room for orders."""
    most = journal.segment_bytes // 2
    if journal.reserve_bytes <= most:
        return []
    words = f"is more than half of segment_bytes {journal.segment_bytes}; set {most} or less"
    return [f"[journal] reserve_bytes {journal.reserve_bytes} {words}"]


def _read_journal_url(journal: JournalSettings) -> str:
    if journal.url_env is not None:
        return os.environ[journal.url_env]
    return Path(journal.url_file or "").read_text().strip()


def _connection_faults(
    connection: ConnectionSettings, owners: set[str], simulators: Mapping[str, str]
) -> list[str]:
    where = f"connection {connection.id}"
    faults = []
    if connection.owner not in owners:
        faults.append(f"{where}: owner {connection.owner} is not among [[owners]]")
    broker = BROKERS.get(connection.broker)
    if broker is None:
        known = ", ".join(BROKERS)
        faults.append(f"{where}: broker {connection.broker} is not known; known: {known}")
    elif connection.feed and connection.feed not in broker.feeds:
        known = ", ".join(broker.feeds) or "none"
        faults.append(f"{where}: feed {connection.feed} is not known; known: {known}")
    for name in ("api_url", "stream_url"):
        url = getattr(connection, name)
        if url is not None and (fault := find_url_fault(url)) is not None:
            faults.append(f"{where}: {name} {fault}")
    if connection.simulator is None:
        if connection.token_env is None and connection.token_file is None:
            faults.append(f"{where}: needs token_env or token_file")
        if connection.token_env is not None and not os.environ.get(connection.token_env):
            faults.append(f"{where}: environment variable {connection.token_env} is not set")
        if connection.token_file is not None and not Path(connection.token_file).is_file():
            faults.append(f"{where}: token_file {connection.token_file} does not exist")
        faults += _token_faults(connection)
    elif connection.simulator not in simulators:
        faults.append(f"{where}: simulator {connection.simulator} is not among [[simulators]]")
    elif simulators[connection.simulator] != connection.broker:
        faults.append(
            f"{where}: simulator {connection.simulator} speaks "
            f"{simulators[connection.simulator]}, not {connection.broker}"
        )
    if 0 < (connection.requests_per_minute or 0) < REQUESTS_PER_MINUTE_MIN:
        least = REQUESTS_PER_MINUTE_MIN
        faults.append(f"{where}: requests_per_minute must be 0 (no limit) or at least {least}")
    if connection.environment is Environment.LIVE and connection.simulator is not None:
        faults.append(f"{where}: a live connection cannot use a simulator")
    return faults


def _token_faults(connection: ConnectionSettings) -> list[str]:
    """A token of the wrong form, told without showing it. One that is missing is told before."""
    try:
        token = read_token(connection)
    except (KeyError, OSError, UnicodeDecodeError):
        return []
    broker = BROKERS.get(connection.broker)
    if broker is None or not token or (fault := broker.find_token_fault(token)) is None:
        return []
    source = connection.token_env or connection.token_file
    return [f"connection {connection.id}: the token in {source} {fault}"]


def journal_place(paths: Paths, settings: Settings) -> Place:
    """Where the deployment's journal is."""
    return _place(paths, settings.journal, settings.deployment.id)


def find_journal(paths: Paths) -> Place:
    """The same for who only looks, whatever else the settings say. Raises SettingsError.

    Without settings it is the home's own, whosesoever.
    """
    if not paths.settings.exists():
        return Place(directory=paths.journal)
    raw = _read_toml(paths.settings)
    wanted = {name: raw[name] for name in ("deployment", "journal") if name in raw}
    try:
        known = msgspec.convert(wanted, _JournalPart, strict=True)
    except msgspec.ValidationError as trouble:
        raise SettingsError([f"[journal]: {trouble}"]) from None
    faults = _journal_faults(known.journal)
    if faults:
        raise SettingsError(faults)
    return _place(paths, known.journal, known.deployment.id)


class _JournalPart(Struct, frozen=True, kw_only=True):
    deployment: DeploymentSettings
    journal: JournalSettings = JournalSettings()


def _place(paths: Paths, journal: JournalSettings, deployment_id: str) -> Place:
    url = "" if journal.backend == "local" else _read_journal_url(journal)
    return Place(directory=paths.journal, settings=journal, deployment_id=deployment_id, url=url)


def read_token(connection: ConnectionSettings) -> str:
    """The connection's secret. A paper connection over our simulator has a fixed one."""
    if connection.token_env is not None:
        return os.environ[connection.token_env]
    if connection.token_file is not None:
        return Path(connection.token_file).read_text().strip()
    return BROKERS[connection.broker].paper_token(connection.broker_account_id)


def read_store_url(store: StoreSettings) -> str | None:
    """Where the relational store is; None for a file in the home. May hold a password."""
    return os.environ.get(store.url_env) if store.url_env is not None else store.url
