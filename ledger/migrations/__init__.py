"""The store's migrations: Alembic runs `versions/` in their order."""
