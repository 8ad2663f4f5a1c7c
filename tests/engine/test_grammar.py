import json
import re
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from chatwright.engine.engine import Engine
from chatwright.engine.fake import FakeRunner
from chatwright.engine.grammar import GrammarCompiler
from chatwright.engine.params import Constraint, SamplingParams
from chatwright.engine.torch_runner import TorchRunner
from chatwright.errors import ConstraintError, EngineError, InvalidParameterError
from chatwright.model.config import ModelConfig
from chatwright.model.gpt import GPT
from chatwright.tokenizer import Tokenizer

MakeEngine = Callable[..., Engine]
EOS, VOCAB_SIZE = 256, 258  # of the tokenizer in conftest.py
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b", "天空"]}, "maxItems": 3},
        "extra": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
    },
    "required": ["name", "age", "tags", "extra"],
    "additionalProperties": False,
}


def test_json_always_parses_and_fits_its_schema(make_engine: MakeEngine) -> None:
    """A random model knows nothing of JSON; every answer that ends by itself is valid all the same."""
    config = ModelConfig(VOCAB_SIZE, 32, 2, 4, max_position_embeddings=400, initializer_range=0.3)
    engine = make_engine(TorchRunner(GPT(config).eval(), num_blocks=100, block_size=16))
    constraint = Constraint.json_schema(SCHEMA)
    params = SamplingParams(constraint=constraint, n=4, max_tokens=350)
    for seed in range(3):
        for answer in engine.submit([1, 2, 3], params.replace(seed=seed)).result(120):
            assert answer.finish_reason == "stop"
            value = json.loads(answer.text)
            assert set(value) == {"name", "age", "tags", "extra"}
            assert len(value["name"]) <= 12
            assert 0 <= value["age"] <= 150
            assert set(value["tags"]) <= {"a", "b", "天空"}
            assert value["extra"] in (None, True, False)


@pytest.mark.parametrize("constraint", [Constraint.json_schema(SCHEMA), Constraint.json_object()])
def test_a_model_that_prefers_white_space_cannot_write_it_without_end(
    make_engine: MakeEngine, runner: FakeRunner, constraint: Constraint
) -> None:
    bias = dict.fromkeys(b" \n\r\t", 100) | {ord('"'): 50, ord("}"): 60}
    params = SamplingParams(constraint=constraint, temperature=0, max_tokens=200, logit_bias=bias)
    answer = make_engine(runner).submit([1], params).result(60)[0]
    assert answer.finish_reason == "stop"
    assert isinstance(json.loads(answer.text), dict)
    assert "\n" not in answer.text


def test_any_json_object(make_engine: MakeEngine, runner: FakeRunner) -> None:
    params = SamplingParams(constraint=Constraint.json_object(), n=8, seed=1, max_tokens=400)
    ended = [a for a in make_engine(runner).submit([1], params).result(60) if a.finish_reason == "stop"]
    assert ended
    assert all(isinstance(json.loads(answer.text), dict) for answer in ended)


@pytest.mark.parametrize("temperature", [0, 1])
def test_a_pattern_is_matched_as_a_whole(make_engine: MakeEngine, runner: FakeRunner, temperature: float) -> None:
    pattern = r"(yes|no), [a-z]{2,5} [0-9]+(\.[0-9]{2})? 元"
    params = SamplingParams(constraint=Constraint.regex(pattern), temperature=temperature, n=4, seed=2, max_tokens=300)
    for answer in make_engine(runner).submit([1], params).result(60):
        assert answer.finish_reason == "stop"
        assert re.fullmatch(pattern, answer.text)


def test_one_of_the_choices(make_engine: MakeEngine, runner: FakeRunner) -> None:
    choices = ['a "quoted" one', "back\\slash", "天空", "a", "two\nlines"]
    params = SamplingParams(constraint=Constraint.choice(choices), n=32, seed=1, temperature=2)
    answers = make_engine(runner).submit([1], params).result(60)
    assert {answer.text for answer in answers} <= set(choices)
    assert len({answer.text for answer in answers}) > 1
    assert {answer.finish_reason for answer in answers} == {"stop"}


def test_control_tokens_are_never_part_of_a_constrained_answer(tokenizer: Tokenizer) -> None:
    compiler = GrammarCompiler(tokenizer, VOCAB_SIZE + 40, frozenset({EOS}))  # a table padded beyond the vocabulary
    matcher = compiler.matcher(Constraint.regex(r"(.|\n)*"))
    row = np.zeros(VOCAB_SIZE + 40, dtype=np.float32)
    matcher.mask(row)
    allowed = set(np.flatnonzero(np.isfinite(row)).tolist())
    assert allowed & set(range(256, VOCAB_SIZE + 40)) == {EOS}
    assert ord("<") in allowed
    for byte in b"<turn>":  # the text of a control token is only text
        assert not matcher.consume(byte)


