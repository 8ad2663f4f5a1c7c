"""Tasks that let the model write: all prompts into the engine together, then graders on what came out."""

import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from chatwright.engine.engine import Engine
from chatwright.engine.generation import Completion, Generation
from chatwright.engine.params import SamplingParams
from chatwright.errors import ConfigError
from chatwright.eval.graders import Grade, grade
from chatwright.eval.prompts import Asked, PromptWriter
from chatwright.eval.questions import Question
from chatwright.eval.report import GroupResult, TaskResult, groups_of
from chatwright.eval.tasks import Task
from chatwright.loaded import LoadedModel

# The engine batches what it has; so many requests keep its queue filled without holding every prompt at once.
_IN_FLIGHT = 512

Progress = Callable[[int, int], None]
"""Called with how many questions are done, and how many there are."""


def answer_questions(
    loaded: LoadedModel, task: Task, questions: Sequence[Question], *, seed: int, progress: Progress
) -> TaskResult:
    """Run a task of kind ``generate``: greedy answers, graded."""
    writer = PromptWriter(loaded, task)
    context = loaded.engine.max_model_len
    room = context - min(task.max_tokens, context // 2)
    written = [(question, writer.write(question, room)) for question in questions]
    asked = [(question, prompt) for question, prompt in written if prompt is not None]
    check_some(task, len(asked), context)
    params = SamplingParams(
        temperature=0.0,
        max_tokens=task.max_tokens,
        stop=loaded.template.stop_texts if writer.chat else task.stop,
    )
    completions = generate(loaded.engine, [(prompt.ids, params) for _, prompt in asked], progress)
    answers = [_extracted(task, completion.text) for completion in completions]
    kept = [question for question, _ in asked]
    grades = {name: _graded(name, task, answers, kept, seed) for name in task.graders}
    counts = {
        "truncated": sum(completion.finish_reason == "length" for completion in completions),
        "overlong": len(questions) - len(asked),
        "dropped_shots": sum(prompt.dropped_shots for _, prompt in asked),
        "unextracted": sum(answer is None for answer in answers),
    }
    return TaskResult(
        name=task.name,
        kind=task.kind,
        n=len(asked),
        figures={name: figure for found in grades.values() for name, figure in found.figures.items()},
        form="chat" if writer.chat else "plain",
        settings=task.model_dump(mode="json", exclude_defaults=True),
        groups=_by_group(task, answers, kept, seed),
        counts={name: count for name, count in counts.items() if count},
        signatures={name: found.signature for name, found in grades.items() if found.signature},
        samples=_samples(asked, completions, answers, grades),
    )


def generate(
    engine: Engine, requests: Sequence[tuple[Sequence[int], SamplingParams]], progress: Progress
) -> list[Completion]:
    """The answers to many prompts, each with its parameters, in their order."""
    flight: deque[Generation] = deque()
    completions: list[Completion] = []

    def land() -> None:
        completions.append(flight[0].result()[0])
        flight.popleft()
        progress(len(completions), len(requests))

    try:
        for prompt_ids, params in requests:
            if len(flight) == _IN_FLIGHT:
                land()
            flight.append(engine.submit(prompt_ids, params))
        while flight:
            land()
    finally:
        for generation in flight:  # somebody pressed Ctrl-C, or the model failed
            generation.cancel()
    return completions


def check_some(task: Task, count: int, context: int) -> None:
    """Raise ConfigError where no question fits the model's context."""
    if count == 0:
        raise ConfigError(
            f"task {task.name}: no question fits the model's context of {context} tokens; raise --max-model-len or "
            "take a model with a longer context"
        )


def _extracted(task: Task, text: str) -> str | None:
    """The part of an answer that is graded; None where the pattern is not found."""
    if task.extract is None:
        return text
    found = re.search(task.extract, text)
    return None if found is None else found[found.re.groups and 1] or ""


def _graded(name: Any, task: Task, answers: Sequence[str | None], questions: Sequence[Question], seed: int) -> Grade:
    texts = [answer or "" for answer in answers]
    return grade(name, texts, [question.answers for question in questions], seed=seed, language=task.language)


def _by_group(
    task: Task, answers: Sequence[str | None], questions: Sequence[Question], seed: int
) -> dict[str, GroupResult]:
    results = {}
    for group, members in groups_of([question.group for question in questions]).items():
        some, their = [answers[i] for i in members], [questions[i] for i in members]
        figures = {}
        for name in task.graders:
            figures.update(_graded(name, task, some, their, seed).figures)
        results[group] = GroupResult(len(members), figures)
    return results


def _samples(
    asked: Sequence[tuple[Question, Asked]],
    completions: Sequence[Completion],
    answers: Sequence[str | None],
    grades: dict[Any, Grade],
) -> list[dict[str, Any]]:
    samples = []
    for index, ((question, prompt), completion) in enumerate(zip(asked, completions, strict=True)):
        sample: dict[str, Any] = {"prompt": prompt.text, "answer": completion.text, "right": list(question.answers)}
        if answers[index] != completion.text:
            sample["graded"] = answers[index]
        if question.group is not None:
            sample["group"] = question.group
        sample["finish_reason"] = completion.finish_reason
        sample["scores"] = {name: values[index] for found in grades.values() for name, values in found.scores.items()}
        samples.append(sample)
    return samples
