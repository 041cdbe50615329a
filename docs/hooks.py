"""Hooks of MkDocs: pages and files from outside `docs/`, links to them, and the commands' help."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from click import Context
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from wetread.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "bench/README.md": "bench.md",
    "docs/README.md": "pages.md",
}
"""Address on the site of every page whose own would be outside the site, or the front page's."""
FILES = ("LICENSE", "bench/*.py", "bench/*.txt", "examples/*")
"""Other files that pages link to; they keep their paths."""
ICON = "src/wetread/viewer/static/icon.svg"
COMMANDS = "<!-- commands -->"
LINK = re.compile(r'(\]\(|(?:src|href)=")(?![a-z]+:)([^)#"\s]+)')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and files; docs/README.md moves, as two pages cannot be the front page."""
    readme = files.get_file_from_path("README.md")
    assert readme is not None
    files.remove(readme)
    outside = {path: path for pattern in FILES for path in find(pattern)}
    for source, address in {**PAGES, **outside, ICON: "pictures/icon.svg"}.items():
        files.append(File.generated(config, address, abs_src_path=str(ROOT / source)))
    return files


def find(pattern: str) -> list[str]:
    """Paths of the files of the repository that match a glob."""
    return sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob(pattern) if p.is_file())


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Lead the links of a page, which hold in the repository, to the same files on the site."""
    homes = {address: source for source, address in PAGES.items()}
    home = homes.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def lead(match: re.Match[str]) -> str:
        source = posixpath.normpath(posixpath.join(posixpath.dirname(home), match[2]))
        if not (ROOT / source).exists():
            return match[0]  # MkDocs complains of it
        address = PAGES.get(source, source.removeprefix("docs/"))
        return match[1] + posixpath.relpath(address, posixpath.dirname(page.file.src_uri) or ".")

    return LINK.sub(lead, markdown).replace(COMMANDS, "".join(map(show_help, main.commands)))


def show_help(name: str) -> str:
    """Section of a command: its `--help`."""
    context = Context(main.commands[name], info_name=f"wetread {name}", terminal_width=90)
    return f"## wetread {name}\n\n```text\n{context.command.get_help(context)}\n```\n\n"
