"""One file from a URL to a path: resumed where it broke off, and checked against what was announced.

Plain ``urllib`` on purpose: both hubs, their mirrors and a test's loopback server are served by the same hundred lines,
proxies are honoured by the standard variables, and what arrives is checked by digest, which the hubs' own clients
leave out.
"""

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from chatwright.errors import DownloadError, StorageError

CHUNK_BYTES = 1 << 20
TIMEOUT_S = 30.0
ATTEMPTS_WITHOUT_PROGRESS = 5
_RETRIED_STATUS = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on a hub, as the hub announced it.

    Attributes:
        name: file name in the model's folder.
        url: where to get it.
        size_bytes: its length.
        sha256: hexadecimal SHA-256 of the content, if announced (large files).
        git_sha1: hexadecimal git blob id, if announced (small files).
    """

    name: str
    url: str
    size_bytes: int
    sha256: str | None = None
    git_sha1: str | None = None


class HttpStatusError(DownloadError):
    """The server answered with an error status.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, url: str, status: int) -> None:
        super().__init__(f"{_host(url)} answered with HTTP status {status} for {url}")
        self.status = status


class WrongContentError(DownloadError):
    """What arrived is not what was announced."""


class _SameHostToken(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and takes the token along only to the host that it was meant for."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        redirected = super().redirect_request(req, fp, code, msg, headers, newurl)
        if redirected is not None and urlsplit(newurl)[:2] != urlsplit(req.full_url)[:2]:
            redirected.remove_header("Authorization")
        return redirected


def open_url(url: str, *, token: str | None = None, start: int = 0) -> http.client.HTTPResponse:
    """Open an http(s) URL for reading, from byte ``start`` on if the server can.

    Raises:
        DownloadError: the URL is not http(s), or the host cannot be reached; HttpStatusError: it refused.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"{url} is not an http or https address")
    headers = {"User-Agent": "chatwright", "Accept-Encoding": "identity"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        request = urllib.request.Request(url, headers=headers)
        response = urllib.request.build_opener(_SameHostToken).open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        raise HttpStatusError(url, error.code) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise DownloadError(f"cannot reach {_host(url)}: {reason}") from error
    assert isinstance(response, http.client.HTTPResponse)
    return response


def fetch_file(file: RemoteFile, folder: Path, *, token: str | None, on_bytes: Callable[[int], None]) -> Path:
    """Bring ``file`` into ``folder``, going on with what an earlier try left there.

    Args:
        on_bytes: called with the number of bytes that have just become available.

    Returns:
        The complete, checked file.

    Raises:
        DownloadError: the connection kept failing, or the content is not what was announced.
        StorageError: it cannot be written.
    """
    target = folder / file.name
    if target.exists():  # complete in an earlier try, though perhaps of another version
        if target.stat().st_size == file.size_bytes and _digest_problem(file, target) is None:
            on_bytes(file.size_bytes)
            return target
        target.unlink()
    # The part carries the digest in its name: a part of another version is never continued.
    part = folder / f"{file.name}.{(file.sha256 or file.git_sha1 or str(file.size_bytes))[:16]}.part"
    have = part.stat().st_size if part.exists() else 0
    on_bytes(have)
    failures = 0
    while have < file.size_bytes or not part.exists():
        before = have
        try:
            have = _append(file, part, have, token, on_bytes)
        except DownloadError as error:
            if not _may_pass(error):
                raise
            have = part.stat().st_size if part.exists() else 0
            failures = 1 if have > before else failures + 1
            if failures >= ATTEMPTS_WITHOUT_PROGRESS:
                raise
            time.sleep(min(2.0 ** (failures - 1), 10.0))
    if problem := _digest_problem(file, part):
        raise _mismatch(file, part, problem)
    os.replace(part, target)
    return target


def _may_pass(error: DownloadError) -> bool:
    """Whether trying again can help."""
    if isinstance(error, HttpStatusError):
        return error.status in _RETRIED_STATUS
    return not isinstance(error, WrongContentError)


def _append(file: RemoteFile, part: Path, have: int, token: str | None, on_bytes: Callable[[int], None]) -> int:
    """Read on from byte ``have``; returns the new length. Connection troubles are DownloadErrors."""
    with open_url(file.url, token=token, start=have) as response:
        if have and response.status != 206:  # the server does not do ranges: start again
            on_bytes(-have)
            have = 0
        try:
            with part.open("r+b" if have else "wb") as out:
                out.seek(have)
                while True:
                    try:
                        chunk = response.read(CHUNK_BYTES)
                    except (OSError, http.client.HTTPException) as error:
                        raise DownloadError(f"the connection to {_host(file.url)} broke: {error}") from error
                    if not chunk:
                        break
                    if have + len(chunk) > file.size_bytes:
                        raise _mismatch(file, part, "it is longer than announced")
                    out.write(chunk)
                    have += len(chunk)
                    on_bytes(len(chunk))
        except DownloadError:
            raise
        except OSError as error:
            raise StorageError(
                f"cannot write {part}: {error.strerror or error}; free some space and try again"
            ) from error
    if have < file.size_bytes:
        raise DownloadError(f"the connection to {_host(file.url)} ended after {have} of {file.size_bytes} bytes")
    return have


def _digest_problem(file: RemoteFile, path: Path) -> str | None:
    """What is wrong with the digest of a complete file, or None."""
    if file.sha256:
        with path.open("rb") as content:
            actual, announced = hashlib.file_digest(content, "sha256").hexdigest(), file.sha256
    elif file.git_sha1:
        digest = hashlib.sha1(b"blob %d\0" % file.size_bytes, usedforsecurity=False)
        digest.update(path.read_bytes())
        actual, announced = digest.hexdigest(), file.git_sha1
    else:
        return None
    if actual == announced.lower():
        return None
    return f"its digest is {actual[:12]}…, announced was {announced[:12]}…"


def _mismatch(file: RemoteFile, part: Path, what: str) -> WrongContentError:
    part.unlink(missing_ok=True)
    return WrongContentError(
        f"{file.name} from {_host(file.url)} is not the announced file ({what}); try again or another source"
    )


def _host(url: str) -> str:
    return urlsplit(url).netloc or url
