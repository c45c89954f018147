"""Structured logs: one JSON line an event, ECS field names, one file a process, bounded.

None of it is on an order's way: what happens to orders is in the journal; a log tells of the
processes. A file is turned at `FILE_BYTES_MAX` and `FILES_KEPT` older ones are kept, so a
process that repeats itself fills no disk. Secrets are struck out twice: by the field's name,
and by their value wherever it turns up, also in a library's line or a stack trace.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import MutableMapping
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter

ECS_VERSION = "8.17.0"
FILE_BYTES_MAX = 16 * 1024 * 1024
FILES_KEPT = 4
SECRET_FIELD = re.compile(r"token|authorization|secret|password|passwd|cookie|api_?key|url", re.I)
SECRET_CHARACTERS_MIN = 8
STRUCK = "***"
SERVICE = "fillgate"
ECS = {
    "why": "event.reason",
    "reason": "event.reason",
    "path": "url.path",
    "code": "process.exit_code",
}
"""Our words that ECS has a field for; others go below `fillgate.`"""

_concealed: set[str] = set()


def conceal(secret: str) -> None:
    """From now on this value, and each long part of it, appears in no line of this process."""
    for part in (secret, *re.split(r"[\s:/@?&=]+", secret)):
        if len(part) >= SECRET_CHARACTERS_MIN:
            _concealed.update((part, json.dumps(part)[1:-1]))


def configure_logs(path: Path, level: str, role: str) -> None:
    """Sends every log of this process to the file, secrets struck out."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    handler = _PrivateFile(path, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT, encoding="utf-8")
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="@timestamp"),
    ]
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[ProcessorFormatter.remove_processors_meta, _Ecs(role), _to_line],
        )
    )
    ours = logging.getLogger(SERVICE)
    ours.setLevel(number)
    structlog.configure(
        processors=[*shared, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: ours,
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


class _PrivateFile(RotatingFileHandler):
    """A log file for this user alone, also after it was turned."""

    def _open(self) -> Any:
        file = super()._open()
        os.fchmod(file.fileno(), 0o600)
        return file


class _Ecs:
    """Puts an event into ECS' words."""

    def __init__(self, role: str) -> None:
        self._every_line = {
            "ecs.version": ECS_VERSION,
            "service.name": SERVICE,
            "service.node.name": role,
        }

    def __call__(
        self, _logger: Any, _name: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        message = str(event.pop("event"))
        told: dict[str, Any] = {
            "@timestamp": event.pop("@timestamp"),
            "log.level": event.pop("level"),
            "message": message,
            **self._every_line,
            "process.pid": os.getpid(),
        }
        logger = event.pop("logger", None)
        if logger is None:
            told["event.action"] = re.sub(r"[^a-z0-9]+", "-", message.lower()).strip("-")
        else:
            told["log.logger"] = logger
        told |= _error(event.pop("exc_info", None))
        for key, value in event.items():
            is_secret = SECRET_FIELD.search(key) is not None
            told[ECS.get(key, f"{SERVICE}.{key}")] = STRUCK if is_secret else value
        return told


def _error(exc_info: Any) -> dict[str, str]:
    """An exception in ECS' words; nothing where there is none."""
    trouble = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if not isinstance(trouble, BaseException):
        return {}
    lines = logging.Formatter().formatException((type(trouble), trouble, trouble.__traceback__))
    return {
        "error.type": type(trouble).__qualname__,
        "error.message": str(trouble),
        "error.stack_trace": lines,
    }


def _to_line(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> str:
    """One line of JSON, in which no concealed value is left."""
    line = json.dumps(event, default=str)
    for secret in _concealed:
        line = line.replace(secret, STRUCK)
    return line
