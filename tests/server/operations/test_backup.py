"""What a backup holds, and that all of it comes back, on either database."""

import json
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, Boolean, Integer, Table, func, insert, null, select

from chatwright.errors import ChatwrightError, InputError, StorageError
from chatwright.server.conversations import search
from chatwright.server.database import Database, open_database
from chatwright.server.database.tables import Conversation, FineTuningJob, MessageRow, ServerSetting, User
from chatwright.server.operations import backup
from chatwright.server.operations.backup import back_up
from chatwright.server.operations.restore import restore
from chatwright.server.settings import ServerSettings
from tests.server.conftest import MakeSettings
from tests.server.operations.conftest import add_step


def _row(table: Table, number: int) -> dict[str, Any]:
    """A row with something in every column that must have it, and nothing in the others."""
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.nullable:
            row[column.name] = null() if isinstance(column.type, JSON) else None
        elif isinstance(column.type, JSON):
            row[column.name] = {"列表": [1, 2.5, None, "中文 \U0001f600"], "number": number}
        elif isinstance(column.type, Boolean):
            row[column.name] = bool(number % 2)
        elif isinstance(column.type, Integer):
            row[column.name] = 10**12 + number if column.name.endswith("_ms") else number
        else:
            row[column.name] = f"{column.name}_{number}"
    for key in table.foreign_keys:
        if not key.parent.nullable:
            row[key.parent.name] = f"{key.column.name}_{number}"
    return row


async def fill(database: Database) -> None:
    """Two rows in every table, and a conversation that can be found."""
    async with database.write() as db:
        for table in backup.tables():
            for number in (1, 2):
                await db.execute(insert(table).values(_row(table, number)))
        message = MessageRow(
            id="msg_x", conversation_id="id_1", role="user", origin="typed", content="去北京旅行 plans"
        )
        message.created_ms = message.updated_ms = 5
        db.add(message)
        setting = ServerSetting(name="nothing", value=None, changed_ms=1)  # JSON's null is a value
        db.add(setting)


async def contents(database: Database) -> dict[str, list[Any]]:
    """Every row of every table."""
    async with database.read() as db:
        return {
            table.name: sorted(map(tuple, (await db.execute(select(table))).all()), key=repr)
            for table in backup.tables()
        }


def write_files(settings: ServerSettings) -> None:
    for name, text in {
        "files/file-1": "uploaded",
        "runs/job/model/model.safetensors": "weights",
        "server.yaml": "sign_up: open\n",
        "models/pulled/model.safetensors": "can be had again",
        "cache/kernels/x": "can be made again",
        "logs/log": "-",
    }.items():
        path = settings.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.anyio
@pytest.mark.parametrize("other", ["sqlite", "postgresql"])
async def test_everything_comes_back_on_either_database(
    database_url: str, other: str, request: pytest.FixtureRequest, tmp_path: Path, make_settings: MakeSettings
) -> None:
    settings = make_settings()
    write_files(settings)
    database = await open_database(database_url)
    await fill(database)
    report = await back_up(database, settings, tmp_path / "backup.zip")
    before = await contents(database)
    await database.close()
    assert report.files == 3
    assert report.rows == sum(map(len, before.values())) == 2 * len(before) + 2
    assert stat.S_IMODE(report.path.stat().st_mode) == 0o600

    elsewhere = make_settings(home=tmp_path / "other")
    elsewhere.home.mkdir()
    (elsewhere.home / "server.yaml").write_text("sign_up: closed\n")
    new_url = request.getfixturevalue("postgres_url") if other == "postgresql" else f"sqlite:///{tmp_path / 'new.db'}"
    if other == "postgresql" and database_url == new_url:
        new_url = request.getfixturevalue("postgres").new_database()
    restored = await open_database(new_url)
    again = await restore(restored, elsewhere, report.path, replace=False)
    assert (again.rows, again.files) == (report.rows, report.files - 1)
    assert await contents(restored) == before
    async with restored.read() as db:
        assert await db.scalar(select(func.count()).where(FineTuningJob.error.is_(None))) == 2
        query = search.parse_query("北京")
        assert query is not None
        owner = await db.scalar(select(Conversation.user_id).where(Conversation.id == "id_1"))
        assert await search.find(db, owner, query, limit=5) == ["msg_x"]  # type: ignore[arg-type]
    assert (elsewhere.home / "files" / "file-1").read_text() == "uploaded"
    assert (elsewhere.home / "server.yaml").read_text() == "sign_up: closed\n"
    assert not (elsewhere.home / "models").exists()
    await restored.close()


