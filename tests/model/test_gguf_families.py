"""Every family that llama.cpp has an architecture for: written, read back, and read by others."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from chatwright.errors import InvalidParameterError, ModelFormatError, UnsupportedModelError
from chatwright.loaded import load_tokenizer
from chatwright.model.config import ModelConfig, MoEConfig, RopeConfig
from chatwright.model.gguf_config import gguf_config
from chatwright.model.gguf_file import open_gguf
from chatwright.model.gguf_rope import llama3_factors, llama3_scaling
from chatwright.model.gguf_write import gguf_bytes, write_gguf
from chatwright.model.gpt import GPT
from chatwright.model.load import load_folder, load_model
from chatwright.model.save import save_model

BASE = ModelConfig(
    vocab_size=384, hidden_size=64, num_layers=3, num_heads=4, num_kv_heads=2, intermediate_size=96, norm_eps=1e-5
)
LLAMA3 = RopeConfig(theta=500_000.0, scaling="llama3", factor=8.0, original_max_position_embeddings=64)
YARN = RopeConfig(scaling="yarn", factor=4.0, original_max_position_embeddings=512, attention_factor=1.2)
FAMILIES: dict[str, tuple[str, ModelConfig]] = {
    "llama": ("llama", BASE),
    "llama untied": ("llama", BASE.replace(tie_embeddings=False)),
    "llama with biases": ("llama", BASE.replace(qkv_bias=True, output_bias=True, mlp_bias=True)),
    "llama 3 scaling": ("llama", BASE.replace(head_dim=32, rope=LLAMA3)),
    "linear scaling": ("llama", BASE.replace(rope=RopeConfig(scaling="linear", factor=4.0))),
    "yarn scaling": ("qwen3", BASE.replace(rope=YARN, qk_norm=True)),
    "qwen2": ("qwen2", BASE.replace(qkv_bias=True)),
    "qwen3": ("qwen3", BASE.replace(qk_norm=True, head_dim=32, rope=RopeConfig(theta=1e6))),
    "qwen3 moe": (
        "qwen3moe",
        BASE.replace(
            qk_norm=True,
            moe=MoEConfig(num_experts=4, num_experts_per_token=2, intermediate_size=32),
            tie_embeddings=False,
        ),
    ),
    "gemma3": (
        "gemma3",
        BASE.replace(
            head_dim=32,
            qk_norm=True,
            norm_placement="sandwich",
            norm_offset=1.0,
            feed_forward="geglu",
            embedding_scale=8.0,
            sliding_window=16,
            layer_types=("sliding", "full", "sliding"),
            rope=RopeConfig(theta=1e6, scaling="linear", factor=8.0),
            rope_local=RopeConfig(theta=10_000.0),
        ),
    ),
    "gpt2": (
        "gpt2",
        BASE.replace(
            num_kv_heads=4,
            position="learned",
            norm="layer",
            feed_forward="gelu_tanh",
            qkv_bias=True,
            output_bias=True,
            mlp_bias=True,
            max_position_embeddings=128,
        ),
    ),
}


def make_folder(folder: Path, config: ModelConfig, tiny_model_dir: Path) -> GPT:
    """A model folder with random weights, norms and biases included, and the tiny model's tokenizer."""
    model = GPT(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    save_model(model, folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copy(tiny_model_dir / name, folder)
    return model.eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_written_and_read_back(tmp_path: Path, tiny_model_dir: Path, family: str):
    architecture, config = FAMILIES[family]
    model = make_folder(tmp_path / "model", config, tiny_model_dir)
    out = tmp_path / "model.gguf"
    write_gguf(tmp_path / "model", out, dtype="f32")

    official = gguf.GGUFReader(out)
    assert official.fields["general.architecture"].contents() == architecture
    assert not list(tmp_path.glob(".*")), "a temporary file was left behind"

    back = load_model(out, dtype="float32")
    assert back.config.num_layers == config.num_layers
    tolerance = 1e-6 if config.norm_offset else 0.0  # weight + 1 - 1
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], weight, atol=tolerance, rtol=0)
    ids = torch.arange(40)[None] * 7 % config.vocab_size
    with torch.no_grad():
        torch.testing.assert_close(back(ids).logits, model(ids).logits, atol=2e-5, rtol=1e-5)


def test_q8_0_is_what_gguf_quantises(tmp_path: Path, tiny_model_dir: Path):
    model = make_folder(tmp_path / "model", BASE.replace(intermediate_size=80), tiny_model_dir)
    out = tmp_path / "model.gguf"
    seen: list[tuple[int, int]] = []
    write_gguf(tmp_path / "model", out, dtype="q8_0", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1]
    assert out.stat().st_size <= gguf_bytes(tmp_path / "model", "q8_0")
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(out).tensors}
    up = stored["blk.1.ffn_up.weight"]
    expected = gguf.quantize(model.state_dict()["layers.1.mlp.up_proj.weight"].numpy(), up.tensor_type)
    np.testing.assert_array_equal(up.data, expected)
    assert stored["blk.1.ffn_down.weight"].tensor_type.name == "F16", "rows of 80 are no multiple of 32"
    assert stored["blk.1.ffn_norm.weight"].tensor_type.name == "F32"


