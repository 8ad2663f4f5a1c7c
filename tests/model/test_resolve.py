"""What a person may call a model, and what they read when it is not there."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from chatwright import resolve_model
from chatwright.errors import InvalidParameterError, ModelFormatError, ModelNotFoundError, UnsupportedModelError
from chatwright.model import resolve
from chatwright.model.catalog import CATALOG, DEFAULT_NAME, find_entry
from chatwright.model.digest import file_sha256
from chatwright.model.names import is_safe_segment, parse_hub_name
from chatwright.paths import models_dir


@pytest.fixture
def fake_embedded(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default model's place holds four bytes, and the catalogue announces just those."""
    content = b"GGUF"
    entry = CATALOG[0]
    assert entry.embedded is not None
    file = replace(
        entry.embedded, module="no_such_package", size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
    )
    monkeypatch.setattr(resolve, "CATALOG", (replace(entry, embedded=file), *CATALOG[1:]))
    path = resolve.embedded_target(file)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_the_default_is_the_embedded_model(fake_embedded: Path) -> None:
    assert resolve_model() == resolve_model("default") == fake_embedded


def test_an_absent_default_says_how_to_get_it(fake_embedded: Path) -> None:
    fake_embedded.unlink()
    with pytest.raises(ModelNotFoundError, match=f"chatwright models pull {DEFAULT_NAME}"):
        resolve_model()


def test_a_damaged_default_is_refused(fake_embedded: Path) -> None:
    assert resolve_model() == fake_embedded
    fake_embedded.write_bytes(b"GGUX")  # same length: only the digest tells
    with pytest.raises(ModelFormatError, match="damaged"):
        resolve_model()


def test_paths_are_taken_as_they_are(tiny_model_dir: Path, tmp_path: Path) -> None:
    assert resolve_model(tiny_model_dir) == tiny_model_dir
    assert resolve_model(str(tiny_model_dir)) == tiny_model_dir
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    assert resolve_model(file) == file
    assert resolve_model(tmp_path) == file  # a folder with one GGUF file is as good as the file


def test_a_relative_folder_wins_over_a_hub_name(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_model_dir, tmp_path / "owner" / "name")
    monkeypatch.chdir(tmp_path)
    assert resolve_model("owner/name") == Path("owner/name")


def test_pulled_models_answer_to_their_names(tiny_model_dir: Path) -> None:
    shutil.copytree(tiny_model_dir, models_dir() / "Qwen" / "Qwen3-0.6B")
    shutil.copytree(tiny_model_dir, models_dir() / "mine")
    for name in ("Qwen/Qwen3-0.6B", "hf:Qwen/Qwen3-0.6B", "modelscope:Qwen/Qwen3-0.6B", "qwen3-0.6b", "QWEN3-0.6B"):
        assert resolve_model(name) == models_dir() / "Qwen" / "Qwen3-0.6B"
    assert resolve_model("mine") == models_dir() / "mine"
    names = {model.name for model in resolve.local_models()}
    assert {"Qwen/Qwen3-0.6B", "mine"} <= names


def test_a_model_in_the_hugging_face_cache_is_found(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    repo = tmp_path / "models--someone--tiny"
    snapshot = repo / "snapshots" / "0123abcd"
    shutil.copytree(tiny_model_dir, snapshot)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("0123abcd")
    assert resolve_model("someone/tiny") == snapshot
    (snapshot / "model.safetensors").unlink()  # a snapshot without weights is not a model
    with pytest.raises(ModelNotFoundError):
        resolve_model("someone/tiny")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("qwen3-0.6b", "chatwright models pull qwen3-0.6b"),
        ("qwen3-0.6", "did you mean qwen3-0.6b"),
        ("someone/model", "chatwright models pull someone/model"),
        ("gibberish!", "chatwright models list"),
        ("./nowhere", "does not exist"),
        ("", "empty"),
        ("a\0b", "empty"),
    ],
)
def test_what_is_not_there_says_what_to_do(name: str, remedy: str) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        resolve_model(name)
    assert remedy in str(caught.value)


def test_folders_without_a_model_say_why(tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match="holds no model"):
        resolve_model(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UnsupportedModelError, match="pickle can run code"):
        resolve_model(tmp_path)
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(ModelFormatError, match="not a model"):
        resolve_model(text)


def test_several_gguf_files_must_be_chosen_from(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(ModelFormatError, match=r"a\.gguf, b\.gguf"):
        resolve_model(tmp_path)


@pytest.mark.parametrize(
    "segment",
    [
        "",
        ".",
        "..",
        ".hidden",
        "-option",
        "a/b",
        "a\\b",
        "a\0",
        "a\n",
        "%2e%2e",
        "a b",
        "é",
        "con",
        "NUL.txt",
        "x.",
        "a" * 200,
    ],
)
def test_no_path_trick_passes_as_a_name(segment: str) -> None:
    assert not is_safe_segment(segment)
    assert parse_hub_name(f"owner/{segment}") is None
    assert parse_hub_name(f"{segment}/name") is None
    with pytest.raises(InvalidParameterError, match="hub name"):
        parse_hub_name(f"hf:owner/{segment}")


def test_a_hub_name_is_taken_apart() -> None:
    name = parse_hub_name("modelscope:Qwen/Qwen3-0.6B-GGUF/q8_0.gguf")
    assert name is not None
    assert (name.repo_id, name.filename, name.source) == ("Qwen/Qwen3-0.6B-GGUF", "q8_0.gguf", "modelscope")
    assert parse_hub_name("owner/name/weights.bin") is None


def test_the_digest_memo_notices_a_changed_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first = file_sha256(path)
    assert first == file_sha256(path) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"three")
    assert file_sha256(path) == hashlib.sha256(b"three").hexdigest()


def test_every_recommended_model_has_names_that_both_hubs_accept() -> None:
    for entry in CATALOG:
        assert parse_hub_name(entry.hub_id), entry.name
        assert parse_hub_name(entry.modelscope_id), entry.name
        assert find_entry(entry.name.upper()) is entry
        assert entry.good_for
        assert entry.good_for_zh


def test_a_digest_memo_that_finds_the_disk_full_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")  # not on Windows
    monkeypatch.setenv("CHATWRIGHT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "file"
    path.write_bytes(b"one")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))  # every longer file fails, as on a full disk
    try:
        digest = file_sha256(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert digest == hashlib.sha256(b"one").hexdigest()
    assert not list((tmp_path / "cache" / "digests").iterdir())
