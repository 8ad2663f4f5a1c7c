"""Supervised fine-tuning with differential privacy: adapters that no single conversation shows in."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor

from chatwright.data.store import ExampleStore
from chatwright.errors import ConfigError
from chatwright.model import GPT
from chatwright.train.batch import Batch
from chatwright.train.feed import Feed
from chatwright.train.likelihood import cross_entropy
from chatwright.train.objective import Loss, StageContext
from chatwright.train.objectives.sft import SFT, SFTSettings
from chatwright.train.privacy import (
    EXPECTED,
    Accountant,
    Noise,
    PoissonFeed,
    clipped_sum,
    noise_for,
    secret_key,
    with_gradients,
)
from chatwright.train.settings import LoRASettings, StageSettings


class PrivateSFTSettings(SFTSettings):
    """A step is a random number of conversations, so packed rows and micro-batches have no meaning here."""

    target_epsilon: float | None = Field(8.0, gt=0, description="privacy budget of the stage; noise_multiplier wins")
    noise_multiplier: float | None = Field(None, gt=0, description="noise in units of clip_norm")
    delta: float | None = Field(None, gt=0, lt=1, description="default: a tenth of 1 / number of conversations")
    clip_norm: float = Field(1.0, gt=0, description="longest gradient of a conversation")
    expected_batch_size: int = Field(32, ge=1, description="conversations in a step, on average")
    learning_rate: float = Field(5e-4, gt=0, description="peak of AdamW")
    lora: LoRASettings | None = Field(LoRASettings.model_validate({}), description="adapters; needed here")
    bf16: bool | Literal["auto"] = Field(False, description="not here: gradients are bounded in float32")
    max_grad_norm: float = Field(0.0, ge=0, description="of the noisy gradient, which needs no second clipping")
    spike_threshold: float | None = Field(
        None, gt=0, description="not here: refusing a step says something of its data"
    )

    @model_validator(mode="before")
    @classmethod
    def _adapters_learn_faster(cls, values: Any) -> Any:
        return values  # the default is that of adapters

    @model_validator(mode="after")
    def _private(self) -> Self:
        if self.lora is None:
            raise ValueError("private_sft trains adapters; give lora, or leave it out for the default")
        if self.bf16 is not False:
            raise ValueError("private_sft computes in float32: bfloat16 would round the bound away; remove bf16")
        if self.spike_threshold is not None:
            raise ValueError("spike_threshold refuses steps by their data, which privacy does not allow; remove it")
        for name in ("train_batch_size", "per_device_train_batch_size", "gradient_accumulation_steps"):
            if name in self.model_fields_set:
                raise ValueError(f"{name} has no effect in private_sft; give expected_batch_size")
        if self.target_epsilon is None and self.noise_multiplier is None:
            raise ValueError("give target_epsilon or noise_multiplier; without noise nothing is private")
        return self


class PrivateSFT(SFT):
    """Every conversation counts by the mean loss of its tokens, its gradient clipped; reports ``epsilon``."""

    Settings: ClassVar[type[StageSettings]] = PrivateSFTSettings

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        assert isinstance(context.settings, PrivateSFTSettings)
        if context.world_size > 1:
            raise ConfigError("private_sft runs in one process; start it without torchrun")
        self._settings = context.settings
        self._noise: Noise | None = None
        self._accountant: Accountant | None = None
        self._step = 0

    def draw(self, store: ExampleStore) -> Feed | None:
        """Poisson samples of the store; now the noise that the budget takes is known too."""
        settings = self._settings
        if settings.expected_batch_size > len(store):
            raise ConfigError(
                f"expected_batch_size is {settings.expected_batch_size}, but there are {len(store)} conversations; "
                "take a small part of them in each step, or there is no privacy to be had"
            )
        key = secret_key(self.context.folder)
        feed = PoissonFeed(store, expected_size=settings.expected_batch_size, key=key)
        delta = settings.delta or 0.1 / len(store)
        steps = settings.max_steps or max(math.ceil(settings.num_train_epochs * feed.steps_per_epoch), 1)
        multiplier = settings.noise_multiplier
        if multiplier is None:
            assert settings.target_epsilon is not None
            multiplier = noise_for(
                target_epsilon=settings.target_epsilon, delta=delta, probability=feed.probability, steps=steps
            )
        self._noise = Noise(
            noise_multiplier=multiplier,
            clip_norm=settings.clip_norm,
            expected_size=settings.expected_batch_size,
            key=key,
        )
        self._accountant = Accountant(probability=feed.probability, noise_multiplier=multiplier, delta=delta)
        return feed

    def before_step(self, step: int) -> None:
        """Each step has noise of its own."""
        self._step = step

    def items(self, batch: Batch) -> float:
        """Conversations of an average step, whatever this one has; tokens of held-out data."""
        return float(batch.values[EXPECTED]) if EXPECTED in batch.values else super().items(batch)

    def loss(self, model: GPT, batch: Batch) -> Loss:
        """Sum of the conversations' losses, its gradient that of the clipped sum; held-out data as in SFT."""
        if EXPECTED not in batch.values:
            return super().loss(model, batch)
        assert self._accountant is not None
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        losses = (cross_entropy(model, one) / one.num_labels for one in _documents(batch))
        total, gradients, clipped = clipped_sum(losses, parameters, clip_norm=self._settings.clip_norm)
        figures: dict[str, tuple[Tensor | float, float]] = {"epsilon": (self._accountant.epsilon(self._step + 1), 1.0)}
        if batch.num_examples:
            figures["clipped"] = (float(clipped), float(batch.num_examples))
        return Loss(with_gradients(total, gradients, parameters), figures)

    def finish_gradients(self, gradients: Mapping[str, Tensor]) -> None:
        """Add the noise."""
        assert self._noise is not None
        self._noise.add([gradients[name] for name in sorted(gradients)], self._step)


def _documents(batch: Batch) -> Iterator[Batch]:
    """Each document as a batch of its own."""
    start = 0
    for number, length in enumerate(batch.lengths):
        part = slice(start, start + length)
        index_E = batch.index_E[number : number + 1]
        yield Batch(batch.input_ids_N[part], batch.labels_N[part], batch.positions_N[part], (length,), 1, index_E)
        start += length
