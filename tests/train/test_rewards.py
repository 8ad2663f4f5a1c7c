"""Rewards by Python functions: how they are found, called, and what they must return."""

from pathlib import Path

import numpy as np
import pytest
import torch

from chatwright.chat import Message
from chatwright.data.rows import Prompt
from chatwright.errors import ConfigError, InputError
from chatwright.train.rewards import Rewards, reward_function
from chatwright.train.rollout import Answer, EncodedPrompt

CPU = torch.device("cpu")
IDS = np.array([1], np.int32)


@pytest.fixture
def answers() -> list[Answer]:
    rows = [
        Prompt((Message("user", "2 + 2"),), "4", {"level": 1}),
        Prompt((Message("user", "2 + 3"),), "5", {}),
    ]
    return [
        Answer(EncodedPrompt(row, IDS), IDS, text, finished, np.zeros(1, np.float32))
        for row, text, finished in zip(rows, ("It is 4.", "6"), (True, False), strict=True)
    ]


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "my rewards.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "@dataclass\n"
        "class Weights:\n"
        "    right: float = 1.0\n"
        "def right(completions, answer):\n"
        "    return [Weights().right * (a in c) for c, a in zip(completions, answer)]\n"
        "def columns(**columns):\n"
        "    assert columns['prompts'][1] == [{'role': 'user', 'content': '2 + 3'}]\n"
        "    assert columns['finished'] == [True, False]\n"
        "    return [level or 0 for level in columns['level']]\n"
        "def few(completions):\n"
        "    return [1.0]\n"
        "def nan(completions):\n"
        "    return [float('nan')] * len(completions)\n"
        "def text(completions):\n"
        "    return ['good'] * len(completions)\n"
        "def fails(completions):\n"
        "    return 1 / 0\n"
        "value = 3\n"
    )
    return str(path)


def test_functions_get_the_columns_they_name(answers: list[Answer], file: str) -> None:
    rewards = Rewards([f"{file}:right", f"{file}:columns"], [1.0, 0.5], CPU)
    total, parts = rewards(answers)
    assert parts.tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert total.tolist() == [1.5, 0.0]
    assert rewards.labels == ["right", "columns"]


def test_without_weights_the_parts_are_added(answers: list[Answer], file: str) -> None:
    total, _ = Rewards([f"{file}:right", f"{file}:right"], None, CPU)(answers)
    assert total.tolist() == [2.0, 0.0]


def test_a_function_of_an_installed_module() -> None:
    assert reward_function("statistics:mean")([1.0, 3.0]) == 2.0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("few", "returned 1 rewards for 2 answers"),
        ("nan", "returned nan for the answer 'It is 4.'"),
        ("text", "returned 'good' for the answer"),
        ("fails", "failed: ZeroDivisionError"),
    ],
)
def test_what_is_no_reward_is_refused(answers: list[Answer], file: str, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Rewards([f"{file}:{name}"], None, CPU)(answers)


def test_what_is_not_there_is_named(file: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 +")
    for name, message in (
        ("polite", "neither a folder nor a function"),
        ("no_such_module_here:f", "no_such_module_here cannot be imported: ModuleNotFoundError"),
        (f"{tmp_path}/missing.py:f", "there is no file"),
        (f"{tmp_path}/broken.py:f", "cannot be imported: SyntaxError"),
        (f"{file}:nothing", "has no function nothing"),
        (f"{file}:value", "has no function value"),
    ):
        with pytest.raises(ConfigError, match=message):
            Rewards([name], None, CPU)
    with pytest.raises(ConfigError, match="reward_funcs is empty"):
        Rewards([], None, CPU)
    with pytest.raises(ConfigError, match="reward_weights has 1 numbers, but reward_funcs 2"):
        Rewards(["math:fsum", "math:prod"], [1.0], CPU)
