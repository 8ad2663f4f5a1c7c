"""What the model said before the stage began: the reference that preference learning and KL control pull towards.

Shape legend: D documents, E examples, M labelled positions.
"""

import copy
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from chatwright.errors import ConfigError, StorageError
from chatwright.model import GPT
from chatwright.model.lora import LoRALinear, disabled_adapters, has_adapters
from chatwright.train.batch import Batch
from chatwright.train.dtensors import is_sharded_model, whole
from chatwright.train.likelihood import document_sums, token_log_probs

FILE = "reference.safetensors"
_KEYS, _LOG_PROBS, _MODEL = "keys", "log_probs", "model"


class LiveReference:
    """The reference as a model: the one in training without its adapters, or a frozen copy where it has none.

    Args:
        model: as it is when the stage begins.

    Attributes:
        frozen: the copy; to be sharded before the first step if the model is.
    """

    def __init__(self, model: GPT) -> None:
        self.frozen = None if has_adapters(model) else copy.deepcopy(model).requires_grad_(False).eval()

    @torch.no_grad()
    def token_log_probs(self, model: GPT, batch: Batch, *, temperature: float = 1.0) -> Tensor:
        """Log-probability of each label under the reference, float32 [M].

        Args:
            model: the model in training.
            batch: on its device.
            temperature: logits are divided by it.
        """
        if self.frozen is None:
            with disabled_adapters(model), evaluating(model):
                return token_log_probs(model, batch, temperature=temperature)
        if not is_sharded_model(self.frozen):
            # The same rounding for both: a difference of dtype would look like a difference of opinion.
            self.frozen.to(device=model.embed.weight.device, dtype=model.embed.weight.dtype)
            return token_log_probs(self.frozen, batch, temperature=temperature)
        values = token_log_probs(self.frozen, batch, temperature=temperature)
        self.frozen.reshard()  # type: ignore[operator]  # no backward pass lets go of what belongs to no block
        return values

    def document_log_probs(self, model: GPT, batch: Batch) -> Tensor:
        """Summed log-probability of each document's labels under the reference, float32 [D]."""
        return document_sums(self.token_log_probs(model, batch), batch)


