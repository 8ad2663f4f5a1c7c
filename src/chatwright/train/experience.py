"""Answers that the model has sampled, with what is known of them, ready to be learned from.

Shape legend: A answers, T tokens of all answers with their prompts, M generated tokens that are learned.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor

from chatwright.data.example import Document, Example
from chatwright.train.batch import Batch

_MULTIPLE = 32  # matrix products on a CPU like their sizes to be multiples of it
_ANSWER, _TOKEN = "answer.", "token."


@dataclass(frozen=True, slots=True)
class Experience:
    """A rollout. On the CPU; as tensors, so that it can lie in a checkpoint.

    Attributes:
        ids_T: prompts and answers end to end, int32 [T].
        learned_T: bool [T], True for the generated tokens that are learned.
        lengths_A: tokens of each prompt with its answer, int64 [A].
        answer_values: name → float32 [A].
        token_values: name → float32 [M].
    """

    ids_T: Tensor
    learned_T: Tensor
    lengths_A: Tensor
    answer_values: Mapping[str, Tensor]
    token_values: Mapping[str, Tensor]

    @classmethod
    def of(cls, documents: Sequence[Document], answer_values: Mapping[str, Tensor]) -> Self:
        """From documents whose masks say what is learned."""
        masks = [document.mask for document in documents if document.mask is not None]
        assert len(masks) == len(documents)
        return cls(
            ids_T=torch.from_numpy(np.concatenate([document.ids for document in documents])),
            learned_T=torch.from_numpy(np.concatenate(masks)),
            lengths_A=torch.tensor([len(document) for document in documents]),
            answer_values=answer_values,
            token_values={},
        )

    def __len__(self) -> int:
        return len(self.lengths_A)

    @property
    def learned_counts(self) -> list[int]:
        """Learned tokens of each answer."""
        return [int(part.sum()) for part in torch.split(self.learned_T, self.lengths_A.tolist())]

    def with_tokens(self, **values: Tensor) -> Self:
        """With more values for each learned token."""
        return replace(self, token_values={**self.token_values, **values})

    def with_answers(self, **values: Tensor) -> Self:
        """With more values for each answer."""
        return replace(self, answer_values={**self.answer_values, **values})

    def padded(self, values_M: Tensor) -> Tensor:
        """Values of learned tokens as rows [A, longest], 0 behind each answer's last."""
        return torch.nn.utils.rnn.pad_sequence(list(torch.split(values_M, self.learned_counts)), batch_first=True)

    def unpadded(self, values: Tensor) -> Tensor:
        """The inverse of :meth:`padded`, [M]."""
        return torch.cat([row[:count] for row, count in zip(values, self.learned_counts, strict=True)])

    def per_token(self, values_A: Tensor) -> Tensor:
        """Each answer's value for each of its learned tokens, [M]."""
        return values_A.repeat_interleave(torch.tensor(self.learned_counts))

    def batches(self, division: Sequence[range], leave_out: Sequence[str] = ()) -> Iterator[Batch]:
        """The answers in micro-batches.

        Args:
            division: numbers of the answers of each, consecutive.
            leave_out: names of values that the batches shall not have.
        """
        ends = self.lengths_A.cumsum(0).tolist()
        label_ends = torch.tensor(self.learned_counts).cumsum(0).tolist()
        for answers in division:
            examples = []
            for index in answers:
                part = slice(ends[index - 1] if index else 0, ends[index])
                examples.append(Example((Document(self.ids_T[part].numpy(), self.learned_T[part].numpy()),)))
            labels = slice(label_ends[answers[0] - 1] if answers[0] else 0, label_ends[answers[-1]])
            values = {name: value[answers[0] : answers[-1] + 1] for name, value in self.answer_values.items()}
            values |= {name: value[labels] for name, value in self.token_values.items()}
            kept = {name: value for name, value in values.items() if name not in leave_out}
            yield replace(Batch.of(examples, multiple_of=_MULTIPLE), values=kept)

    def state(self) -> dict[str, Tensor]:
        """Everything, as tensors by name."""
        return {
            "ids": self.ids_T,
            "learned": self.learned_T,
            "lengths": self.lengths_A,
            **{_ANSWER + name: value for name, value in self.answer_values.items()},
            **{_TOKEN + name: value for name, value in self.token_values.items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor]) -> Self:
        """The inverse of :meth:`state`."""

        def named(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}

        return cls(state["ids"], state["learned"], state["lengths"], named(_ANSWER), named(_TOKEN))
