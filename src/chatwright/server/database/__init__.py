"""Tables, the connection to SQLite or PostgreSQL, and migrations. Knows nothing of HTTP or of who may read what."""

from chatwright.server.database.engine import Database, open_database

__all__ = ["Database", "open_database"]
