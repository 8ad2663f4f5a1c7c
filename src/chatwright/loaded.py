"""Everything that it takes to answer, opened together: engine, tokenizer, chat template, the makers' settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from chatwright.chat import ChatTemplate, Fitted, Message, Policy, fit_context
from chatwright.engine.build import build_runner, choose_device, choose_dtype
from chatwright.engine.engine import Engine
from chatwright.engine.limits import block_bytes, checked_model_len
from chatwright.engine.params import SamplingParams
from chatwright.engine.torch_runner import BLOCK_SIZE, TorchRunner
from chatwright.errors import ContextLengthError, InvalidParameterError, ModelFormatError
from chatwright.model.catalog import CATALOG
from chatwright.model.conversion import converted
from chatwright.model.digest import file_sha256
from chatwright.model.generation import GenerationDefaults, read_generation_defaults
from chatwright.model.gpt import GPT
from chatwright.model.load import parse_dtype
from chatwright.model.resolve import resolve_model
from chatwright.tokenizer import Tokenizer

# An answer needs room. Where the caller sets no max_tokens, "drop_oldest" keeps this much free, so that an answer is
# not cut after a word because the conversation fills the context to the brim.
ANSWER_ROOM_TOKENS = 512
_LIVE_MEMORY_BYTES = 1 << 30  # for keys and values beside a model in training


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that answers.

    Attributes:
        source: the folder or ``.gguf`` file that it came from.
        engine: generates.
        tokenizer, template: turn messages into the model's tokens.
        sampling: what its makers advise, over our own defaults.
    """

    source: Path
    engine: Engine
    tokenizer: Tokenizer
    template: ChatTemplate
    sampling: SamplingParams

    @classmethod
    def open(
        cls,
        source: str | Path | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        threads: int | None = None,
        kv_memory_bytes: int | None = None,
        max_model_len: int | None = None,
    ) -> Self:
        """Load a model with all that belongs to it.

        Args:
            source: as for :func:`chatwright.resolve_model`.
            device, dtype, threads, kv_memory_bytes, max_model_len: as for :func:`chatwright.engine.build_runner`.

        Raises:
            ModelNotFoundError, ModelFormatError, UnsupportedModelError, TemplateError: the model cannot be used.
            InvalidParameterError: an option is not allowed.
            EngineError, StorageError: there is no such device, or not enough memory or disk.
        """
        path = resolve_model(source)
        folder = model_folder(path, device=device, dtype=dtype)
        # What is quick to read comes first: a broken template shows before the weights are loaded.
        tokenizer = _tokenizer(path, folder)
        template = ChatTemplate(tokenizer)
        defaults = generation_defaults(path, folder)
        runner = build_runner(
            path,
            device=device,
            dtype=dtype,
            threads=threads,
            kv_memory_bytes=kv_memory_bytes,
            max_model_len=max_model_len,
        )
        engine = Engine(runner, tokenizer, eos_ids=_end_ids(defaults, tokenizer, template))
        return cls(path, engine, tokenizer, template, _sampling(defaults, template))

    @classmethod
    def of(
        cls,
        model: GPT,
        tokenizer: Tokenizer,
        template: ChatTemplate | None = None,
        *,
        source: Path = Path("in-memory"),
        max_model_len: int | None = None,
        max_num_seqs: int = 32,
        kv_memory_bytes: int | None = None,
        batch_decoding: bool | None = None,
    ) -> Self:
        """A model whose weights are in memory already, such as one that is being trained. They are shared, not copied.

        Cheap to open and to close. What is generated is greedy or as the caller says: there is no makers' advice.

        Args:
            model: in eval mode, on its device; must not change while an answer is being written.
            tokenizer: the model's.
            template: the model's; None takes the tokenizer's own.
            source: what to call the model.
            max_model_len: longest prompt and answer together, in tokens; None takes the model's context length.
            max_num_seqs: most sequences that run together.
            kv_memory_bytes: memory for keys and values; None takes what ``max_num_seqs`` sequences of full length
                need, and at most 1 GiB.
            batch_decoding: see :class:`~chatwright.engine.torch_runner.TorchRunner`.

        Raises:
            InvalidParameterError: the model is in training mode, or an option is out of bounds.
            UnsupportedModelError: the model attends in both directions, so it cannot generate.
        """
        if model.training:
            raise InvalidParameterError(
                "model", "the model is in training mode, where dropout is on; call model.eval()"
            )
        length = checked_model_len(model.config, max_model_len)
        per_block = block_bytes(model.config, BLOCK_SIZE, model.embed.weight.element_size())
        wanted = max_num_seqs * -(-length // BLOCK_SIZE) * per_block
        memory = min(wanted, _LIVE_MEMORY_BYTES) if kv_memory_bytes is None else kv_memory_bytes
        runner = TorchRunner(
            model, kv_memory_bytes=max(memory, per_block), max_model_len=length, batch_decoding=batch_decoding
        )
        template = template or ChatTemplate(tokenizer)
        defaults = GenerationDefaults()
        engine = Engine(runner, tokenizer, eos_ids=_end_ids(defaults, tokenizer, template), max_num_seqs=max_num_seqs)
        return cls(source, engine, tokenizer, template, _sampling(defaults, template))

    def fit(
        self,
        messages: Sequence[Message],
        policy: Policy,
        max_tokens: int | None,
        *,
        continue_final: bool = False,
        tools: Sequence[Mapping[str, Any]] | None = None,
        **variables: Any,
    ) -> Fitted:
        """The prompt for ``messages``, leaving room for an answer of ``max_tokens``.

        Args:
            messages: the whole chat.
            policy: what is done when it does not fit.
            max_tokens: of the answer; None: as many as there is room for.
            continue_final, tools, variables: as for :meth:`chatwright.chat.ChatTemplate.render`.

        Raises:
            ContextLengthError: it does not fit by this policy.
        """
        context = self.engine.max_model_len
        if max_tokens is None:
            max_tokens = ANSWER_ROOM_TOKENS if policy == "drop_oldest" else 1
        room = context - min(max_tokens, context // 2)
        fit = partial(
            fit_context,
            self.template,
            messages,
            policy=policy,
            continue_final=continue_final,
            tools=tools,
            **variables,
        )
        try:
            return fit(max_tokens=room)
        except ContextLengthError:
            if not continue_final:
                raise
            return fit(max_tokens=context - 1)  # an answer that fills the context nearly is continued to its brim

    def close(self) -> None:
        """Free its memory and threads; answers in flight end with EngineError."""
        self.engine.close()


def load_tokenizer(source: str | Path | None = None) -> Tokenizer:
    """The tokenizer of a model.

    Args:
        source: as for :func:`chatwright.resolve_model`: None for the embedded default, a folder, a file or a name. A
            folder that holds a tokenizer and no model will do.

    Raises:
        ModelNotFoundError, ModelFormatError, UnsupportedModelError: there is none, or it cannot be read.
    """
    if source is not None and (Path(source) / "tokenizer.json").is_file():
        return Tokenizer.from_folder(source)
    path = resolve_model(source)
    return _tokenizer(path, model_folder(path))


def model_folder(path: Path, *, device: str = "auto", dtype: str = "auto") -> Path:
    """The Hugging Face folder of a resolved model: itself, or what its GGUF file is converted to.

    Of a GGUF file it is the very conversion that :func:`chatwright.engine.build_runner` uses with the same options.
    """
    if path.is_dir():
        return path
    wanted = choose_dtype(dtype, choose_device(device))
    return converted(path, "bfloat16" if str(parse_dtype(wanted)) == "torch.bfloat16" else "float32")


def _tokenizer(path: Path, folder: Path) -> Tokenizer:
    if path.is_file() and not (folder / "tokenizer.json").exists():  # the person knows nothing of our folder
        raise ModelFormatError(f"{path} holds weights only, without a tokenizer; get a GGUF file that includes one")
    return Tokenizer.from_folder(folder)


def _end_ids(defaults: GenerationDefaults, tokenizer: Tokenizer, template: ChatTemplate) -> frozenset[int]:
    """Every token that ends an answer; of the three places that name them, makers forget one or another."""
    known = {*defaults.eos_token_ids, tokenizer.eos_id, template.turn_end_id}
    return frozenset(token for token in known if token is not None)


def generation_defaults(path: Path, folder: Path) -> GenerationDefaults:
    """What a model's folder says of answering, completed by what the model card of an embedded file advises.

    Args:
        path: the model, as :func:`chatwright.resolve_model` finds it.
        folder: its folder, see :func:`model_folder`.

    At temperature 1 a model of 135 million parameters tells tales: of three answers to "Why is the sky blue?" one
    named Rayleigh scattering, at the advised 0.2 two of three.
    """
    defaults = read_generation_defaults(folder)
    for entry in CATALOG:
        known = entry.embedded
        if known is None or not path.is_file() or path.stat().st_size != known.size_bytes:
            continue
        if defaults.temperature is None and file_sha256(path) == known.sha256:
            return replace(defaults, temperature=known.temperature, top_p=known.top_p)
    return defaults


def _sampling(defaults: GenerationDefaults, template: ChatTemplate) -> SamplingParams:
    advised = {
        "temperature": defaults.temperature,
        "top_p": defaults.top_p,
        "top_k": defaults.top_k,
        "repetition_penalty": defaults.repetition_penalty,
    }
    given = {name: value for name, value in advised.items() if value is not None}
    return SamplingParams().replace(**given, stop=template.stop_texts)
