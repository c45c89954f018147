"""What Alembic runs: our migrations on the connection, and in the transaction, it was given."""

from __future__ import annotations

from alembic import context

from ledger.store_schema import VERSION_TABLE
from ledger.store_tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
