"""PostgreSQL: registry, journal, lanes, keys and heartbeats in a database that replicas share."""

from gateway.store.postgres.database import PostgresDatabase
from gateway.store.postgres.store import PostgresStore, open_postgres

__all__ = ["PostgresDatabase", "PostgresStore", "open_postgres"]
