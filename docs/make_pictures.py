"""Draws docs/pictures: `wetread demo` in a terminal, the chest film, a mosaic; all of real files.

Run with the packages of the extra `test`, on Linux or macOS: python docs/make_pictures.py
"""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

import wetread
from wetread.cli.demo import _folders

PICTURES = Path(__file__).resolve().with_name("pictures")
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


def draw_chest(index: wetread.Index, to: Path) -> None:
    """The chest radiograph of pydicom-data, as a radiologist sees it."""
    chest = index.where("path LIKE '%/RG1_UNCR.dcm'")[0]
    Image.fromarray(chest.display(size=512)).save(to, optimize=True)


def draw_mosaic(index: wetread.Index, to: Path) -> None:
    """The largest image of every modality and kind of pixels, and the first that is cut."""
    largest = index.query("""
        SELECT first(id ORDER BY Rows * "Columns" DESC, path) AS id FROM index
        WHERE pixel_length IS NOT NULL AND Rows > 100 AND Modality <> ''
        GROUP BY Modality, PhotometricInterpretation
    """)
    ids = ", ".join(f"'{id_}'" for id_ in largest["id"])
    chosen = index.where(f"id IN ({ids}) OR path LIKE '%/MR_truncated.dcm'")
    picture = chosen.mosaic(18, ["Modality", "PhotometricInterpretation"])
    picture.quantize(160, dither=Image.Dither.NONE).save(to, optimize=True)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # of xray.png
        printed = run(sys.executable, "-m", "wetread", "demo")
    printed = printed.replace(str(Path(sys.prefix)), ".venv")
    first_page = "\n".join(printed.split("\n")[:LINES])
    (PICTURES / "demo.svg").write_text(draw(first_page, "wetread demo"))
    index = wetread.scan(_folders(), progress=False)
    draw_chest(index, PICTURES / "xray.png")
    draw_mosaic(index, PICTURES / "mosaic.png")
