"""The store's tables through the releases: made and changed by migrations, never by hand.

The migrations lie beside this file and are run in one transaction, under a lock: two ledgers
that start at once do not both make the tables.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from ledger.store_database import Database
from ledger.store_faults import StoreTooNew
from ledger.store_tables import SCHEMA

VERSION_TABLE = "store_version"
_LOCK = 0x46494C4C4741  # any number that only we lock
_FOLDER = Path(__file__).with_name("migrations")


def migrate(database: Database) -> tuple[str | None, str]:
    """Brings the tables to this release; returns the revisions before and after.

    Raises StoreTooNew, StoreFailed.
    """
    with database.write() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        before = find_revision(connection, database.place)
        if before != newest_revision():
            command.upgrade(_config(connection), "head")
    return before, newest_revision()


def find_revision(connection: Connection, place: str) -> str | None:
    """The revision of the tables there are; None for none. Raises StoreTooNew."""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    found = context.get_current_revision()
    known = {script.revision for script in _scripts().walk_revisions()}
    if found is not None and found not in known:
        raise StoreTooNew(place, found)
    return found


def newest_revision() -> str:
    """That of this release."""
    head = _scripts().get_current_head()
    assert head is not None
    return head


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_FOLDER))


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