class StoredReference:
    """Log-probabilities of a data set under the reference, computed once and kept in a file.

    They are found by what an example *says*, not by its number: held-out examples have numbers too, and data that
    changed under a run cannot be mistaken for what was scored.

    Args:
        folder: holds the file, or will.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._model = ""  # digest of the reference's weights
        self._values: dict[int, tuple[float, ...]] = {}
        if self.path.exists():
            with safe_open(self.path, framework="pt") as file:
                self._model = file.metadata()[_MODEL]
                keys, values = file.get_tensor(_KEYS).tolist(), file.get_tensor(_LOG_PROBS).tolist()
            self._values = {key: tuple(row) for key, row in zip(keys, values, strict=True)}

    def prepare(self, model: GPT, batches: Iterable[Batch]) -> None:
        """Score every example that is not known yet, and keep the file.

        Args:
            model: the reference itself, or what becomes it without its adapters.
            batches: this process' share; every process has to call this, and knows all examples afterwards.

        Raises:
            ConfigError: examples are new, but the model is no longer the one that scored the others.
            StorageError: the file cannot be written.
        """
        found: dict[int, tuple[float, ...]] = {}
        begun = False
        for batch in batches:
            keys = _keys_of(batch)
            # A sharded model is run by all processes together, or not at all.
            if not _any_process(any(key not in self._values and key not in found for key in keys)):
                continue
            if not self._model:
                self._model = _weights_digest(model)
            elif not begun and self._model != _weights_digest(model):
                raise ConfigError(
                    f"{self.path} lacks some of the examples, and the model has been trained since it was made, so "
                    "they cannot be scored; start the stage anew (the data has changed under the run)"
                )
            begun = True
            found |= dict(zip(keys, self._score(model, batch), strict=True))
        found = _of_all_processes(found)
        if found:
            self._values |= found
            self._save()

    def document_log_probs(self, batch: Batch) -> Tensor:
        """Summed log-probability of each document's labels under the reference, float32 [D].

        Raises:
            ConfigError: an example has not been scored.
        """
        keys = _keys_of(batch)
        missing = [key for key in keys if key not in self._values]
        if missing:
            raise ConfigError(
                f"{len(missing)} of {len(keys)} examples are not among the {len(self._values):,} that {self.path} has "
                "reference log-probabilities of; start the stage anew (the data has changed under the run)"
            )
        values = [value for key in keys for value in self._values[key]]
        return torch.tensor(values, dtype=torch.float32, device=batch.labels_N.device)

    @torch.no_grad()
    def _score(self, model: GPT, batch: Batch) -> list[tuple[float, ...]]:
        with disabled_adapters(model), evaluating(model):
            on_device = batch.to(model.embed.weight.device)
            sums_D = document_sums(token_log_probs(model, on_device), on_device)
        rows: list[tuple[float, ...]] = [tuple(row) for row in sums_D.view(-1, batch.documents_per_example).tolist()]
        return rows

    def _save(self) -> None:
        if _is_distributed() and torch.distributed.get_rank() != 0:
            return
        tensors = {
            _KEYS: torch.tensor(list(self._values), dtype=torch.int64),
            _LOG_PROBS: torch.tensor(list(self._values.values()), dtype=torch.float32),
        }
        partial = self.path.with_suffix(f".{os.getpid()}.new")
        try:
            save_file(tensors, partial, metadata={_MODEL: self._model})
            partial.replace(self.path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StorageError(f"{self.path} cannot be written: {error.strerror or error}; free some space") from None


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Within the block the model is in eval mode."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def without_dropout(model: GPT) -> None:
    """Switch dropout off for good: a ratio of two policies must not be noise. The config keeps its value."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, LoRALinear):
            module.dropout = 0.0


def _keys_of(batch: Batch) -> list[int]:
    """A number for each example: a hash of its tokens and of what is learned of them."""
    ids, labels = batch.input_ids_N.cpu().numpy(), batch.labels_N.cpu().numpy()
    keys, start = [], 0
    for first in range(0, len(batch.lengths), batch.documents_per_example):
        lengths = batch.lengths[first : first + batch.documents_per_example]
        end = start + sum(lengths)
        digest = hashlib.blake2b(repr(lengths).encode(), digest_size=8)
        digest.update(ids[start:end].tobytes())
        digest.update(labels[start:end].tobytes())
        keys.append(int.from_bytes(digest.digest(), "little", signed=True))
        start = end
    return keys


def _weights_digest(model: GPT) -> str:
    """A hash of the weights, adapters left out: with them switched off the model is what it was.

    Of the weights in bfloat16, so that it does not matter whether the model computes in it yet.
    """
    adapters = {id(value) for module in model.modules() if isinstance(module, LoRALinear) for value in _own(module)}
    digest = hashlib.blake2b(digest_size=16)
    for parameter in model.parameters():
        if id(parameter) not in adapters:
            digest.update(
                whole(parameter.detach()).to("cpu", torch.bfloat16).reshape(-1).view(torch.uint8).numpy().tobytes()
            )
    return digest.hexdigest()


def _own(module: LoRALinear) -> list[nn.Parameter]:
    return [value for value in (module.lora_A, module.lora_B, module.magnitude) if value is not None]


def _of_all_processes(found: dict[int, tuple[float, ...]]) -> dict[int, tuple[float, ...]]:
    if not _is_distributed():
        return found
    parts: list[dict[int, tuple[float, ...]]] = [{} for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather_object(parts, found)
    return {key: value for part in parts for key, value in part.items()}


def _any_process(value: bool) -> bool:
    if not _is_distributed():
        return value
    votes = torch.tensor(float(value))
    torch.distributed.all_reduce(votes)
    return bool(votes)


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
