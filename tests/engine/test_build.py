import os
from pathlib import Path

import pytest
import torch

from chatwright.engine import memory
from chatwright.engine.build import build_runner, choose_device, choose_dtype, weight_bytes
from chatwright.engine.engine import Engine
from chatwright.engine.memory import GIB, free_bytes, kv_budget
from chatwright.engine.params import SamplingParams
from chatwright.engine.runner import Chunk
from chatwright.errors import EngineError, InvalidParameterError, ModelNotFoundError
from chatwright.model.load import load_model
from chatwright.tokenizer import Tokenizer

CPU = torch.device("cpu")


def test_a_folder_becomes_a_runner_that_talks(tiny_model_dir: Path) -> None:
    runner = build_runner(tiny_model_dir, device="cpu", dtype="float32", kv_memory_bytes=2**20, max_model_len=128)
    assert runner.max_model_len == 128
    with Engine(runner, Tokenizer.from_folder(tiny_model_dir), eos_ids=[2]) as engine:
        params = SamplingParams(temperature=0, max_tokens=5, ignore_eos=True)
        assert len(engine.submit([5, 6, 7], params).result(60)[0].token_ids) == 5


def test_memory_for_conversations_is_a_share_of_what_is_free(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatwright.engine.build.free_bytes", lambda device: 2**21)
    runner = build_runner(tiny_model_dir, device="cpu", dtype="float32")
    with_default = runner.num_blocks
    runner.close()
    explicit = build_runner(tiny_model_dir, device="cpu", dtype="float32", kv_memory_bytes=2**22)
    assert 0 < with_default < explicit.num_blocks
    explicit.close()


def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatwright.engine.build.free_bytes", lambda device: 1000)
    monkeypatch.setattr("chatwright.engine.build.load_model", lambda *args, **options: pytest.fail("was loaded"))
    with pytest.raises(EngineError, match="smaller model"):
        build_runner(tiny_model_dir, device="cpu")


def test_running_out_of_memory_while_loading_is_our_error(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*args: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr("chatwright.engine.build.load_model", load)
    with pytest.raises(EngineError, match="does not fit into the memory of cpu"):
        build_runner(tiny_model_dir, device="cpu", dtype="float32")


def test_the_estimate_of_the_weights_is_what_they_take(tiny_model_dir: Path) -> None:
    model = load_model(tiny_model_dir)
    assert weight_bytes(tiny_model_dir, torch.float32) == 4 * model.num_parameters()
    assert weight_bytes(tiny_model_dir, torch.bfloat16) == 2 * model.num_parameters()


def test_bad_arguments(tiny_model_dir: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        build_runner("no/such/folder", device="cpu")
    with pytest.raises(InvalidParameterError, match="dtype"):
        build_runner(tiny_model_dir, device="cpu", dtype="float7")
    for device in ("tpu:x", "meta", "xpu"):
        with pytest.raises(InvalidParameterError, match="use auto"):
            build_runner(tiny_model_dir, device=device)
    with pytest.raises(EngineError, match="use cpu"):
        build_runner(tiny_model_dir, device="cuda:97")


@pytest.mark.parametrize("dtype", ["float32", "auto"], ids=["pytorch", "compiled"])
def test_limits_are_the_same_for_both_runners(tiny_model_dir: Path, dtype: str) -> None:
    for name, values in (
        ("threads", (0, -3)),
        ("kv_memory_bytes", (0, -3, 1000)),
        ("max_model_len", (0, -3, 1, 513)),  # the model's context is 512
    ):
        for value in values:
            with pytest.raises(InvalidParameterError, match=f"^{name} is {value}[;,]") as caught:
                build_runner(tiny_model_dir, device="cpu", dtype=dtype, **{name: value})  # type: ignore[arg-type]
            assert caught.value.parameter == name


def test_devices_and_number_formats() -> None:
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    assert choose_dtype("bfloat16", CPU) == "bfloat16"
    assert choose_dtype("auto", CPU) in (torch.float32, torch.bfloat16)


def test_the_budget_is_capped_where_memory_is_shared_with_others() -> None:
    assert kv_budget(CPU, GIB, 9 * GIB) == 2 * GIB
    assert kv_budget(CPU, GIB, 1000 * GIB) == 4 * GIB
    assert kv_budget(torch.device("cuda"), 16 * GIB, 80 * GIB) == int(64 * GIB * 0.85)
    assert kv_budget(CPU, GIB, None) == 4 * GIB
    with pytest.raises(EngineError, match=r"take 10\.0 GiB, but only 8\.0 GiB are free on cpu"):
        kv_budget(CPU, 10 * GIB, 8 * GIB)


def test_a_containers_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 200000\n")
    assert free_bytes(CPU) == 500_000
    (tmp_path / "memory.max").write_text("max\n")
    unlimited = free_bytes(CPU)
    assert unlimited is None or unlimited > 10_000_000


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells the resident size there")
def test_memory_for_conversations_is_taken_as_it_is_used(tiny_model_dir: Path) -> None:
    def resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident_bytes()
    runner = build_runner(tiny_model_dir, device="cpu", dtype="float32", kv_memory_bytes=GIB)
    assert runner.run([Chunk([5, 6, 7], 0, [0], 1)]).shape[0] == 1
    assert resident_bytes() - before < GIB // 8
    runner.close()
