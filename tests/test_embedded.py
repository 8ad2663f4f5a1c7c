"""The model that `make chat` talks to, from its package to its answer. (`make test` installs it.)"""

import json
import subprocess
import sys

import pytest

from chatwright import resolve_model
from chatwright.model.describe import describe

pytestmark = pytest.mark.embedded


def test_the_default_is_found_checked_and_described() -> None:
    assert resolve_model().name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    facts = describe()
    assert facts["parameters"] == 134_515_008
    assert facts["chat_template"] is True
    assert facts["license"] == "Apache-2.0"


def test_it_answers_as_a_program() -> None:
    arguments = ["chat", "What is the capital of France?", "--temperature", "0", "--max-tokens", "16", "--json"]
    result = subprocess.run(
        [sys.executable, "-m", "chatwright", *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    answer = json.loads(result.stdout)
    assert "Paris" in answer["answer"]
    assert answer["finish_reason"] == "stop"
