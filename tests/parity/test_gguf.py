"""GGUF files against transformers' own reader of them, and the embedded default model."""

import shutil
from pathlib import Path

import pytest
import torch

from chatwright.model.config import ModelConfig, MoEConfig, RopeConfig
from chatwright.model.gguf_write import write_gguf
from chatwright.model.gpt import GPT
from chatwright.model.load import load_model
from chatwright.model.save import save_model

transformers = pytest.importorskip("transformers")

BASE = ModelConfig(
    vocab_size=384, hidden_size=32, num_layers=2, num_heads=4, num_kv_heads=2, intermediate_size=64, norm_eps=1e-5
)
GPT2 = ModelConfig(
    vocab_size=384,
    hidden_size=32,
    num_layers=2,
    num_heads=4,
    max_position_embeddings=64,
    position="learned",
    norm="layer",
    feed_forward="gelu_tanh",
    qkv_bias=True,
    output_bias=True,
    mlp_bias=True,
)
MODELS = {
    "llama": BASE,
    "llama untied": BASE.replace(tie_embeddings=False),
    "qwen2": BASE.replace(qkv_bias=True),
    "qwen3": BASE.replace(qk_norm=True, rope=RopeConfig(theta=1e6)),
    "qwen3 moe": BASE.replace(
        qk_norm=True, moe=MoEConfig(num_experts=4, num_experts_per_token=2, intermediate_size=32), head_dim=8
    ),
    "gpt2": GPT2,
}


def their_weights(model: torch.nn.Module, path: Path) -> dict[str, torch.Tensor]:
    """What transformers' GGUF reader makes of a file (``from_pretrained`` would also want accelerate)."""
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    tensors: dict[str, torch.Tensor] = load_gguf_checkpoint(path, return_tensors=True, model_to_load=model)["tensors"]
    return tensors


@pytest.mark.parametrize("name", MODELS)
def test_transformers_reads_the_same_model(tmp_path: Path, tiny_model_dir: Path, name: str):
    """Their reader was written by others from the same conventions: names, permuted rows, transposed matrices."""
    model = GPT(MODELS[name]).eval()
    folder = tmp_path / "model"
    save_model(model, folder)
    for file in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(tiny_model_dir / file, folder)
    write_gguf(folder, tmp_path / "model.gguf", dtype="f32")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    reread = their_weights(theirs, tmp_path / "model.gguf")
    assert reread
    for key, weight in theirs.state_dict().items():
        if key in reread:
            torch.testing.assert_close(reread[key].reshape(weight.shape), weight, atol=0, rtol=0, msg=key)
    missing = theirs.state_dict().keys() - reread.keys()
    assert missing <= {"lm_head.weight"}, missing
    ids = torch.arange(24)[None] * 5 % 384
    with torch.no_grad():
        ours = load_model(tmp_path / "model.gguf", dtype="float32")(ids).logits
        torch.testing.assert_close(ours, theirs(ids).logits, atol=1e-4, rtol=0)


@pytest.mark.embedded
def test_embedded_default_has_the_logits_of_transformers():
    from chatwright.model.conversion import converted
    from chatwright.model.resolve import resolve_model

    path = resolve_model(None)
    folder = converted(path)
    theirs = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(folder)).eval()
    theirs.load_state_dict(their_weights(theirs, path), strict=False)
    theirs.tie_weights()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Why is the sky blue? 天空为什么是蓝色的？"}],
        tokenize=False,
        add_generation_prompt=True,
    )
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        ours = load_model(path, dtype="float32")(ids).logits
        torch.testing.assert_close(ours, theirs(ids).logits, atol=1e-3, rtol=0)
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.decode(ours[0, -1].argmax()).strip()
