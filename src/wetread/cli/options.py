"""Options that several verbs have, with one text."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wetread.cli.output import ROOT, code_of
from wetread.errors import BOX_PROBLEMS, PROBLEMS, UsageError

if TYPE_CHECKING:
    from wetread.workers import Engine

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


def json_option(command: _F) -> _F:
    """`--json`, as the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def root_option(command: _F) -> _F:
    """`--root`, which `output.open_index` heeds; no parameter."""

    def keep(ctx: click.Context, param: click.Parameter, root: str | None) -> None:
        ctx.meta[ROOT] = root

    said = "Folder or URL where the files are now, if they were moved since the scan."
    option = click.option("--root", metavar="FOLDER", expose_value=False, callback=keep, help=said)
    return option(command)


def quiet_option(command: _F) -> _F:
    """`--quiet`, as the parameter `quiet`."""
    said = "Do not say how far it is."
    return click.option("-q", "--quiet", is_flag=True, help=said)(command)


class OutputFile(click.Path):
    """The path of a file to write; where its folder is not there, that is said before any work."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; ends in wrong usage where it cannot be written."""
        folder = Path(value).parent
        if not folder.is_dir():
            self.fail(f"there is no folder {str(folder)!r}", param, ctx)
        if not os.access(folder, os.W_OK):
            self.fail(f"the folder {str(folder)!r} cannot be written", param, ctx)
        return super().convert(value, param, ctx)


def workers_option(command: _F) -> _F:
    """`--workers`, as the parameter `workers`, for what is always done in a process of its own."""
    said = "Processes; default: one per core."
    return click.option("--workers", metavar="N", type=click.IntRange(min=1), help=said)(command)


def _fail_on(known: Iterable[str]) -> Callable[[_F], _F]:
    return click.option(
        "--fail-on",
        metavar="CODE|any",
        multiple=True,
        callback=lambda ctx, param, codes: [code_of(code, (*known, "any")) for code in codes],
        help="Exit with 3 if there is such a problem; may be given more than once.",
    )


fail_on_option = _fail_on(PROBLEMS)
"""`--fail-on`, as the parameter `fail_on`: codes of problems of files, checked."""
box_fail_on_option = _fail_on(BOX_PROBLEMS)
"""The same for codes of problems of boxes and splits."""


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--engine` and `--scheduler`, as the parameter `engine`; None for this machine."""

    @wraps(command)
    def call(*args: Any, engine: str | None, scheduler: str | None, **options: Any) -> Any:
        return command(*args, engine=_open_engine(engine, scheduler), **options)

    said = "Who does the work: processes here, or a Dask cluster."
    address = click.option("--scheduler", metavar="ADDRESS", help="Of Dask, as tcp://head:8786.")
    return click.option("--engine", type=click.Choice(["local", "dask"]), help=said)(address(call))


def _open_engine(engine: str | None, scheduler: str | None) -> Engine | None:
    if engine != "dask" and scheduler is None:
        return None
    if engine == "local" or scheduler is None:
        raise UsageError("--engine dask and --scheduler ADDRESS go together")
    from wetread.workers.dask import DaskEngine

    return DaskEngine(scheduler)
