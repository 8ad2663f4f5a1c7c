"""Export of models: complete folders and files, nothing replaced by accident."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from chatwright.errors import InvalidParameterError, StorageError
from chatwright.model import export
from chatwright.model.export import export_model
from chatwright.model.gguf_file import open_gguf
from chatwright.model.load import load_model


def same_weights(one: Path, other: Path, dtype: torch.dtype = torch.float32) -> bool:
    first, second = load_model(one, dtype="float32").state_dict(), load_model(other, dtype="float32").state_dict()
    return all(torch.equal(first[name].to(dtype).float(), second[name]) for name in first)


def test_gguf_and_back_to_a_folder(tmp_path: Path, tiny_model_dir: Path):
    seen: list[tuple[int, int]] = []
    file = export_model(
        tiny_model_dir,
        tmp_path / "deep" / "tiny.gguf",
        format="gguf",
        dtype="f32",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]
    again = export_model(file, tmp_path / "again.gguf", format="gguf", dtype="q8_0")
    with open_gguf(again) as opened:
        assert opened.metadata["general.name"] == "tiny", "and not the cache folder's name"
    folder = export_model(file, tmp_path / "folder", format="hf", dtype="f32")
    assert same_weights(tiny_model_dir, folder)
    assert (folder / "chat_template.jinja").read_text() == (tiny_model_dir / "chat_template.jinja").read_text()
    assert not (folder / "conversion.json").exists()
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = torch.arange(20)[None]
    with torch.no_grad():
        ours = load_model(tiny_model_dir, dtype="float32")(ids).logits
        torch.testing.assert_close(theirs(ids).logits, ours, atol=1e-4, rtol=0)


def test_dtype_is_kept_unless_asked(tmp_path: Path, tiny_model_dir: Path):
    kept = export_model(tiny_model_dir, tmp_path / "kept")
    assert json.loads((kept / "config.json").read_text())["dtype"] == "float32"
    rounded = export_model(tiny_model_dir, tmp_path / "rounded", dtype="bf16")
    assert json.loads((rounded / "config.json").read_text())["dtype"] == "bfloat16"
    assert same_weights(tiny_model_dir, rounded, torch.bfloat16)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("format", ["hf", "gguf"])
def test_nothing_is_replaced_without_being_asked(tmp_path: Path, tiny_model_dir: Path, format: str):
    out = export_model(tiny_model_dir, tmp_path / "out", format=format, dtype="f32")
    with pytest.raises(InvalidParameterError, match="--overwrite"):
        export_model(tiny_model_dir, out, format=format)
    export_model(tiny_model_dir, out, format=format, dtype="bf16", overwrite=True)
    size = out.stat().st_size if out.is_file() else (out / "model.safetensors").stat().st_size
    assert size < (tiny_model_dir / "model.safetensors").stat().st_size
    assert not list(tmp_path.glob(".*"))


def test_a_folder_that_is_no_model_is_never_replaced(tmp_path: Path, tiny_model_dir: Path):
    precious = tmp_path / "home"
    precious.mkdir()
    (precious / "diary.txt").write_text("dear diary")
    with pytest.raises(InvalidParameterError, match="holds no model"):
        export_model(tiny_model_dir, precious, overwrite=True)
    with pytest.raises(InvalidParameterError, match="is a folder"):
        export_model(tiny_model_dir, precious, format="gguf", overwrite=True)
    assert (precious / "diary.txt").read_text() == "dear diary"


def test_the_source_is_not_its_own_target(tmp_path: Path, tiny_model_dir: Path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_dir, folder)
    with pytest.raises(InvalidParameterError, match="to be exported"):
        export_model(folder, folder, overwrite=True)


@pytest.mark.parametrize(
    ("format", "dtype", "parameter"), [("onnx", None, "format"), ("hf", "q8_0", "dtype"), ("gguf", "q4_0", "dtype")]
)
def test_unknown_options(tmp_path: Path, tiny_model_dir: Path, format: str, dtype: str | None, parameter: str):
    with pytest.raises(InvalidParameterError, match="allowed") as caught:
        export_model(tiny_model_dir, tmp_path / "out", format=format, dtype=dtype)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize("format", ["hf", "gguf"])
def test_no_space(tmp_path: Path, tiny_model_dir: Path, format: str, monkeypatch: pytest.MonkeyPatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(export.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(StorageError, match=r"needs \d+ MB"):
        export_model(tiny_model_dir, tmp_path / "out", format=format)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["hf", "gguf"])
def test_a_place_that_cannot_be_written(tmp_path: Path, tiny_model_dir: Path, format: str):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        export_model(tiny_model_dir, tmp_path / "file" / "out", format=format)
