"""The benchmarks run, count rightly and survive their contenders; the page shows what was kept. No timing is judged."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import inference, limits, page, quality, report
from benchmarks.contenders.harness import Contender, Job, Timing, measure
from benchmarks.processes import ChildFailed, run_json, time_to_first_output
from benchmarks.workload import TEXT, Workload, prepare
from chatwright.engine import Chunk
from chatwright.engine.fake import FakeRunner

SMALL = Workload(prompt_tokens=24, new_tokens=4, streams=3, stream_prompt_tokens=8, stream_new_tokens=3)


class _Counting:
    """A contender that takes no time to speak of and always generates token 7."""

    def __init__(self, missing: int = 0) -> None:
        self.details: dict[str, Any] = {"version": "1"}
        self.calls: list[tuple[int, int]] = []
        self._missing = missing

    def generate(self, prompts: list[list[int]], new_tokens: int) -> Timing:
        self.calls.append((len(prompts), new_tokens))
        return Timing(0.5, 2.0, [[7] * (new_tokens - self._missing) for _ in prompts])


def _job(**changes: Any) -> Job:
    settings = {"model": "m", "threads": 1, "repeats": 2, "prompt": [1] * 100, "new_tokens": 10}
    return Job(**{**settings, "streams": [[1] * 5] * 4, "stream_new_tokens": 6, "question": [1], **changes})


def test_speeds_count_the_tokens_of_their_own_phase() -> None:
    contender: Contender = _Counting()
    result = measure(contender, _job())
    assert result["speeds"] == {
        "prefill": [200.0, 200.0],  # 100 tokens in 0.5 s
        "decode": [5.0, 5.0],  # 10 after the first, in 2 s
        "eight_streams": [12.0, 12.0],  # 4 × 6 after the first, in 2 s
        "eight_streams_total": [28 / 2.5, 28 / 2.5],
    }


def test_a_contender_that_stops_early_has_no_figures() -> None:
    with pytest.raises(RuntimeError, match="instead of"):
        measure(_Counting(missing=1), _job())


def test_medians_and_ratios_take_the_best_of_the_others_figure_by_figure() -> None:
    summary = report.summarize(
        {
            report.OURS: {"decode": [10, 30, 20], "start_s": [2.0, 4.0, 3.0]},
            "fast": {"decode": [16, 10, 4], "start_s": [9.0]},
            "quick to start": {"decode": [1], "start_s": [6.0]},
        }
    )
    assert summary[report.OURS] == {"decode": {"median": 20, "best": 30}, "start_s": {"median": 3.0, "best": 2.0}}
    ratios = report.ratios(summary)
    assert (ratios["decode"], ratios["start_s"], ratios["prefill"]) == (2.0, 0.5, None)
    assert report.ratios(summary, "best")["decode"] == round(30 / 16, 3)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("raise ValueError('no such thing')", "ValueError: no such thing"),
        ("print('hello')", "JSON"),
        ('print(\'{"error": "not installed"}\')', "not installed"),
        ("import time; time.sleep(60)", "no result within"),
    ],
)
def test_what_goes_wrong_in_a_process_is_a_sentence(program: str, reason: str) -> None:
    with pytest.raises(ChildFailed, match=reason):
        run_json([sys.executable, "-c", program], timeout_s=1 if "sleep" in program else 60)


def test_an_interpreter_that_is_not_there() -> None:
    for start in (run_json, time_to_first_output):
        with pytest.raises(ChildFailed, match="cannot be started"):
            start(["/no/such/python"])


def test_the_first_output_counts_and_the_end_is_checked() -> None:
    program = "import time; held = bytearray(50_000_000); print('x', flush=True); time.sleep(0.5)"
    start = time_to_first_output([sys.executable, "-c", program])
    assert start.seconds > 0
    assert 50 < start.rss_mb < 200
    with pytest.raises(ChildFailed, match="boom"):
        time_to_first_output([sys.executable, "-c", "print('x', flush=True); raise SystemExit('boom')"])
    with pytest.raises(ChildFailed, match="printed nothing"):
        time_to_first_output([sys.executable, "-c", ""])


def test_a_crash_in_repacked_kernels_is_tried_again_without_them(tmp_path: Path) -> None:
    program = tmp_path / "peer.py"
    program.write_text(
        "import json, os, signal, sys\n"
        "if json.load(sys.stdin)['extra_bufts']: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "print(json.dumps({'speeds': {'decode': [1.0]}, 'rss_mb': 2.0, 'details': {'version': 'x'}}))\n"
    )
    contender = inference.Contender("llama.cpp Q4_0", [sys.executable, str(program)], _job())
    inference.measure_speed(contender)
    assert contender.reason is None
    assert contender.values["decode"] == [1.0]
    assert contender.details == {"with_extra_bufts": "ended by SIGSEGV", "version": "x"}
    assert not contender.job.extra_bufts  # nor tried in later rounds


def test_the_program_on_a_tiny_model(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(inference, "measure_limits", lambda threads, repeats: {})
    out = tmp_path / "results" / "tiny.json"
    arguments = ["--quick", "--model", str(tiny_model_dir), "--threads", "1", "--out", str(out)]
    assert inference.main([*arguments, "--llama-files", "BF16", "--llama-python", "/no/such/python"], SMALL) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result == json.loads(out.read_text("utf-8"))
    assert result["unavailable"] == {"llama.cpp BF16": "/no/such/python cannot be started: No such file or directory"}
    assert result["figures"]["llama.cpp BF16"] is None
    assert set(result["figures"]["transformers BF16"]) == set(report.FIGURES)
    assert set(result["ratios"]) == set(report.FIGURES)
    assert all(ratio > 0 for ratio in result["ratios"].values())
    assert {"cpu", "cores", "memory_gb", "torch", "python", "date"} <= set(result["machine"])


def test_a_model_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert inference.main(["--quick", "--model", "/no/such/model"], SMALL) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert quality.main(["--model", "/no/such/model"]) == 1


def test_prompts_are_as_long_as_asked_and_differ(tiny_model_dir: Path) -> None:
    prepared = prepare(SMALL, str(tiny_model_dir))
    assert len(prepared.prompt) == 24
    assert [len(stream) for stream in prepared.streams] == [8, 8, 8]
    assert len({tuple(stream) for stream in prepared.streams}) == 3
    assert len(TEXT.read_text("utf-8")) > 4 * (505 + 8 * 64)  # enough for the real workload


def test_limits_are_positive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SMALL_MIB", 1)
    monkeypatch.setattr(limits, "LARGE_MIB", 2)
    monkeypatch.setattr(limits, "MATRIX", 32)
    assert min(limits.measure(threads=1, repeats=1).values()) > 0


def test_every_way_to_read_a_text_predicts_the_same_tokens() -> None:
    runner = FakeRunner(50)
    windows = [[(i * 7 + w) % 50 for i in range(33)] for w in range(3)]
    expected = []
    for window in windows:
        blocks = list(range(-(-len(window) // runner.block_size)))
        logits = FakeRunner(50).run([Chunk(window, 0, blocks, len(window))]).astype(np.float64)
        logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        expected += [-logs[i, token] for i, token in enumerate(window[1:])]
    for piece in (1, 5, 33):
        assert quality.runner_loss(FakeRunner(50), windows, piece) == pytest.approx(np.mean(expected), rel=1e-5)


def test_agreement_ends_at_the_first_difference() -> None:
    reference = [(1, 2, 3, 4), (1, 2), (5, 6)]
    found = quality.agreement([(1, 2, 9, 4), (1, 2), (5, 6, 7, 8)], reference)
    assert found == {"prefix": pytest.approx((0.5 + 1 + 0.5) / 3), "identical": pytest.approx(1 / 3)}


def test_quality_of_a_tiny_model(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(quality, "WINDOW", 48)
    monkeypatch.setattr(quality, "ANSWER_TOKENS", 4)
    assert quality.main(["--quick", "--model", str(tiny_model_dir), "--threads", "1"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["tokens"] == 2 * 47
    assert all(0.9 < ratio < 1.1 for ratio in result["ratios"].values())
    assert result["agreement"]["bfloat16"].keys() == {"prefix", "identical"}


def test_the_page_shows_the_results_that_are_kept() -> None:
    text = page.PAGE.read_text("utf-8")
    assert text == page.written(text), "run `python -m benchmarks.page`"
    assert text.count("<!-- table:") == len(page.tables())
