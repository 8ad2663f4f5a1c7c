"""Our models under the Language Model Evaluation Harness (``lm_eval``), in this process.

Importing this module imports ``lm_eval``; :func:`run_lm_eval` is what others call.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lm_eval import simple_evaluate  # type: ignore[import-untyped]
from lm_eval.api.instance import Instance  # type: ignore[import-untyped]
from lm_eval.api.model import LM  # type: ignore[import-untyped]
from lm_eval.tasks import TaskManager  # type: ignore[import-untyped]

from chatwright.engine.params import SamplingParams
from chatwright.errors import ConfigError, InputError
from chatwright.eval.answering import generate
from chatwright.eval.intervals import Figure, normal
from chatwright.eval.likelihood import Branches, Likelihood, score
from chatwright.eval.perplexity import windows
from chatwright.eval.report import TaskResult
from chatwright.loaded import LoadedModel
from chatwright.model.gpt import GPT

_ANSWER_TOKENS = 256  # where a task does not say how long an answer may be


class ChatwrightLM(LM):  # type: ignore[misc]
    """What ``lm_eval`` asks of a model, answered by ours.

    Args:
        loaded: generates; nobody else may use its engine meanwhile.
        model: the weights, for likelihoods.
    Raises:
        ConfigError: the model has no token to start a text with.
    """

    def __init__(self, loaded: LoadedModel, model: GPT) -> None:
        super().__init__()
        self._loaded, self._model = loaded, model
        self._limit = loaded.engine.max_model_len
        tokenizer = loaded.tokenizer
        start = tokenizer.bos_id if tokenizer.bos_id is not None else tokenizer.eos_id
        if start is None:
            raise ConfigError("lm-eval needs a token to start a text with, and this model has neither bos nor eos")
        self._start = start
        # The harness passes chats on as text, which never becomes control tokens here; so each keeps its own tokens.
        self._chats: dict[str, list[int]] = {}

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Log-probability of each continuation, and whether greedy decoding would write it."""
        pairs = [self._pair(*request.args) for request in requests]
        together: dict[tuple[int, ...], list[int]] = {}
        for index, (context, _) in enumerate(pairs):
            together.setdefault(context, []).append(index)
        scored = score(
            self._model,
            [Branches(context, [pairs[index][1] for index in members]) for context, members in together.items()],
        )
        found: list[Likelihood | None] = [None] * len(pairs)
        for members, likelihoods in zip(together.values(), scored, strict=True):
            for index, likelihood in zip(members, likelihoods, strict=True):
                found[index] = likelihood
        return [(value.log_prob, value.is_greedy) for value in found if value is not None]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-probability of each whole text, cut into windows of the model's context where it is longer."""
        branches: list[Branches] = []
        owner: list[int] = []
        for index, request in enumerate(requests):
            ids = self._loaded.tokenizer.encode(request.args[0])
            pieces = list(windows(ids, [self._start], window=self._limit, stride=self._limit - 1))
            branches += pieces
            owner += [index] * len(pieces)
        totals = [0.0] * len(requests)
        for index, (likelihood,) in zip(owner, score(self._model, branches), strict=True):
            totals[index] += likelihood.log_prob
        return totals

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """The answer to each prompt, all of them batched; prompts lose their beginning where they are too long."""
        asked = []
        for request in requests:
            context, wishes = request.args
            params = _sampling(wishes, self._loaded.template.stop_texts)
            assert params.max_tokens is not None
            room = self._limit - min(params.max_tokens, self._limit // 2)
            asked.append((self._context(context)[-room:], params))
        return [completion.text for completion in generate(self._loaded.engine, asked, lambda done, total: None)]

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A chat as text, for the harness to pass back."""
        rendered = self._loaded.template.render(
            chat_history, add_generation_prompt=add_generation_prompt, continue_final=not add_generation_prompt
        )
        self._chats[rendered.text] = rendered.ids
        return rendered.text

    def chat_template(self, chat_template: bool | str = False) -> str:
        """The template's source, for the harness's log."""
        return self._loaded.template.source if chat_template else ""

    @property
    def tokenizer_name(self) -> str:
        """What the harness keys its caches by."""
        return self._loaded.source.name

    def _context(self, text: str) -> list[int]:
        if text in self._chats:
            return self._chats[text]
        tokenizer = self._loaded.tokenizer
        return tokenizer.encode(text, add_bos=tokenizer.adds_bos) or [self._start]

    def _pair(self, context: str, continuation: str) -> tuple[tuple[int, ...], list[int]]:
        """Tokens of a context and of what follows, spelt as they are together, within the model's context."""
        tokenizer = self._loaded.tokenizer
        if context in self._chats or not context:
            before, after = self._context(context), tokenizer.encode(continuation)
        else:
            # A space at the seam belongs to the next word's token.
            spaces = len(context) - len(context.rstrip())
            if spaces:
                context, continuation = context[:-spaces], context[-spaces:] + continuation
            before = self._context(context)
            whole = self._context(context + continuation)
            after = whole[len(before) :] if whole[: len(before)] == before else tokenizer.encode(continuation)
        if not after:
            raise InputError(f"lm-eval asks how likely an empty text is after {context[-40:]!r}")
        after = after[-(self._limit - 1) :]
        return tuple(before[-(self._limit - len(after)) :]), after


def run_lm_eval(
    loaded: LoadedModel,
    model: GPT,
    tasks: Sequence[str],
    *,
    include_path: Path | None = None,
    limit: int | None = None,
    fewshot: int | None = None,
    chat: bool = False,
    seed: int = 0,
) -> list[TaskResult]:
    """Run tasks of the harness.

    Args:
        loaded, model: what is evaluated.
        tasks: the harness's names of tasks or groups.
        include_path: a folder with task files of one's own, which then are all there are.
        limit: so many questions of each task.
        fewshot: solved examples; None leaves it to the tasks.
        chat: ask through the chat template.
        seed: of everything random in the harness.
    Raises:
        ConfigError: there is no such task, or the model has no chat template to ask through.
    """
    if chat and loaded.template.is_default:
        raise ConfigError(f"{loaded.source.name} has no chat template; leave --chat out")
    manager = TaskManager(
        include_path=None if include_path is None else str(include_path), include_defaults=include_path is None
    )
    unknown = [task for task in tasks if task not in manager.all_tasks]
    if unknown:
        place = "in lm-eval" if include_path is None else f"in {include_path}"
        raise ConfigError(f"there is no task {unknown[0]!r} {place}; `lm-eval ls tasks` lists those of the harness")
    started = time.perf_counter()
    results = simple_evaluate(
        model=ChatwrightLM(loaded, model),
        tasks=list(tasks),
        task_manager=manager,
        limit=limit,
        num_fewshot=fewshot,
        apply_chat_template=chat,
        random_seed=seed,
        numpy_random_seed=seed,
        torch_random_seed=seed,
        fewshot_random_seed=seed,
        bootstrap_iters=1000,
        log_samples=True,
    )
    assert results is not None
    seconds = time.perf_counter() - started
    form = "chat" if chat else "plain"
    return [_result(name, dict(results), form, seconds / len(results["results"])) for name in results["results"]]


def _result(name: str, results: dict[str, Any], form: str, seconds: float) -> TaskResult:
    """What the harness found in one task or group, in our form. Its key of a figure is ``name,filter``."""
    values = results["results"][name]
    figures: dict[str, Figure] = {}
    for key, value in values.items():
        metric, _, filter_ = key.partition(",")
        if not filter_ or metric.endswith("_stderr") or not isinstance(value, int | float):
            continue
        error = values.get(f"{metric}_stderr,{filter_}")
        known = error if isinstance(error, int | float) else 0.0
        figures[metric if filter_ == "none" else f"{metric}({filter_})"] = normal(float(value), float(known))
    counts = results.get("n-samples", {}).get(name, {})
    return TaskResult(
        name=name,
        kind="lm-eval",
        n=int(counts.get("effective", 0)),
        figures=figures,
        form=form,
        settings={
            "version": str(results.get("versions", {}).get(name)),
            "fewshot": results.get("n-shot", {}).get(name),
        },
        seconds=seconds,
        samples=[_sample(sample) for sample in results.get("samples", {}).get(name, [])],
    )


def _sample(sample: dict[str, Any]) -> dict[str, Any]:
    return {key: sample[key] for key in ("doc", "target", "resps", "filtered_resps") if key in sample}


def _sampling(wishes: dict[str, Any], stop_texts: tuple[str, ...]) -> SamplingParams:
    """The harness's generation settings as ours."""
    until = wishes.get("until") or ()
    stops = [until] if isinstance(until, str) else list(until)
    greedy = not wishes.get("do_sample", False)
    return SamplingParams(
        temperature=0.0 if greedy else float(wishes.get("temperature", 1.0)),
        top_p=1.0 if greedy else float(wishes.get("top_p", 1.0)),
        top_k=0 if greedy else int(wishes.get("top_k", 0)),
        max_tokens=int(wishes.get("max_gen_toks", _ANSWER_TOKENS)),
        stop=tuple(dict.fromkeys(stop for stop in (*stops, *stop_texts) if stop)),
    )
