"""The store's tables through the releases: made and changed by migrations, never by hand.

The migrations lie beside this file and are run in one transaction, under a lock: two ledgers
that start at once do not both make the tables.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect

from ledger.store_database import Database
from ledger.store_faults import StoreTooNew
from ledger.store_tables import SCHEMA

REVISIONS = ("0001", "0002")
"""Every revision there was, oldest first, as `migrations/versions/` has them."""
NEWEST = REVISIONS[-1]
VERSION_TABLE = "store_version"
MIGRATIONS = Path(__file__).with_name("migrations")

_LOCK = 0x46494C4C4741  # any number that only we lock


def migrate(database: Database) -> tuple[str | None, str]:
    """Brings the tables to this release; returns the revisions before and after.

    Raises StoreTooNew, StoreFailed.
    """
    with database.write() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        before = find_revision(connection, database.place)
        if before != NEWEST:
            _upgrade(connection)
    return before, NEWEST


def find_revision(connection: Connection, place: str) -> str | None:
    """The revision of the tables there are; None for none. Raises StoreTooNew."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found: str | None = connection.exec_driver_sql(
        f"SELECT version_num FROM {VERSION_TABLE}"  # noqa: S608 - a name of ours
    ).scalar()
    if found is not None and found not in REVISIONS:
        raise StoreTooNew(place, found)
    return found


def _upgrade(connection: Connection, revision: str = "head") -> None:
    # Imported here: a start whose tables are made already need not wait for it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
