"""What a recipe says about its data: where it comes from, and what is done to it on the way in."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Format = Literal["auto", "text", "alpaca", "sharegpt", "openai", "preference", "rated", "labelled", "prompt"]

_PARTS_ONLY = ("name", "split", "revision", "format", "columns", "tags", "sample_by")
_TAGS = ("role", "content", "user", "assistant", "system", "tool", "function_call")


class Settings(BaseModel):
    """Base of all settings of data: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CleanSettings(Settings):
    """What is mended in a text, and which texts are left out.

    Mending applies to every string of a row. The language is that of the whole row; repetition is looked for in what
    would be learned; length and quality apply to running text only, not to chats. Words are counted in English and
    characters in Chinese.
    """

    repair: bool = Field(default=True, description="mend mistaken encodings, also of files (GB18030, UTF-16, Windows)")
    normalize: bool = Field(default=True, description="NFC, line ends, no control characters")
    languages: tuple[Literal["en", "zh", "other"], ...] | None = Field(
        default=None, description="keep only these", min_length=1
    )
    min_words: int = Field(default=0, ge=0, description="shorter texts are left out")
    max_words: int | None = Field(default=None, ge=1, description="longer texts are left out")
    repetition: bool = Field(default=True, description="leave out texts that repeat themselves")
    quality: bool = Field(default=True, description="leave out lists, tables of symbols, menus and broken text")

    @model_validator(mode="after")
    def _has_room(self) -> "CleanSettings":
        if self.max_words is not None and self.max_words < self.min_words:
            raise ValueError(f"max_words is {self.max_words}, less than min_words, {self.min_words}")
        return self


class DataSettings(Settings):
    """One set of training data. In YAML a plain string stands for its ``path``, and a list for a mixture."""

    path: "str | tuple[DataSettings, ...]" = Field(
        description="a file, folder, glob, hub name (owner/name), builtin:NAME, or a list of such entries: a mixture"
    )
    name: str | None = Field(
        default=None, description="configuration of a hub's dataset, or entry of a dataset_info.json"
    )
    split: str | None = Field(
        default=None, description="split of a hub's dataset (train), or of a folder that has splits"
    )
    revision: str | None = Field(default=None, description="branch, tag or commit of a hub's dataset")
    format: Format = Field(default="auto", description="what a row is; auto: recognised by its keys")
    columns: dict[str, str] = Field(default_factory=dict, description="our key: the file's own key")
    tags: dict[str, str] = Field(
        default_factory=dict, description="inside a message: our key or role (role, content, user …): the file's own"
    )
    sample_by: Literal["section", "paragraph", "line"] | None = Field(
        default=None, description="what a document is in .txt and .md files; section: the file, cut where it is long"
    )
    limit: int | None = Field(default=None, ge=1, description="take this many rows from the start")
    weight: float | None = Field(default=None, gt=0, description="share of a mixture")
    weigh_by: Literal["rows", "bytes"] = Field(
        default="rows", description="what the weights of a mixture's parts measure"
    )
    stopping: Literal["first_exhausted", "all_exhausted"] = Field(
        default="first_exhausted",
        description="where weights are given: end with the first part that ends, or repeat parts until all have ended",
    )
    validation_fraction: float | None = Field(
        default=None, ge=0, lt=1, description="part held out, by hash of the document"
    )
    clean: CleanSettings | None = Field(default=None, description="mend and filter; true: with the defaults")
    dedup: Literal["exact", "minhash"] | None = Field(
        default=None, description="leave out repeated rows; minhash: also those that are nearly equal"
    )
    contamination: "tuple[DataSettings, ...] | None" = Field(
        default=None, description="evaluation data; rows that share a long passage with it are left out"
    )
    pii: bool = Field(default=False, description="replace e-mail addresses, telephone and card numbers and the like")
    max_malformed: float = Field(default=0.05, ge=0, le=1, description="part of the lines that may be unusable")

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str | list | tuple) else value

    @field_validator("clean", mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        return {True: CleanSettings(), False: None}[value] if isinstance(value, bool) else value

    @field_validator("contamination", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | dict) else value

    @field_validator("path")
    @classmethod
    def _says_something(cls, value: "str | tuple[DataSettings, ...]") -> "str | tuple[DataSettings, ...]":
        if not value or (isinstance(value, str) and not value.strip()):
            raise ValueError("path is empty; give a file, folder, glob, hub name or builtin:NAME")
        return value

    @field_validator("tags")
    @classmethod
    def _known_tags(cls, value: dict[str, str]) -> dict[str, str]:
        if unknown := next((tag for tag in value if tag not in _TAGS), None):
            raise ValueError(f"tags has the unknown key {unknown!r}; known are {', '.join(_TAGS)}")
        return value

    @model_validator(mode="after")
    def _has_effect(self) -> "DataSettings":
        """An option without effect is refused rather than ignored."""
        if isinstance(self.path, str):
            return self
        if useless := next((key for key in _PARTS_ONLY if key in self.model_fields_set), None):
            raise ValueError(f"{useless} has no effect on a mixture; give it to the parts in path")
        if part := next((part for part in self.path if part.validation_fraction is not None), None):
            raise ValueError(f"validation_fraction of {part.label} has no effect; give it to the whole mixture")
        weighted = [part.weight is not None for part in self.path]
        if any(weighted) and not all(weighted):
            raise ValueError(f"{self.path[weighted.index(False)].label} has no weight and others have; give it one")
        useless = next((key for key in ("weigh_by", "stopping") if key in self.model_fields_set), None)
        if useless and not any(weighted):
            raise ValueError(f"{useless} has no effect without weights; give each part a weight")
        return self

    @property
    def label(self) -> str:
        """What a message calls it."""
        return self.path if isinstance(self.path, str) else "a mixture"
