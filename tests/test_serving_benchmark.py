"""The benchmark of the server runs, and would notice what it looks for. No timing is judged."""

import json
from pathlib import Path

import pytest

from benchmarks import serving
from benchmarks.endurance import _judged, growth
from benchmarks.workload import Workload

SMALL = Workload(prompt_tokens=24, new_tokens=4, streams=3, stream_prompt_tokens=8, stream_new_tokens=3)


@pytest.mark.parametrize(
    ("text", "ended", "vanished", "outcome"),
    [
        ('{"mark": "client 1", "story": "x', True, False, "complete"),
        ('{"mark":"client 1","story":"', False, False, "lost"),
        ('{"ma', False, True, "vanished"),
        ('{"mark": "client 2", "story": "x', True, False, "mixed"),
        ('{"mark": "client 1', True, False, "mixed"),  # an answer that ends within its mark is not whole
        ("", False, True, "vanished"),
    ],
)
def test_what_is_noticed_of_an_answer(text: str, ended: bool, vanished: bool, outcome: str) -> None:
    assert _judged("client 1", text, ended, vanished=vanished)[0] == outcome


def test_memory_that_grows_is_not_flat() -> None:
    assert growth([300.0] + [500.0] * 99)["flat"]  # it warms up
    assert not growth([500.0 + step for step in range(100)])["flat"]


def test_the_program_on_a_tiny_model(tiny_model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "serving.json"
    arguments = ["--model", str(tiny_model_dir), "--threads", "1", "--rounds", "1", "--repeats", "1"]
    assert serving.main([*arguments, "--minutes", "0.05", "--clients", "8", "--out", str(out)], SMALL) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result == json.loads(out.read_text("utf-8"))
    assert result["overhead"]["overhead"].keys() == {"decode", "eight_streams"}
    assert result["endurance"]["outcomes"]["complete"] > 0
    assert result["endurance"]["seconds_until_free"] is not None