def test_the_end_is_allowed_only_where_the_text_is_complete(tokenizer: Tokenizer) -> None:
    matcher = GrammarCompiler(tokenizer, VOCAB_SIZE, frozenset({EOS})).matcher(Constraint.regex("abc?"))
    for byte, may_end in zip(b"ab", (False, True), strict=True):
        matcher.consume(byte)
        row = np.zeros(VOCAB_SIZE, dtype=np.float32)
        matcher.mask(row)
        assert bool(np.isfinite(row[EOS])) is may_end
    assert matcher.consume(ord("c"))  # nothing can follow: no end token is needed


def test_ignoring_the_end_token_ends_a_constrained_answer_all_the_same(
    make_engine: MakeEngine, runner: FakeRunner
) -> None:
    params = SamplingParams(constraint=Constraint.regex("ab+"), ignore_eos=True, logit_bias={EOS: 50}, temperature=0)
    answer = make_engine(runner).submit([1], params).result(10)[0]
    assert (answer.text, answer.finish_reason) == ("ab", "stop")


@pytest.mark.parametrize(
    ("constraint", "name"),
    [
        (Constraint.json_schema({"type": "objekt"}), "json_schema"),
        (Constraint.json_schema({"type": "string", "pattern": "("}), "json_schema"),
        (Constraint.json_schema({"$ref": "#/$defs/missing"}), "json_schema"),
        (Constraint.regex("(unclosed"), "regex"),
        (Constraint.regex("a(?=b)"), "regex"),
    ],
)
def test_what_cannot_be_compiled_is_refused_at_the_door(
    make_engine: MakeEngine, runner: FakeRunner, constraint: Constraint, name: str
) -> None:
    engine = make_engine(runner)
    with pytest.raises(InvalidParameterError, match=name) as error:
        engine.submit([1], SamplingParams(constraint=constraint))
    assert error.value.parameter == name
    assert engine.submit([1], SamplingParams(max_tokens=2)).result(10)


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"type": "array", "items": {"$ref": "#"}, "minItems": 1}])
def test_a_schema_that_no_answer_fits_is_the_requests_own_fault(
    make_engine: MakeEngine, runner: FakeRunner, schema: dict[str, object]
) -> None:
    """Found only as it is answered: what waits, waits for itself."""
    engine = make_engine(runner)
    with pytest.raises(ConstraintError, match="no answer can keep to the constraint") as error:
        engine.submit([1], SamplingParams(constraint=Constraint.json_schema(schema), max_tokens=50)).result(10)
    assert "\n" not in str(error.value)
    assert engine.submit([1], SamplingParams(max_tokens=2)).result(10)


def test_a_missing_library_says_what_to_install(
    make_engine: MakeEngine, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(EngineError, match="pip install llguidance"):
        make_engine(runner).submit([1], SamplingParams(constraint=Constraint.json_object()))


def test_unconstrained_requests_do_not_import_the_library(make_engine: MakeEngine, runner: FakeRunner) -> None:
    engine = make_engine(runner)
    engine.submit([1], SamplingParams(max_tokens=2)).result(10)
    assert engine._grammars._vocabulary is None


def test_constrained_answers_survive_preemption_and_share_a_batch(make_engine: MakeEngine) -> None:
    params = SamplingParams(constraint=Constraint.regex("[a-z]{40}"), seed=1)
    alone = make_engine(FakeRunner(VOCAB_SIZE)).submit([1, 2], params).result(10)[0]
    gate = threading.Event()
    engine = make_engine(FakeRunner(VOCAB_SIZE, num_blocks=8, block_size=8, before_run=gate.wait))
    generations = [engine.submit([1, 2], params) for _ in range(4)]
    gate.set()
    assert {generation.result(10)[0].text for generation in generations} == {alone.text}
    assert engine.stats().preemptions > 0


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "[z-a]", "(?=x)"])
def test_a_bad_pattern_is_one_sentence(make_engine: MakeEngine, pattern: str) -> None:
    with pytest.raises(InvalidParameterError, match="regex") as caught:
        make_engine(FakeRunner(VOCAB_SIZE)).submit([1], SamplingParams(constraint=Constraint.regex(pattern)))
    assert "\n" not in str(caught.value)
