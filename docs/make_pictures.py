"""Draws docs/pictures/demo.svg, the first page of `wetread demo` in a terminal.

Run with the packages of the extra `test`, on Linux or macOS: python docs/make_pictures.py
"""

from __future__ import annotations

import io
import os
import pty
import re
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).with_name("pictures") / "demo.svg"
COLUMNS, LINES = 120, 56


def run(*command: str) -> str:
    """What a command prints in a terminal of `COLUMNS` columns."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(COLUMNS=str(COLUMNS), TERM="xterm-256color")
        os.execvp(command[0], command)  # noqa: S606
    printed = b""
    while True:
        try:
            read = os.read(terminal, 65536)
        except OSError:  # Linux ends a terminal so
            break
        if not read:
            break
        printed += read
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{printed.decode()}")
    return printed.decode().replace("\r\n", "\n")


def draw(printed: str, title: str) -> str:
    """The text as an SVG that loads nothing from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(printed))
    plain = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    plain = plain.replace("Fira Code", "Menlo, Consolas, DejaVu Sans Mono")
    return console.export_svg(title=title, code_format=plain)


if __name__ == "__main__":
    printed = run(sys.executable, "-m", "wetread", "demo")
    printed = printed.replace(str(Path(sys.prefix)), ".venv")
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(draw("\n".join(printed.split("\n")[:LINES]), "wetread demo"))
