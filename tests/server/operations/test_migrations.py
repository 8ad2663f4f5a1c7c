"""Databases are brought to the newest form, from every released one, on both kinds of database."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, insert, inspect, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from chatwright.errors import StorageError
from chatwright.server.database import migrations, open_database
from chatwright.server.database.base import Base
from chatwright.server.database.engine import parse_database_url
from chatwright.server.database.search_index import is_search_object
from chatwright.server.database.tables import User
from tests.server.operations.conftest import add_step

REVISIONS = [step.revision for step in reversed(list(migrations.script_directory().walk_revisions()))]


@pytest.mark.anyio
async def test_an_empty_database_gets_exactly_the_tables_of_the_program(database_url: str) -> None:
    def differences(connection: Connection) -> object:
        options = {"compare_type": True, "include_object": lambda _, name, *rest: not is_search_object(name or "")}
        return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)

    database = await open_database(database_url)
    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await database.close()


@pytest.mark.anyio
@pytest.mark.parametrize("revision", REVISIONS)
async def test_data_of_every_release_survives_the_way_up(database_url: str, revision: str) -> None:
    def old_release(connection: Connection) -> None:
        config = migrations.alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        columns = {column["name"] for column in inspect(connection).get_columns("users")}
        row = {"id": "user_1", "name": "Ada", "name_key": "ada", "role": "admin", "disabled": False}
        row |= {"training_consent": False, "preferences": {}, "created_ms": 1}
        assert row.keys() <= columns
        connection.execute(insert(User.__table__).values(row))  # type: ignore[arg-type]

    engine = create_async_engine(parse_database_url(database_url))
    async with engine.begin() as connection:
        await connection.run_sync(old_release)
    await engine.dispose()
    for _ in range(2):  # the second time there is nothing left to do
        database = await open_database(database_url)
        async with database.read() as db:
            assert (await db.scalars(select(User.name))).all() == ["Ada"]
        async with database.engine.connect() as connection:
            assert await connection.run_sync(migrations.current_revision) == REVISIONS[-1]
        await database.close()


@pytest.mark.anyio
async def test_a_copy_is_made_before_an_sqlite_file_is_migrated(tmp_path: Path, next_release: Path) -> None:
    url, backups = f"sqlite:///{tmp_path / 'a.db'}", tmp_path / "backups"
    await (await open_database(url, backups=backups)).close()
    assert not backups.exists()  # there was nothing to keep
    add_step(next_release)
    await (await open_database(url, backups=backups)).close()
    (copy,) = backups.iterdir()
    for path, has_motto in ((copy, False), (tmp_path / "a.db", True)):
        with closing(sqlite3.connect(path)) as connection:
            columns = [row[1] for row in connection.execute("PRAGMA table_info(users)")]
            assert ("motto" in columns) is has_motto


@pytest.mark.anyio
async def test_a_step_that_fails_leaves_nothing_of_itself(database_url: str, next_release: Path) -> None:
    await (await open_database(database_url)).close()
    add_step(next_release, 'op.execute("INSERT INTO no_such_table VALUES (1)")')
    with pytest.raises(StorageError, match=r"no_such_table.*nothing was changed"):
        await open_database(database_url)
    (next_release / "versions" / "9000_a_motto.py").unlink()
    database = await open_database(database_url)
    async with database.engine.connect() as connection:
        columns = await connection.run_sync(lambda c: [column["name"] for column in inspect(c).get_columns("users")])
    assert "motto" not in columns
    await database.close()


@pytest.mark.anyio
async def test_a_database_of_a_newer_version_is_refused_untouched(database_url: str, next_release: Path) -> None:
    add_step(next_release)
    database = await open_database(database_url)
    await database.close()
    (next_release / "versions" / "9000_a_motto.py").unlink()
    with pytest.raises(StorageError, match=r"newer version.*9000.*restore"):
        await open_database(database_url)


@pytest.mark.anyio
async def test_servers_that_start_at_once_migrate_once(database_url: str) -> None:
    databases = await asyncio.gather(*(open_database(database_url) for _ in range(5)))
    async with databases[0].read() as db:
        assert (await db.execute(text("SELECT count(*) FROM alembic_version"))).scalar() == 1
    for database in databases:
        await database.close()


@pytest.mark.anyio
@pytest.mark.parametrize(
    "url", ["mysql://root:geheim@localhost/x", "nonsense geheim", "postgresql://u:geheim@127.0.0.1:1/x"]
)
async def test_a_database_that_cannot_be_opened_is_a_sentence_without_the_password(url: str) -> None:
    with pytest.raises((StorageError, ValueError)) as caught:
        await open_database(url)
    assert "geheim" not in str(caught.value)


@pytest.mark.anyio
async def test_case_18_errors_of_the_database_hold_no_values(database_url: str) -> None:
    database = await open_database(database_url)
    with pytest.raises(Exception) as caught:
        async with database.write() as db:
            await db.execute(insert(User), [{"id": "u", "name": "my secret", "name_key": "k", "role": None}])
    assert "my secret" not in str(caught.value)
    await database.close()


@pytest.mark.anyio
async def test_nobody_else_on_the_machine_reads_the_database(tmp_path: Path) -> None:
    path = tmp_path / "home" / "chatwright.db"
    database = await open_database(f"sqlite:///{path}")
    async with database.write() as db:
        db.add(User(id="user_1", name="ada", name_key="ada", role="admin", created_ms=1))
        await db.flush()
        log = path.with_name("chatwright.db-wal")
        assert [file.stat().st_mode & 0o077 for file in (path, log)] == [0, 0]
        await db.rollback()
    await database.close()
