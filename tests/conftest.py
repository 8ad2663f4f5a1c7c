"""Fixtures that every room's tests may use: a tiny model folder, and a home of the test's own."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from typer.testing import Result

    from chatwright import LoadedModel

Run = Callable[..., "Result"]

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def pytest_configure(config: pytest.Config) -> None:
    """Kernels choose their cache when they are imported, which may be before any test runs; see ``own_home``."""
    os.environ["CHATWRIGHT_CACHE"] = str(config.cache.mkdir("kernels").parent)


@pytest.fixture(autouse=True)
def own_home(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    """No test reads or writes the developer's own models, caches or hub settings.

    Compiled CPU kernels alone are shared, and kept from run to run: they are named after their source, and compiling
    them in every process that a test starts would take most of the suite's time.
    """
    home = tmp_path_factory.mktemp("home")
    cache = home / "cache"
    cache.mkdir()
    (cache / "kernels").symlink_to(pytestconfig.cache.mkdir("kernels"))
    monkeypatch.setenv("CHATWRIGHT_HOME", str(home))
    monkeypatch.setenv("CHATWRIGHT_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("CHATWRIGHT_LANG", "en")


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder like the ones on the hub, small enough for any test.

    Llama-shaped with random weights (2 layers, width 32, 4 heads over 2 key/value heads, context 512), a byte-level
    BPE tokenizer trained on a few lines of English and Chinese, ChatML template, ``<|im_end|>`` as the end of a turn.
    Do not write into it: the folder serves the whole test session.
    """
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    write_tiny_model(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_loaded(tiny_model_dir: Path) -> Iterator["LoadedModel"]:
    """The tiny model, opened once for all tests that talk to it."""
    from chatwright import LoadedModel

    model = LoadedModel.open(tiny_model_dir, device="cpu", dtype="float32", threads=1, kv_memory_bytes=32 << 20)
    yield model
    model.close()


@pytest.fixture
def run(tiny_loaded: "LoadedModel", tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run("chat", "hello", input=b"…")``: what it printed, and its exit code. The default model is the tiny one."""
    from typer.testing import CliRunner

    from chatwright import LoadedModel
    from chatwright.cli.app import app

    monkeypatch.setenv("CHATWRIGHT_MODEL", str(tiny_model_dir))
    monkeypatch.setattr(LoadedModel, "open", lambda source, **options: tiny_loaded)
    monkeypatch.setattr(LoadedModel, "close", lambda self: None)  # the fixture's owner closes it

    def run_(*arguments: str, input: bytes | str | None = None) -> "Result":
        return CliRunner().invoke(app, list(arguments), input=input)

    return run_


def write_tiny_model(folder: Path) -> None:
    """Write the folder of :func:`tiny_model_dir`."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    vocab_size = _write_tokenizer(folder)
    hidden, layers, heads, kv_heads, intermediate = 32, 2, 4, 2, 64
    head_dim = hidden // heads
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocab_size,
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    (folder / "generation_config.json").write_text(
        json.dumps({"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "do_sample": True, "temperature": 0.8})
    )

    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.2

    weights = {"model.embed_tokens.weight": normal(vocab_size, hidden), "model.norm.weight": torch.ones(hidden)}
    for layer in range(layers):
        block = f"model.layers.{layer}"
        weights |= {
            f"{block}.input_layernorm.weight": torch.ones(hidden),
            f"{block}.post_attention_layernorm.weight": torch.ones(hidden),
            f"{block}.self_attn.q_proj.weight": normal(heads * head_dim, hidden),
            f"{block}.self_attn.k_proj.weight": normal(kv_heads * head_dim, hidden),
            f"{block}.self_attn.v_proj.weight": normal(kv_heads * head_dim, hidden),
            f"{block}.self_attn.o_proj.weight": normal(hidden, heads * head_dim),
            f"{block}.mlp.gate_proj.weight": normal(intermediate, hidden),
            f"{block}.mlp.up_proj.weight": normal(intermediate, hidden),
            f"{block}.mlp.down_proj.weight": normal(hidden, intermediate),
        }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _write_tokenizer(folder: Path) -> int:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=[AddedToken(special, special=True, normalized=False) for special in SPECIALS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        ["user assistant system hello the sky is blue why what who", "你好世界，天空为什么是蓝色的？"], trainer
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    (folder / "chat_template.jinja").write_text(CHATML)
    return int(tokenizer.get_vocab_size())
