"""Tables of the reference that are taken from the program: settings and their descriptions, objectives, tasks.

A page of docs/reference/ is written by hand but for what stands between ``<!-- table: NAME -->`` and ``<!-- end -->``.
Descriptions are English in the program; ``chinese.yaml`` beside this file has them in Chinese.
"""

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

Language = Literal["en", "zh"]

_TABLE = re.compile(r"(<!-- table: ([\w.]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_BRACES = re.compile(r"\{[^}]*\}")
_CHINESE = Path(__file__).parent / "chinese.yaml"
_KINDS: dict[type, str] = {
    bool: "true · false",
    int: "whole number",
    float: "number",
    str: "text",
    SecretStr: "text",  # kept out of sight
    Path: "path",
}
_WORDS = {  # of the tables themselves
    "key": "键",
    "value": "取值",
    "default": "缺省",
    "meaning": "含义",
    "whole number": "整数",
    "number": "数值",
    "text": "文本",
    "path": "路径",
    "list of": "列表：",
    "mapping": "映射",
    "required": "必需",
    "learns from": "数据",
    "objective": "目标",
    "what it minimises": "最小化什么",
    "task": "任务",
    "kind": "类型",
    "what it asks": "内容",
    "name": "名称",
    "what is in it": "内容",
}


def written(page: str, language: Language) -> str:
    """A page with its tables made anew."""
    tables = _tables()
    return _TABLE.sub(lambda match: f"{match[1]}\n{tables[match[2]](_Speaker(language))}\n{match[3]}", page)


def untranslated() -> set[str]:
    """English texts of the tables that chinese.yaml lacks."""
    speaker = _Speaker("zh")
    for table in _tables().values():
        table(speaker)
    return speaker.missing


def unused() -> set[str]:
    """Entries of chinese.yaml that no table needs any more."""
    speaker = _Speaker("zh")
    for table in _tables().values():
        table(speaker)
    return set(_chinese()) - speaker.used


class _Speaker:
    """Says the tables' texts in one language, and remembers what it could not say."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.used: set[str] = set()
        self.missing: set[str] = set()

    def word(self, english: str) -> str:
        return _WORDS[english] if self.language == "zh" else english

    def text(self, english: str) -> str:
        """A description."""
        self.used.add(english)
        if self.language == "en" or not english:
            return english
        if english not in _chinese():
            self.missing.add(english)
        return _chinese().get(english, english)


@cache
def _chinese() -> Mapping[str, str]:
    texts: dict[str, str] = yaml.safe_load(_CHINESE.read_text("utf-8"))
    return texts


def _tables() -> dict[str, Callable[[_Speaker], str]]:
    from chatwright.data.settings import CleanSettings, DataSettings
    from chatwright.eval.tasks import Task
    from chatwright.server.settings import Limits, ServerSettings
    from chatwright.train.recipe import EvaluationSettings, ModelSettings, Recipe, TokenizerSource
    from chatwright.train.settings import GrowSettings, LoRASettings, StageSettings

    settings: dict[str, type[BaseModel]] = {
        "recipe": Recipe,
        "model": ModelSettings,
        "grow": GrowSettings,
        "tokenizer": TokenizerSource,
        "evaluation": EvaluationSettings,
        "stage": StageSettings,
        "lora": LoRASettings,
        "data": DataSettings,
        "clean": CleanSettings,
        "task": Task,
        "server": ServerSettings,
        "limits": Limits,
    }
    tables: dict[str, Callable[[_Speaker], str]] = {
        name: lambda speaker, kind=kind: _settings_table(kind.model_fields, speaker)  # type: ignore[misc]
        for name, kind in settings.items()
    }
    return tables | {"objectives": _objectives, "tasks": _tasks, "builtin": _builtin}


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], speaker: _Speaker) -> str:
    lines = [tuple(map(speaker.word, head)), ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _settings_table(fields: Mapping[str, FieldInfo], speaker: _Speaker) -> str:
    rows = [
        (
            f"`{field.alias or name}`",
            _value(field.annotation, speaker),
            _default(field, speaker),
            speaker.text(field.description or ""),
        )
        for name, field in fields.items()
        if name != "shape"  # of a model: its keys stand beside the others
    ]
    return _table(("key", "value", "default", "meaning"), rows, speaker)


def _value(annotation: Any, speaker: _Speaker) -> str:
    """What may be written."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " · ".join(f"`{choice}`" for choice in arguments)
    if origin is tuple:
        return f"{speaker.word('list of')} {_value(arguments[0], speaker)}"
    if origin in (dict, Mapping) or (inspect.isclass(origin) and issubclass(origin, Mapping)):
        return speaker.word("mapping")
    if arguments:
        return " · ".join(_value(part, speaker) for part in arguments if part is not NoneType)
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return speaker.word("mapping")
    kind = _KINDS[annotation]
    return f"`{'` · `'.join(kind.split(' · '))}`" if annotation is bool else speaker.word(kind)


def _default(field: FieldInfo, speaker: _Speaker) -> str:
    if field.is_required():
        return speaker.word("required")
    value = field.default
    if field.default_factory is not None or value in (None, "", ()):
        return ""
    if isinstance(value, BaseModel):
        return "`{}`"
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{shown}`"


def _objectives(speaker: _Speaker) -> str:
    """Each objective: what it minimises, what it learns from, and the settings in which it differs from others."""
    from chatwright.data.formats import KIND_KEYS
    from chatwright.train.objectives import OBJECTIVES, objective
    from chatwright.train.settings import StageSettings

    common = StageSettings.model_fields
    parts = []
    for name in OBJECTIVES:
        kind = objective(name)
        keys = " · ".join(_BRACES.sub(r"`\g<0>`", KIND_KEYS[row]).replace(" or ", " · ") for row in kind.rows)
        keys = keys.replace("`, `", "` · `")
        own = {
            key: field
            for key, field in kind.Settings.model_fields.items()
            if key not in common or (field.default, field.description) != (common[key].default, common[key].description)
        }
        for key, field in own.items():
            if field.description is None and key in common:
                own[key] = FieldInfo.merge_field_infos(field, description=common[key].description)
        table = f"\n{_settings_table(own, speaker)}" if own else ""
        parts.append(
            f"### {name}\n\n{speaker.text(_first_lines(kind))}\n\n{speaker.word('learns from')}: {keys}\n{table}"
        )
    return "\n".join(parts)


def _tasks(speaker: _Speaker) -> str:
    from chatwright.eval.tasks import builtin_names, builtin_task

    tasks = [builtin_task(name) for name in builtin_names()]
    rows = [(f"`{task.name}`", task.kind, task.description) for task in tasks]
    return _table(("task", "kind", "what it asks"), rows, speaker)


def _builtin(speaker: _Speaker) -> str:
    from chatwright.data.builtin import BUILTIN, PREFIX

    rows = [(f"`{PREFIX}{name}`", speaker.text(_first_lines(make))) for name, make in BUILTIN.items()]
    return _table(("name", "what is in it"), rows, speaker)


def _first_lines(thing: Any) -> str:
    """The summary of a docstring, as Markdown."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split()).replace("``", "`")