def test_the_command_in_a_process_of_its_own_finds_every_row(tmp_path: Path) -> None:
    """Nothing but the command has been imported there, as when a person types it."""

    def admin(*arguments: str) -> str:
        command = [sys.executable, "-m", "chatwright", "admin", *arguments, "--home", str(tmp_path / "home")]
        return subprocess.run(command, input=b"a good long password", check=True, capture_output=True).stdout.decode()

    user_id = admin("create-user", "ada", "--admin", "--password-stdin").strip()
    admin("backup", str(tmp_path / "backup.zip"))
    with zipfile.ZipFile(tmp_path / "backup.zip") as archive:
        assert user_id in archive.read("tables/users.jsonl").decode()
    admin("create-user", "bob", "--password-stdin")
    admin("restore", str(tmp_path / "backup.zip"), "--replace")
    users = admin("list-users")
    assert "ada" in users
    assert "bob" not in users


@pytest.mark.anyio
async def test_what_is_there_is_only_replaced_when_that_is_said(database_url: str, make_settings: MakeSettings) -> None:
    settings = make_settings()
    database = await open_database(database_url)
    async with database.write() as db:
        db.add(User(id="u1", name="Ada", name_key="ada", role="admin", created_ms=1))
    report = await back_up(database, settings, settings.home / "backups" / "b.zip")
    async with database.write() as db:
        db.add(User(id="u2", name="Bob", name_key="bob", role="user", created_ms=1))
    with pytest.raises(InputError, match="--replace"):
        await restore(database, settings, report.path, replace=False)
    await restore(database, settings, report.path, replace=True)
    async with database.read() as db:
        assert (await db.scalars(select(User.name))).all() == ["Ada"]
    await database.close()


@pytest.mark.anyio
async def test_a_backup_of_an_older_release_is_brought_up(
    database_url: str, make_settings: MakeSettings, tmp_path: Path, next_release: Path
) -> None:
    settings = make_settings()
    old = await open_database(f"sqlite:///{tmp_path / 'old.db'}")
    await fill(old)
    report = await back_up(old, settings, tmp_path / "backup.zip")
    before = await contents(old)
    await old.close()
    add_step(next_release)
    database = await open_database(database_url)
    await restore(database, settings, report.path, replace=False)
    assert await contents(database) == before
    again = await back_up(database, settings, tmp_path / "newer.zip")
    await database.close()
    (next_release / "versions" / "9000_a_motto.py").unlink()
    target = await open_database(f"sqlite:///{tmp_path / 'target.db'}")
    with pytest.raises(StorageError, match="newer version"):
        await restore(target, settings, again.path, replace=False)
    await target.close()


@pytest.mark.anyio
async def test_a_backup_sees_one_moment_while_others_write(database_url: str) -> None:
    database = await open_database(database_url)
    await fill(database)
    async with backup._snapshot(database) as connection:
        assert len((await connection.execute(select(User))).all()) == 2
        async with database.write() as db:
            db.add(User(id="u3", name="Late", name_key="late", role="user", created_ms=1))
        assert len((await connection.execute(select(User))).all()) == 2
    await database.close()


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["home/../../escaped", "home/a\\..\\b", "runs/../x", "home/../x", "home/sub/", "home"])
async def test_case_8_a_forged_backup_cannot_write_elsewhere(
    name: str, tmp_path: Path, make_settings: MakeSettings
) -> None:
    settings = make_settings()
    database = await open_database(f"sqlite:///{tmp_path / 'a.db'}")
    report = await back_up(database, settings, tmp_path / "b.zip")
    with zipfile.ZipFile(report.path, "a") as archive:
        archive.writestr(name, "bad")
    with pytest.raises(InputError, match="outside"):
        await restore(database, settings, report.path, replace=False)
    await database.close()
    assert not list(tmp_path.rglob("escaped"))


@pytest.mark.anyio
@pytest.mark.parametrize("damage", ["cut", "empty", "foreign", "row", "no rows", "absent"])
async def test_what_is_no_backup_changes_nothing(damage: str, tmp_path: Path, make_settings: MakeSettings) -> None:
    settings = make_settings()
    database = await open_database(f"sqlite:///{tmp_path / 'a.db'}")
    await fill(database)
    path = (await back_up(database, settings, tmp_path / "b.zip")).path
    before = await contents(database)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "foreign":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "hello")
    elif damage == "absent":
        path.unlink()
    else:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read("manifest.json"))
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("manifest.json", json.dumps(manifest))
            if damage == "row":
                archive.writestr("tables/users.jsonl", '{"id": "x", "password": "; DROP TABLE users"}\n')
    with pytest.raises(ChatwrightError):
        await restore(database, settings, path, replace=True)
    assert await contents(database) == before
    await database.close()


@pytest.mark.anyio
async def test_a_full_disk_leaves_no_half_backup(
    tmp_path: Path, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = await open_database(f"sqlite:///{tmp_path / 'a.db'}")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "_write_rows", full)
    with pytest.raises(StorageError, match="No space left"):
        await back_up(database, make_settings(), tmp_path / "backups" / "b.zip")
    assert list((tmp_path / "backups").iterdir()) == []
    await database.close()
