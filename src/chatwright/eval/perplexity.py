"""How well a model predicts running text: perplexity per token, and bits per byte, which compares across tokenizers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from chatwright.errors import ConfigError
from chatwright.eval.answering import Progress
from chatwright.eval.intervals import Figure, bootstrap
from chatwright.eval.likelihood import Branches, Score
from chatwright.eval.prompts import PromptWriter
from chatwright.eval.questions import Question
from chatwright.eval.report import GroupResult, TaskResult, groups_of
from chatwright.eval.tasks import Task
from chatwright.loaded import LoadedModel
from chatwright.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a text, scored after what precedes it.

    Attributes:
        branches: context and the one continuation that is scored.
        num_bytes: UTF-8 bytes of the scored part; a fraction where a character is split between windows.
        text: index of the text that it is from.
    """

    branches: Branches
    num_bytes: float
    text: int


def windows(ids: Sequence[int], start: Sequence[int], *, window: int, stride: int) -> Iterator[Branches]:
    """Cut a text so that each token is scored once, after at least ``window - stride`` others where there are so many.

    Args:
        ids: tokens of the text.
        start: what precedes its first token; where empty, the first token is context only.
        window: most tokens of a context with its continuation.
        stride: most tokens that are scored at once, less than ``window``.
    """
    everything, scored = [*start, *ids], max(1, len(start))
    while scored < len(everything):
        # The first window scores all it holds: nothing precedes it that could help.
        end = min(len(everything), window if scored <= 1 else scored + stride)
        first = max(0, end - window)
        yield Branches(everything[first:scored], [everything[scored:end]])
        scored = end


def measure_texts(
    loaded: LoadedModel, score: Score, task: Task, questions: Sequence[Question], *, seed: int, progress: Progress
) -> TaskResult:
    """Run a task of kind ``perplexity``."""
    window = min(task.window, loaded.engine.max_model_len)
    stride = window // 2 if task.stride is None else task.stride
    if not 1 <= stride < window:
        raise ConfigError(f"task {task.name}: stride is {stride}; it must be less than the window of {window} tokens")
    start = PromptWriter(loaded, task).start()
    found = [
        piece
        for index, question in enumerate(questions)
        for piece in _cut(loaded.tokenizer, question.answers[0], index, start, window, stride)
    ]
    if not found:
        raise ConfigError(f"task {task.name}: its texts are empty")
    scored = score([piece.branches for piece in found], progress=lambda done: progress(done, len(found)))
    nats = np.array([-row[0].log_prob for row in scored])
    tokens = np.array([row[0].num_tokens for row in scored])
    sizes = np.array([piece.num_bytes for piece in found])

    def figures(index: np.ndarray) -> dict[str, Figure]:
        def bits_per_byte(drawn: np.ndarray) -> float:
            return float(nats[index[drawn]].sum() / sizes[index[drawn]].sum() / math.log(2))

        def perplexity(drawn: np.ndarray) -> float:
            return float(np.exp(nats[index[drawn]].sum() / tokens[index[drawn]].sum()))

        return {
            "bits_per_byte": bootstrap(len(index), bits_per_byte, seed=seed),
            "perplexity": bootstrap(len(index), perplexity, seed=seed),
        }

    groups = groups_of([questions[piece.text].group for piece in found])
    return TaskResult(
        name=task.name,
        kind=task.kind,
        n=len(found),
        figures=figures(np.arange(len(found))),
        form="plain",
        settings={**task.model_dump(mode="json", exclude_defaults=True), "window": window, "stride": stride},
        groups={name: GroupResult(len(members), figures(np.array(members))) for name, members in groups.items()},
        samples=[
            {
                "text": loaded.tokenizer.decode(piece.branches.continuations[0])[:200],
                "nats": round(float(value), 3),
                "tokens": int(count),
                "bytes": round(piece.num_bytes, 1),
            }
            for piece, value, count in zip(found, nats, tokens, strict=True)
        ],
    )


def _cut(
    tokenizer: Tokenizer, text: str, index: int, start: Sequence[int], window: int, stride: int
) -> Iterator[Window]:
    """The windows of a text; its bytes are shared out by those of the tokens."""
    ids = tokenizer.encode(text)
    sizes = [len(tokenizer.token_bytes(token)) for token in ids]
    scale = len(text.encode()) / max(1, sum(sizes))
    position = 0 if start else 1
    for branches in windows(ids, start, window=window, stride=stride):
        count = len(branches.continuations[0])
        yield Window(branches, scale * sum(sizes[position : position + count]), index)
        position += count
