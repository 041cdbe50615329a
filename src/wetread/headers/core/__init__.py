"""The header reader, compiled by Cython (pure Python mode), without the GIL.

Every rule of PS3.5 chapter 7 stands here once. A file is a range of positions; of its bytes the
walk holds windows in an arena. A step that lacks bytes changes nothing, says which bytes it needs,
and is repeated when they are there. So a row is a function of the bytes of the file alone.

One class per subject, each on top of the one before: `source` (bytes), `record` (results),
`meta`, `sequences`, `data`, `walk`. They are compiled as one class, with its types in `walk.pxd`,
because Cython calls the methods of another class through a table.
"""

from importlib.util import find_spec

_walk = find_spec("wetread.headers.core.walk")
if _walk is None or str(_walk.origin).endswith(".py"):
    raise ImportError(
        "wetread.headers.core is not compiled: run `pip install .` or `pip install -e .`"
    )
