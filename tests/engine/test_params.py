from typing import Any

import pytest

from chatwright.engine.params import Constraint, SamplingParams
from chatwright.errors import InvalidParameterError

NAN, INF = float("nan"), float("inf")
NUMBERS = ["temperature", "top_p", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty"]
INTEGERS = ["top_k", "seed", "max_tokens", "n", "logprobs", "prompt_logprobs", "beam_width"]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [NAN, INF, -INF, True, "0.5", None, 10_000.0, -10_000.0])
def test_a_number_that_is_none_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidParameterError) as error:
        SamplingParams(**{name: value})
    assert error.value.parameter == name
    assert name in str(error.value)
    assert repr(value) in str(error.value)
    assert "between" in str(error.value)


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("value", [NAN, INF, True, 1.0, "1", -(2**70)])
def test_an_integer_that_is_none_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidParameterError, match=name):
        SamplingParams(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", 2.01),
        ("temperature", -0.01),
        ("top_p", 1.01),
        ("max_tokens", 0),
        ("n", 0),
        ("n", 129),
        ("logprobs", 21),
        ("presence_penalty", -2.1),
        ("frequency_penalty", 2.1),
        ("repetition_penalty", 0.0),
        ("logit_bias", {3: 101}),
        ("logit_bias", {-1: 1}),
        ("logit_bias", {"3": 1}),
        ("logit_bias", {3: NAN}),
        ("logit_bias", [3]),
        ("stop", ["a"] * 17),
        ("stop", [""]),
        ("stop", 7),
        ("stop", ["x" * 513]),
        ("stop_token_ids", [1.5]),
        ("stop_token_ids", "12"),
        ("ignore_eos", 1),
        ("constraint", {"type": "object"}),
    ],
)
def test_bounds(name: str, value: Any) -> None:
    with pytest.raises(InvalidParameterError):
        SamplingParams(**{name: value})


def test_containers_are_normalised_and_private() -> None:
    bias = {1: 2.0}
    params = SamplingParams(stop="END", stop_token_ids=[1, 2], logit_bias=bias)  # type: ignore[arg-type]
    bias[1] = 1000.0
    assert params.stop == ("END",)
    assert params.stop_token_ids == (1, 2)
    assert params.logit_bias == {1: 2.0}


def test_replace_checks_names_and_values() -> None:
    assert SamplingParams().replace(top_k=3).top_k == 3
    with pytest.raises(InvalidParameterError, match="temprature"):
        SamplingParams().replace(temprature=1)
    with pytest.raises(InvalidParameterError, match="top_k"):
        SamplingParams().replace(top_k=-1)


@pytest.mark.parametrize("values", [{"top_p": 0.9}, {"seed": 1}, {"temperature": 0.7}, {"n": 4}, {"logprobs": 1}])
def test_what_a_beam_search_would_ignore_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterError):
        SamplingParams(beam_width=3, **values)


def test_token_ids_of_another_vocabulary_are_refused() -> None:
    for params in (SamplingParams(logit_bias={100: 1.0}), SamplingParams(stop_token_ids=(100,))):
        params.check_vocabulary(101)
        with pytest.raises(InvalidParameterError, match="0 to 99"):
            params.check_vocabulary(100)


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        (Constraint.json_schema, "string"),
        (Constraint.json_schema, {"default": {1, 2}}),
        (Constraint.json_schema, {"minimum": NAN}),
        (Constraint.regex, ""),
        (Constraint.regex, None),
        (Constraint.choice, []),
        (Constraint.choice, "yes"),
        (Constraint.choice, ["yes", ""]),
    ],
)
def test_a_constraint_of_the_wrong_shape_is_refused(make: Any, argument: Any) -> None:
    with pytest.raises(InvalidParameterError):
        make(argument)
