"""Which database holds the relational store. Every process reads this, so it loads no SQL."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

SCHEMES = ("sqlite", "postgresql")


class StoreSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which database holds the store; without a URL, a SQLite file in the deployment's home.

    A URL with a password belongs in the environment variable that `url_env` names. One
    transaction takes `batch_records` at most, and waits `gather_ms` for more of them.
    """

    url: str | None = None
    url_env: str | None = None
    batch_records: Annotated[int, Meta(ge=1, le=10_000)] = 2_000
    gather_ms: Annotated[int, Meta(ge=0, le=1_000)] = 1_000


def find_faults(settings: StoreSettings, from_environment: str | None) -> list[str]:
    """What is wrong with the settings, each with its fix; the variable's value where one is named.

    A fault never shows the URL: it may hold a password.
    """
    if settings.url is not None and settings.url_env is not None:
        return ["[store]: url and url_env are both set; keep one of them"]
    if settings.url_env is not None and not from_environment:
        return [f"[store]: environment variable {settings.url_env} is not set"]
    text = settings.url or from_environment
    if text is None:
        return []
    try:
        parts = urlsplit(text)
        password = parts.password
    except ValueError:
        return ["[store]: the URL cannot be read; it looks like postgresql://user@host/database"]
    if parts.scheme.partition("+")[0] not in SCHEMES:
        return ["[store]: use a URL such as sqlite:///file or postgresql://user@host/database"]
    if settings.url is not None and password is not None:
        return ["[store] url: holds a password; put the URL into the environment, see url_env"]
    return []
