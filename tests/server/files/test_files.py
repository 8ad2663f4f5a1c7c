"""Files: kept whole, read back byte for byte, seen by their owner alone."""

import hashlib
import io
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatwright.server.files.files import shown_name
from chatwright.server.files.vault import Vault
from tests.server.conftest import Client

pytestmark = pytest.mark.anyio


async def upload(http: httpx.AsyncClient, content: bytes = b'{"a": 1}\n', **form: Any) -> httpx.Response:
    name = form.pop("filename", "rows.jsonl")
    return await http.post(
        "/v1/files",
        files={"file": (name, content)},
        data={"purpose": "fine-tune"} | form,
        headers={"X-Requested-With": "chatwright"},
    )


async def test_a_file_comes_back_byte_for_byte(client: Client) -> None:
    content = bytes(range(256)) * 5000
    async with client(accounts=False) as http:
        kept = (await upload(http, content, filename="all bytes 字节.bin")).json()
        assert kept == (await http.get(f"/v1/files/{kept['id']}")).json()
        assert (kept["object"], kept["bytes"], kept["purpose"]) == ("file", len(content), "fine-tune")
        assert kept["filename"] == "all bytes 字节.bin"
        read = await http.get(f"/v1/files/{kept['id']}/content")
        assert read.content == content
        assert read.headers["content-type"] == "application/octet-stream"
        assert read.headers["content-disposition"].startswith("attachment")


async def test_a_deleted_file_is_gone_from_list_and_disk(client: Client, tmp_path: Path) -> None:
    async with client(accounts=False) as http:
        kept = (await upload(http)).json()
        assert (tmp_path / "home" / "files" / kept["id"]).is_file()
        gone = await http.delete(f"/v1/files/{kept['id']}")
        assert gone.json() == {"id": kept["id"], "object": "file", "deleted": True}
        assert not (tmp_path / "home" / "files" / kept["id"]).exists()
        assert (await http.get("/v1/files")).json()["data"] == []
        again = await http.delete(f"/v1/files/{kept['id']}")
        assert (again.status_code, again.json()["error"]["code"]) == (404, "file_not_found")


async def test_pages_follow_each_other_in_both_orders(client: Client) -> None:
    async with client(accounts=False) as http:
        ids = [(await upload(http, f"{number}".encode())).json()["id"] for number in range(5)]
        for order in ("asc", "desc"):
            seen: list[str] = []
            page: dict[str, Any] = {"has_more": True, "last_id": None}
            while page["has_more"]:
                query = {"limit": 2, "order": order} | ({"after": page["last_id"]} if page["last_id"] else {})
                page = (await http.get("/v1/files", params=query)).json()
                seen += [file["id"] for file in page["data"]]
            assert sorted(seen) == sorted(ids)
        assert (await http.get("/v1/files", params={"purpose": "vision"})).json()["data"] == []


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"purpose": "world domination"}, "purpose"),
        ({"purpose": ""}, "purpose"),
        ({"expires_after[anchor]": "created_at"}, "expires_after"),
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": "59"}, "expires_after[seconds]"),
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": "1e99"}, "expires_after[seconds]"),
        ({"content": b""}, "file"),
    ],
)
async def test_a_bad_field_is_named(client: Client, form: dict[str, Any], param: str) -> None:
    async with client(accounts=False) as http:
        answer = await upload(http, **form)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param, answer.text


async def test_a_file_expires(client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from chatwright.server.files import repository

    async with client(accounts=False) as http:
        form = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
        kept = (await upload(http, **form)).json()
        assert kept["expires_at"] == kept["created_at"] + 3600
        now = repository.now_ms()
        monkeypatch.setattr(repository, "now_ms", lambda: now + 3_601_000)
        assert (await http.get(f"/v1/files/{kept['id']}")).status_code == 404
        assert (await http.get("/v1/files")).json()["data"] == []


async def test_case_12_too_large_and_too_much(client: Client, tmp_path: Path) -> None:
    async with client(accounts=False, max_file_bytes=2000, max_user_files_bytes=3000) as http:
        large = await upload(http, b"x" * 2001)
        assert (large.status_code, large.json()["error"]["code"]) == (413, "file_too_large")
        assert (await upload(http, b"x" * 2000)).status_code == 200
        much = await upload(http, b"x" * 1001)
        assert (much.status_code, much.json()["error"]["code"]) == (413, "storage_exceeded")
        assert len(list((tmp_path / "home" / "files").iterdir())) == 1, "what was refused is not left on the disk"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/absolute.jsonl", "absolute.jsonl"),
        ("a\0b\r\nc.txt", "abc.txt"),
        ("innocent\u202etxt.exe", "innocenttxt.exe"),
        ("\ud800.txt", "?.txt"),
        ("..", ".."),
        ("", "file"),
        ("n" * 999, "n" * 255),
    ],
)
def test_case_8_a_name_is_only_shown(given: str, shown: str) -> None:
    assert shown_name(given) == shown


