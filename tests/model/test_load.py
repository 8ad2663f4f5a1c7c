"""Model folders that do not hold what they say: refused by name, never loaded wrong."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from chatwright.errors import ChatwrightError, ModelFormatError, ModelNotFoundError, UnsupportedModelError
from chatwright.model import ModelConfig, MoEConfig, build_model, load_model, save_model
from chatwright.model.load import load_folder


@pytest.fixture
def folder(tiny_model_dir: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may damage."""
    return Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(folder: Path, *, add: dict[str, torch.Tensor] | None = None, remove: str = "") -> None:
    weights = load_file(folder / "model.safetensors")
    weights = {name: tensor for name, tensor in weights.items() if name != remove}
    save_file(weights | (add or {}), folder / "model.safetensors")


def test_a_loaded_model_is_ready_for_inference(folder: Path) -> None:
    model = load_model(folder)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert model.embed.weight.dtype == torch.float32
    assert load_model(str(folder), dtype="bfloat16").embed.weight.dtype == torch.bfloat16
    assert load_model(folder, dtype=torch.float16).embed.weight.dtype == torch.float16


def test_auto_keeps_the_stored_dtype(folder: Path) -> None:
    save_model(load_model(folder), folder, dtype="bfloat16")
    assert load_model(folder).embed.weight.dtype == torch.bfloat16


