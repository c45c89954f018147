"""Opening the store of a deployment: migrated to this release, and its own."""

from __future__ import annotations

from pathlib import Path

from ledger.store import Store
from ledger.store_database import Database, find_url
from ledger.store_schema import migrate


def open_store(url: str | None, file: Path, deployment_id: str) -> Store:
    """The store at a URL, or in a file, with the tables of this release. Raises StoreError."""
    database = Database(find_url(url, file))
    try:
        migrate(database)
        return Store(database, deployment_id)
    except BaseException:
        database.close()
        raise
