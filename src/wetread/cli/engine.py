"""The option that says who does the work."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from wetread.errors import UsageError

if TYPE_CHECKING:
    from wetread.engines import Engine


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--engine` and `--scheduler`, as the parameter `engine`; None for this machine."""

    @wraps(command)
    def call(*args: Any, engine: str | None, scheduler: str | None, **options: Any) -> Any:
        return command(*args, engine=_open(engine, scheduler), **options)

    said = "Who does the work: processes here, or a Dask cluster."
    address = click.option("--scheduler", metavar="ADDRESS", help="Of Dask, as tcp://head:8786.")
    return click.option("--engine", type=click.Choice(["local", "dask"]), help=said)(address(call))


def _open(engine: str | None, scheduler: str | None) -> Engine | None:
    if engine != "dask" and scheduler is None:
        return None
    if engine == "local" or scheduler is None:
        raise UsageError("--engine dask and --scheduler ADDRESS go together")
    from wetread.engines.dask import DaskEngine

    return DaskEngine(scheduler)
