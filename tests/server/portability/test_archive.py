"""Uploaded files are read entry by entry; what is made to exhaust the server is refused, or counted and passed over."""

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from chatwright.errors import InputError
from chatwright.server.portability import archive
from chatwright.server.portability.archive import Archive
from chatwright.server.portability.report import Skipped
from tests.server.portability.chatgpt_export import many, shards, zipped


def entries(path: Path, data: bytes) -> tuple[list[Any], Skipped]:
    path.write_bytes(data)
    skipped = Skipped()
    opened = Archive(path)
    try:
        return list(opened.entries(skipped)), skipped
    finally:
        opened.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "upload"


def test_shards_are_read_in_order_and_nothing_else_is(path: Path) -> None:
    conversations = many(25)
    files = shards(conversations, 2)
    files["chat.html"] = "<script>"
    files["user.json"] = "{}"
    files["conversations-000.json.exe"] = "no"
    read, skipped = entries(path, zipped(dict(reversed(files.items()))))
    assert [item["title"] for item in read] == [item["title"] for item in conversations]
    assert not skipped


def test_a_list_an_object_and_lines_are_read_alike(path: Path) -> None:
    rows = [{"messages": []}, {"messages": [1]}]
    for text in (json.dumps(rows), "\n".join(map(json.dumps, rows))):
        assert entries(path, text.encode())[0] == rows
    assert entries(path, b'\n{"messages": []}\n')[0] == [{"messages": []}]


def test_a_broken_shard_is_counted_and_the_next_is_read(path: Path) -> None:
    read, skipped = entries(
        path, zipped({"conversations-000.json": '[{"a": 1}, {"b":', "conversations-001.json": '[{"c": 2}]'})
    )
    assert read == [{"a": 1}, {"c": 2}]
    assert skipped == {"unreadable_file": 1}


def test_names_within_a_zip_are_never_paths(path: Path, tmp_path: Path) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as made:
        link = zipfile.ZipInfo("conversations-001.json")
        link.external_attr = 0o120777 << 16  # a symbolic link
        made.writestr(link, "/etc/passwd")
        made.writestr("../../conversations.json", '[{"a": 1}]')
    before = set(tmp_path.rglob("*"))
    read, skipped = entries(path, data.getvalue())
    assert read == [{"a": 1}]
    assert skipped == {"unreadable_file": 1}  # the link's target is text, and no JSON
    assert set(tmp_path.rglob("*")) - before == {path}


def test_case_16_a_bomb_is_refused_before_it_is_unpacked(path: Path) -> None:
    bomb = zipped({"conversations.json": b"[" + b" " * (20 << 20) + b"]"})
    assert len(bomb) < 100_000
    with pytest.raises(InputError, match="far more"):
        entries(path, bomb)


def test_case_16_a_bomb_of_honest_ratio_ends_at_the_limit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED_BYTES", 1 << 20)
    with pytest.raises(InputError, match="more than 2 GiB"):
        entries(path, zipped({"conversations.json": json.dumps(["x" * 100] * 20_000)}))
    with pytest.raises(InputError, match="more than 2 GiB"):
        entries(path, json.dumps(["x" * 100] * 20_000).encode())


def test_case_16_sizes_that_lie_do_not_help(path: Path) -> None:
    honest = zipped({"conversations.json": b"[" + b" " * (20 << 20) + b"]"})
    at = honest.rfind(b"PK\x01\x02")
    lying = honest[: at + 24] + struct.pack("<L", 100) + honest[at + 28 :]  # uncompressed size in the directory
    read, skipped = entries(path, lying)
    assert read == []
    assert skipped == {"unreadable_file": 1}


def test_case_16_a_directory_of_millions_is_refused_unread(path: Path) -> None:
    honest = bytearray(zipped({"conversations.json": "[]"}))
    at = honest.rfind(b"PK\x05\x06")
    honest[at + 12 : at + 16] = struct.pack("<L", 17 << 20)
    with pytest.raises(InputError, match="too many files"):
        entries(path, bytes(honest))


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_methods_whose_memory_the_file_decides_are_not_used(path: Path, method: int) -> None:
    assert entries(path, zipped({"conversations.json": "[]"}, method)) == ([], {"unreadable_file": 1})


@pytest.mark.parametrize("data", [b"PK\x03\x04", b"PK\x05\x06" + bytes(18), zipped({"other.json": "[]"})])
def test_a_zip_without_conversations_is_refused(path: Path, data: bytes) -> None:
    with pytest.raises(InputError, match="ZIP"):
        entries(path, data)


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\xfe", b"[" * 100_000, b'{"a": ' * 5000, b'[{"a": 1, "a": 2}]', b'[1, {"b"', b"[" + b"9" * 5000 + b"]"],
    ids=lambda data: f"{data[:8]!r}",
)
def test_what_is_no_json_is_counted(path: Path, data: bytes) -> None:
    read, skipped = entries(path, data)
    assert read in ([], [1])
    assert skipped == ({"unreadable_file": 1} if data else {})


def test_case_16_one_entry_cannot_fill_the_memory(path: Path) -> None:
    read, skipped = entries(path, b'[{"mapping": {}}, "' + b"x" * (40 << 20) + b'"]')
    assert read == [{"mapping": {}}]
    assert skipped == {"unreadable_file": 1}
