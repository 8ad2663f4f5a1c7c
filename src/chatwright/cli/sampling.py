"""The sampling options that a person gave, as the keywords of :class:`chatwright.SamplingParams`."""

import json
from pathlib import Path
from typing import Any

from chatwright.cli.language import say
from chatwright.engine.params import Constraint
from chatwright.errors import InvalidParameterError


def given(**options: Any) -> dict[str, Any]:
    """Only the options that were given: None and empty lists are left to the model's own defaults."""
    return {name: value for name, value in options.items() if value is not None and value != []}


def constraint_from(json_schema: Path | None, regex: str | None) -> Constraint | None:
    """The language that the answer must belong to, if one was asked for.

    Raises:
        InvalidParameterError: both are given, or the schema's file is missing or not JSON.
    """
    if json_schema is not None and regex is not None:
        raise InvalidParameterError("regex", "--json-schema and --regex cannot be combined; give one of them")
    if regex is not None:
        return Constraint.regex(regex)
    if json_schema is None:
        return None
    try:
        schema = json.loads(json_schema.read_bytes())
    except OSError as error:
        raise InvalidParameterError(
            "json_schema", f"--json-schema: cannot read {json_schema}: {error.strerror or error}"
        ) from error
    except ValueError as error:
        raise InvalidParameterError("json_schema", f"--json-schema: {json_schema} is not JSON: {error}") from error
    return Constraint.json_schema(schema)


# Settings that `/set NAME VALUE` changes within a session: name → type, and what it does.
SETTINGS: dict[str, tuple[type[int] | type[float], str]] = {
    "temperature": (float, say("0 is exact, higher is freer", "0 最确定，越大越自由")),
    "top_p": (float, say("sample from the likeliest share", "只在累计概率内采样")),
    "top_k": (int, say("sample from the k likeliest; 0 is off", "只在最可能的 k 个中采样；0 为不限")),
    "min_p": (float, say("drop what is much less likely than the best", "去掉远不如最优的选项")),
    "repetition_penalty": (float, say("above 1 discourages repeating", "大于 1 抑制重复")),
    "presence_penalty": (float, say("above 0 encourages new topics", "大于 0 鼓励新话题")),
    "frequency_penalty": (float, say("above 0 discourages frequent words", "大于 0 抑制高频词")),
    "seed": (int, say("the same seed gives the same answer", "相同的种子得到相同的回答")),
    "max_tokens": (int, say("longest answer in tokens", "回答的最大 token 数")),
}


def parse_setting(name: str, text: str) -> Any:
    """The value of one setting from its text; "default" gives None.

    Raises:
        InvalidParameterError: no such setting, or not a number. Bounds are checked where it is used.
    """
    name = name.replace("-", "_")
    if name not in SETTINGS:
        raise InvalidParameterError(name, f"there is no setting {name!r}; there are {', '.join(SETTINGS)}")
    if text == "default":
        return None
    kind = SETTINGS[name][0]
    try:
        return kind(text)
    except ValueError:
        what = "an integer" if kind is int else "a number"
        raise InvalidParameterError(name, f"{name} is {text!r}; it must be {what}, or `default`") from None
