"""The evaluation harness asks the live server for likelihoods and gets what it gets within this process."""

from pathlib import Path

import pytest

from chatwright import LoadedModel
from chatwright.eval.runner import scoring_model

pytest.importorskip("lm_eval")
pytest.importorskip("tenacity")
from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI
from lm_eval.utils import check_remote_tokenizer_support

from chatwright.eval.lm_eval_adapter import ChatwrightLM

PAIRS = [
    ("why is the sky", " blue"),
    ("hello", " who is the user"),
    ("你好，", "世界"),
    ("the sky is", " |"),
    ("a", "b"),
]


def _instances(kind: str, arguments: list[tuple[object, ...]]) -> list[Instance]:
    return [Instance(kind, {}, each, index) for index, each in enumerate(arguments)]


@pytest.mark.parametrize("tokenized", [True, False])
def test_likelihoods_over_the_network_are_those_of_this_process(
    server: str, long_model_dir: Path, tokenized: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not needed")
    remote = LocalCompletionsAPI(
        base_url=f"{server}/v1/completions",
        model="tiny",
        tokenizer=str(long_model_dir),
        tokenizer_backend="huggingface",
        tokenized_requests=tokenized,
        max_length=512,
        batch_size=2,
        max_retries=1,
    )
    asked = _instances("loglikelihood", [*PAIRS])
    over_http = remote.loglikelihood(asked, disable_tqdm=True)
    with_model = LoadedModel.open(long_model_dir, device="cpu", dtype="float32", threads=1)
    try:
        here = ChatwrightLM(with_model, scoring_model(with_model)).loglikelihood(asked, disable_tqdm=True)
    finally:
        with_model.close()
    assert [greedy for _, greedy in over_http] == [greedy for _, greedy in here]
    assert [value for value, _ in over_http] == pytest.approx([value for value, _ in here], abs=1e-3)


def test_the_harness_finds_the_tokenizer_at_the_server(server: str) -> None:
    assert check_remote_tokenizer_support(f"{server}/v1/completions", max_retries=1)
