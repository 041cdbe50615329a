"""Options that several verbs have, with one text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_F = TypeVar("_F", bound=Callable[..., Any])
CONSENSUS = "Make one of all readers: wbf, majority, nms or union."


def number_option(
    name: str, said: str, default: int | None = None, least: int | None = None
) -> Callable[[_F], _F]:
    """An option with a whole number, as the parameter of its name."""
    return click.option(
        name,
        metavar="N",
        type=int if least is None else click.IntRange(min=least),
        default=default,
        show_default=default is not None,
        help=said,
    )


def marks_options(command: _F) -> _F:
    """`--boxes` and `--predictions`, as the parameters of these names: paths."""
    said = {"--predictions": "What a model found.", "--boxes": "What the readers marked."}
    for name, text in said.items():
        command = click.option(name, type=click.Path(), metavar="FILE", help=text)(command)
    return command


def phi_option(command: _F) -> _F:
    """`--show-phi`, as the parameter `show_phi`."""
    said = "Show values that may tell who a patient is."
    return click.option("--show-phi", is_flag=True, help=said)(command)