@pytest.mark.parametrize(("dtype", "torch_dtype"), [("f16", torch.float16), ("bf16", torch.bfloat16)])
def test_half_precision_rounds_to_nearest(tmp_path: Path, tiny_model_dir: Path, dtype, torch_dtype):
    model = make_folder(tmp_path / "model", BASE, tiny_model_dir)
    write_gguf(tmp_path / "model", tmp_path / "model.gguf", dtype=dtype)
    back = load_model(tmp_path / "model.gguf", dtype="float32").state_dict()
    for name, weight in model.state_dict().items():
        expected = weight if weight.ndim == 1 else weight.to(torch_dtype).float()
        torch.testing.assert_close(back[name], expected, atol=0, rtol=0)


def test_f16_refuses_what_it_cannot_hold(tmp_path: Path, tiny_model_dir: Path):
    model = make_folder(tmp_path / "model", BASE, tiny_model_dir)
    with torch.no_grad():
        model.layers[0].mlp.up_proj.weight[3, 3] = 1e6
    save_model(model, tmp_path / "model")
    with pytest.raises(InvalidParameterError, match=r"blk\.0\.ffn_up\.weight.*bf16"):
        write_gguf(tmp_path / "model", tmp_path / "model.gguf", dtype="f16")
    assert not (tmp_path / "model.gguf").exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"position": "sinusoidal"}, "position='sinusoidal'"),
        ({"feed_forward": "geglu"}, "feed_forward='geglu'"),
        ({"causal": False}, "causal=False"),
        ({"attention_scale": 0.5}, "attention_scale=0.5"),
    ],
)
def test_models_without_an_architecture(tmp_path: Path, tiny_model_dir: Path, change, named: str):
    folder = tmp_path / "model"
    save_model(GPT(BASE.replace(**change)), folder, own_format=True)
    with pytest.raises(UnsupportedModelError, match=named):
        write_gguf(folder, tmp_path / "model.gguf")


@pytest.mark.parametrize("head_dim", [32, 64, 128])
def test_llama3_scaling_is_recovered_from_its_factors(head_dim: int):
    rope = RopeConfig(theta=500_000.0, scaling="llama3", factor=32.0, original_max_position_embeddings=8192)
    assert llama3_scaling(llama3_factors(rope, head_dim), rope.theta, head_dim, None) == rope


def test_unknown_position_factors_are_refused():
    with pytest.raises(UnsupportedModelError, match="rope_freqs"):
        llama3_scaling(np.linspace(1, 3, 32, dtype=np.float32) ** 2, 10_000.0, 64, None)


