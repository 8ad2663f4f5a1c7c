"""Growing and shrinking trained models, so that training goes on from what is known instead of from noise.

What is added changes nothing at first, exactly but for rounding: new layers write nothing yet, and neurons and
channels are doubled with what they feed divided between the copies. The division is uneven, at random: equal copies
would get equal gradients and stay equal for ever.

Shape legend: V vocabulary, C hidden width, I inner width; ``...`` any leading dimensions.

Source:
    Chen et al. 2015, arXiv 1511.05641 (Net2Net); Wu et al. 2024, arXiv 2401.02415, section 3 (new layers).
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from chatwright.errors import ConfigError
from chatwright.model.config import ModelConfig
from chatwright.model.gpt import GPT
from chatwright.model.lora import has_adapters
from chatwright.model.skeleton import skeleton

_LAYER = re.compile(r"layers\.(\d+)\.(.+)")
_WRITES = re.compile(r"attn\.o_proj\.\w+|mlp\.down_proj(\.\w+)?|\w+_post_norm\.bias")  # what a layer adds to the stream
_READS = re.compile(r"layers\.\d+\.(attn\.[qkv]_proj|mlp\.(gate|up)_proj|mlp\.router)\.weight|.*\.mlp\.gate_up_proj")

_State = dict[str, Tensor]


def add_layers(model: GPT, count: int) -> GPT:
    """``count`` layers more, spread evenly; each a copy of the one before it that does not write yet.

    Raises:
        ConfigError: the norms come after the layers, so that none can be without effect.
    """
    _check(model)
    if model.config.norm_placement == "post":
        raise ConfigError("layers cannot be added to a model whose norms come after them (norm_placement=post)")
    if count < 1:
        raise ConfigError(f"{count} layers cannot be added; give a positive number")
    old = model.config.num_layers
    after = [(number + 1) * old // count - 1 if count <= old else number % old for number in range(count)]
    order = [
        entry for layer in range(old) for entry in [(layer, False), *[(layer, True)] * after.count(layer)]
    ]  # fresh ones behind the layer that they are copied from
    return _restacked(model, order)


def drop_layers(model: GPT, layers: Sequence[int]) -> GPT:
    """The model without some layers, counted from 0; negative ones from the end.

    Raises:
        ConfigError: there is no such layer, or none would be left.
    """
    _check(model)
    total = model.config.num_layers
    for layer in layers:
        if not -total <= layer < total:
            raise ConfigError(f"layer {layer} cannot be dropped: the model has {total}, counted from 0")
    dropped = {layer % total for layer in layers}
    if len(dropped) == total:
        raise ConfigError(f"all {total} layers would be dropped; leave at least one")
    return _restacked(model, [(layer, False) for layer in range(total) if layer not in dropped])


def widen_feed_forward(model: GPT, size: int, *, seed: int = 0) -> GPT:
    """``size`` neurons in each feed-forward layer: the old ones, and copies of random ones among them.

    Args:
        model: without experts.
        size: more than it has.
        seed: of the choice.
    Raises:
        ConfigError: the model has experts, or ``size`` is smaller than what it has.
    """
    _check(model)
    old = model.config.mlp_size
    if model.config.moe is not None:
        raise ConfigError("the feed-forward of a model with experts cannot be widened")
    if size <= old:
        raise ConfigError(f"intermediate_size {size} is not more than the model's {old}")
    generator = torch.Generator().manual_seed(seed)
    state = model.state_dict()
    for layer in range(model.config.num_layers):
        at = f"layers.{layer}.mlp."
        source = torch.cat([torch.arange(old), torch.randint(0, old, (size - old,), generator=generator)])
        share = 0.5 + torch.rand(size, generator=generator)
        share = share / torch.zeros(old).index_add_(0, source, share)[source]
        for name in [name for name in state if name.startswith((f"{at}gate_proj.", f"{at}up_proj."))]:
            state[name] = state[name][source.to(state[name].device)]
        down_CI = state[f"{at}down_proj.weight"]
        copied = down_CI[:, source.to(down_CI.device)].float() * share.to(down_CI.device)
        state[f"{at}down_proj.weight"] = copied.to(down_CI.dtype)
    return _rebuilt(model, model.config.replace(intermediate_size=size), state)


def widen_stream(model: GPT, factor: int, *, seed: int = 0) -> GPT:
    """A residual stream ``factor`` times as wide, every channel repeated; heads and feed-forward stay as they are.

    A norm does not notice the repetition, and what reads the stream divides its weights between the copies.

    Args:
        model: without sinusoidal positions, which would not be repeated; with a final norm, where its head is tied.
        factor: at least 2.
        seed: of the division.
    Raises:
        ConfigError: the model is of another kind.
    """
    _check(model)
    config = model.config
    if factor < 2:
        raise ConfigError(f"the width cannot be multiplied by {factor}; give 2 or more")
    if config.position == "sinusoidal" or (config.tie_embeddings and not config.final_norm):
        raise ConfigError("a model with sinusoidal positions, or tied embeddings and no final norm, cannot be widened")
    generator = torch.Generator().manual_seed(seed)
    state = model.state_dict()
    for name, value in state.items():
        inside = name.rpartition("layers.")[2]
        if _READS.fullmatch(name) or name == "head.weight":
            state[name] = _divided(value, factor, generator)
        elif name.endswith("embed.weight"):
            state[name] = value.repeat(1, factor)
        elif ".mlp.down_proj" in name and value.dim() == 3:
            state[name] = value.repeat(1, factor, 1)  # experts, stacked
        elif "q_norm" not in inside and "k_norm" not in inside and ("norm" in name or _writes(name)):
            state[name] = value.repeat(factor, *[1] * (value.dim() - 1))
    if config.tie_embeddings:  # the head reads repeated embeddings, each of them in full
        state["norm.weight"] = (state["norm.weight"] + config.norm_offset) / factor - config.norm_offset
        if "norm.bias" in state:
            state["norm.bias"] = state["norm.bias"] / factor
    changes = {"hidden_size": config.hidden_size * factor, "head_dim": config.head_size}
    return _rebuilt(model, config.replace(**changes), state)


def resize_vocabulary(model: GPT, size: int, *, seed: int = 0) -> GPT:
    """A table of ``size`` embeddings: the last ones cut off, or new ones near the mean of the old.

    From there a new token's probability is neither large nor needs to travel far; with random rows the first steps
    are lost to both.

    Args:
        model: any.
        size: rows of the new table.
        seed: of what tells the new rows apart.
    """
    _check(model)
    if size < 1:
        raise ConfigError(f"vocab_size is {size}; it must be positive")
    state = model.state_dict()
    for name in ("embed.weight", "head.weight"):
        if name not in state:
            continue
        table_VC = state[name]
        extra = size - len(table_VC)
        if extra > 0:
            generator = torch.Generator().manual_seed(seed)
            noise = torch.randn(extra, table_VC.shape[1], generator=generator).to(table_VC.device)
            rows = table_VC.float().mean(dim=0) + 0.1 * table_VC.float().std(dim=0) * noise
            state[name] = torch.cat([table_VC, rows.to(table_VC.dtype)])
        else:
            state[name] = table_VC[:size].clone()
    return _rebuilt(model, model.config.replace(vocab_size=size), state)


def _check(model: GPT) -> None:
    if has_adapters(model):
        raise ConfigError("the model has adapters; merge them before changing its shape")


def _writes(name: str) -> bool:
    match = _LAYER.fullmatch(name)
    return match is not None and _WRITES.fullmatch(match[2]) is not None


def _divided(weight: Tensor, factor: int, generator: torch.Generator) -> Tensor:
    """``factor`` matrices side by side that sum up to ``weight`` [..., C]."""
    shares = 0.5 + torch.rand(factor, *weight.shape, generator=generator)
    shares = (shares / shares.sum(dim=0)).to(weight.device)
    return torch.cat([(weight.float() * share).to(weight.dtype) for share in shares], dim=-1)


def _restacked(model: GPT, order: Sequence[tuple[int, bool]]) -> GPT:
    """Layers in a new order: (which of the old ones, whether it must not write)."""
    config, old = model.config, model.state_dict()
    state = {name: value for name, value in old.items() if not _LAYER.fullmatch(name)}
    for new, (source, silent) in enumerate(order):
        for name, value in old.items():
            match = _LAYER.fullmatch(name)
            if match is not None and int(match[1]) == source:
                empty = silent and _WRITES.fullmatch(match[2]) is not None
                state[f"layers.{new}.{match[2]}"] = torch.zeros_like(value) if empty else value.clone()
    moe = config.moe
    if moe is not None:
        dense = tuple(new for new, (source, _) in enumerate(order) if source in moe.dense_layers)
        moe = replace(moe, dense_layers=dense)
    types = tuple(config.layer_types[source] for source, _ in order)
    return _rebuilt(model, config.replace(num_layers=len(order), layer_types=types, moe=moe), state)


def _rebuilt(model: GPT, config: ModelConfig, state: _State) -> GPT:
    new = skeleton(config)
    new.load_state_dict({name: value.detach() for name, value in state.items()}, strict=True, assign=True)
    new.requires_grad_(next(model.parameters()).requires_grad)
    return new.train(model.training)
