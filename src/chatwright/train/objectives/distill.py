"""Distillation: a student learns what a teacher finds likely, beside what the text says.

Shape legend: M labelled positions, C and T hidden widths of student and teacher, V vocabulary.
"""

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.autograd import Function

from chatwright.chat import ChatTemplate
from chatwright.data.encode import DialogueEncoder, RowEncoder, TextEncoder
from chatwright.data.example import Example
from chatwright.data.rows import Dialogue, Row, Text
from chatwright.errors import ConfigError
from chatwright.loaded import load_tokenizer, model_folder
from chatwright.model import GPT
from chatwright.model.load import load_folder
from chatwright.model.resolve import resolve_model
from chatwright.tokenizer import Tokenizer
from chatwright.train.batch import IGNORED, Batch
from chatwright.train.dtensors import is_sharded_model
from chatwright.train.likelihood import head_weight, hidden_states
from chatwright.train.objective import Encoder, Loss, Objective, StageContext
from chatwright.train.settings import StageSettings

_CHUNK = 512  # positions whose logits, of both models, exist at once


class DistillSettings(StageSettings):
    """The student moves as in fine-tuning, but has more to learn."""

    teacher: str = Field("", description="the model to learn from: folder, .gguf file, catalogue or hub name")
    temperature: float = Field(2.0, gt=0, description="both distributions are softened by it")
    teacher_weight: float = Field(0.5, ge=0, le=1, description="of the teacher's word; the text's has the rest")
    learning_rate: float = Field(2e-4, gt=0, description="peak of AdamW")


class Distill(Objective):
    """``w T² KL(teacher ‖ student) + (1 - w) cross-entropy``, summed over the learned tokens.

    Source:
        Hinton et al. 2015, arXiv 1503.02531, section 2.
    """

    Settings: ClassVar[type[StageSettings]] = DistillSettings
    rows: ClassVar[tuple[type, ...]] = (Text, Dialogue)

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        assert isinstance(context.settings, DistillSettings)
        self._settings = context.settings
        self.teacher = self.frozen = _load_teacher(context)

    @classmethod
    def encoder(cls, settings: StageSettings, template: ChatTemplate) -> Encoder:
        """Texts whole, conversations where the assistant speaks."""
        return _EitherEncoder(template, settings.max_length)

    def items(self, batch: Batch) -> float:
        """Labelled tokens."""
        return batch.num_labels

    def loss(self, model: GPT, batch: Batch) -> Loss:
        """The loss in nats; its parts are reported as ``divergence`` (without T²) and ``cross_entropy``."""
        settings = self._settings
        rows = (batch.labels_N != IGNORED).nonzero(as_tuple=True)[0]
        with torch.no_grad():
            if not is_sharded_model(self.teacher):
                self.teacher.to(dtype=model.embed.weight.dtype)
            taught_MT = hidden_states(self.teacher, batch).index_select(0, rows)
        total, divergence, cross_entropy = _SummedDistillation.apply(  # type: ignore[no-untyped-call]
            hidden_states(model, batch).index_select(0, rows),
            head_weight(model),
            taught_MT,
            head_weight(self.teacher),
            batch.labels_N.index_select(0, rows),
            settings.temperature,
            settings.teacher_weight,
        )
        if is_sharded_model(self.teacher):
            self.teacher.reshard()  # type: ignore[operator]  # what belongs to no block stays after a pass
        count = float(len(rows))
        return Loss(total, {"divergence": (divergence, count), "cross_entropy": (cross_entropy, count)})


class _EitherEncoder(RowEncoder):
    """Texts and conversations, each by its own encoder."""

    def __init__(self, template: ChatTemplate | Tokenizer, max_length: int) -> None:
        super().__init__(template)
        self.max_length = max_length
        self._encoders = {Text: TextEncoder(self.template), Dialogue: DialogueEncoder(self.template, max_length)}
        for encoder in self._encoders.values():
            encoder.tally = self.tally

    def __call__(self, row: Row) -> Example | None:
        """One document."""
        return self._encoders[type(row)](row)


def _load_teacher(context: StageContext) -> GPT:
    settings, tokenizer = context.settings, context.tokenizer
    assert isinstance(settings, DistillSettings)
    if not settings.teacher:
        raise ConfigError("distill needs `teacher`, the model to learn from: a folder, a .gguf file or a name")
    theirs = load_tokenizer(settings.teacher)
    if theirs.backend.get_vocab() != tokenizer.backend.get_vocab():
        raise ConfigError(
            f"the teacher {settings.teacher} has another vocabulary, so it cannot say how likely our tokens are; "
            "take one of the same family, or learn from the answers that it writes: objective: distill_text"
        )
    teacher = load_folder(model_folder(resolve_model(settings.teacher)), device=context.device)
    if not teacher.config.causal:
        raise ConfigError(f"the teacher {settings.teacher} sees what follows a token; it cannot teach to predict it")
    return teacher


class _SummedDistillation(Function):
    """Loss, and its two parts for the record; the gradient is made in the forward pass, chunk by chunk.

    So neither model's logits are ever there at once. Only the loss has a gradient. Rows that only one of the models
    has (a vocabulary rounded up to a multiple) take no part in the comparison.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_MC: Tensor,
        weight_VC: Tensor,
        taught_MT: Tensor,
        teacher_VT: Tensor,
        labels_M: Tensor,
        temperature: float,
        share: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        weight, shared = weight_VC.to(hidden_MC.dtype), min(len(weight_VC), len(teacher_VT))
        hidden_grad = torch.empty_like(hidden_MC) if ctx.needs_input_grad[0] else None
        weight_grad = torch.zeros_like(weight_VC, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        divergence, cross_entropy = (torch.zeros((), device=hidden_MC.device) for _ in range(2))
        for start in range(0, len(labels_M), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            logits = (hidden_MC[chunk] @ weight.T).float()
            taught = (taught_MT[chunk] @ teacher_VT[:shared].T).float()
            label = labels_M[chunk, None]
            log_p = logits.log_softmax(dim=-1)
            log_soft = (logits[:, :shared] / temperature).log_softmax(dim=-1)
            log_taught = (taught / temperature).log_softmax(dim=-1)
            taught_p = log_taught.exp()
            divergence += (taught_p * (log_taught - log_soft)).sum()
            cross_entropy -= log_p.gather(1, label).sum()
            # d/dlogits of T² KL is T (soft student - soft teacher); of the cross-entropy, p - one-hot.
            gradient = log_p.exp_().scatter_add_(1, label, torch.full_like(label, -1, dtype=torch.float32))
            gradient *= 1 - share
            gradient[:, :shared] += share * temperature * (log_soft.exp_() - taught_p)
            gradient = gradient.to(hidden_MC.dtype)
            if hidden_grad is not None:
                torch.mm(gradient, weight, out=hidden_grad[chunk])
            if weight_grad is not None:
                weight_grad += gradient.T @ hidden_MC[chunk]
        ctx.save_for_backward(hidden_grad, None if weight_grad is None else weight_grad.to(weight_VC.dtype))
        ctx.mark_non_differentiable(divergence, cross_entropy)
        total = share * temperature**2 * divergence + (1 - share) * cross_entropy
        return total, divergence, cross_entropy

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        hidden_grad, weight_grad = ctx.saved_tensors
        return (
            None if hidden_grad is None else hidden_grad * grad.to(hidden_grad.dtype),
            None if weight_grad is None else weight_grad * grad.to(weight_grad.dtype),
            *(None,) * 5,
        )
