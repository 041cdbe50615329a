"""Files of JSON that say what they are, in which schema, and which wetread wrote them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from wetread import __version__
from wetread.common.files import whole_file
from wetread.errors import WetreadError


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the files of one kind of folder begin with."""

    format: str
    schema: int
    failure: type[WetreadError]
    """Raised for a file of another kind or schema, or one that is damaged."""
    remedy: str
    """What to do then."""

    def mark(self, content: dict[str, Any]) -> dict[str, Any]:
        """The content, stamped, with a checksum of all of it."""
        marked = {
            "format": self.format,
            "schema": self.schema,
            "wetread": __version__,
            **content,
        }
        marked = json.loads(json.dumps(marked))  # as it will be read: keys as text, no tuples
        return {**marked, _CHECKSUM: _checksum(marked)}

    def write(self, path: Path, content: dict[str, Any]) -> None:
        """A stamped file, whole or not there."""
        with whole_file(path) as file:
            file.write(json.dumps(self.mark(content), indent=1).encode())

    def read(self, path: Path) -> dict[str, Any]:
        """What `write` wrote.

        Raises:
            FileNotFoundError: there is no such file.
            WetreadError: `failure`: it is damaged, foreign or cannot be read.
        """
        try:
            said: dict[str, Any] = json.loads(path.read_bytes())
            format_, schema, checksum = said["format"], said["schema"], said.pop(_CHECKSUM, None)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self.failure(f"{path} cannot be read: {error.strerror}; {self.remedy}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            text = str(error)[:200]
            raise self.failure(f"{path} is damaged: {text}; {self.remedy}") from error
        if (format_, schema) != (self.format, self.schema):
            raise self.failure(
                f"{path} was written by wetread {said.get('wetread')} (schema {schema}); this is "
                f"wetread {__version__} (schema {self.schema}): {self.remedy}, or use that version"
            )
        if checksum is not None and checksum != _checksum(said):
            raise self.failure(f"{path} is damaged: its checksum differs; {self.remedy}")
        return said


_CHECKSUM = "checksum"


def _checksum(content: dict[str, Any]) -> str:
    """32 hex digits of BLAKE2b over the content as JSON with sorted keys."""
    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
