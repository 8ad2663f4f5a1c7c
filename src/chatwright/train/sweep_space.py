"""What a sweep tries: keys of a recipe, and the values that each may take."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chatwright.errors import ConfigError
from chatwright.train.recipe import load_recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from optuna.trial import Trial

_HELP = "write KEY=LOW..HIGH, KEY=LOW..HIGH:log, KEY=LOW..HIGH:STEP or KEY=A,B,C"
_RANGE = re.compile(r"\s*([^\s:]+?)\s*\.\.\s*([^\s:]+?)\s*(?::\s*(\S+)\s*)?")
_OWN_KEYS = {"name", "output"}  # each trial has its own


@dataclass(frozen=True, slots=True)
class Axis:
    """A key and its values: a range, or a choice.

    Attributes:
        key: of the recipe, dotted.
        choices: values as YAML text; empty for a range.
        low, high: both included.
        log: whether every order of magnitude is as likely as the next.
        step: between neighbours; None: any value.
        whole: whether values are whole numbers.
    """

    key: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float | None = None
    whole: bool = False

    @classmethod
    def parse(cls, text: str) -> "Axis":
        """From ``key=1e-5..1e-3:log``, ``key=0.1..0.5:0.1``, ``key=1..8`` or ``key=4,8,16``.

        Raises:
            ConfigError: it is none of these.
        """
        key, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not all(key.split(".")) or not values:
            raise ConfigError(f"--over {text}: {_HELP}, such as stages.sft.learning_rate=1e-5..1e-3:log")
        if key.split(".")[0] in _OWN_KEYS:
            raise ConfigError(f"--over {text}: each trial has a folder and a name of its own; sweep over another key")
        found = _RANGE.fullmatch(values)
        return cls._range(text, key, *found.groups()) if found else cls._choice(text, key, values)

    @classmethod
    def _range(cls, text: str, key: str, first: str, last: str, form: str | None) -> "Axis":
        low, high = _number(first, text), _number(last, text)
        log = form == "log"
        step = None if form is None or log else _number(form, text)
        whole = all(re.fullmatch(r"[-+]?\d+", part) for part in (first, last) if part)
        whole = whole and (step is None or step.is_integer())
        if not low < high:
            raise ConfigError(f"--over {text}: the range ends at {last}, which is not above {first}; swap them")
        if log and low <= 0:
            raise ConfigError(f"--over {text}: a logarithmic range must begin above 0; it begins at {first}")
        if step is not None and not 0 < step <= high - low:
            raise ConfigError(f"--over {text}: the step {form} does not fit between {first} and {last}")
        return cls(key, low=low, high=high, log=log, step=step, whole=whole)

    @classmethod
    def _choice(cls, text: str, key: str, values: str) -> "Axis":
        choices = tuple(part.strip() for part in _split(values))
        if len(choices) < 2 or not all(choices) or len(set(choices)) < len(choices):
            raise ConfigError(f"--over {text}: give at least two different values, or a range; {_HELP}")
        return cls(key, choices=choices)

    @property
    def ends(self) -> tuple[str, ...]:
        """Values as YAML text that are refused if any between them is."""
        return self.choices or (self._text(self.low), self._text(self.high))

    def suggest(self, trial: "Trial") -> str:
        """The value that the study wants tried, as YAML text."""
        if self.choices:
            return str(trial.suggest_categorical(self.key, self.choices))
        if self.whole:
            step = 1 if self.step is None else int(self.step)
            return self._text(trial.suggest_int(self.key, int(self.low), int(self.high), step=step, log=self.log))
        return self._text(trial.suggest_float(self.key, self.low, self.high, step=self.step, log=self.log))

    def _text(self, value: float) -> str:
        return str(int(value)) if self.whole else repr(float(value))


def parse_axes(texts: "Sequence[str]", recipe: Path, overrides: "Sequence[str]") -> tuple[Axis, ...]:
    """The axes of a sweep, each of whose values the recipe takes.

    Raises:
        ConfigError: a key that no recipe has, a value that it does not take, or an axis that says nothing.
    """
    axes = tuple(Axis.parse(text) for text in texts)
    if not axes:
        raise ConfigError(f"a sweep needs something to vary; give --over ({_HELP})")
    keys = sorted(axis.key for axis in axes)
    if twice := next((one for one, other in pairwise(keys) if one == other), None):
        raise ConfigError(f"--over {twice} is given twice; give all its values at once")
    load_recipe(recipe, overrides)
    for axis in axes:
        for value in axis.ends:
            load_recipe(recipe, [*overrides, f"{axis.key}={value}"])
    return axes


def number_of_choices(axes: "Sequence[Axis]") -> int | None:
    """How many combinations there are; None where a range is among them."""
    total = 1
    for axis in axes:
        if not axis.choices:
            return None
        total *= len(axis.choices)
    return total


def _number(text: str, whole: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ConfigError(f"--over {whole}: {text!r} is not a number; {_HELP}") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise ConfigError(f"--over {whole}: {text!r} is not a finite number")
    return value


def _split(values: str) -> list[str]:
    """At commas that are not inside brackets."""
    parts, depth = [""], 0
    for sign in values:
        depth += (sign in "[{") - (sign in "]}")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def plain(text: str) -> Any:
    """A value as it is in JSON: numbers as numbers."""
    from chatwright.train.recipe_source import parse_yaml

    return parse_yaml(text, "a value")
