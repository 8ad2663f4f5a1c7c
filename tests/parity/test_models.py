"""Our GPT against transformers, family by family, on tiny models whose every weight is random."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from chatwright.model import GPT, load_model, save_model
from chatwright.model.families import FAMILIES

TOLERANCE = 1e-4
LLAMA: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
GPT_SHAPE: dict[str, Any] = {"vocab_size": 97, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64}
NO_SPECIALS: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {"rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "original_max_position_embeddings": 16}
GEMMA: dict[str, Any] = {"head_dim": 16, "sliding_window": 5, "query_pre_attn_scalar": 24}
MIXED = ["sliding_attention", "full_attention", "sliding_attention"]
MOE: dict[str, Any] = {"head_dim": 16, "num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 24}

CASES: dict[str, transformers.PretrainedConfig] = {
    "gpt1": transformers.OpenAIGPTConfig(**GPT_SHAPE),
    "gpt1-relu": transformers.OpenAIGPTConfig(**GPT_SHAPE, afn="relu"),
    "gpt2": transformers.GPT2Config(**GPT_SHAPE, **NO_SPECIALS),
    "gpt2-untied-wide": transformers.GPT2Config(
        **GPT_SHAPE, **NO_SPECIALS, n_inner=40, tie_word_embeddings=False, activation_function="gelu"
    ),
    "gpt2-unscaled": transformers.GPT2Config(**GPT_SHAPE, **NO_SPECIALS, scale_attn_weights=False),
    "llama": transformers.LlamaConfig(**LLAMA),
    "smollm2": transformers.LlamaConfig(**LLAMA | {"num_key_value_heads": 1}, tie_word_embeddings=True),
    "llama-biases": transformers.LlamaConfig(**LLAMA, attention_bias=True, mlp_bias=True, head_dim=16),
    "llama-rope-llama3": transformers.LlamaConfig(**LLAMA, rope_parameters=LLAMA3_ROPE),
    "llama-rope-linear": transformers.LlamaConfig(
        **LLAMA, rope_parameters={"rope_type": "linear", "rope_theta": 1000.0, "factor": 2.5}
    ),
    "llama-rope-yarn": transformers.LlamaConfig(**LLAMA, rope_parameters=YARN),
    "qwen2": transformers.Qwen2Config(**LLAMA, tie_word_embeddings=True),
    "qwen2-yarn-sliding": transformers.Qwen2Config(
        **LLAMA,
        rope_parameters=YARN | {"attention_factor": 1.3, "beta_fast": 16.0, "beta_slow": 2.0},
        use_sliding_window=True,
        sliding_window=4,
        max_window_layers=1,
    ),
    "mistral": transformers.MistralConfig(**LLAMA, sliding_window=5),
    "qwen3": transformers.Qwen3Config(**LLAMA, head_dim=16, tie_word_embeddings=True),
    "qwen3-bias-sliding": transformers.Qwen3Config(
        **LLAMA, head_dim=16, attention_bias=True, use_sliding_window=True, sliding_window=4, layer_types=MIXED
    ),
    "qwen3-moe": transformers.Qwen3MoeConfig(**LLAMA, **MOE, norm_topk_prob=True),
    "qwen3-moe-some-dense": transformers.Qwen3MoeConfig(**LLAMA, **MOE, norm_topk_prob=False, mlp_only_layers=[1]),
    "gemma3": transformers.Gemma3TextConfig(**LLAMA, **GEMMA, layer_types=MIXED),
    "gemma3-both-ways": transformers.Gemma3TextConfig(
        **LLAMA, **GEMMA, layer_types=MIXED, use_bidirectional_attention=True
    ),
    "gemma3-rope-linear": transformers.Gemma3TextConfig(
        **LLAMA,
        **GEMMA,
        layer_types=MIXED,
        rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
        },
    ),
}


def reference(name: str) -> Any:
    """A transformers model with every weight, norms and biases too, far from its initial value."""
    torch.manual_seed(sorted(CASES).index(name))
    model = transformers.AutoModelForCausalLM.from_config(CASES[name], attn_implementation="eager").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn_like(parameter)
            parameter.add_(0.3 * noise) if parameter.dim() == 1 else parameter.copy_(0.25 * noise)
    return model


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids [3, 21] and a mask with padding on the left, on the right, and none."""
    ids = torch.randint(0, 97, (3, 21), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[0, :6] = 0
    mask[1, -4:] = 0
    return ids, mask


@pytest.fixture(scope="module", params=CASES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, GPT]:
    """A model of transformers, and ours loaded from the folder that it saved."""
    theirs = reference(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    theirs.save_pretrained(folder)
    return theirs, load_model(folder, dtype="float32")


@torch.no_grad()
def test_logits_agree(pair: tuple[Any, GPT]) -> None:
    theirs, ours = pair
    ids, _ = batch()
    expected = theirs(ids).logits
    assert expected.std() > 0.3  # a model that says nothing would agree with anything
    torch.testing.assert_close(ours(ids).logits, expected, atol=TOLERANCE, rtol=0)


@torch.no_grad()
def test_logits_agree_under_padding(pair: tuple[Any, GPT]) -> None:
    theirs, ours = pair
    ids, mask = batch()
    expected = theirs(ids, attention_mask=mask).logits
    result = ours(ids, attention_mask=mask).logits
    assert result.isfinite().all()
    torch.testing.assert_close(result[mask.bool()], expected[mask.bool()], atol=TOLERANCE, rtol=0)


@torch.no_grad()
def test_hidden_states_and_attentions_agree(pair: tuple[Any, GPT]) -> None:
    theirs, ours = pair
    ids, _ = batch()
    expected = theirs(ids, output_hidden_states=True, output_attentions=True)
    result = ours(ids, output_hidden_states=True, output_attentions=True)
    assert result.hidden_states is not None
    assert result.attentions is not None
    assert len(result.hidden_states) == len(expected.hidden_states)
    for mine, its in zip(result.hidden_states, expected.hidden_states, strict=True):
        torch.testing.assert_close(mine, its, atol=TOLERANCE, rtol=1e-5)
    for mine, its in zip(result.attentions, expected.attentions, strict=True):
        torch.testing.assert_close(mine, its, atol=TOLERANCE, rtol=0)
    torch.testing.assert_close(result.logits, expected.logits, atol=TOLERANCE, rtol=0)


@torch.no_grad()
def test_transformers_opens_what_we_save(pair: tuple[Any, GPT], tmp_path: Path) -> None:
    theirs, ours = pair
    ids, _ = batch()
    save_model(ours, tmp_path)
    again, info = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, output_loading_info=True, attn_implementation="eager"
    )
    assert type(again).__name__ == FAMILIES[again.config.model_type].architecture
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    torch.testing.assert_close(again(ids).logits, theirs(ids).logits, atol=1e-6, rtol=0)
    reloaded = load_model(tmp_path)
    assert torch.equal(reloaded(ids).logits, ours(ids).logits)


@torch.no_grad()
def test_bfloat16_is_as_close_to_float32_as_in_transformers(tmp_path: Path) -> None:
    theirs = reference("qwen3")
    theirs.save_pretrained(tmp_path)
    ids, _ = batch()
    exact = theirs(ids).logits
    mine = load_model(tmp_path, dtype="bfloat16")(ids).logits
    its = theirs.to(torch.bfloat16)(ids).logits
    assert mine.dtype == torch.bfloat16
    assert (mine - exact).square().mean() < 1.5 * (its - exact).square().mean()


@torch.no_grad()
def test_a_head_that_differs_from_its_tied_embedding_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    theirs = transformers.AutoModelForCausalLM.from_config(transformers.LlamaConfig(**LLAMA)).eval()
    theirs.config.tie_word_embeddings = True  # the file will hold a head of its own nevertheless
    theirs.save_pretrained(tmp_path, state_dict=theirs.state_dict())
    ours = load_model(tmp_path)
    assert ours.head is not None
    assert "lm_head.weight is stored with other values" in caplog.text
    ids, _ = batch()
    torch.testing.assert_close(ours(ids).logits, theirs(ids).logits, atol=TOLERANCE, rtol=0)


def test_older_spelling_of_configs_is_read(tmp_path: Path) -> None:
    """Files of transformers 4 have rope_theta, rope_scaling and torch_dtype."""
    import json

    theirs = reference("llama-rope-llama3")
    theirs.save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    rope = values.pop("rope_parameters")
    values |= {"rope_theta": rope.pop("rope_theta"), "rope_scaling": rope, "torch_dtype": values.pop("dtype")}
    (tmp_path / "config.json").write_text(json.dumps(values))
    ids, _ = batch()
    with torch.no_grad():
        torch.testing.assert_close(load_model(tmp_path)(ids).logits, theirs(ids).logits, atol=TOLERANCE, rtol=0)


def test_gpt2_saved_from_the_bare_model_with_mask_buffers(tmp_path: Path) -> None:
    """The published GPT-2 files lack the ``transformer.`` prefix and carry the causal masks of each layer."""
    from safetensors.torch import load_file, save_file

    theirs = reference("gpt2")
    theirs.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights = {name.removeprefix("transformer."): tensor for name, tensor in weights.items()}
    weights |= {f"h.{layer}.attn.bias": torch.ones(1, 1, 64, 64) for layer in range(3)}
    save_file(weights, tmp_path / "model.safetensors")
    ids, _ = batch()
    with torch.no_grad():
        torch.testing.assert_close(load_model(tmp_path)(ids).logits, theirs(ids).logits, atol=TOLERANCE, rtol=0)


def test_text_generation_pipeline_opens_what_we_save(tiny_model_dir: Path, tmp_path: Path) -> None:
    import shutil

    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(tiny_model_dir / name, tmp_path / name)
    save_model(load_model(tiny_model_dir), tmp_path)
    answer, original = (
        transformers.pipeline("text-generation", model=str(folder))("hello", max_new_tokens=8, do_sample=False)
        for folder in (tmp_path, tiny_model_dir)
    )
    assert answer == original
    assert answer[0]["generated_text"].startswith("hello")
