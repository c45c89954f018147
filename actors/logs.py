"""Structured logs: one JSON line an event, ECS field names, one file a process."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog

SECRET_FIELDS = frozenset({"token", "authorization", "secret", "password"})


def configure_logs(path: Path, level: str, role: str) -> None:
    """Sends every log of this process to the file, secrets struck out."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    file = path.open("a", buffering=1, encoding="utf-8")
    path.chmod(0o600)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="@timestamp"),
            structlog.processors.format_exc_info,
            _strike_secrets,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=file),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    handler = logging.StreamHandler(file)
    handler.setFormatter(logging.Formatter('{"message": "%(message)s", "log.logger": "%(name)s"}'))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _strike_secrets(
    _logger: Any, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key in SECRET_FIELDS & event.keys():
        event[key] = "***"
    return event
