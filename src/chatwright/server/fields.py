"""Types of what requests carry: texts that both databases can keep, and identifiers as we give them out."""

from typing import Annotated, Final

from fastapi import Path, Query
from pydantic import AfterValidator, StringConstraints

from chatwright.server.identifiers import servable_name

_ID_PATTERN: Final = r"^[0-9A-Za-z_-]{1,64}$"


def _storable(text: str) -> str:
    # PostgreSQL has no way to keep it, and no file, page or prompt has a use for it.
    if "\0" in text:
        raise ValueError("the text has a NUL character; leave it out")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("the text is empty")
    return text


STORABLE: Final = AfterValidator(_storable)  # of every text; lone surrogates are refused by pydantic itself
NOT_BLANK: Final = AfterValidator(_not_blank)
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), STORABLE]
ServedName = Annotated[Name, AfterValidator(servable_name)]
Identifier = Annotated[str, StringConstraints(pattern=_ID_PATTERN)]  # in a body
PathId = Annotated[str, Path(pattern=_ID_PATTERN)]
QueryId = Annotated[str | None, Query(pattern=_ID_PATTERN)]
PageSize = Annotated[int, Query(ge=1, le=200)]
