"""The alias tables hold the Poisson distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import poisson

from srbench.datamodules.degradations import poisson as drawing


@pytest.mark.parametrize("photons", [1, 2, 4, 8, 16, 32, 64, 128, 256])
def test_the_tables_add_up_to_the_distribution(photons: int) -> None:
    tables = drawing._tables(photons)
    keep = tables.keep.view(256, -1).double().numpy()
    alias = tables.alias.view(256, -1).long().numpy()
    assert keep.min() >= 0
    assert keep.max() <= 1
    for level in (0, 1, 60, 128, 254, 255):
        chances = keep[level].copy()
        np.add.at(chances, alias[level], 1 - keep[level])
        expected = poisson.pmf(np.arange(tables.width), level / 255 * photons)
        np.testing.assert_allclose(chances / tables.width, expected, atol=2e-9)  # the tables are float32
        assert 1 - expected.sum() < 1e-12


def test_every_count_takes_one_double_of_the_generator() -> None:
    generators = [torch.Generator().manual_seed(4) for _ in range(2)]
    counts = drawing.draw_counts(torch.full((3, 5, 7), 100.0), 64, generators[0])
    assert counts.shape == (3, 5, 7)
    assert counts.dtype == torch.float32
    torch.rand(105, generator=generators[1], dtype=torch.float64)
    assert torch.rand(1, generator=generators[0]) == torch.rand(1, generator=generators[1])


def test_mean_and_variance_of_many_counts() -> None:
    levels = torch.full((400_000,), 180.0, dtype=torch.float64)
    counts = drawing.draw_counts(levels, 128, torch.Generator().manual_seed(0))
    mean = 180 / 255 * 128
    assert counts.dtype == torch.float64
    assert counts.mean().item() == pytest.approx(mean, abs=4 * (mean / 400_000) ** 0.5)
    assert counts.var().item() == pytest.approx(mean, rel=0.01)
