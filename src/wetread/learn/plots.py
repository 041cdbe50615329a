"""The pictures of a run: its curves, and truth and predictions on a few images."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from wetread.boxes.collection import Boxes
from wetread.boxes.table import CORNERS
from wetread.display.plot import COLOURS
from wetread.learn.examples import VALID, Material
from wetread.learn.run import Run, write_file
from wetread.learn.validation import METRICS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wetread.learn.dataset import Images

_SHOWN = 0.3
"""The least score of a box that is drawn."""
_BACK = {"facecolor": "black", "alpha": 0.6, "edgecolor": "none", "pad": 1.0}
"""Of text on an image."""
_EXAMPLES = 6


def draw_run(run: Run, material: Material) -> None:
    """Writes curves.csv, curves.png and, where there are images to judge by, examples.png."""
    table = tabulate(run.metrics)
    write_file(run.path / "curves.csv", table.to_csv().encode())
    _save(run, "curves.png", _draw_curves(run, table))
    _save(run, "examples.png", _draw_examples(run, material))


def tabulate(metrics: pd.DataFrame) -> pd.DataFrame:
    """A row an epoch: its last step, the mean of each loss, its scores."""
    wide = metrics.pivot_table(
        index="epoch", columns="name", values="value", aggfunc="mean", sort=False
    )
    wide.insert(0, "step", metrics.groupby("epoch")["step"].max())
    return wide.rename_axis(columns=None)


def _save(run: Run, name: str, figure: Figure) -> None:
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=110)
    write_file(run.path / name, held.getvalue())


def _draw_curves(run: Run, table: pd.DataFrame) -> Figure:
    """The loss step by step, and the score epoch by epoch with those of the labels."""
    from matplotlib.figure import Figure

    metrics, metric = run.metrics, METRICS[run.task]
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    loss = metrics[metrics["name"] == "loss"]
    left.plot(loss["step"], loss["value"], color=COLOURS[1], lw=0.8, label="a step")
    left.plot(table["step"], table["loss"], "o-", color=COLOURS[6], label="mean of an epoch")
    left.set(xlabel="step", ylabel="loss", title="Training", ylim=(0, None))
    for number, (_, label) in enumerate(run.classes):
        if (name := f"{metric}/{label}") in table:
            colour = COLOURS[number % len(COLOURS)]
            right.plot(table["step"], table[name], "--", color=colour, lw=1, label=label)
    if metric in table:
        right.plot(table["step"], table[metric], "ko-", lw=2, label="mean")
    count = run.config["images"][VALID]
    right.set(xlabel="step", ylabel=metric, ylim=(0, 1.02), title=f"{count:,} held-out images")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize="small")
    return figure


def _draw_examples(run: Run, material: Material) -> Figure:
    """Held-out images: truth in solid lines, predictions in dashed ones."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8.4), layout="constrained")
    if not material.has(VALID):
        figure.text(0.5, 0.5, f'no image is in the part "{VALID}"', ha="center")
        return figure
    data = material.items(VALID, run.size, run.window).data
    truth, found = material.truth_of(VALID), run.valid
    busy = data.labels.any(axis=1)
    # Most have something on them, one has not.
    order = [*np.flatnonzero(busy)[: _EXAMPLES - 1], *np.flatnonzero(~busy)][:_EXAMPLES]
    for axes, item in zip(figure.subplots(2, 3).flat, order, strict=False):
        row = material.cache.rows.slice(int(data.rows[item]), 1).to_pylist()[0]
        _draw_image(axes, data, int(item), row)
        true, said = (_rows_on(boxes, row) for boxes in (truth, found))
        if run.task == "classify":
            _list_classes(axes, run, true, said)
            continue
        _draw_rows(axes, run, true, "-")
        _draw_rows(axes, run, said, "--")
    for axes in figure.axes:
        axes.set_axis_off()
    legends = {
        "detect": f"truth solid, prediction dashed, scores of {_SHOWN} and more",
        "classify": "how probable each class is; a dot where it is true",
    }
    figure.suptitle(f"Held-out images: {legends[run.task]}")
    return figure


def _draw_image(axes: Axes, data: Images, item: int, row: dict[str, Any]) -> None:
    """The image as the model sees it, in the coordinates of its stored pixels."""
    image = data[item][0].numpy()[0]
    height, width = image.shape
    x0, y0, x1, y1 = data.to_stored(np.array([[0.0, 0.0, width, height]]), item)[0]
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(x0, x1, y1, y0))
    axes.set(xlim=(0, row["columns"]), ylim=(row["rows"], 0))


def _rows_on(boxes: Boxes, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The boxes on an image of the cache."""
    rows = boxes.table.filter(pc.equal(boxes.table["image"], row["id"])).to_pylist()
    return [said for said in rows if said["frame"] in (None, row["frame"])]


def _list_classes(
    axes: Axes, run: Run, true: list[dict[str, Any]], found: list[dict[str, Any]]
) -> None:
    """The classes in a corner of the image."""
    have = {row["label"] for row in true}
    sure = {row["label"]: row["score"] for row in found}
    lines = [f"{sure[n]:.2f} {n} {'●' * (n in have)}" for _, n in run.classes if n in sure]
    lines.append(f"{sure.get(None, 0):.2f} nothing {'●' * (not have - {None})}")
    axes.text(
        *(0.02, 0.02, "\n".join(lines)),
        transform=axes.transAxes,
        fontsize=7,
        color="white",
        bbox=_BACK,
        parse_math=False,
    )


def _draw_rows(axes: Axes, run: Run, rows: list[dict[str, Any]], style: str) -> None:
    from matplotlib.patches import Rectangle

    names = [name for _, name in run.classes]
    predicted = style == "--"
    for row in rows:
        if row["kind"] != "box" or (predicted and row["score"] < _SHOWN):
            continue
        known = row["label"] in names
        colour = COLOURS[names.index(row["label"]) % len(COLOURS)] if known else "white"
        x0, y0, x1, y1 = (row[name] for name in CORNERS)
        axes.add_patch(
            Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, lw=1.8, ls=style)
        )
        text = f"{row['label']} {row['score']:.2f}" if predicted else row["label"]
        at, va = ((x0, y1), "top") if predicted else ((x0, y0), "bottom")
        axes.text(*at, text, color=colour, fontsize=7, va=va, bbox=_BACK, parse_math=False)
