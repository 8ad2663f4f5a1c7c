"""Files become text that goes with a question, or a refusal that says why."""

import io
import json
import zlib
from typing import Any

import httpx
import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from chatwright.server.attachments.pdf_text import text_of
from chatwright.server.attachments.reading import decode
from tests.server.conftest import Client

pytestmark = pytest.mark.anyio


def pdf(*pages: str, password: str | None = None) -> bytes:
    """A PDF with these texts."""
    writer = PdfWriter()
    for text in pages:
        page = writer.add_blank_page(300, 300)
        font = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
            }
        )
        fonts = DictionaryObject({NameObject("/F1"): writer._add_object(font)})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        content = DecodedStreamObject()
        content.set_data(f"BT /F1 12 Tf 10 100 Td ({text}) Tj ET".encode())
        page[NameObject("/Contents")] = writer._add_object(content)
    if password is not None:
        writer.encrypt(password)
    data = io.BytesIO()
    writer.write(data)
    return data.getvalue()


async def attach(http: httpx.AsyncClient, data: bytes, name: str = "a.txt", **form: Any) -> httpx.Response:
    return await http.post(
        "/api/attachments", files={"file": (name, data)}, data=form, headers={"X-Requested-With": "chatwright"}
    )


async def test_texts_and_pdfs_come_back_with_their_tokens(client: Client) -> None:
    async with client(accounts=False) as http:
        for name, data, text in (
            ("notes.md", "# 标题\r\ntext".encode("utf-8-sig"), "# 标题\ntext"),
            ("表.csv", "姓名,分数\n张三,90".encode("gb18030"), "姓名,分数\n张三,90"),
            ("old.txt", "naïve".encode("utf-16"), "naïve"),
            ("paper.pdf", pdf("Hello", "World"), "Hello\n\nWorld"),
        ):
            answer = await attach(http, data, name)
            assert answer.status_code == 200, answer.text
            got = answer.json()
            assert (got["name"], got["text"], got["characters"]) == (name, text, len(text))
            assert 0 < got["tokens"] < got["context_length"]
            assert got["pages"] == (2 if name.endswith(".pdf") else None)


async def test_what_does_not_fit_is_refused_with_both_counts(client: Client) -> None:
    async with client(accounts=False) as http:
        limit = (await attach(http, b"a")).json()["context_length"]
        answer = await attach(http, b"word " * 5 * limit)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", "file")
        assert f"{limit:,}" in error["message"]
        much = await attach(http, b"x" * 600_000)
        assert (much.status_code, much.json()["error"]["code"]) == (413, "file_too_large")


async def test_what_is_no_text_is_refused_with_its_reason(client: Client) -> None:
    async with client(accounts=False) as http:
        for data, status, code in (
            (b"\x89PNG\r\n\x1a\n\0\0", 415, "unsupported_file"),
            (zlib.compress(b"x" * 1000), 415, "unsupported_file"),
            (b"", 400, "file_no_text"),
            (b" \n", 400, "file_no_text"),
            (b"%PDF-1.7 and nothing else", 400, "file_damaged"),
            (pdf("secret", password="pass"), 400, "file_encrypted"),
            (pdf(""), 400, "file_no_text"),
        ):
            answer = await attach(http, data)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), data[:20]
        missing = await http.post("/api/attachments", headers={"X-Requested-With": "chatwright"})
        assert missing.status_code == 400
        unknown = await attach(http, b"text", model="no such model")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


async def test_an_attachment_can_be_sent_as_it_came_back(client: Client) -> None:
    async with client(accounts=False) as http:
        got = (await attach(http, b"The code is 42.", "../../code\0.txt")).json()
        assert "\0" not in got["name"]
        conversation = (await http.post("/api/conversations", json={})).json()["id"]
        attached = {"name": got["name"], "text": got["text"]}
        sent = await http.post(
            f"/api/conversations/{conversation}/messages",
            json={"content": "What is the code?", "attachments": [attached], "sampling": {"max_tokens": 1}},
        )
        assert sent.status_code == 201, sent.text
        exported = (await http.get("/api/export")).json()
        assert exported[0]["messages"][0]["attachments"] == [attached]


def test_case_12_a_pdf_that_is_broken_in_any_place_is_damaged_and_nothing_worse() -> None:
    whole = pdf("Hello", "World")
    for place in range(9, len(whole), 29):
        for broken in (whole[:place], whole[:place] + b"\xff[<<(" + whole[place + 5 :]):
            assert json.loads(json.dumps(text_of(broken, 1000))).keys() <= {"text", "pages", "error"}
    assert len(PdfReader(io.BytesIO(whole)).pages) == 2


@pytest.mark.parametrize("data", [b"caf\xe9", b"\xff\xfe\x00", b"a\0b", b"\x1b[31m\x07", "émigré".encode("latin-1")])
def test_bytes_in_no_known_encoding_are_not_guessed(data: bytes) -> None:
    assert decode(data) is None
