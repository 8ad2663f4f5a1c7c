"""The model that a stage trains: opened or made, adapted, and written when the stage has ended."""

from dataclasses import replace
from pathlib import Path

import torch

from chatwright.chat import ChatTemplate
from chatwright.chat.default import CHATML
from chatwright.errors import ConfigError
from chatwright.loaded import generation_defaults, model_folder
from chatwright.model import GPT, GenerationDefaults, ModelConfig, build_model, save_model
from chatwright.model.adapters import load_adapter, save_adapter
from chatwright.model.load import load_folder
from chatwright.model.lora import add_adapters, has_adapters, merge_adapters
from chatwright.model.resolve import resolve_model
from chatwright.model.surgery import add_layers, drop_layers, resize_vocabulary, widen_feed_forward, widen_stream
from chatwright.tokenizer import Tokenizer
from chatwright.train.recipe import ModelSettings
from chatwright.train.settings import GrowSettings, StageSettings
from chatwright.train.tokenizer_stage import with_template

ADAPTER_FOLDER = "adapter"

_ROWS_MULTIPLE = 64  # matrix products are faster where a vocabulary is a multiple of it; unused rows cost little
# What a model that nobody has tuned answers best with: a small one loses the thread at higher temperatures.
_TEMPERATURE, _TOP_P = 0.7, 0.9


def first_model(settings: ModelSettings, tokenizer: Tokenizer, *, seed: int, device: torch.device) -> GPT:
    """The model that the first stage starts from, in float32.

    Args:
        settings: where its weights come from.
        tokenizer: its vocabulary decides the number of embeddings of a new model.
        seed: of random weights.
        device: where they go.

    Raises:
        ModelNotFoundError, ModelFormatError, UnsupportedModelError: there is no such model.
        ConfigError: the shape contradicts itself, or the tokenizer does not fit the model.
    """
    if settings.from_scratch:
        config = settings.config(-(-tokenizer.vocab_size // _ROWS_MULTIPLE) * _ROWS_MULTIPLE)
        return build_model(config, device=device, seed=seed)
    folder = source_folder(settings)
    model = load_folder(folder, dtype=torch.float32, device=device)
    if settings.adapter is not None:
        load_adapter(model, settings.adapter)
        merge_adapters(model)
    if settings.shape:
        raise ConfigError(
            f"model: {', '.join(settings.shape)} cannot be changed on a model that is taken `from` elsewhere; "
            "leave it out, or see `grow`"
        )
    if settings.grow is not None:
        model = grown(model, settings.grow)
    if tokenizer.vocab_size > model.config.vocab_size:
        raise ConfigError(
            f"the tokenizer has {tokenizer.vocab_size:,} tokens, but {folder} embeds {model.config.vocab_size:,}; "
            "leave out `tokenizer` to keep the model's own"
        )
    return model


def source_folder(settings: ModelSettings) -> Path:
    """The Hugging Face folder that the weights are read from."""
    return model_folder(resolve_model(settings.source), dtype="float32")


def advice(settings: ModelSettings, tokenizer: Tokenizer, template: ChatTemplate) -> GenerationDefaults:
    """What a stage's model is saved with: the tokens that end an answer, and how to sample."""
    ends = tuple(dict.fromkeys(id_ for id_ in (template.turn_end_id, tokenizer.eos_id) if id_ is not None))
    if settings.from_scratch:
        return GenerationDefaults(tokenizer.bos_id, ends, tokenizer.pad_id, temperature=_TEMPERATURE, top_p=_TOP_P)
    known = generation_defaults(resolve_model(settings.source), source_folder(settings))
    return replace(known, eos_token_ids=tuple(dict.fromkeys((*known.eos_token_ids, *ends))))


def check_context(config: ModelConfig, settings: StageSettings, stage: str) -> None:
    """Raises ConfigError where sequences may be longer than the table of positions that a model learns."""
    limit = config.max_position_embeddings
    if config.position == "learned" and settings.max_length > limit:
        raise ConfigError(
            f"stages.{stage}.max_length is {settings.max_length}, but the model knows only {limit} positions; "
            f"set max_length to {limit} or less, or, with random weights, raise model.max_position_embeddings"
        )


def prepare_model(model: GPT, settings: StageSettings, *, seed: int) -> None:
    """Make trainable what the stage trains: everything, or new adapters."""
    if settings.lora is None:
        model.requires_grad_(True)
    else:
        add_adapters(model, **settings.lora.model_dump(), seed=seed)


def save_weights(model: GPT, folder: Path) -> None:
    """The weights of a checkpoint: all of them, or the adapters alone."""
    if has_adapters(model):
        save_adapter(model, folder)
    else:
        save_model(model, folder, dtype=torch.float32, own_format=True)


def save_result(model: GPT, base: GPT | None, folder: Path, generation: GenerationDefaults) -> GPT:
    """Write a stage's result; adapters both alone and merged.

    Args:
        model: as the loop leaves it.
        base: with adapters, the model that they were added to, in float32: what the loop computed with is rounded.
        folder: exists.
        generation: see :func:`advice`.
    Returns:
        The model without adapters.
    """
    if has_adapters(model):
        assert base is not None
        save_adapter(model, folder / ADAPTER_FOLDER)
        load_adapter(base, folder / ADAPTER_FOLDER)
        merge_adapters(base)
        model = base
    save_model(model, folder, dtype=torch.float32, generation=generation, own_format=True)
    return model


def servable_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer with the template that it is trained with: ChatML, where it had none and has ChatML's tokens."""
    template = ChatTemplate(tokenizer)
    if template.is_default and template.turn_end_id is not None:
        return with_template(tokenizer, CHATML)
    return tokenizer


def grown(model: GPT, settings: GrowSettings) -> GPT:
    """The model in another shape, which computes the same but for what is dropped.

    Raises:
        ConfigError: the model cannot be changed that way.
    """
    if settings.drop_layers:
        model = drop_layers(model, settings.drop_layers)
    if settings.widen > 1:
        model = widen_stream(model, settings.widen)
    if settings.intermediate_size is not None:
        model = widen_feed_forward(model, settings.intermediate_size)
    if settings.add_layers:
        model = add_layers(model, settings.add_layers)
    if settings.vocab_size is not None:
        model = resize_vocabulary(model, settings.vocab_size)
    return model
