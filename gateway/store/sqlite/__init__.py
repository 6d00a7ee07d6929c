"""SQLite: registry, journal, lanes and keys in one file, durable at every commit."""

from gateway.store.sqlite.database import SqliteDatabase, open_database
from gateway.store.sqlite.store import SqliteStore, open_sqlite

__all__ = ["SqliteDatabase", "SqliteStore", "open_database", "open_sqlite"]
