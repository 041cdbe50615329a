"""What fastai's interpretation lacks: figures with intervals, and items that are an array's rows.

Importing this gives `ClassificationInterpretation` its `figures`, and mends `plot_top_losses`.
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
    """The tutorial's items are `df.values`; fastai takes such an array for one item, and fails."""
    for items in getattr(dl.dataset, "tls", ()):
        if isinstance(items.items, np.ndarray):
            items.items = L(list(items.items))
    _init(self, learn, dl, *args, **kwargs)


def figures(self: Any, positive: Any = None, prevalence: float | None = None) -> pd.DataFrame:
    """Sensitivity, specificity, predictive values and accuracy, with 95 % intervals.

    Args:
        self: the interpretation; its confusion matrix is what is counted.
        positive: the class that is looked for; by default the last of the vocabulary, as 1 is
            of 0 and 1. All others are negative.
        prevalence: the share of positives (0 to 1) where predictive values and accuracy shall
            hold; None: in these items.

    Returns:
        A row a figure: `value`, `low`, `high`, and `hits` of `trials`, which are counts in these
        items. The intervals are Wilson's; those for a prevalence hold where sensitivity and
        specificity both lie in theirs, so they are rather too wide than too narrow.

    Raises:
        UnknownNameError: no such class.
        UsageError: a prevalence that is not between 0 and 1.
    """
    classes = list(self.vocab)
    positive = classes[-1] if positive is None else positive
    if positive not in classes:
        raise UnknownNameError("class", str(positive), map(str, classes))
    return tabulate_figures(*_count(self.confusion_matrix(), classes.index(positive)), prevalence)


def _count(matrix: Any, place: int) -> tuple[int, int, int, int]:
    """(tp, fn, fp, tn) of a confusion matrix, rows what is true, columns what is said."""
    tp = int(matrix[place, place])
    fn, fp = int(matrix[place].sum()) - tp, int(matrix[:, place].sum()) - tp
    return tp, fn, fp, int(matrix.sum()) - tp - fn - fp


def tabulate_figures(
    tp: int, fn: int, fp: int, tn: int, prevalence: float | None = None
) -> pd.DataFrame:
    """The table of `figures` from counts.

    The fastai tutorial's own, of which its text says accuracy 56 % and sensitivity 40 %:

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
        # Each grows with sensitivity and with specificity: the ends of both give its own.
        bounds[:, 2:] = np.array(list(adjust(bounds[:, 0], bounds[:, 1], prevalence).values())).T
    names = pd.Index(["sensitivity", "specificity", "ppv", "npv", "accuracy"], name="figure")
    columns = dict(zip(("value", "low", "high"), bounds, strict=True))
    return pd.DataFrame({**columns, "hits": hits, "trials": trials}, index=names)


Interpretation.__init__ = _init_with_rows
ClassificationInterpretation.figures = figures
