"""The model that `make chat` talks to, from its package to its answer. (`make test` installs it.)"""

import json
import subprocess
import sys

import pytest

from chatwright import LoadedModel, resolve_model
from chatwright.model.describe import describe

pytestmark = pytest.mark.embedded


def test_the_default_is_found_checked_and_described() -> None:
    assert resolve_model().name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    facts = describe()
    assert facts["parameters"] == 134_515_008
    assert facts["chat_template"] is True
    assert facts["license"] == "Apache-2.0"


def test_it_answers_as_a_program() -> None:
    arguments = ["chat", "Who wrote Romeo and Juliet?", "--temperature", "0", "--max-tokens", "16", "--json"]
    result = subprocess.run(
        [sys.executable, "-m", "chatwright", *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    answer = json.loads(result.stdout)
    assert "Shakespeare" in answer["answer"]
    assert answer["usage"]["completion_tokens"] == 16


def test_its_makers_advice_on_sampling_is_followed() -> None:
    model = LoadedModel.open()
    try:
        assert (model.sampling.temperature, model.sampling.top_p) == (0.2, 0.9)
    finally:
        model.close()
