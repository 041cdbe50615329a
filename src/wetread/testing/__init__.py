"""Generators of damaged DICOM files, to test any reader or decoder.

>>> from wetread.testing import damages
>>> for damage in damages():
...     expected = damage.make(folder / damage.name)      # doctest: +SKIP

`dicom` packs valid files, `damage`, `elements` and `folders` have one function per failure class,
`mutate` damages the headers of real files by seed, `pixel_mutants` their pixels.
"""

from wetread.testing import damage, elements  # noqa: F401 - they register failure classes
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
