"""Stamped JSON files: format name, schema number, version of wetread and checksum."""

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
    """Format and schema of the JSON files of one kind of folder."""

    format: str
    schema: int
    failure: type[WetreadError]
    """Exception for files of another format or schema, and for damaged files."""
    remedy: str
    """Advice in the message of `failure`."""

    def mark(self, content: dict[str, Any]) -> dict[str, Any]:
        """Add format, schema, version and checksum to the content."""
        marked = {
            "format": self.format,
            "schema": self.schema,
            "wetread": __version__,
            **content,
        }
        marked = json.loads(json.dumps(marked))  # as it is read back: keys as text, no tuples
        return {**marked, _CHECKSUM: _checksum(marked)}

    def write(self, path: Path, content: dict[str, Any]) -> None:
        """Write a stamped file atomically."""
        with whole_file(path) as file:
            file.write(json.dumps(self.mark(content), indent=1).encode())

    def read(self, path: Path) -> dict[str, Any]:
        """Read a stamped file.

        Raises:
            FileNotFoundError: there is no such file.
            WetreadError: `failure`: the file is damaged, of another format or schema, or
                unreadable.
        """
        try:
            content: dict[str, Any] = json.loads(path.read_bytes())
            format_, schema = content["format"], content["schema"]
            checksum = content.pop(_CHECKSUM, None)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self.failure(f"{path} cannot be read: {error.strerror}; {self.remedy}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            text = str(error)[:200]
            raise self.failure(f"{path} is damaged: {text}; {self.remedy}") from error
        if (format_, schema) != (self.format, self.schema):
            raise self.failure(
                f"{path} was written by wetread {content.get('wetread')} (schema {schema}); this "
                f"is wetread {__version__} (schema {self.schema}): {self.remedy}, or use that "
                "version"
            )
        if checksum is not None and checksum != _checksum(content):
            raise self.failure(f"{path} is damaged: its checksum differs; {self.remedy}")
        return content


_CHECKSUM = "checksum"


def _checksum(content: dict[str, Any]) -> str:
    """32 hex digits of BLAKE2b over the content as JSON with sorted keys."""
    return blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
