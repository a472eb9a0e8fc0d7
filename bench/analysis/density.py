"""Kernel density of a map on its own grid, as the LAM paper's smooth overlays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def density(weights: NDArray[Any]) -> NDArray[Any]:
    """What ``scipy.stats.gaussian_kde`` of the grid's points gives at those points, divided by its largest value.

    Computed as one convolution: on a grid the sum of Gaussians is one, and n^2 kernels would take minutes.

    Args:
        weights: (h,w), not negative, not all zero.

    Returns:
        (h,w) in (0,1]; ``weights`` divided by their largest where a bandwidth cannot be had, since all the weight lies
        on one line or point.
    """
    from scipy.signal import fftconvolve  # costs a second to import

    height, width = weights.shape
    shares = weights / weights.sum()
    rows, columns = np.mgrid[:height, :width]
    effective = 1.0 / float((shares**2).sum())
    spread = np.cov(np.stack([columns.ravel(), rows.ravel()]), aweights=shares.ravel()) if effective > 1 else None
    if spread is None or np.linalg.det(spread) < 1e-9:
        return weights / weights.max()
    inverse = np.linalg.inv(spread * effective ** (-1 / 3))  # Scott's rule in two dimensions
    y, x = np.mgrid[1 - height : height, 1 - width : width]
    kernel = np.exp(-0.5 * (inverse[0, 0] * x**2 + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y**2))
    smooth = fftconvolve(kernel, shares)[height - 1 : 2 * height - 1, width - 1 : 2 * width - 1]
    return np.clip(smooth / smooth.max(), 0.0, 1.0)
