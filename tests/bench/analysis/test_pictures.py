"""Colours and the density of a map, against scipy's own estimate."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from srbench.analysis.colours import RED, WARM, beside, blended, coloured, enlarged, framed
from srbench.analysis.density import density


def test_density_is_scipys_on_the_grid() -> None:
    weights = np.random.default_rng(0).random((9, 13)) ** 8
    rows, columns = np.mgrid[:9, :13]
    points = np.stack([columns.ravel(), rows.ravel()]).astype(float)
    theirs = gaussian_kde(points, weights=weights.ravel())(points).reshape(9, 13)
    np.testing.assert_allclose(density(weights), theirs / theirs.max(), atol=1e-6)


def test_density_of_a_point_or_line_is_itself() -> None:
    point = np.zeros((5, 6))
    point[2, 3] = 4.0
    np.testing.assert_array_equal(density(point), point / 4)
    line = np.zeros((5, 6))
    line[2] = 2.0
    np.testing.assert_array_equal(density(line), line / 2)


def test_colours_are_linear_between_stops() -> None:
    shown = coloured(np.array([[0.0, 0.25, 0.5, 1.0]]), RED)
    np.testing.assert_array_equal(shown[0], [[255, 255, 255], [255, 128, 128], [255, 0, 0], [128, 0, 0]])
    brightness = coloured(np.linspace(0, 1, 50)[None], WARM).astype(float).mean(-1)[0]
    assert (np.diff(brightness) > 0).all()


def test_pictures_are_put_together() -> None:
    black, white = np.zeros((4, 5, 3), np.uint8), np.full((4, 5, 3), 255, np.uint8)
    assert beside([black, white]).shape == (4, 14, 3)
    assert (blended(black, white, 0.4) == 102).all()
    assert enlarged(black, 8, 10).shape == (8, 10, 3)
    frame = framed(np.zeros((20, 20, 3), np.uint8), 5, 6, 4)
    red = (frame == (255, 0, 0)).all(-1)
    assert red[6, 5:9].all()
    assert red[9, 5:9].all()
    assert (frame[5, 4:10] == 255).all(), "white outside, to be seen where red is as dark as the image"
    assert not frame[7:9, 6:8].any()
    assert not frame[:5].any()


@pytest.mark.parametrize("place", [(0, 0), (16, 16)])
def test_a_frame_at_the_rim_stays_inside(place: tuple[int, int]) -> None:
    assert framed(np.zeros((20, 20, 3), np.uint8), *place, 4).shape == (20, 20, 3)
