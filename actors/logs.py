"""Structured logs: one JSON line an event, ECS field names, one file a process."""

from __future__ import annotations

import json
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
    handler.setFormatter(_JsonLine())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _strike_secrets(
    _logger: Any, _name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key in event:
        if key.lower() in SECRET_FIELDS:
            event[key] = "***"
    return event


class _JsonLine(logging.Formatter):
    """What libraries log, in lines like ours."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps({"message": super().format(record), "log.logger": record.name})
