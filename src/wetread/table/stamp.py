"""Files of JSON that say what they are, in which schema, and which wetread wrote them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wetread import __version__
from wetread.errors import WetreadError
from wetread.table.files import whole_file


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the files of one kind of folder begin with."""

    format: str
    schema: int
    failure: type[WetreadError]
    """What is raised for a file of another kind or schema, or one that is damaged."""
    remedy: str
    """What to do then."""

    def mark(self, content: dict[str, Any]) -> dict[str, Any]:
        """The content, stamped."""
        return {
            "format": self.format,
            "schema": self.schema,
            "wetread": __version__,
            **content,
        }

    def write(self, path: Path, content: dict[str, Any]) -> None:
        """A stamped file, whole or not there."""
        with whole_file(path) as file:
            file.write(json.dumps(self.mark(content), indent=1).encode())

    def read(self, path: Path) -> dict[str, Any]:
        """What `write` wrote; raises `failure`."""
        try:
            said: dict[str, Any] = json.loads(path.read_bytes())
            known = (said["format"], said["schema"]) == (self.format, self.schema)
        except (ValueError, KeyError, TypeError) as error:
            raise self.failure(f"{path} is damaged: {error}") from error
        if not known:
            raise self.failure(
                f"{path} was written by wetread {said.get('wetread')} (schema {said['schema']}); "
                f"this is wetread {__version__} (schema {self.schema}): {self.remedy}"
            )
        return said
