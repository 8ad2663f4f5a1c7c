"""Rewards of sampled answers: Python functions, trained reward models, or a weighted sum of several.

A function takes lists, one entry for each answer, and returns a list of numbers::

    def polite(completions, **columns):
        return [float("please" in text) for text in completions]

It may name any of these parameters, or take them all by ``**columns``: ``completions`` (the answers' texts),
``prompts`` (the conversations, as lists of messages), ``answer`` (the right answer, or None), ``finished`` (False where
an answer was cut for its length), and every other key of the data's lines.
"""

import importlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chatwright.chat import ChatTemplate, Message
from chatwright.data.encode import RatedEncoder
from chatwright.data.example import Example
from chatwright.data.rows import Rated
from chatwright.errors import ChatwrightError, ConfigError, InputError
from chatwright.model.load import load_folder
from chatwright.model.score_head import load_score_head
from chatwright.tokenizer import Tokenizer
from chatwright.train.batch import Batch
from chatwright.train.likelihood import hidden_states
from chatwright.train.objectives.reward import scores_at_end
from chatwright.train.precision import compute_dtype
from chatwright.train.rollout import Answer

Scorer = Callable[[Sequence[Answer]], list[float]]

_BATCH_TOKENS = 4096


class Rewards:
    """The reward of a stage.

    Args:
        names: of each part: "module:function", "path/file.py:function", or the folder of a reward model.
        weights: of each part in the sum; None: 1.
        device: of reward models.

    Attributes:
        labels: short names of the parts.

    Raises:
        ConfigError: there is no such function or folder, or the weights are not as many as the parts.
    """

    def __init__(self, names: Sequence[str], weights: Sequence[float] | None, device: torch.device) -> None:
        if not names:
            raise ConfigError('reward_funcs is empty; name a function, such as "rewards.py:polite", or a reward model')
        if weights is not None and len(weights) != len(names):
            raise ConfigError(f"reward_weights has {len(weights)} numbers, but reward_funcs {len(names)} entries")
        self._scorers = [_scorer(name, device) for name in names]
        self._weights = torch.tensor(weights if weights is not None else [1.0] * len(names))
        self.labels = [name.rpartition(":")[2] if not Path(name).is_dir() else Path(name).name for name in names]

    def __call__(self, answers: Sequence[Answer]) -> tuple[Tensor, Tensor]:
        """Score answers.

        Returns:
            The weighted sum, float32 [A], and each part, float32 [parts, A].
        Raises:
            InputError: a function fails, or returns something else than a finite number for each answer.
        """
        parts = torch.tensor([scorer(answers) for scorer in self._scorers], dtype=torch.float32)
        return self._weights @ parts, parts


def reward_function(name: str) -> Callable[..., Any]:
    """The function that "module:function" or "path/file.py:function" names.

    Raises:
        ConfigError: there is none.
    """
    place, colon, attribute = name.rpartition(":")
    if not colon or not place:
        raise ConfigError(
            f"{name!r} is neither a folder nor a function; write module:function, path/file.py:function, or the "
            "folder of a reward model"
        )
    try:
        module = _module_at(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except ChatwrightError:
        raise
    except Exception as error:  # the module is somebody else's code
        raise ConfigError(f"{name}: {place} cannot be imported: {type(error).__name__}: {error}") from error
    function = getattr(module, attribute, None)
    if not callable(function):
        raise ConfigError(f"{name}: {place} has no function {attribute}")
    found: Callable[..., Any] = function
    return found


class FunctionScorer:
    """Calls a Python function; see the module's description.

    Args:
        name: of the function, for messages.
        function: is given the parameters that it names.
    """

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._name, self._function = name, function
        parameters = inspect.signature(function).parameters.values()
        self._takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        self._takes = {parameter.name for parameter in parameters}

    def __call__(self, answers: Sequence[Answer]) -> list[float]:
        """A reward for each answer."""
        columns = _columns(answers)
        given = {name: values for name, values in columns.items() if self._takes_all or name in self._takes}
        try:
            rewards = list(self._function(**given))
        except Exception as error:  # somebody else's code
            raise InputError(f"the reward function {self._name} failed: {type(error).__name__}: {error}") from error
        if len(rewards) != len(answers):
            raise InputError(
                f"the reward function {self._name} returned {len(rewards)} rewards for {len(answers)} answers"
            )
        for reward, answer in zip(rewards, answers, strict=True):
            if not isinstance(reward, Real) or not math.isfinite(reward):
                raise InputError(
                    f"the reward function {self._name} returned {reward!r} for the answer {answer.text[:80]!r}; it "
                    "must return a finite number for each answer"
                )
        return [float(reward) for reward in rewards]


class ModelScorer:
    """A trained reward model, asked with its own tokenizer and template.

    Args:
        folder: a Hugging Face folder with one score.
        device: where it runs.

    Raises:
        ConfigError: the folder is one of a classifier.
        ModelFormatError, ModelNotFoundError: it is not one of a reward model.
    """

    def __init__(self, folder: Path, device: torch.device) -> None:
        head = load_score_head(folder)
        if len(head.weight) != 1:
            raise ConfigError(f"{folder} gives {len(head.weight)} scores ({', '.join(head.labels)}), a reward is one")
        self._folder = folder
        self._model = load_folder(folder, dtype=compute_dtype("auto", device), device=device)
        self._weight = head.weight.to(device)
        template = ChatTemplate(Tokenizer.from_folder(folder))
        self._encoder = RatedEncoder(template, self._model.config.max_position_embeddings)

    @torch.no_grad()
    def __call__(self, answers: Sequence[Answer]) -> list[float]:
        """A reward for each answer."""
        examples = [self._example(answer) for answer in answers]
        rewards: list[float] = []
        for batch in _batches(examples):
            on_device = batch.to(self._weight.device)
            scores_D = scores_at_end(hidden_states(self._model, on_device), self._weight, on_device)[:, 0]
            rewards += scores_D.tolist()
        return rewards

    def _example(self, answer: Answer) -> Example:
        row = Rated(answer.prompt.row.messages, (Message("assistant", answer.text),), True)
        example = self._encoder(row)
        if example is None:
            raise InputError(
                f"the reward model {self._folder} cannot hold a prompt with its answer; set max_length lower"
            )
        return Example(example.documents)


def _scorer(name: str, device: torch.device) -> Scorer:
    if Path(name).is_dir():
        return ModelScorer(Path(name), device)
    return FunctionScorer(name, reward_function(name))


def _module_at(path: Path) -> Any:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}; reward_funcs names a function in it")
    spec = importlib.util.spec_from_file_location(f"_rewards_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # data classes look their module up
    spec.loader.exec_module(module)
    return module


def _columns(answers: Sequence[Answer]) -> dict[str, list[Any]]:
    rows = [answer.prompt.row for answer in answers]
    extra = {
        name: [row.extra.get(name) for row in rows] for name in dict.fromkeys(key for row in rows for key in row.extra)
    }
    return {
        **extra,
        "completions": [answer.text for answer in answers],
        "prompts": [[message.to_dict() for message in row.messages] for row in rows],
        "answer": [row.answer for row in rows],
        "finished": [answer.finished for answer in answers],
    }


def _batches(examples: Sequence[Example]) -> list[Batch]:
    groups: list[list[Example]] = [[]]
    for example in examples:
        if groups[-1] and sum(map(len, groups[-1])) + len(example) > _BATCH_TOKENS:
            groups.append([])
        groups[-1].append(example)
    return [Batch.of(group, multiple_of=32) for group in groups]
