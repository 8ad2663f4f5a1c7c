"""Writes what the documentation takes from the program itself: the reference's pages and tables, and the pictures.

python -m docs.generate            # all of it
python -m docs.generate --text     # only the reference, in both languages (needs no model)
"""

import os
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from docs.tables import Language, written

DOCS = Path(__file__).parent
LANGUAGES = {"en": "cli.md", "zh": "cli.zh-CN.md"}
# Pages whose tables are made by docs/tables.py, and their languages.
TABLED: dict[str, Language] = {}
for _page in ("recipes", "data", "evaluation", "server"):
    TABLED |= {f"{_page}.md": "en", f"{_page}.zh-CN.md": "zh"}


def reference(language: str) -> str:
    """The command-line reference as Markdown; from a process of its own, because a process has one language."""
    program = "from docs.generate import _write_reference; _write_reference()"
    environment = {**os.environ, "CHATWRIGHT_LANG": language}
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, cwd=DOCS.parent
    )
    return result.stdout


def _write_reference() -> None:
    import typer.main

    from chatwright.cli.app import COMMANDS, app
    from chatwright.cli.language import say

    root: Any = typer.main.get_command(app)
    print("<!-- " + say("Written by `make docs`", "由 `make docs` 生成") + " -->\n")
    print(say("# The command line", "# 命令行参考") + "\n")
    print(say("English · [中文](cli.zh-CN.md)", "[English](cli.md) · 中文") + "\n")
    for name in COMMANDS:
        command = root.get_command(None, name)
        children = getattr(command, "commands", None)
        if children is None:
            _describe(f"chatwright {name}", command)
        else:
            print(f"## chatwright {name}\n\n{command.help}\n")
            for child in children.values():
                _describe(f"chatwright {name} {child.name}", child, level=3)


def _describe(path: str, command: Any, level: int = 2) -> None:
    from chatwright.cli.language import say

    print(f"{'#' * level} {path}\n\n{command.help}\n")
    options = [parameter for parameter in command.params if parameter.name != "help"]
    if options:
        print(f"| {say('option', '选项')} | {say('meaning', '含义')} | {say('default', '缺省')} |\n|---|---|---|")
    for option in options:
        is_argument = not option.opts[0].startswith("-")
        names = f"`{option.name.upper()}`" if is_argument else ", ".join(f"`{name}`" for name in option.opts)
        annotation = option.type_descriptor.annotation
        choices = get_args(annotation) if get_origin(annotation) is Literal else ()
        allowed = f" ({' · '.join(choices)})" if choices else ""
        default = option.default
        shown = "" if default in (None, False, ()) or callable(default) else f"`{default}`"
        print(f"| {names} | {option.help or ''}{allowed} | {shown} |")
    print()
    if command.epilog:
        print(f"{command.epilog}\n")


def write_text() -> None:
    """Write the reference in both languages."""
    for language, name in LANGUAGES.items():
        (DOCS / "reference" / name).write_text(reference(language), "utf-8")
    for name, spoken in TABLED.items():
        page = DOCS / "reference" / name
        page.write_text(written(page.read_text("utf-8"), spoken), "utf-8")


def write_pictures() -> None:
    """Record a real session with the embedded model, in both languages, as SVG."""
    questions = {
        "en": ["Why is the sky blue? One sentence.", "And at sunset? One sentence.", "/stats"],
        "zh": ["Why is the sky blue? One sentence.", "/set temperature 0", "/stats"],
    }
    for language, lines in questions.items():
        screen = _record(lines, language)
        (DOCS / "img" / f"session-{language}.svg").write_text(_svg(screen), "utf-8")


def _record(lines: list[str], language: str) -> Any:
    """Type ``lines`` into ``chatwright chat`` in a terminal; the terminal's screen at the end."""
    import pty
    import select

    import pyte

    screen = pyte.Screen(96, 24)
    stream = pyte.ByteStream(screen)
    master, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "96", "LINES": "24", "CHATWRIGHT_LANG": language}
    command = [sys.executable, "-m", "chatwright", "chat", "--temperature", "0", "--max-tokens", "96"]
    process = subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env=environment)
    os.close(child)

    def settle() -> None:
        """Read until the program waits: nothing came for a while, and the last line is a prompt."""
        while True:
            ready, _, _ = select.select([master], [], [], 2.0)
            if ready:
                data = os.read(master, 65536)
                stream.feed(data)
                if b"\x1b[6n" in data:  # "where is the cursor?"
                    os.write(master, f"\x1b[{screen.cursor.y + 1};{screen.cursor.x + 1}R".encode())
            elif screen.display[screen.cursor.y].rstrip().endswith("›"):
                return

    settle()
    for line in lines:
        os.write(master, line.encode() + b"\r")
        settle()
    process.terminate()
    process.wait()
    os.close(master)
    return screen


def _svg(screen: Any) -> str:
    from rich.console import Console
    from rich.style import Style
    from rich.text import Text

    rows = []
    for y in range(screen.lines):
        is_note = y < screen.cursor.y and _is_note(screen.display[y])
        cells = [screen.buffer[y][x] for x in range(screen.columns)]
        row = Text()
        for (color, bold), run in groupby(cells, key=lambda cell: (cell.fg, cell.bold)):
            style = Style(color=_COLORS.get(color), bold=bold, dim=is_note)
            row.append("".join(cell.data for cell in run), style)
        row.rstrip()
        rows.append(row)
    while rows and not rows[-1].plain:
        rows.pop()
    console = Console(record=True, width=screen.columns, file=open(os.devnull, "w"), color_system="truecolor")  # noqa: SIM115
    for row in rows:
        console.print(row)
    svg = console.export_svg(title="chatwright chat", unique_id="session")
    # The picture must not fetch a font from elsewhere.
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


# The terminal emulator's names of the colours that the program uses → rich's.
_COLORS = {"brown": "yellow", "red": "red", "green": "green", "blue": "blue", "cyan": "cyan", "magenta": "magenta"}


def _is_note(line: str) -> bool:
    """Whether a line is one of the program's dim remarks; the terminal emulator does not keep "dim"."""
    return line.startswith(("SmolLM2", "(", "（")) or "tokens/s" in line or "token/秒" in line


if __name__ == "__main__":
    write_text()
    if "--text" not in sys.argv:
        write_pictures()
