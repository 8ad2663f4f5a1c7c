"""Errors of the library in the words of callers: every endpoint has names of its own for what the library calls one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

from chatwright.errors import ChatwrightError
from chatwright.server.errors import as_api_error


def constraint_names(field: str) -> dict[str, str]:
    """What the library calls the forms of an answer, all by one field."""
    return dict.fromkeys(("json_schema", "json_object", "regex", "choice", "grammar", "constraint"), field)


@contextmanager
def errors_named(names: Mapping[str, str]) -> Iterator[None]:
    """Within the block, errors are raised with the caller's field in ``param``, and in the message where it is named.

    Args:
        names: the library's name → the caller's.

    Raises:
        ApiError: in place of any error that is the caller's; others pass as they are.
    """
    try:
        yield
    except ChatwrightError as error:
        refusal = as_api_error(error)
        ours = refusal.param
        if ours is None or ours not in names or refusal.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        refusal.param = theirs = names[ours]
        message = (
            str(refusal).replace(f"the {ours} of the constraint", theirs).replace(f"in the {ours}", f"in {theirs}")
        )
        if message.startswith(f"{ours} "):
            message = theirs + message.removeprefix(ours)
        refusal.args = (message,)
        raise refusal from error
