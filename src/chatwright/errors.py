"""One tree of errors: catch :class:`ChatwrightError` and you have caught everything we raise on purpose.

A message says what was wrong, where (file, key, value), and what to do about it, in one or two sentences that a
person can act on. The command line prints exactly that text and no traceback. A plain ``AssertionError`` or any
other exception is a bug of ours.
"""


class ChatwrightError(Exception):
    """Base of every error that Chatwright raises on purpose."""


class ConfigError(ChatwrightError, ValueError):
    """A configuration key is unknown, missing, or has a value that is not allowed."""


class InvalidParameterError(ChatwrightError, ValueError):
    """A value given by the caller (a sampling setting, an option) is out of bounds.

    Attributes:
        parameter: the name of the offending parameter, as the caller wrote it.
    """

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


class InputError(ChatwrightError, ValueError):
    """Text or messages given by the caller cannot be used: empty, too large, not UTF-8, of an unknown role."""


class ModelNotFoundError(ChatwrightError, FileNotFoundError):
    """No model answers to the given name or path."""

    def __str__(self) -> str:  # FileNotFoundError would print an errno form
        return str(self.args[0]) if self.args else ""


class ModelFormatError(ChatwrightError, ValueError):
    """A model file is truncated, contradicts itself, or is not what its name says."""


class UnsupportedModelError(ChatwrightError, ValueError):
    """The model is well formed, but of an architecture, quantisation or feature that we do not run."""


class TemplateError(ChatwrightError, ValueError):
    """A chat template is broken, tries something forbidden, or refuses the given messages."""


class ContextLengthError(ChatwrightError, ValueError):
    """The prompt does not fit the model's context.

    Attributes:
        prompt_tokens: how many tokens the prompt has.
        limit: how many tokens fit.
    """

    def __init__(self, message: str, *, prompt_tokens: int, limit: int) -> None:
        super().__init__(message)
        self.prompt_tokens = prompt_tokens
        self.limit = limit


class EngineError(ChatwrightError, RuntimeError):
    """The engine cannot take or finish a request: it is closed, full, or its worker failed."""


class ConstraintError(EngineError):
    """No answer can keep to what the request itself demands: its constraint and ``logit_bias`` leave no token."""


class DownloadError(ChatwrightError, OSError):
    """A model could not be fetched, or what arrived is not what was announced."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class StorageError(ChatwrightError, OSError):
    """A file could not be written: no space, no permission."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class TrainingError(ChatwrightError, RuntimeError):
    """Training cannot go on: losses that are no numbers, or too little memory for a single row."""


class TrainingStopped(ChatwrightError):
    """Training was asked to stop (Ctrl-C, SIGTERM) and has put away what it needs to go on.

    Attributes:
        step: steps of the run that were taken.
    """

    def __init__(self, message: str, *, step: int) -> None:
        super().__init__(message)
        self.step = step


def json_kind(value: object) -> str:
    """What a person who wrote JSON calls a value: "a number", "null"; a Python type's name for what JSON has not."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list() | tuple():
            return "a list"
        case dict():
            return "an object"
    return f"a Python {type(value).__name__}"
