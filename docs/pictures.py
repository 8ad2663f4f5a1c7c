"""Takes the pictures of the page that the READMEs show: ``make pictures``.

From a fresh server with the embedded model, which answers greedily, in a Chromium of this machine (or of the variable
``CHROMIUM``); ``web/e2e/pictures.ts`` says what is seen on them. Look at them before they are committed.
"""

import os
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from hatch_build import npm

from tests.server.real_servers import free_port
from tests.server.serve_process import ServeProcess

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Write ``docs/img/page-*.png``; exits with what is missing, or with the script's own message."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("there is no Chromium on this machine: install it, or name it in the variable CHROMIUM")
    with TemporaryDirectory() as folder:
        arguments = ["--home", f"{folder}/home", "--port", str(free_port())]
        server = ServeProcess(arguments, {"CHATWRIGHT_SIGN_UP": "open"}, Path(folder) / "log")
        try:
            server.wait_until_ready()
            environment = {
                "CHATWRIGHT_ADDRESS": server.address,
                "CHROMIUM": chromium,
                "PICTURES": str(ROOT / "docs" / "img"),
            }
            sys.exit(npm(ROOT, "run", "--silent", "pictures", environment=environment).returncode)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
