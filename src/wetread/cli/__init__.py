"""Command line: one module per command, named as the Python functions.

Exit codes: 0 success, with or without problems; 1 failure; 2 usage error; 3 a problem named by
`--fail-on`. Heavy imports are inside the commands, so that `wetread --help` stays fast.
"""

from __future__ import annotations

import re
import shlex
import warnings
from typing import Any, TextIO

import click

from wetread import __version__
from wetread.cli import (
    boxes,
    demo,
    evaluate,
    export,
    header,
    measure,
    merge,
    mosaic,
    predict,
    prepare,
    problems,
    query,
    report,
    sample,
    scan,
    segments,
    series,
    shortcuts,
    show,
    split,
    submit,
    train,
    view,
)
from wetread.cli.output import echo, printable_lines
from wetread.errors import NotFoundError, UsageError, WetreadError


class _Commands(click.Group):
    """Command group in order of use; errors of wetread are printed in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("default", UserWarning)
            warnings.showwarning = _show_warning
            try:
                return super().invoke(ctx)
            except WetreadError as error:
                usage = isinstance(error, UsageError | NotFoundError)
                failure = click.UsageError if usage else click.ClickException
                command = self.commands.get(ctx.invoked_subcommand or "", self)
                raise failure(printable_lines(name_flags(str(error), command))) from error
            except click.ClickException as error:  # click quotes an argument as it is
                error.message = printable_lines(error.message)  # type: ignore[misc]
                raise


_READING = {"--columns", "--form", "--image-size", "--images", "--manifest", "--normalised"}
"""Flags of `wetread boxes` that say how a label file is read."""
_ARGUMENT = re.compile(r"""\b([a-z_]+)=(?!\.)(?:\((\d+), (\d+)\)|(\w+)|(["'])(.*?)\5)?""")


def name_flags(text: str, command: click.Command) -> str:
    """Error message with the flags of a command instead of Python arguments.

    Arguments of `read_boxes` that the command does not have are flags of `wetread boxes`; its index
    of the images may be `--index`.

    >>> option = click.Option(["--allow-train"], is_flag=True)
    >>> name_flags("use allow_train=True", click.Command("evaluate", params=[option]))
    'use --allow-train'
    >>> option = click.Option(["--metric"])
    >>> name_flags("needs metric='coco'", click.Command("evaluate", params=[option]))
    'needs --metric coco'
    """
    flags = {flag for parameter in command.params for flag in parameter.opts}
    others = _READING - flags
    used: set[str] = set()
    opposite = {p.opts[0]: p.secondary_opts[0] for p in command.params if p.secondary_opts}

    def flag(found: re.Match[str]) -> str:
        name = f"--{found[1].replace('_', '-')}"
        if name == "--images" and name not in flags and "--index" in flags:
            name = "--index"
        if name not in flags | others:
            return found[0]
        used.update({name} & others)
        value = f"{found[2]}x{found[3]}" if found[2] else (found[4] or "").replace("index", "INDEX")
        value = shlex.quote(found[6]) if found[6] else value
        if value == "False":
            return opposite.get(name, found[0])
        return name if value in ("", "True") else f"{name} {value}"

    text = _ARGUMENT.sub(flag, text)
    hint = "; wetread boxes has this option, and writes a .parquet for this command"
    return text + hint * bool(used)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    echo(f"Warning: {message}", err=True)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """The first read of a DICOM data set: typed headers, correct images, boxes, models, reports.

    Start with `wetread demo`, then `wetread scan FOLDER -o train.index`.
    """


for command in (
    demo.demo,
    scan.scan,
    header.header,
    query.query,
    problems.problems,
    series.series,
    segments.segments,
    merge.merge,
    show.show,
    mosaic.mosaic,
    measure.measure,
    export.export,
    boxes.boxes,
    split.split,
    sample.sample,
    prepare.prepare,
    train.train,
    predict.predict,
    evaluate.evaluate,
    shortcuts.shortcuts,
    submit.submit,
    report.report,
    view.view,
):
    main.add_command(command)
