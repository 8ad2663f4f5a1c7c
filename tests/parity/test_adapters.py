"""Adapter folders against peft, both ways, by the logits."""

import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers

from chatwright.errors import ChatwrightError, ConfigError, ModelFormatError, ModelNotFoundError, UnsupportedModelError
from chatwright.model import GPT, load_model
from chatwright.model.adapters import load_adapter, save_adapter
from chatwright.model.lora import adapted_modules, add_adapters, merge_adapters

SHAPE: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
CONFIGS: dict[str, Any] = {
    "llama": transformers.LlamaConfig(**SHAPE, attention_bias=True),
    "qwen3": transformers.Qwen3Config(**SHAPE, head_dim=8),
    "gemma3": transformers.Gemma3TextConfig(**SHAPE, head_dim=8, query_pre_attn_scalar=8, sliding_window=4),
    "gpt2": transformers.GPT2Config(
        vocab_size=61, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=None, eos_token_id=None
    ),
}
KINDS: dict[str, dict[str, Any]] = {"lora": {}, "dora": {"use_dora": True}, "rslora": {"use_rslora": True}}
IDS = torch.randint(0, 61, (2, 9), generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=CONFIGS, scope="module")
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random model of one family."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("base")
    auto: Any = transformers.AutoModelForCausalLM
    auto.from_config(CONFIGS[request.param]).save_pretrained(folder)
    return folder


def theirs(folder: Path) -> Any:
    """The model in transformers."""
    auto: Any = transformers.AutoModelForCausalLM
    return auto.from_pretrained(folder, attn_implementation="eager").eval()


def shaken(parameters: Any) -> None:
    """Numbers in place of what starts as zero."""
    generator = torch.Generator().manual_seed(7)
    for parameter in parameters:
        parameter.data += torch.empty_like(parameter.data).normal_(0, 0.2, generator=generator)


def trained(model: GPT) -> GPT:
    """With adapters that do something."""
    shaken(parameter for parameter in model.parameters() if parameter.requires_grad)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_peft_opens_ours(base: Path, kind: str, tmp_path: Path) -> None:
    model = load_model(base)
    add_adapters(model, r=4, lora_alpha=12.0, **KINDS[kind])
    save_adapter(trained(model), tmp_path, base=str(base))
    opened = peft.PeftModel.from_pretrained(theirs(base), str(tmp_path)).eval()
    expected = opened(IDS).logits
    torch.testing.assert_close(model(IDS).logits, expected, atol=1e-4, rtol=1e-4)
    assert (expected - theirs(base)(IDS).logits).abs().max() > 0.01  # the adapters do something


@pytest.mark.parametrize("kind", KINDS)
def test_we_open_pefts(base: Path, kind: str, tmp_path: Path) -> None:
    gpt2 = (base / "config.json").read_text().find("gpt2") >= 0
    narrow = "attn.c_proj" if gpt2 else "down_proj"
    config = peft.LoraConfig(
        r=4,
        lora_alpha=12,
        target_modules=["c_attn", "c_proj", "c_fc"] if gpt2 else "all-linear",
        rank_pattern={narrow: 2},
        alpha_pattern={narrow: 5},
        fan_in_fan_out=gpt2,
        task_type="CAUSAL_LM",
        **KINDS[kind],
    )
    their_model = peft.get_peft_model(theirs(base), config).eval()
    shaken(parameter for name, parameter in their_model.named_parameters() if "lora_" in name)
    their_model.save_pretrained(str(tmp_path))
    model = load_model(base)
    load_adapter(model, tmp_path)
    expected = their_model(IDS).logits
    torch.testing.assert_close(model(IDS).logits, expected, atol=1e-4, rtol=1e-4)
    merge_adapters(model)
    torch.testing.assert_close(model(IDS).logits, expected, atol=1e-4, rtol=1e-4)


def test_some_projections_only(base: Path, tmp_path: Path) -> None:
    model = load_model(base)
    add_adapters(model, r=2, target_modules=["layers.1.attn.o_proj", "layers.0.attn.o_proj", "layers.1.mlp.down_proj"])
    save_adapter(trained(model), tmp_path / "a")
    again = load_model(base)
    load_adapter(again, tmp_path / "a", trainable=True)
    assert adapted_modules(again).keys() == adapted_modules(model).keys()
    assert all(module.lora_A.requires_grad for module in adapted_modules(again).values())
    assert torch.equal(again(IDS).logits, model(IDS).logits)
    opened = peft.PeftModel.from_pretrained(theirs(base), str(tmp_path / "a")).eval()
    torch.testing.assert_close(model(IDS).logits, opened(IDS).logits, atol=1e-4, rtol=1e-4)


def test_a_fused_matrix_is_adapted_whole_or_not_at_all(tmp_path: Path) -> None:
    transformers.GPT2LMHeadModel(CONFIGS["gpt2"]).save_pretrained(tmp_path)
    model = load_model(tmp_path)
    add_adapters(model, r=2, target_modules=["q_proj", "v_proj"])
    with pytest.raises(ConfigError, match="q_proj, k_proj, v_proj as one matrix"):
        save_adapter(model, tmp_path / "adapter")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"peft_type": "IA3"}, UnsupportedModelError, "of the kind IA3"),
        ({"modules_to_save": ["lm_head"]}, UnsupportedModelError, "modules_to_save is"),
        ({"bias": "all"}, UnsupportedModelError, "trains biases"),
        ({"init_lora_weights": "pissa_niter_4"}, UnsupportedModelError, "changes the weights below"),
    ],
)
def test_what_we_do_not_run_is_refused(
    change: dict[str, Any], error: type[ChatwrightError], words: str, tiny_model_dir: Path, tmp_path: Path
) -> None:
    model = load_model(tiny_model_dir)
    add_adapters(model, r=2)
    save_adapter(model, tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(error, match=words):
        load_adapter(load_model(tiny_model_dir), tmp_path)


def test_an_adapter_of_another_model_is_refused(base: Path, tiny_model_dir: Path, tmp_path: Path) -> None:
    model = load_model(base)
    add_adapters(model, r=2)
    save_adapter(model, tmp_path)
    with pytest.raises(ModelFormatError, match="give the model it is for"):
        load_adapter(load_model(tiny_model_dir), tmp_path)
    with pytest.raises(ModelNotFoundError, match=r"no adapter_config\.json"):
        load_adapter(load_model(base), tiny_model_dir)
