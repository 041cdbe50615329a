"""Writes docs/columns.md from the schema: python docs/make_columns.py."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
from pydicom.datadict import dictionary_description

from wetread import measurements
from wetread.headers import schema

PAGE = Path(__file__).with_name("columns.md")

INTRO = """\
# Columns

Made by `python docs/make_columns.py` from `wetread.headers.schema`; a test holds it to that.

One row is one file, or one member of an archive. Columns of DICOM elements are named by keyword and typed \
by the dictionary (PS3.6), never by what a file happens to hold, so every index has the same types. \
Columns that are wetread's own are in lower case; no name is both, even where letter case is ignored, as in SQL.

## Always there: wetread's own
"""

DICOM = """
## Always there: DICOM

Null where a file does not have the element.
"""

MEASURED = """
## There after `measure`

See [measure](measure.md).
"""

RULES = """
## There when a file has them

Every other public element of the top level before Pixel Data becomes a column too, after those above and in \
order of tag, by these rules:

| element | column | type |
|---|---|---|
| AE, AS, CS, LO, LT, PN, SH, ST, UC, UI, UR, UT | `Keyword` | string |
| DS, FL, FD | `Keyword` | double |
| IS, SL, UL, SV | `Keyword` | int64 |
| SS, US | `Keyword` | int32 |
| UV | `Keyword` | uint64 |
| DA | `Keyword` | date32 |
| TM | `Keyword` and `Keyword_parsed` | string and time64 |
| DT | `Keyword` and `Keyword_parsed` | string and timestamp, as written: an offset from UTC is not applied |
| AT | `Keyword` | string `gggg,eeee` |
| OB, OD, OF, OL, OV, OW, UN | `Keyword_length` | int64, the bytes of the value, which is not read |
| several values allowed | the same | list |
| a repeating group | `OverlayRows_6002` | by VR |
| no keyword in the dictionary | `x_gggg_eeee` | string, or `x_gggg_eeee_length` |
| sequences | `sequences`, with `sequences=True` | |
| private elements | `private`, with `private=True` | |

A value that does not parse is null in its column, its raw bytes are kept in `invalid`, and a \
[finding](problems.md) says so. Tag, VR, VM and unit of a column stand in the metadata of its Arrow field:

```python
import wetread as wr

index = wr.scan("train/")
index.table.schema.field("PixelSpacing").metadata
```
"""


def make() -> str:
    """The whole page."""
    own = _rows(("column", "type", "unit", "what it holds"), map(_own_row, schema.OWN_FIELDS))
    names = {field.name for field in schema.OWN_FIELDS}
    dicom = [field for field in schema.CORE if field.name not in names]
    head = ("column", "tag", "VR", "type", "unit", "name in the standard")
    measured = _rows(("column", "type", "what it holds"), map(_measured_row, measurements.SCHEMA))
    return INTRO + own + DICOM + _rows(head, map(_dicom_row, dicom)) + MEASURED + measured + RULES


def _rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _own_row(field: pa.Field) -> tuple[str, ...]:
    return f"`{field.name}`", _type(field), _said(field, "unit"), schema.OWN_MEANINGS[field.name]


def _measured_row(field: pa.Field) -> tuple[str, ...]:
    return f"`{field.name}`", _type(field), measurements.MEANINGS[field.name]


def _dicom_row(field: pa.Field) -> tuple[str, ...]:
    tag = _said(field, "tag")
    name = dictionary_description(int(tag.replace(",", ""), 16))
    if field.name.endswith("_parsed"):
        name += ", parsed"
    name = schema.OWN_MEANINGS.get(field.name, name)
    return f"`{field.name}`", tag, _said(field, "vr"), _type(field), _said(field, "unit"), name


def _said(field: pa.Field, key: str) -> str:
    return str((field.metadata or {}).get(key.encode(), b"").decode())


def _type(field: pa.Field) -> str:
    kind = field.type
    if not pa.types.is_list(kind):
        return str(kind)
    inner = kind.value_type
    struct = pa.types.is_struct(inner)
    return f"list of ({', '.join(f.name for f in inner)})" if struct else f"list of {inner}"


if __name__ == "__main__":
    PAGE.write_text(make(), encoding="utf-8")
