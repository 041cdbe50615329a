"""Options shared by several commands."""

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


def number_option(
    name: str, text: str, default: int | None = None, least: int | None = None
) -> Callable[[_F], _F]:
    """Integer option, passed as the parameter of its name."""
    return click.option(
        name,
        metavar="N",
        type=int if least is None else click.IntRange(min=least),
        default=default,
        show_default=default is not None,
        help=text,
    )


def marks_options(command: _F) -> _F:
    """Options `--boxes` and `--predictions`: paths."""
    texts = {"--predictions": "Predicted boxes.", "--boxes": "Boxes of the readers."}
    for name, text in texts.items():
        command = click.option(name, type=click.Path(), metavar="FILE", help=text)(command)
    return command


def consensus_option(default: str | None = None) -> Callable[[_F], _F]:
    """Option `--consensus`: a method of `Boxes.consensus`."""
    return click.option(
        "--consensus",
        metavar="METHOD",
        default=default,
        show_default=default is not None,
        help="Merge the readers: wbf, majority, nms or union.",
    )


def resampling_options(command: _F) -> _F:
    """Options `--resamples` and `--seed` of bootstrap confidence intervals."""
    text = "Bootstrap resamples for the 95 % confidence intervals; 0 disables them."
    command = number_option("--seed", "Random seed.", 0)(command)
    return number_option("--resamples", text, 1000, least=0)(command)


def phi_option(command: _F) -> _F:
    """Option `--show-phi`."""
    text = "Show values that may identify a patient."
    return click.option("--show-phi", is_flag=True, help=text)(command)


def json_option(command: _F) -> _F:
    """Option `--json`, passed as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def root_option(command: _F) -> _F:
    """Option `--root`, used by `output.open_index`; not passed as a parameter."""

    def keep(ctx: click.Context, param: click.Parameter, root: str | None) -> None:
        ctx.meta[ROOT] = root

    text = "Current folder or URL of the files, if they were moved since the scan."
    option = click.option("--root", metavar="FOLDER", expose_value=False, callback=keep, help=text)
    return option(command)


def quiet_option(command: _F) -> _F:
    """Option `--quiet`."""
    return click.option("-q", "--quiet", is_flag=True, help="Hide the progress bar.")(command)


class OutputFile(click.Path):
    """Path of a file to write; its folder must exist and be writable."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check the path; a usage error if it cannot be written."""
        folder = Path(value).parent
        if not folder.is_dir():
            self.fail(f"folder {str(folder)!r} does not exist", param, ctx)
        if not os.access(folder, os.W_OK):
            self.fail(f"folder {str(folder)!r} is not writable", param, ctx)
        return super().convert(value, param, ctx)


def workers_option(command: _F) -> _F:
    """Option `--workers`, at least one process."""
    text = "Number of worker processes (default: one per core)."
    return click.option("--workers", metavar="N", type=click.IntRange(min=1), help=text)(command)


def _fail_on(known: Iterable[str]) -> Callable[[_F], _F]:
    return click.option(
        "--fail-on",
        metavar="CODE|any",
        multiple=True,
        callback=lambda ctx, param, codes: [code_of(code, (*known, "any")) for code in codes],
        help="Exit with code 3 if this problem occurs; may be given more than once.",
    )


fail_on_option = _fail_on(PROBLEMS)
"""Option `--fail-on` with problem codes of files."""
box_fail_on_option = _fail_on(BOX_PROBLEMS)
"""Option `--fail-on` with problem codes of boxes and splits."""


def job_options(command: _F) -> _F:
    """Options of the commands that decode images, in this order."""
    options = root_option, workers_option, quiet_option, json_option, fail_on_option
    for option in reversed(options):
        command = option(command)
    return command


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options `--engine` and `--scheduler`, passed as `engine`; None is the local machine."""

    @wraps(command)
    def call(*args: Any, engine: str | None, scheduler: str | None, **options: Any) -> Any:
        return command(*args, engine=_open_engine(engine, scheduler), **options)

    text = "Execution engine: local processes, or a Dask cluster."
    example = "Dask scheduler, such as tcp://head:8786."
    address = click.option("--scheduler", metavar="ADDRESS", help=example)
    return click.option("--engine", type=click.Choice(["local", "dask"]), help=text)(address(call))


def _open_engine(engine: str | None, scheduler: str | None) -> Engine | None:
    if engine != "dask" and scheduler is None:
        return None
    if engine == "local" or scheduler is None:
        raise UsageError("--engine dask and --scheduler ADDRESS must be given together")
    from wetread.workers.dask import DaskEngine

    return DaskEngine(scheduler)
