"""generation_config.json: what transformers writes is understood, what we write transformers understands."""

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from chatwright.errors import ModelFormatError
from chatwright.model import GenerationDefaults, read_generation_defaults, write_generation_defaults


def write(folder: Path, name: str, **values: Any) -> None:
    (folder / name).write_text(json.dumps(values))


def test_absent_files_say_nothing(tmp_path: Path) -> None:
    assert read_generation_defaults(tmp_path) == GenerationDefaults()


def test_token_ids_fall_back_to_the_model_config(tmp_path: Path) -> None:
    write(tmp_path, "config.json", bos_token_id=1, eos_token_id=2)
    write(tmp_path, "generation_config.json", eos_token_id=[2, 7], top_k=20, temperature=0.6, top_p=0.95)
    assert read_generation_defaults(tmp_path) == GenerationDefaults(1, (2, 7), None, 0.6, 0.95, 20)


@pytest.mark.parametrize(
    "defaults",
    [
        GenerationDefaults(),
        GenerationDefaults(1, (2,), 0, 0.7, 0.9, 40, 1.1),
        GenerationDefaults(None, (2, 3), None, temperature=0.0),
        GenerationDefaults(eos_token_ids=(5,), temperature=1.0, top_k=0),
    ],
)
def test_what_is_written_is_read(defaults: GenerationDefaults, tmp_path: Path) -> None:
    write_generation_defaults(defaults, tmp_path)
    assert read_generation_defaults(tmp_path) == defaults


def test_transformers_reads_what_we_write(tmp_path: Path) -> None:
    write_generation_defaults(GenerationDefaults(1, (2, 3), 0, 0.7, 0.9, 40, 1.1), tmp_path)
    theirs = transformers.GenerationConfig.from_pretrained(tmp_path)
    assert (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id) == (1, [2, 3], 0)
    assert (theirs.do_sample, theirs.temperature, theirs.top_p, theirs.top_k) == (True, 0.7, 0.9, 40)
    assert theirs.repetition_penalty == 1.1


def test_we_read_what_transformers_writes(tmp_path: Path) -> None:
    transformers.GenerationConfig(eos_token_id=4, do_sample=True, temperature=0.3, top_p=0.8).save_pretrained(tmp_path)
    defaults = read_generation_defaults(tmp_path)
    assert defaults.eos_token_ids == (4,)
    assert (defaults.temperature, defaults.top_p) == (0.3, 0.8)


@pytest.mark.parametrize(
    "values", [{"eos_token_id": "</s>"}, {"eos_token_id": [-1]}, {"temperature": "hot"}, {"top_k": 1.5}]
)
def test_bad_values_name_file_and_key(values: dict[str, Any], tmp_path: Path) -> None:
    write(tmp_path, "generation_config.json", **values)
    with pytest.raises(ModelFormatError, match=f"generation_config.json: {next(iter(values))}"):
        read_generation_defaults(tmp_path)
