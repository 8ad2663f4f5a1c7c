"""The sentences that the classifier learns from, and those that it is judged by."""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import yaml

from chatwright.data.quickstart import chats
from chatwright.errors import ConfigError
from chatwright.safety.moderation.classifier import CATEGORIES
from chatwright.safety.moderation.features import sentences

HARMLESS: Final = "harmless"
LANGUAGES: Final = ("english", "chinese")

_SLOT: Final = re.compile(r"\{([a-z]+)\}")
_FILLS: Final = 50  # of one template
_TECHNICAL: Final = 4000
_CHATS: Final = 400
_TEMPLATE_WEIGHT: Final = 6.0  # of a template's sentences together; a single sentence counts 1


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence.

    Attributes:
        text: of it.
        categories: what it is; none for a harmless one.
        group: of sentences alike: they are learned from together or not at all when it is measured what was learned.
        weight: in learning; sentences from one template count for less each.
    """

    text: str
    categories: frozenset[str]
    group: str
    weight: float = 1.0


def training_examples(seed: int = 0) -> list[Example]:
    """Everything to learn from: filled templates, single sentences, chats of the quickstart, technical prose."""
    rng = random.Random(seed)
    examples = [example for language in LANGUAGES for example in _of_file(_read(language), rng)]
    for kinds in _read("more").values():
        examples += _single(kinds)
    examples += rng.sample(list(_technical()), _TECHNICAL)
    for number, chat in enumerate(chats(_CHATS, seed)):
        examples += [Example(str(message.content), frozenset(), f"chat {number}", 0.3) for message in chat.messages]
    return examples


def held_out() -> dict[str, list[Example]]:
    """Sentences for judging alone, by language."""
    return {language: list(_single(kinds)) for language, kinds in _read("held_out").items()}


def _technical() -> Iterator[Example]:
    """Sentences of Chatwright's own documentation and code: what people who ask of computers read all day."""
    root = Path(__file__).parents[4]
    paths = sorted((root / "docs").rglob("*.md")) + sorted((root / "src" / "chatwright").rglob("*.py"))
    if not paths:
        raise ConfigError("the classifier is trained in a checkout of Chatwright, whose documentation it reads")
    for path in paths:
        if Path(__file__).parent in path.parents:
            continue
        for sentence in dict.fromkeys(sentences(path.read_text(encoding="utf-8"))):
            yield Example(sentence, frozenset(), path.name, 0.3)


def _read(name: str) -> Any:
    text = (files(__package__) / "examples" / f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def _of_file(content: Mapping[str, Any], rng: random.Random) -> Iterator[Example]:
    for kind, templates in content["templates"].items():
        for template in templates:
            texts = list(_filled(template, content["slots"], rng))
            for text in texts:
                yield Example(text, _categories(kind), template, weight=_TEMPLATE_WEIGHT / len(texts))
    yield from _single(content["plain"])


def _single(kinds: Mapping[str, list[Any]]) -> Iterator[Example]:
    for kind, texts in kinds.items():
        for text in texts:
            yield Example(str(text), _categories(kind), str(text))


def _filled(template: str, slots: Mapping[str, list[str]], rng: random.Random) -> set[str]:
    names = _SLOT.findall(template)
    possible = 1
    for name in names:
        possible *= len(slots[name])
    texts: set[str] = set()
    while len(texts) < min(_FILLS, possible * 2 // 3 + 1):
        texts.add(_SLOT.sub(lambda found: rng.choice(slots[found[1]]), template))
    return texts


def _categories(kind: str) -> frozenset[str]:
    categories = frozenset(kind.split("+")) - {HARMLESS}
    assert categories <= set(CATEGORIES), f"{kind} is none of the categories"
    return categories
