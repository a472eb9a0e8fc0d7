"""The training-pair pool of Real-ESRGAN, without its memory: an order in which an epoch's samples are trained on.

Upstream draws once per batch how images are resized and which noise they get, so it keeps a queue of degraded pairs
and mixes batches through it. A sample here is a function of its coordinates, so mixing the coordinates is mixing the
pairs: nothing is stored, a resumed run goes on exactly, and every pair keeps its own recipe.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pooled(samples: int, batch: int, pool: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The slots of an epoch in the order in which a pool gives them out.

    As upstream: until the pool is full, batches are trained on as they come and put into it as well; from then on each
    batch is exchanged for as many pairs drawn from the pool without replacement. What is in the pool at the end of the
    epoch is not trained on again (upstream's queue lives for the whole run, ours for an epoch).

    Args:
        samples: in the epoch; those after the last whole batch stay in place.
        batch: samples in a batch over all processes.
        pool: pairs in the pool, rounded down to whole batches; less than one batch changes nothing.
        rng: of the epoch.

    Returns:
        (samples,) slots; some occur twice, some not at all.
    """
    order = np.arange(samples)
    size = pool // batch * batch
    if not size:
        return order
    queue = np.arange(size)
    for first in range(size, samples - batch + 1, batch):
        places = rng.choice(size, batch, replace=False)
        order[first : first + batch] = queue[places]
        queue[places] = np.arange(first, first + batch)
    return order
