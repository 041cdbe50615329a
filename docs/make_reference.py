"""Writes docs/reference.md from docstrings and the command line: python docs/make_reference.py."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import click

import wetread
from wetread.cli import main

PAGE = Path(__file__).with_name("reference.md")

INTRO = """\
# Reference

Made by `python docs/make_reference.py` from the docstrings and the command line; a test holds it to them.

`import wetread as wr` gives the names that begin with `wr.`; each is loaded when it is first used. \
The other classes are what these return. `PathLike` is a text or a `pathlib.Path`, `Indexed` an `Index`. `help(wr.scan)` says the same, with examples. What the words mean is \
in [concepts](concepts.md), the columns in [columns](columns.md), the codes in [findings](findings.md) and \
[boxes](boxes.md#findings).
"""
ROOMS = {
    "Scan and table": ("scan", "merge", "Index", "table.summary.Summary"),
    "Images": ("read", "Image", "imaging"),
    "Boxes": ("read_boxes", "Boxes"),
    "Splits": ("split",),
    "Learning": (
        "prepare",
        "learn.cache.Cache",
        "learn.dataset.Images",
        "train",
        "Run",
        "learn.augment.Augment",
    ),
    "Evaluation": ("evaluate", "evaluation.Result", "submit"),
    "Report and viewer": ("report", "view", "viewer.Handle"),
    "Settings, machines, errors": ("Settings", "DaskEngine", "errors"),
    "Phantoms": ("sample.write_sample",),
}
"""The public names, and the classes that they return, by room."""
CHOICES = {"Format": "boxes.reading", "Method": "boxes.consensus", "Task": "learn.models"}
"""Words of signatures that stand for a choice of texts, and where they are told."""
COMMANDS = """
## Commands

Options may stand anywhere. `-h` or `--help` says the same. Exit codes: 0 done, findings or not; 1 failed; \
2 wrong usage; 3 there is a finding that `--fail-on` asked for. Results go to stdout, everything else to stderr. \
[Get started](get-started.md) shows each command at work.
"""


def make() -> str:
    """The whole page."""
    parts = [INTRO]
    for room, names in ROOMS.items():
        parts.append(f"\n## {room}\n")
        parts += map(_name, names)
    parts.append(COMMANDS)
    parts += [_command(name, command) for name, command in main.commands.items()]
    return "".join(parts)


def _name(name: str) -> str:
    """The section of a public name, or of a class that is told by its place."""
    if name in wetread.__all__:
        shown, value = f"wr.{name}", getattr(wetread, name)
    else:
        home, _, last = f"wetread.{name}".rpartition(".")
        shown, value = (last if last[0].isupper() else f"{home}.{last}"), import_module(home)
        value = getattr(value, last)
    if isinstance(value, ModuleType):
        return _module(shown, value)
    return _class(shown, value) if isinstance(value, type) else _function(shown, value)


def _function(shown: str, function: Any) -> str:
    said = _sections(function)
    parts = [f"\n### {shown}\n", _signature(shown, function), _paragraphs(said.pop(""))]
    parts += [_table(("argument", ""), _items(said.pop("Args")))] if "Args" in said else []
    for title, text in said.items():
        many = _items(text) if title in ("Raises", "Warns") else []
        lines = [f"\n{title} {name}: {meaning}\n" for name, meaning in many]
        parts.append("".join(lines) or f"\n{title}: {_flow(text)}\n")
    return "".join(parts)


def _class(shown: str, kind: type) -> str:
    said = _sections(kind)
    parts = [f"\n### {shown}\n", _paragraphs(said.pop(""))]
    parts += [_table(("argument", ""), _items(said["Args"]))] if "Args" in said else []
    owner = shown.removeprefix("wr.").lower()
    if shown == "wr.Settings":
        rows: list[tuple[str, ...]] = [
            (f"`{name}`", f"`{value}`", meaning) for name, value, meaning in _fields(kind)
        ]
        return "".join([*parts, _table(("field", "default", ""), rows)])
    rows = [(f"`{owner}.{name}`", meaning) for name, _, meaning in _fields(kind)]
    rows += _members(owner, shown, kind)
    return "".join([*parts, _table(("", ""), rows) if rows else ""])


def _module(shown: str, module: ModuleType) -> str:
    """The functions that it gives, or its exceptions, a line each."""
    head = _paragraphs(_prose(module.__doc__))
    if given := getattr(module, "__all__", None):
        short = shown.removeprefix("wr.")
        functions = [(f"`{short}.{name}", vars(module)[name]) for name in given]
        rows = [(f"{name}{_parameters(value)}`", _first(value)) for name, value in functions]
        return f"\n### {shown}\n{head}{_table(('function', ''), rows)}"
    kinds = [kind for kind in vars(module).values() if isinstance(kind, type)]
    errors = [
        (f"`{kind.__name__}`", f"`{'`, `'.join(b.__name__ for b in kind.__bases__)}`", _first(kind))
        for kind in kinds
        if issubclass(kind, Exception)
    ]
    return f"\n### {shown}\n{head}{_table(('exception', 'is a', ''), errors)}"


def _members(owner: str, shown: str, kind: type) -> Iterator[tuple[str, str]]:
    """Methods and properties that have a docstring and no underscore, in their order."""
    for name, value in vars(kind).items():
        if name.startswith("_") or not (said := _first(value)):
            continue
        if isinstance(value, classmethod):
            yield f"`{shown}.{name}{_parameters(value.__func__)}`", said
        elif inspect.isfunction(value):
            yield f"`{owner}.{name}{_parameters(value)}`", said
        elif isinstance(value, property | cached_property):
            yield f"`{owner}.{name}`", said


def _fields(kind: type) -> Iterator[tuple[str, str, str]]:
    """Attributes whose meaning stands below them: name, default as it is written, meaning."""
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    made = [s for s in tree.body if isinstance(s, ast.FunctionDef) and s.name == "__init__"]
    for body in (tree.body, *(function.body for function in made)):
        for line, below in pairwise(body):
            text = below.value if isinstance(below, ast.Expr) else None
            if not isinstance(text, ast.Constant):
                continue
            if isinstance(line, ast.AnnAssign):
                value = "" if line.value is None else ast.unparse(line.value)
                yield ast.unparse(line.target), value, _flow(str(text.value))
            elif isinstance(line, ast.Assign):
                yield ast.unparse(line.targets[0]).removeprefix("self."), "", _flow(str(text.value))


def _signature(shown: str, function: Any) -> str:
    """With types, a parameter a line where it is long."""
    signature = inspect.signature(function)
    given, star = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            given, star = [*given, "*"], True
        default = f" = {_default(parameter)}" if parameter.default is not parameter.empty else ""
        given.append(f"{parameter.name}: {parameter.annotation}{default}")
    line = f"{shown}({', '.join(given)}) -> {signature.return_annotation}"
    if len(line) > 100:
        inner = "".join(f"    {item},\n" for item in given)
        line = f"{shown}(\n{inner}) -> {signature.return_annotation}"
    words = set(re.findall(r"\w+", line))
    homes = {word: import_module(f"wetread.{CHOICES[word]}") for word in CHOICES if word in words}
    choices = [
        f"\n`{word}` is {', '.join(f'`{text}`' for text in get_args(vars(home)[word]))}.\n"
        for word, home in homes.items()
    ]
    return "".join([f"```text\n{line}\n```\n", *choices])


def _parameters(function: Any) -> str:
    """Names and defaults alone."""
    given, star = [], False
    for parameter in [*inspect.signature(function).parameters.values()]:
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            given, star = [*given, "*"], True
        default = f"={_default(parameter)}" if parameter.default is not parameter.empty else ""
        given.append(parameter.name + default)
    return f"({', '.join(given)})"


def _default(parameter: inspect.Parameter) -> str:
    value = parameter.default
    if isinstance(value, str):
        return f'"{value}"'
    return "Settings()" if isinstance(value, wetread.Settings) else repr(value)


def _prose(docstring: str | None) -> str:
    """A docstring without its examples and what is drawn in it."""
    text = inspect.cleandoc(docstring or "")
    kept = [p for p in re.split(r"\n\s*\n", text) if not p.startswith((">>>", " "))]
    return "\n\n".join(p for p in kept if not p.endswith(":"))


def _first(value: Any) -> str:
    """The first paragraph of a docstring, on one line."""
    return _flow(_prose(inspect.getdoc(value)).partition("\n\n")[0])


def _sections(value: Any) -> dict[str, str]:
    """The docstring by Google's headings; "" is what stands above them. Examples are left out."""
    text = re.split(r"\n\s*\n>>> ", inspect.getdoc(value) or "")[0]
    head, *rest = re.split(r"^(Args|Returns|Raises|Warns):\n", text, flags=re.MULTILINE)
    titles = rest[::2]
    return {"": head, **dict(zip(titles, map(inspect.cleandoc, rest[1::2]), strict=True))}


def _items(text: str) -> list[tuple[str, str]]:
    """`name: meaning`, whose further lines are indented."""
    items = re.split(r"\n(?=\S)", inspect.cleandoc(text))
    pairs = (item.partition(":") for item in items)
    return [(f"`{name}`", _flow(meaning)) for name, _, meaning in pairs]


def _paragraphs(text: str) -> str:
    """Paragraphs on one line each; a list keeps its lines."""
    blocks = re.split(r"\n\s*\n", text.strip())
    lines = (re.sub(r"\n(?!- )\s*", " ", block) for block in blocks)
    return "".join(f"\n{block}\n" for block in lines)


def _flow(text: str) -> str:
    return " ".join(text.split())


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    escaped = (tuple(cell.replace("|", "\\|") for cell in row) for row in rows)
    lines = [head, ("---",) * len(head), *escaped]
    return "\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _command(name: str, command: click.Command) -> str:
    """Usage, what the help says, and the options."""
    words = [_argument(p) for p in command.params if isinstance(p, click.Argument)]
    options = [p for p in command.params if isinstance(p, click.Option)]
    usage = " ".join(["wetread", name, *words, *(["[OPTIONS]"] if options else [])])
    said, _, examples = inspect.cleandoc(command.help or "").partition("\b\n")
    shown = f"\n```text\n{examples.strip()}\n```\n" if examples else ""
    rows = [(f"`{_option(option)}`", _meaning(option)) for option in options]
    table = _table(("option", ""), rows)
    return f"\n### wetread {name}\n`{usage}`\n{_paragraphs(said)}{shown}{table}"


def _argument(argument: click.Argument) -> str:
    shown = argument.metavar or str(argument.name).upper()
    return f"{shown}..." if argument.nargs < 0 and "..." not in shown else shown


def _option(option: click.Option) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    kind = option.type
    choices = "|".join(map(str, kind.choices)) if isinstance(kind, click.Choice) else ""
    plain = {"integer": "N", "float": "X"}.get(kind.name.removesuffix(" range"), kind.name.upper())
    return names if option.is_flag else f"{names} {option.metavar or choices or plain}"


def _meaning(option: click.Option) -> str:
    extra = ["Required."] if option.required else []
    if option.show_default:
        default = option.default
        many = isinstance(default, tuple)
        extra.append(f"Default: `{', '.join(default) if many else default}`.")
    return " ".join([option.help or "", *extra]).strip()


if __name__ == "__main__":
    PAGE.write_text(make(), encoding="utf-8")
