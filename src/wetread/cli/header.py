"""`wetread header`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wetread.cli.options import json_option
from wetread.cli.output import (
    echo,
    print_json,
)
from wetread.common.text import counted
from wetread.errors import DecodeError, UnknownNameError, WetreadError

if TYPE_CHECKING:
    from pydicom import DataElement, Dataset


@click.command()
@click.argument("file", type=click.Path())
@click.argument("keywords", metavar="[KEYWORD]...", nargs=-1)
@json_option
def header(file: str, keywords: tuple[str, ...], as_json: bool) -> None:
    """Print the header of one FILE, or elements by KEYWORD.

    \b
    wetread header train/0001.dicom
    wetread header scans.zip::ct/0001.dcm
    wetread header train/0001.dicom PatientAge WindowCenter --json
    """
    import wetread

    image = wetread.read(file)
    names = [_checked(name) for name in keywords]
    header = image.header  # raises an error with the reason if there is none
    try:
        _print(header, names, as_json)
    except WetreadError:
        raise
    except Exception as error:  # pydicom raises many types for damaged values
        raise DecodeError(f"{file}: pydicom cannot show this header: {error}") from error
    finally:
        for problem in image.row["problems"] or []:
            echo(f"{problem['code']}: {problem['text']}", err=True)


def _print(dataset: Dataset, names: list[str], as_json: bool) -> None:
    if as_json:
        values = {**_to_dict(dataset.file_meta), **_to_dict(dataset)}
        print_json({name: values.get(name) for name in names} if names else values)
    elif names:
        for name in names:
            echo(str(_element(dataset, name) or f"{name} is not in this file"))
    else:
        echo(str(dataset))


def _checked(keyword: str) -> str:
    """Return the keyword; raise UnknownNameError if the dictionary does not have it."""
    from pydicom.datadict import keyword_dict

    if keyword not in keyword_dict:
        raise UnknownNameError("keyword", keyword, keyword_dict)
    return keyword


def _element(dataset: Dataset, keyword: str) -> DataElement | None:
    for part in (dataset, dataset.file_meta):
        if keyword in part:
            return part[keyword]
    return None


def _to_dict(dataset: Dataset) -> dict[str, Any]:
    """Elements by keyword, or by tag if they have no keyword."""
    return {element.keyword or element.tag.json_key: _value(element) for element in dataset}


def _value(element: DataElement) -> Any:
    """Value for JSON: sequences and multiple values as lists, bytes as their length."""
    from pydicom.multival import MultiValue

    if element.VR == "SQ":
        return [_to_dict(item) for item in element.value]
    if isinstance(element.value, bytes):
        return counted(len(element.value), "byte")
    many = isinstance(element.value, MultiValue)
    return [_single(v) for v in element.value] if many else _single(element.value)


def _single(value: Any) -> Any:
    """Number or null unchanged, any other value as text."""
    from pydicom.tag import BaseTag

    if isinstance(value, BaseTag) or not isinstance(value, int | float | None):
        return str(value)
    return value
