"""How the CPU kernels are compiled, and where their machine code is kept.

Numba checks only the file of the function itself when it looks for compiled code, but our kernels are built from
several files: the folder of the cache carries a digest of all of them. The processor is part of Numba's own key.
"""

import hashlib
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numba

from chatwright.paths import cache_dir

_LOG = logging.getLogger(__name__)
_NEEDED_BYTES = 64 << 20  # all kernels together take about 3 MB; less than this is a full disk

# No "nnan" and "ninf": a model that produces NaN must show it, not be compiled on the promise that it does not.
FASTMATH = {"reassoc", "contract", "arcp", "nsz"}


def _cache_folder() -> Path | None:
    """A writable folder for machine code, or None."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]
    folder = cache_dir() / "kernels" / f"{digest}-numba{numba.__version__}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK) or shutil.disk_usage(folder).free < _NEEDED_BYTES:
            raise OSError("no space or no permission")
    except OSError as error:
        _LOG.warning(
            "compiled CPU kernels cannot be kept in %s (%s), so every start compiles them anew; "
            "free some space or set CHATWRIGHT_CACHE to another folder",
            folder,
            error.strerror or error,
        )
        return None
    return folder


_FOLDER = _cache_folder()
if _FOLDER is not None and not os.environ.get("NUMBA_CACHE_DIR"):
    numba.config.CACHE_DIR = str(_FOLDER)

JIT: dict[str, Any] = {
    "nogil": True,
    "fastmath": FASTMATH,
    "error_model": "numpy",
    "cache": _FOLDER is not None,
}
# For functions that compute in floating point: inlined into their one entry point they are compiled once. As functions
# of their own they exist twice in the process that compiles them, alone and within the entry point, optimised
# differently, and which of the two is called decides over the last digit; a process that loads them has only one.
INLINE: dict[str, Any] = {**JIT, "forceinline": True}
