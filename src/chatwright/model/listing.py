"""What a repository on a hub holds, and which of its files make a model.

Only data is wanted: safetensors, GGUF, JSON, Jinja and text files at the repository's top level; never a pickle, never
code. What a hub answers is not trusted: a file whose name is not a plain file name does not exist for us.
"""

import json
from typing import Any, TypeGuard
from urllib.parse import quote

from chatwright.errors import DownloadError, ModelNotFoundError
from chatwright.model.download import RemoteFile, open_url
from chatwright.model.names import HubName, is_safe_segment
from chatwright.model.resolve import human_size

SUFFIXES = (".safetensors", ".gguf", ".json", ".jinja", ".txt")
_MAX_LISTING_BYTES = 64 << 20


def list_hf(name: HubName, endpoint: str, token: str | None) -> list[RemoteFile]:
    """Ask a Hugging Face hub or mirror; names and sizes as it announces them, unwanted kinds left out."""
    answer = _read_json(f"{endpoint}/api/models/{name.repo_id}/revision/main?blobs=true", token=token)
    commit = answer.get("sha")
    revision = commit if isinstance(commit, str) and is_safe_segment(commit) else "main"
    files = []
    for item in _records(answer.get("siblings")):
        lfs = item["lfs"] if isinstance(item.get("lfs"), dict) else {}
        filename, size = item.get("rfilename"), lfs.get("size", item.get("size"))
        if _is_wanted(filename) and isinstance(size, int) and size >= 0:
            url = f"{endpoint}/{name.repo_id}/resolve/{revision}/{quote(filename)}"
            # Only a file kept in git itself has its content's git id; of a large one that is the pointer's.
            git_sha1 = None if lfs else item.get("blobId")
            files.append(RemoteFile(filename, url, size, lfs.get("sha256"), git_sha1))
    return files


def list_modelscope(name: HubName, endpoint: str) -> list[RemoteFile]:
    """Ask ModelScope; names and sizes as it announces them, unwanted kinds left out."""
    base = f"{endpoint}/api/v1/models/{name.repo_id}/repo"
    answer = _read_json(f"{base}/files?Revision=master&Recursive=false")
    data = answer.get("Data")
    files = []
    for item in _records(data.get("Files") if isinstance(data, dict) else None):
        filename, size = item.get("Path"), item.get("Size")
        if item.get("Type") != "tree" and _is_wanted(filename) and isinstance(size, int) and size >= 0:
            url = f"{base}?Revision=master&FilePath={quote(filename)}"
            files.append(RemoteFile(filename, url, size, item.get("Sha256") or None))
    return files


def choose_files(name: HubName, files: list[RemoteFile]) -> tuple[RemoteFile, ...]:
    """Of everything in the repository, the files that make one model.

    Raises:
        ModelNotFoundError: they make none, or several; the message lists what there is.
    """
    ggufs = [file for file in files if file.name.lower().endswith(".gguf")]
    if name.filename:
        chosen = tuple(file for file in ggufs if file.name == name.filename)
        if not chosen:
            raise ModelNotFoundError(f"{name.repo_id} has no file {name.filename}{_list_names(ggufs)}")
        return chosen
    weights = [file for file in files if file.name.startswith("model") and file.name.endswith(".safetensors")]
    if weights and any(file.name == "config.json" for file in files):
        rest = [file for file in files if not file.name.endswith((".safetensors", ".gguf"))]
        return tuple(rest + weights)  # small files first: a broken configuration shows before the long wait
    if ggufs:
        raise ModelNotFoundError(
            f"{name.repo_id} holds GGUF files; pull one of them as {name.repo_id}/FILE.gguf{_list_names(ggufs)}"
        )
    raise ModelNotFoundError(
        f"{name.repo_id} holds neither config.json with model*.safetensors nor a .gguf file; pickled weights are "
        "not taken, because a pickle can run code"
    )


def _list_names(files: list[RemoteFile]) -> str:
    return ": " + ", ".join(f"{file.name} ({human_size(file.size_bytes)})" for file in files[:24]) if files else ""


def _is_wanted(filename: object) -> TypeGuard[str]:
    return isinstance(filename, str) and is_safe_segment(filename) and filename.lower().endswith(SUFFIXES)


def _records(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise DownloadError("the hub's answer has no list of files; is the endpoint a hub?")
    return [item for item in value if isinstance(item, dict)]


def _read_json(url: str, *, token: str | None = None) -> dict[str, Any]:
    with open_url(url, token=token) as response:
        body = response.read(_MAX_LISTING_BYTES)
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise DownloadError(f"{url} did not answer with JSON; is the endpoint a hub?") from error
    if not isinstance(answer, dict):
        raise DownloadError(f"{url} did not answer with an object; is the endpoint a hub?")
    return answer
