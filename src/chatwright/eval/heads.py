"""Models that score texts instead of continuing them: classifiers and reward models, asked by their own head."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from chatwright.chat import Message
from chatwright.data.encode import PreferenceEncoder
from chatwright.data.rows import Preference
from chatwright.errors import InputError
from chatwright.eval.answering import Progress, check_some
from chatwright.eval.questions import Question
from chatwright.eval.report import TaskResult
from chatwright.eval.tasks import Task
from chatwright.eval.verdicts import Verdict, summarise
from chatwright.loaded import LoadedModel
from chatwright.model.gpt import GPT
from chatwright.model.score_head import ScoreHead, has_score_head, load_score_head


def head_for(loaded: LoadedModel, task: Task) -> ScoreHead | None:
    """The head that judges a task's questions: a classifier's, a reward model's, or None: likelihoods decide."""
    wants_classes = task.kind == "classify" and task.prompt is None
    if not (wants_classes or task.kind == "preference") or not has_score_head(loaded.source):
        return None
    head = load_score_head(loaded.source)
    return head if (len(head.labels) > 1) == wants_classes else None


def judge(
    loaded: LoadedModel,
    model: GPT,
    head: ScoreHead,
    task: Task,
    questions: Sequence[Question],
    *,
    batch_tokens: int,
    seed: int,
    progress: Progress,
) -> TaskResult:
    """Run a task by a model's own head: classes by the highest score, preferences by the higher reward."""
    context = loaded.engine.max_model_len
    encode = _pair(loaded, context) if task.kind == "preference" else _text(loaded)
    encoded = [(question, encode(question)) for question in questions]
    asked = [(question, texts) for question, texts in encoded if texts and max(map(len, texts)) <= context]
    check_some(task, len(asked), context)
    scores = score_texts(
        model,
        head.weight,
        [text for _, texts in asked for text in texts],
        batch_tokens=batch_tokens,
        progress=lambda done, total: progress(done * len(asked) // total, len(asked)),
    )
    verdicts = []
    for question, texts in asked:
        own, scores = scores[: len(texts)], scores[len(texts) :]
        verdicts.append(_verdict(task, question, head, own))
    counts = {"overlong": len(questions) - len(asked)}
    return summarise(task, verdicts, form="head", counts=counts, seed=seed, by_byte=False)


@torch.no_grad()
def score_texts(
    model: GPT,
    weight_LC: Tensor,
    texts: Sequence[Sequence[int]],
    *,
    batch_tokens: int,
    progress: Progress = lambda done, total: None,
) -> list[list[float]]:
    """The head's output at the last token of each text.

    Args:
        model: the body, in eval mode.
        weight_LC: L scores from the hidden width C; computed with in float32, as differences of rewards are small.
        texts: token ids, at least one in each.
        batch_tokens: tokens of a forward pass, padding included.
        progress: called with the number of texts that are done, and all of them.
    Returns:
        L scores for each text.
    """
    device = model.embed.weight.device
    weight_LC = weight_LC.to(device, torch.float32)
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]), reverse=True)
    scores: list[list[float]] = [[] for _ in texts]
    done = 0
    while done < len(order):
        longest = len(texts[order[done]])
        batch = order[done : done + max(1, batch_tokens // longest)]
        lengths = torch.tensor([len(texts[index]) for index in batch], device=device)
        ids = [[*texts[index], *[0] * (longest - len(texts[index]))] for index in batch]
        mask = torch.arange(longest, device=device) < lengths[:, None]
        output = model(torch.tensor(ids, device=device), mask, num_logits=0)
        last = output.last_hidden_state[torch.arange(len(batch), device=device), lengths - 1]
        for index, row in zip(batch, (last.float() @ weight_LC.T).tolist(), strict=True):
            scores[index] = row
        done += len(batch)
        progress(done, len(order))
    return scores


def _text(loaded: LoadedModel) -> Callable[[Question], list[list[int]]]:
    """A text as the classifier was trained on it: nothing follows its last token."""
    tokenizer = loaded.tokenizer
    start = [tokenizer.bos_id] if tokenizer.adds_bos and tokenizer.bos_id is not None else []

    def encode(question: Question) -> list[list[int]]:
        ids = loaded.template.text_encoder.encode(question.messages[0].content or "")
        return [[*start, *ids]] if ids else []

    return encode


def _pair(loaded: LoadedModel, context: int) -> Callable[[Question], list[list[int]]]:
    """Both answers of a preference, each after the prompt and up to the end of its turn."""
    encoder = PreferenceEncoder(loaded.template, context)

    def encode(question: Question) -> list[list[int]]:
        chosen, rejected = ((Message("assistant", answer),) for answer in question.answers)
        example = encoder(Preference(question.messages, chosen, rejected))
        return [] if example is None else [document.ids.tolist() for document in example.documents]

    return encode


def _verdict(task: Task, question: Question, head: ScoreHead, scores: list[list[float]]) -> Verdict:
    prompt = "\n".join(message.content or "" for message in question.messages)
    if task.kind == "preference":
        return Verdict(prompt, question.answers, 0, tuple(row[0] for row in scores), question.group)
    (label,) = question.answers
    if label not in head.labels:
        raise InputError(f"task {task.name}: the class {label!r} is none of the model's: {', '.join(head.labels)}")
    return Verdict(prompt, head.labels, head.labels.index(label), tuple(scores[0]), question.group)