async def test_case_8_no_name_leaves_the_folder(client: Client, tmp_path: Path) -> None:
    async with client(accounts=False) as http:
        for name in ("../../escaped", "/tmp/escaped", "..%2f..%2fescaped", "a\\..\\escaped"):
            assert (await upload(http, filename=name)).status_code == 200
    assert not list(tmp_path.rglob("*escaped*"))


async def test_case_8_ids_are_no_paths(client: Client) -> None:
    async with client(accounts=False) as http:
        for file_id in ("..", "..%2f..%2fchatwright.db", "%2e%2e", "file-%00", "a.b", "x" * 65):
            answer = await http.get(f"/v1/files/{file_id}/content")
            assert answer.status_code in (400, 404), file_id


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from chatwright.server.errors import ApiError

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ApiError, match="No space left") as refused:
        Vault(tmp_path / "files", max_bytes=100).put("file-a", io.BytesIO(b"x"))
    assert refused.value.status == 507
    assert not list((tmp_path / "files").iterdir())


class TestUploads:
    async def begin(self, http: httpx.AsyncClient, size: int, **fields: Any) -> dict[str, Any]:
        body = {"bytes": size, "filename": "big.jsonl", "mime_type": "text/jsonl", "purpose": "fine-tune"} | fields
        answer = await http.post("/v1/uploads", json=body)
        assert answer.status_code == 200, answer.text
        begun: dict[str, Any] = answer.json()
        return begun

    async def part(self, http: httpx.AsyncClient, upload_id: str, content: bytes) -> httpx.Response:
        return await http.post(
            f"/v1/uploads/{upload_id}/parts", files={"data": content}, headers={"X-Requested-With": "chatwright"}
        )

    async def test_parts_become_a_file_in_the_order_given(self, client: Client, tmp_path: Path) -> None:
        content = b"first second third"
        async with client(accounts=False) as http:
            begun = await self.begin(http, len(content), expires_after={"anchor": "created_at", "seconds": 7200})
            assert (begun["object"], begun["status"], begun["file"]) == ("upload", "pending", None)
            pieces = {piece: await self.part(http, begun["id"], piece) for piece in (b"third", b"first ", b"second ")}
            ids = [pieces[piece].json()["id"] for piece in (b"first ", b"second ", b"third")]
            body = {"part_ids": ids, "md5": hashlib.md5(content).hexdigest()}
            done = (await http.post(f"/v1/uploads/{begun['id']}/complete", json=body)).json()
            assert done["status"] == "completed"
            assert done["file"]["expires_at"] == done["file"]["created_at"] + 7200
            read = await http.get(f"/v1/files/{done['file']['id']}/content")
            assert read.content == content
            assert len(list((tmp_path / "home" / "files").iterdir())) == 1, "the parts take no space any more"
            again = await http.post(f"/v1/uploads/{begun['id']}/complete", json=body)
            assert (again.status_code, again.json()["error"]["code"]) == (400, "upload_ended")

    async def test_what_does_not_add_up_is_refused(self, client: Client) -> None:
        async with client(accounts=False) as http:
            begun = await self.begin(http, 10)
            other = (await self.part(http, (await self.begin(http, 10))["id"], b"x" * 10)).json()["id"]
            half = (await self.part(http, begun["id"], b"x" * 5)).json()["id"]
            too_much = await self.part(http, begun["id"], b"x" * 6)
            assert too_much.json()["error"]["code"] == "upload_too_large"
            url = f"/v1/uploads/{begun['id']}/complete"
            for body, code in (
                ({"part_ids": [half]}, "size_mismatch"),
                ({"part_ids": [half, half]}, "invalid_value"),
                ({"part_ids": [half, other]}, "part_not_found"),
                ({"part_ids": []}, "invalid_value"),
                ({}, "missing_required_parameter"),
            ):
                answer = await http.post(url, json=body)
                assert (answer.status_code, answer.json()["error"]["code"]) == (400, code), body
            rest = (await self.part(http, begun["id"], b"y" * 5)).json()["id"]
            wrong = await http.post(url, json={"part_ids": [half, rest], "md5": "0" * 32})
            assert wrong.json()["error"]["code"] == "checksum_mismatch"
            assert (await http.post(url, json={"part_ids": [half, rest]})).status_code == 200, (
                "the upload is usable yet"
            )

    async def test_a_cancelled_upload_keeps_nothing(self, client: Client, tmp_path: Path) -> None:
        async with client(accounts=False) as http:
            begun = await self.begin(http, 10)
            await self.part(http, begun["id"], b"x" * 5)
            assert (await http.post(f"/v1/uploads/{begun['id']}/cancel")).json()["status"] == "cancelled"
            assert not list((tmp_path / "home" / "files").iterdir())
            assert (await self.part(http, begun["id"], b"x")).status_code == 400
            assert (await http.post("/v1/uploads/upload_none/cancel")).status_code == 404

    @pytest.mark.parametrize("size", [None, -1, 0, 1e99, "many", True, float(1 << 60)])
    async def test_case_12_sizes(self, client: Client, size: object) -> None:
        async with client(accounts=False) as http:
            body = {"bytes": size, "filename": "a", "mime_type": "b", "purpose": "fine-tune"}
            answer = await http.post("/v1/uploads", json=body)
        assert answer.status_code in (400, 413), answer.text
