"""Alembic's entry: runs the steps on the connection that it is given."""

from alembic import context

from chatwright.server.database import tables
from chatwright.server.database.base import Base
from chatwright.server.database.search_index import is_search_object

assert tables.User.metadata is Base.metadata  # importing the package has filled it

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
    compare_type=True,
    include_object=lambda _, name, kind, *rest: not is_search_object(name or ""),
)
with context.begin_transaction():
    context.run_migrations()
