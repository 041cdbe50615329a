"""The options that say who does the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wetread.errors import UsageError

if TYPE_CHECKING:
    from wetread.engines import Engine

_F = TypeVar("_F", bound=Callable[..., Any])


def engine_options(command: _F) -> _F:
    """`--engine` and `--scheduler`, as the parameters `engine` and `scheduler`."""
    said = "Who does the work: processes here, or a Dask cluster."
    command = click.option("--scheduler", metavar="ADDRESS", help="Of Dask, as tcp://head:8786.")(
        command
    )
    return click.option("--engine", type=click.Choice(["local", "dask"]), help=said)(command)


def open_engine(engine: str | None, scheduler: str | None) -> Engine | None:
    """What the options ask for; None for this machine.

    >>> open_engine(None, None) is None
    True
    """
    if engine != "dask" and scheduler is None:
        return None
    if engine == "local" or scheduler is None:
        raise UsageError("--engine dask and --scheduler ADDRESS go together")
    from wetread.engines.dask import DaskEngine

    return DaskEngine(scheduler)
