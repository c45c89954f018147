"""Rows go where the last ones went.

An order's id is as good as drawn by lot, so each row of an index by it touches a page of its own:
at 100,000 orders those of events and fills cost more than all else that a batch writes. Nothing
here looks for rows by them. A fill is known by the entry that told it; an execution told again
makes none (the fold passes it over).
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import Connection

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SWAPPED = "fills_by_execution"


def upgrade() -> None:
    """Drops what goes by order id, and gives the fills another key."""
    op.drop_index("events_of_order", "events")
    op.drop_index("fills_of_order", "fills")
    op.drop_index("fills_by_number", "fills")
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        _copy_fills(connection)
        return
    op.drop_constraint("fills_pkey", "fills", type_="primary")
    op.create_primary_key("fills_pkey", "fills", ["stream", "seq"])


def _copy_fills(connection: Connection) -> None:
    """SQLite cannot change the key of a table."""
    made = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'fills'").scalar()
    assert made is not None
    again = made.replace("PRIMARY KEY (execution_id)", "PRIMARY KEY (stream, seq)")
    assert again != made
    op.rename_table("fills", SWAPPED)
    connection.exec_driver_sql(again)
    connection.exec_driver_sql(
        f"INSERT INTO fills SELECT * FROM {SWAPPED} ORDER BY stream, seq"  # noqa: S608
    )
    op.drop_table(SWAPPED)
