"""What a request's form is told when it is wrong: the caller's field, and one sentence on what it must be."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from chatwright.errors import json_kind
from chatwright.server.errors import ApiError

_KINDS: Final = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


def refusal_of(errors: Sequence[Mapping[str, Any]], body: Any) -> ApiError:
    """The refusal of a request that does not have the form of its endpoint.

    Args:
        errors: pydantic's, one at least; of a value that may be of several types, those of every branch.
        body: of the request as far as it was read.
    """
    first = min(errors, key=_distance)
    kind, place = first["type"], first["loc"]
    if place == ("body",) and (kind == "missing" or kind in _KINDS):
        return _no_object(kind, body)
    if kind == "json_invalid":
        return _invalid(f"the body is no JSON: {first['ctx']['error']} (at character {place[-1]})", None)
    param = _path(place, body, is_missing=kind == "missing")
    if kind == "extra_forbidden":
        return ApiError(400, f"there is no parameter {param} here", code="unknown_parameter", param=param)
    if kind == "missing":
        return ApiError(400, f"{param} is missing", code="missing_required_parameter", param=param)
    if kind in _KINDS:
        same_place = [error for error in errors if _path(error["loc"], body) == param and error["type"] in _KINDS]
        kinds = dict.fromkeys(_KINDS[error["type"]] for error in same_place)
        return _invalid(f"{param} must be {' or '.join(kinds)}, not {json_kind(first['input'])}", param)
    if kind == "union_tag_invalid":
        param = f"{param}.{first['ctx']['discriminator'].strip(chr(39))}"
        return _invalid(f"{param} must be one of {first['ctx']['expected_tags']}", param)
    return _invalid(_sentence(param, str(first["msg"])), param)


def _distance(error: Mapping[str, Any]) -> tuple[bool, int, int]:
    """How far an error is from what was meant: the branch that got furthest is the one.

    A branch that fails by more than its type, then the one that fails deepest, then in the last item of a list.
    """
    place = error["loc"]
    indices = [part for part in place if isinstance(part, int)]
    depth = len(indices) + sum("[" not in str(part) for part in place)
    return str(error["type"]).endswith("_type"), -depth, -(indices[-1] if indices else 0)


def _no_object(kind: str, body: Any) -> ApiError:
    if kind == "missing":
        return ApiError(400, "the request has no body; send a JSON object", code="missing_required_parameter")
    if isinstance(body, bytes):
        return _invalid("send the body as JSON, with the header Content-Type: application/json", None)
    return _invalid(f"the body must be a JSON object, not {json_kind(body)}", None)


def _sentence(param: str | None, told: str) -> str:
    """Pydantic's words with the field for their subject."""
    told = told.removeprefix("Value error, ").replace(" after validation", "")
    told = told.replace("be False", "be false").replace("be True", "be true")  # as JSON has it
    for subject in ("Input ", "String ", "List ", "Dictionary "):
        if told.startswith(f"{subject}should ") and param is not None:
            return f"{param} must {told.removeprefix(f'{subject}should ')}"
    return f"{param}: {told}" if param else told


def _path(place: Sequence[int | str], body: Any, *, is_missing: bool = False) -> str | None:
    """Where in a request something is wrong, without the names of branches that pydantic puts in between."""
    if place[0] != "body":  # a parameter of the address or a header, which has no parts
        return str(place[1]) if len(place) > 1 else None
    path: list[str] = []
    for index, part in enumerate(place[1:], start=2):
        within = isinstance(body, Mapping) and part in body
        within = within or (isinstance(body, list) and isinstance(part, int) and part < len(body))
        if within:
            body = body[part]
        if within or (is_missing and index == len(place)):
            path.append(str(part))
    return ".".join(path)[:200] or None


def _invalid(message: str, param: str | None) -> ApiError:
    return ApiError(400, message, code="invalid_value", param=param)