class Edited:
    """A valid file whose metadata or tensors are changed by the official writer."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.folder, self.reader = folder, gguf.GGUFReader(source)

    def write(self, *, drop: str = "", reshape: str = "", extra: str = "", **values: object) -> Path:
        path = self.folder / "edited.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        for name, field in self.reader.fields.items():
            if name.startswith("GGUF.") or name in (drop, "general.architecture"):
                continue
            sub_type = field.types[1] if len(field.types) > 1 else None
            writer.add_key_value(name, values.get(name, field.contents()), field.types[0], sub_type)
        for tensor in self.reader.tensors:
            if tensor.name != drop:
                writer.add_tensor(tensor.name, tensor.data[:-1] if tensor.name == reshape else tensor.data)
        if extra:
            writer.add_tensor(extra, np.zeros(4, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path


@pytest.fixture
def edited(tmp_path: Path, tiny_model_dir: Path) -> Edited:
    make_folder(tmp_path / "model", BASE, tiny_model_dir)
    write_gguf(tmp_path / "model", tmp_path / "model.gguf", dtype="f32")
    return Edited(tmp_path, tmp_path / "model.gguf")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"drop": "blk.1.attn_k.weight"}, ModelFormatError, r"'blk\.1\.attn_k\.weight' is missing"),
        ({"drop": "token_embd.weight"}, ModelFormatError, "token_embd"),
        ({"drop": "llama.block_count"}, ModelFormatError, r"llama\.block_count.*missing"),
        ({"drop": "tokenizer.ggml.merges"}, ModelFormatError, r"tokenizer\.ggml\.merges.*missing"),
        ({"reshape": "blk.2.ffn_up.weight"}, ModelFormatError, r"blk\.2\.ffn_up\.weight' has the shape \[95, 64\]"),
        ({"extra": "blk.0.attn_sinks.weight"}, UnsupportedModelError, "attn_sinks"),
        ({"llama.block_count": 4}, ModelFormatError, r"blk\.3\."),
        ({"llama.block_count": 2**31}, ModelFormatError, "block_count"),
        ({"llama.block_count": 60_000}, ModelFormatError, "block_count is 60000"),
        ({"llama.attention.head_count": 0}, ModelFormatError, "head_count"),
        ({"llama.attention.head_count": 3}, ModelFormatError, "num_heads 3"),
        ({"llama.embedding_length": 2**20}, ModelFormatError, "embedding_length"),
        ({"llama.rope.freq_base": float("nan")}, ModelFormatError, "freq_base"),
        ({"llama.rope.dimension_count": 8}, UnsupportedModelError, "rotary"),
        ({"tokenizer.ggml.model": "bert"}, UnsupportedModelError, "'bert'"),
        ({"drop": "tokenizer.ggml.model"}, ModelFormatError, r"tokenizer\.ggml\.model.*missing"),
        ({"tokenizer.ggml.pre": "unheard-of"}, UnsupportedModelError, "'unheard-of'"),
        ({"tokenizer.ggml.eos_token_id": 5000}, ModelFormatError, "eos_token_id"),
        ({"tokenizer.ggml.merges": ["no such"]}, ModelFormatError, "'no such'"),
        ({"tokenizer.ggml.tokens": ["same"] * 384}, ModelFormatError, "'same' appears twice"),
        ({"tokenizer.ggml.token_type": [1, 1]}, ModelFormatError, "2 token types"),
    ],
    ids=str,
)
def test_files_that_contradict_themselves(edited: Edited, change, error, message: str):
    with pytest.raises(error, match=message) as caught:
        load_model(edited.write(**change))
    assert "edited.gguf" in str(caught.value) or "tokenizer.ggml.pre" in str(caught.value)


@pytest.mark.parametrize("tokenizer_kind", [None, "no_vocab"])
def test_a_file_of_weights_alone_is_a_model_without_tokenizer(tmp_path: Path, tiny_model_dir: Path, tokenizer_kind):
    make_folder(tmp_path / "model", BASE, tiny_model_dir)
    write_gguf(tmp_path / "model", tmp_path / "model.gguf", dtype="f32")
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    path = tmp_path / "bare.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for name, field in reader.fields.items():
        if name.startswith("llama."):
            writer.add_key_value(name, field.contents(), field.types[0])
    if tokenizer_kind is not None:
        writer.add_tokenizer_model(tokenizer_kind)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    plain = load_folder(tmp_path / "model").state_dict()
    for name, weight in load_model(path, dtype="float32").state_dict().items():
        assert torch.equal(weight, plain[name])
    with pytest.raises(ModelFormatError, match=r"bare\.gguf holds weights only"):
        load_tokenizer(path)


def test_other_architectures_are_named(tmp_path: Path):
    path = tmp_path / "other.gguf"
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_tensor("token_embd.weight", np.zeros((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with open_gguf(path) as file, pytest.raises(UnsupportedModelError, match=r"'mamba'.*llama, qwen2"):
        gguf_config(file)


def test_folder_of_a_gguf_is_loaded_by_the_family_loader(edited: Edited, tmp_path: Path):
    """The converted folder is an ordinary one: our own folder loader opens it with equal weights."""
    from chatwright.model.conversion import converted

    plain = load_folder(tmp_path / "model").state_dict()
    for name, weight in load_folder(converted(edited.write())).state_dict().items():
        assert torch.equal(weight, plain[name])


@pytest.mark.parametrize("family", FAMILIES)
def test_llama_cpp_gives_the_same_logits(tmp_path: Path, tiny_model_dir: Path, family: str):
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed (it needs a C++ compiler)")
    _, config = FAMILIES[family]
    model = make_folder(tmp_path / "model", config, tiny_model_dir)
    write_gguf(tmp_path / "model", tmp_path / "model.gguf", dtype="f32")
    ids = [index * 7 % 300 for index in range(40)]
    # In a process of its own, which llama.cpp ends where it does not like a file; keys and values in float32.
    code = (
        "import json, sys, llama_cpp\n"
        "options = dict(verbose=False, logits_all=True, n_ctx=64, n_threads=1, type_k=0, type_v=0)\n"
        "model = llama_cpp.Llama(sys.argv[1], **options)\n"
        "for token in json.loads(sys.argv[2]): model.eval([token])\n"
        "print(json.dumps(model.scores[:model.n_tokens].tolist()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "model.gguf"), json.dumps(ids)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    theirs = torch.tensor(json.loads(run.stdout.splitlines()[-1]))
    with torch.no_grad():
        ours = model(torch.tensor([ids])).logits[0]
    # llama.cpp looks GELU up in a table of float16; everything else agrees to 1e-5.
    tolerance = 5e-3 if config.feed_forward in ("geglu", "gelu_tanh") else 1e-4
    torch.testing.assert_close(theirs, ours, atol=tolerance, rtol=0)
