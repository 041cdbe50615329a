"""Additions to the interpretation classes of fastai.

Importing this module adds `ClassificationInterpretation.figures` and fixes `plot_top_losses` for
items that are rows of an array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from fastai.interpret import ClassificationInterpretation, Interpretation
from fastcore.foundation import L

from wetread.errors import UnknownNameError, UsageError
from wetread.evaluation.bootstrap import wilson
from wetread.evaluation.classification import adjust

if TYPE_CHECKING:
    import pandas as pd

_init = Interpretation.__init__


def _init_with_rows(self: Any, learn: Any, dl: Any, *args: Any, **kwargs: Any) -> None:
    """Convert items that are an array, as in the tutorial, to a list of its rows."""
    for items in getattr(dl.dataset, "tls", ()):
        if isinstance(items.items, np.ndarray):
            items.items = L(list(items.items))
    _init(self, learn, dl, *args, **kwargs)


def figures(self: Any, positive: Any = None, prevalence: float | None = None) -> pd.DataFrame:
    """Sensitivity, specificity, predictive values and accuracy, with 95 % confidence intervals.

    Args:
        self: the interpretation, with its confusion matrix.
        positive: the positive class (default: the last of the vocabulary); all others are
            negative.
        prevalence: fraction of positives (0 to 1) for predictive values and accuracy (default:
            that of the items).

    Returns:
        One row per figure: `value`, `low`, `high`, and the counts `hits` and `trials` of the
        items. Intervals are Wilson score intervals. Those for a prevalence combine the intervals
        of sensitivity and specificity, and are conservative.

    Raises:
        UnknownNameError: unknown class.
        UsageError: the prevalence is not between 0 and 1.
    """
    classes = list(self.vocab)
    positive = classes[-1] if positive is None else positive
    if positive not in classes:
        raise UnknownNameError("class", str(positive), map(str, classes))
    return tabulate_figures(*_count(self.confusion_matrix(), classes.index(positive)), prevalence)


def _count(matrix: Any, positive: int) -> tuple[int, int, int, int]:
    """Count (tp, fn, fp, tn) in a confusion matrix with true classes in rows."""
    tp = int(matrix[positive, positive])
    fn, fp = int(matrix[positive].sum()) - tp, int(matrix[:, positive].sum()) - tp
    return tp, fn, fp, int(matrix.sum()) - tp - fn - fp


def tabulate_figures(
    tp: int, fn: int, fp: int, tn: int, prevalence: float | None = None
) -> pd.DataFrame:
    """Compute the table of `figures` from counts.

    Counts of the fastai tutorial, whose text states an accuracy of 56 % and a sensitivity of 40 %:

    >>> table = tabulate_figures(tp=2, fn=12, fp=13, tn=23)
    >>> table["value"].round(3).to_dict()  # doctest: +NORMALIZE_WHITESPACE
    {'sensitivity': 0.143, 'specificity': 0.639, 'ppv': 0.133, 'npv': 0.657, 'accuracy': 0.5}
    >>> table.loc["sensitivity", ["low", "high"]].round(3).tolist()
    [0.04, 0.399]
    """
    import pandas as pd

    if prevalence is not None and not 0 < prevalence < 1:
        raise UsageError(f"prevalence must be between 0 and 1, not {prevalence}")
    hits = np.array([tp, tn, tp, tn, tp + tn])
    trials = np.array([tp + fn, tn + fp, tp + fp, tn + fn, tp + fn + fp + tn])
    value = hits / np.where(trials > 0, trials, np.nan)
    bounds = np.array([value, *wilson(hits, trials)])
    if prevalence is not None:
        # Each increases with sensitivity and specificity, so their limits give its limits.
        bounds[:, 2:] = np.array(list(adjust(bounds[:, 0], bounds[:, 1], prevalence).values())).T
    names = pd.Index(["sensitivity", "specificity", "ppv", "npv", "accuracy"], name="figure")
    columns = dict(zip(("value", "low", "high"), bounds, strict=True))
    return pd.DataFrame({**columns, "hits": hits, "trials": trials}, index=names)


Interpretation.__init__ = _init_with_rows
ClassificationInterpretation.figures = figures
