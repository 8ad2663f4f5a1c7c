"""The index behind the search of messages: bigrams of our own, since SQLite's finds no Chinese word of two characters.

A message's text becomes terms (see :func:`search_terms`), and the database's own full-text index holds those: FTS5 in
SQLite, a ``tsvector`` with a GIN index in PostgreSQL.
"""

from sqlalchemy import Connection, text

TABLE = "message_search"


def is_search_object(name: str) -> bool:
    """Whether a table or index of this name belongs to the search and not to the tables that Alembic compares."""
    return TABLE in name


def create_search_index(connection: Connection) -> None:
    """The index, empty. Part of the first migration."""
    if connection.dialect.name == "sqlite":
        # Identifiers are terms too ('_' is part of one): rows are found for deletion by the index, not by reading all.
        # Positions are kept of nothing; what is found is checked against the text itself.
        connection.execute(
            text(
                f"CREATE VIRTUAL TABLE {TABLE} USING fts5(terms, message_id, conversation_id UNINDEXED, user_id, "
                "tokenize = \"unicode61 remove_diacritics 0 tokenchars '_'\", detail = column, columnsize = 0)"
            )
        )
        create_deletion_trigger(connection)
        return
    connection.execute(
        text(
            f"CREATE TABLE {TABLE} (message_id varchar(64) PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE, "
            "conversation_id varchar(64) NOT NULL, user_id varchar(64) NOT NULL, terms tsvector NOT NULL)"
        )
    )
    connection.execute(text(f"CREATE INDEX ix_{TABLE}_terms ON {TABLE} USING gin (terms)"))
    connection.execute(text(f"CREATE INDEX ix_{TABLE}_conversation_id ON {TABLE} (conversation_id)"))
    connection.execute(text(f"CREATE INDEX ix_{TABLE}_user_id ON {TABLE} (user_id)"))


def create_deletion_trigger(connection: Connection) -> None:
    """What is deleted is found no more, whoever deletes it: SQLite's virtual tables have no foreign keys.

    A migration that makes the table ``messages`` anew calls this again: triggers go with their table.
    """
    connection.execute(
        text(
            f"CREATE TRIGGER {TABLE}_deletion AFTER DELETE ON messages BEGIN "
            f"DELETE FROM {TABLE} WHERE {TABLE} MATCH 'message_id : \"' || old.id || '\"'; END"
        )
    )
