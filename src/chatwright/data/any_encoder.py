"""Rows of every kind, each encoded as the stage would that learns from it: for looking at data."""

from collections import Counter
from collections.abc import Sequence

from chatwright.chat import ChatTemplate
from chatwright.data.encode import (
    DialogueEncoder,
    LabelledEncoder,
    PreferenceEncoder,
    PromptEncoder,
    RatedEncoder,
    RowEncoder,
    TextEncoder,
)
from chatwright.data.example import Example
from chatwright.data.rows import Dialogue, Labelled, Preference, Prompt, Rated, Row, Text
from chatwright.errors import InputError

KINDS: dict[str, type] = {
    "text": Text,
    "chat": Dialogue,
    "preference": Preference,
    "rated": Rated,
    "labelled": Labelled,
    "prompt": Prompt,
}
"""What people call the kinds of rows."""


def kind_of(row: Row) -> str:
    """What people call a row's kind."""
    return next(name for name, kind in KINDS.items() if isinstance(row, kind))


def encoder_of(kind: str, template: ChatTemplate, max_length: int, classes: Sequence[str] = ()) -> RowEncoder:
    """The encoder of a kind of rows.

    Args:
        kind: a key of :data:`KINDS`.
        template: of the model.
        max_length: most tokens of a document; of no effect on running text.
        classes: of labelled rows.

    Raises:
        InputError: there is no such kind.
    """
    match kind:
        case "text":
            return TextEncoder(template)
        case "labelled":
            return LabelledEncoder(template, classes, max_length)
        case "chat":
            return DialogueEncoder(template, max_length)
        case "preference":
            return PreferenceEncoder(template, max_length)
        case "rated":
            return RatedEncoder(template, max_length)
        case "prompt":
            return PromptEncoder(template, max_length)
    raise InputError(f"there is no kind of rows called {kind!r}; there are {', '.join(KINDS)}")


class AnyEncoder(RowEncoder):
    """Encodes each row by its kind, without values: those of different kinds have different ones.

    Args:
        template: of the model.
        max_length: as for :func:`encoder_of`.
    """

    rows = object

    def __init__(self, template: ChatTemplate, max_length: int) -> None:
        super().__init__(template)
        self.max_length = max_length
        self._encoders: dict[str, RowEncoder] = {}

    def __call__(self, row: Row) -> Example | None:
        """The example of the row's own encoder."""
        kind = kind_of(row)
        if isinstance(row, Labelled):
            encoder = encoder_of(kind, self.template, self.max_length, (row.label,))
        else:
            encoder = self._encoders.setdefault(kind, encoder_of(kind, self.template, self.max_length))
        encoder.tally = Counter()
        example = encoder(row)
        self.tally += encoder.tally
        return None if example is None else Example(example.documents)
