"""Damaged DICOM files, made on the spot: hold any reader or decoder to them.

>>> from wetread.testing import damages
>>> for damage in damages():
...     expected = damage.make(folder / damage.name)      # doctest: +SKIP

`files` packs well-formed files, `damage` and `folders` make one kind of damage a function,
`mutate` damages the headers of real files by a seed, `pixel_mutants` their pixels.
"""

from wetread.testing.dicom import (
    Element,
    dicom_file,
    element,
    pack,
    picture,
    radiograph,
    radiograph_file,
)
from wetread.testing.folders import killed_write
from wetread.testing.mutate import case, mutant, seed_files
from wetread.testing.pixel_mutants import pixel_case, pixel_seeds
from wetread.testing.registry import Damage, Expected, Folder, damages

__all__ = [
    "Damage",
    "Element",
    "Expected",
    "Folder",
    "case",
    "damages",
    "dicom_file",
    "element",
    "killed_write",
    "mutant",
    "pack",
    "picture",
    "pixel_case",
    "pixel_seeds",
    "radiograph",
    "radiograph_file",
    "seed_files",
]