def test_of_several_stored_dtypes_the_model_runs_in_one(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    mixed = {name: w if "norm" in name else w.to(torch.bfloat16) for name, w in weights.items()}
    save_file(mixed, folder / "model.safetensors")
    change_config(folder, torch_dtype="bfloat16")
    model = load_model(folder)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model(torch.tensor([[1, 2, 3]])).logits.isfinite().all()


def test_weights_are_mapped_not_read(folder: Path) -> None:
    """Every weight is a view of one mapping of the file: memory for one copy is never asked for."""
    model = load_model(folder)
    storages = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    assert len(storages) == 1


def test_unknown_dtype_names_the_choices(folder: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="'int3' is unknown; use auto, float32"):
        load_model(folder, dtype="int3")
    with pytest.raises(UnsupportedModelError, match=r"torch\.int8"):
        load_model(folder, dtype=torch.int8)


def test_a_missing_tensor_is_named(folder: Path) -> None:
    change_weights(folder, remove="model.layers.1.self_attn.k_proj.weight")
    with pytest.raises(ModelFormatError, match=r"lacks the tensor 'model\.layers\.1\.self_attn\.k_proj\.weight'"):
        load_model(folder)


def test_a_superfluous_tensor_is_named(folder: Path) -> None:
    change_weights(folder, add={"model.layers.0.self_attn.k_proj.bias": torch.ones(16)})
    with pytest.raises(ModelFormatError, match=r"k_proj\.bias'.*would give wrong results"):
        load_model(folder)


def test_a_tensor_of_another_shape_is_named(folder: Path) -> None:
    change_weights(folder, add={"model.norm.weight": torch.ones(33)})
    with pytest.raises(ModelFormatError, match=r"norm\.weight' has shape \[33\], but config\.json gives it \[32\]"):
        load_model(folder)


def test_a_transposed_matrix_is_not_taken_for_the_right_one(folder: Path) -> None:
    change_weights(folder, add={"model.layers.0.mlp.up_proj.weight": torch.ones(32, 64)})
    with pytest.raises(ModelFormatError, match="up_proj"):
        load_model(folder)


def test_an_untied_head_must_be_there(folder: Path) -> None:
    change_config(folder, tie_word_embeddings=False)
    with pytest.raises(ModelFormatError, match=r"lacks the tensor 'lm_head\.weight'"):
        load_model(folder)


def test_a_tied_head_stored_twice_is_dropped_only_when_equal(folder: Path) -> None:
    embedding = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    change_weights(folder, add={"lm_head.weight": embedding.clone()})
    assert load_model(folder).head is None
    changed = embedding.clone()
    changed[3, 4] += 1e-3
    change_weights(folder, add={"lm_head.weight": changed})
    head = load_model(folder).head
    assert head is not None
    assert torch.equal(head.weight, changed)


def test_rotary_frequencies_in_old_files_are_no_weights(folder: Path) -> None:
    change_weights(folder, add={"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)})
    load_model(folder)


def test_integers_are_not_taken_for_weights(folder: Path) -> None:
    change_weights(folder, add={"model.norm.weight": torch.ones(32, dtype=torch.int8)})
    with pytest.raises(UnsupportedModelError, match=r"'model\.norm\.weight' is stored as torch\.int8"):
        load_model(folder)


def test_pickled_weights_are_never_opened(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(UnsupportedModelError, match=r"pytorch_model\.bin.*save_pretrained"):
        load_model(folder)


def test_weights_under_another_name_are_not_guessed_at(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    with pytest.raises(ModelFormatError, match=r"neither model\.safetensors nor"):
        load_model(folder)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="does not exist"):
        load_model(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b"1" * 5000, b'{"a": NaN'])
def test_a_config_that_is_no_json_object(content: bytes, folder: Path) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(ModelFormatError, match=r"config\.json"):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_hidden_layers": 10**12}, "num_hidden_layers"),
        ({"num_hidden_layers": 9_999}, "9999 layers"),
        ({"vocab_size": 10**15}, "vocab_size"),
        ({"num_attention_heads": 2**40}, "num_attention_heads"),
        ({"hidden_size": 2**20, "vocab_size": 2**26}, "has shape"),
        ({"hidden_size": -1}, "hidden_size"),
        ({"hidden_size": "32"}, "hidden_size"),
        ({"num_key_value_heads": 3}, "not a multiple"),
        ({"num_key_value_heads": 0}, "num_key_value_heads"),
        ({"head_dim": 7}, "odd"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps"),
        ({"rope_theta": 0}, "theta"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings"),
        ({"rope_scaling": {"rope_type": "linear"}}, "factor is missing"),
    ],
)
def test_impossible_configs_are_refused_before_anything_is_built(
    changes: dict[str, Any], message: str, folder: Path
) -> None:
    change_config(folder, **changes)
    with pytest.raises(ModelFormatError, match=message):
        load_model(folder)


def test_more_experts_than_tensors_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    config = ModelConfig(
        64,
        16,
        2,
        2,
        head_dim=8,
        qk_norm=True,
        moe=MoEConfig(num_experts=4, num_experts_per_token=2, intermediate_size=8),
    )
    save_model(build_model(config), tmp_path)
    change_config(tmp_path, num_experts=16_000)
    with pytest.raises(ModelFormatError, match="32002 tensors or more"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "mamba"}, "'mamba'.*supported are llama, qwen3"),
        ({"model_type": None}, "supported are llama"),
        ({"auto_map": {"AutoModelForCausalLM": "evil.Model"}}, "auto_map.*never runs"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantised"),
        ({"hidden_act": "gelu"}, "hidden_act is 'gelu'"),
        ({"rope_scaling": {"rope_type": "longrope", "factor": 2.0}}, "rope_type is 'longrope'"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
    ],
)
def test_features_that_we_do_not_run_are_refused_by_name(changes: dict[str, Any], message: str, folder: Path) -> None:
    change_config(folder, **changes)
    with pytest.raises(UnsupportedModelError, match=message):
        load_model(folder)


CONFIG_KEYS = [
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "head_dim", "max_position_embeddings", "rms_norm_eps", "rope_theta", "rope_scaling", "rope_parameters",
    "hidden_act", "attention_bias", "tie_word_embeddings", "model_type", "layer_types", "sliding_window",
    "use_sliding_window", "num_experts", "num_experts_per_tok", "mlp_only_layers", "decoder_sparse_step", "n_embd",
    "n_head", "n_inner",
    "query_pre_attn_scalar", "sliding_window_pattern", "torch_dtype", "initializer_range",
]  # fmt: skip
MODEL_TYPES = ["llama", "qwen2", "qwen3", "qwen3_moe", "gemma3_text", "gpt2", "openai-gpt", "mistral", "chatwright"]
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70),
    st.integers(),
    st.floats(),
    st.sampled_from(MODEL_TYPES),
    st.lists(st.one_of(st.integers(-1, 3), st.sampled_from(["full_attention", "sliding_attention"])), max_size=3),
    st.dictionaries(
        st.sampled_from(["rope_type", "factor", "rope_theta", "full_attention", "original_max_position_embeddings"]),
        st.one_of(st.integers(-1, 9), st.floats(), st.sampled_from(["yarn", "llama3", "linear"]), st.just({})),
    ),
)


@given(changes=st.dictionaries(st.sampled_from(CONFIG_KEYS), _VALUES, min_size=1, max_size=4))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_config_loads_or_is_refused_in_words(changes: dict[str, Any], tiny_model_dir: Path, folder: Path) -> None:
    shutil.copy(tiny_model_dir / "config.json", folder / "config.json")
    change_config(folder, **changes)
    try:
        model = load_folder(folder)
    except ChatwrightError as error:
        assert "\n" not in str(error)  # noqa: PT017 - most examples are refused, some are not
    else:
        assert model(torch.tensor([[1, 2, 3]])).logits.shape[:2] == (1, 3)


def test_loading_does_not_import_the_compiler(tiny_model_dir: Path) -> None:
    """PyTorch's compiler takes as long to import as all the rest; filling tensors without memory used to need it."""
    script = (
        f"import sys, chatwright; chatwright.load_model({str(tiny_model_dir)!r}); print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
