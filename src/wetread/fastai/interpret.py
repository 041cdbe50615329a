"""A mend of fastai's `Interpretation`: `plot_top_losses` of items that are rows of an array."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastai.interpret import Interpretation
from fastcore.foundation import L

_init = Interpretation.__init__


def _init_with_rows(self: Any, learn: Any, dl: Any, *args: Any, **kwargs: Any) -> None:
    """The tutorial's items are `df.values`; fastai takes such an array for one item, and fails."""
    for items in getattr(dl.dataset, "tls", ()):
        if isinstance(items.items, np.ndarray):
            items.items = L(list(items.items))
    _init(self, learn, dl, *args, **kwargs)


Interpretation.__init__ = _init_with_rows
