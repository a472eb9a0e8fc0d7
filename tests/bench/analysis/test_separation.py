"""Silhouette, linear probe and t-SNE: on groups that part, on noise, and against their definitions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from srbench.analysis.separation import linear_probe, silhouette
from srbench.analysis.tsne import principal, tsne
from srbench.errors import InputError


def _groups(apart: float, *, count: int = 180, channels: int = 20) -> tuple[Tensor, Tensor, Tensor]:
    """Noise in three groups whose centres are ``apart``; the labels; and which two thirds are held out."""
    labels = torch.arange(count) % 3
    noise = torch.randn(count, channels, generator=torch.Generator().manual_seed(0))
    centres = torch.eye(3, channels) * apart
    return noise + centres[labels], labels, torch.arange(count) // 3 % 3 > 0


def test_groups_far_apart_are_told_apart() -> None:
    vectors, labels, held = _groups(30.0)
    assert silhouette(vectors, labels) > 0.8
    assert linear_probe(vectors, labels, held) == 1.0


def test_noise_is_told_apart_by_chance() -> None:
    vectors, labels, held = _groups(0.0)
    assert abs(silhouette(vectors, labels)) < 0.05
    assert abs(linear_probe(vectors, labels, held) - 1 / 3) < 0.15


def test_the_probe_sees_a_direction_among_stronger_ones() -> None:
    """Standardised: content of variance 10,000 does not hide a level."""
    vectors, labels, held = _groups(6.0)
    loud = torch.randn(len(vectors), 5, generator=torch.Generator().manual_seed(1)) * 100
    assert linear_probe(torch.cat([loud, vectors], 1), labels, held) > 0.9
    assert silhouette(torch.cat([loud, vectors], 1), labels) < 0.05


def test_the_silhouette_is_rousseeuws() -> None:
    vectors = torch.tensor([[0.0], [1.0], [5.0], [7.0], [20.0]])
    labels = torch.tensor([0, 0, 1, 1, 2])
    inner, outer = torch.tensor([1.0, 1, 2, 2]), torch.tensor([6.0, 5, 4.5, 6.5])
    expected = torch.cat([(outer - inner) / outer, torch.zeros(1)]).mean().item()
    assert silhouette(vectors, labels) == pytest.approx(expected)
    assert silhouette(vectors * 1000, labels * 7 + 3) == pytest.approx(expected)
    assert silhouette(torch.zeros(4, 2), torch.tensor([0, 0, 1, 1])) == 0.0


def test_the_probe_is_the_minimum_of_its_objective() -> None:
    """Two vectors at -1 and 1 of two groups: by symmetry the weights are -w, w with sigmoid(-2w) = w / 2."""
    vectors, labels = torch.tensor([[-3.0], [5.0], [0.5], [1.5]]), torch.tensor([0, 1, 0, 1])
    held = torch.tensor([False, False, True, True])
    assert linear_probe(vectors, labels, held) == 1.0  # the border is at 1, the mean of what it saw
    from srbench.analysis.separation import _fitted

    weights = _fitted(torch.tensor([[-1.0], [1.0]]).double(), torch.tensor([0, 1]), 2, 1.0)
    w = weights[0, 1].item()
    assert weights[0, 0].item() == pytest.approx(-w, abs=1e-6)
    assert 2 * torch.sigmoid(torch.tensor(-2 * w)).item() == pytest.approx(w, abs=1e-4)


def test_nothing_to_compare_is_refused() -> None:
    vectors, labels, held = _groups(1.0)
    with pytest.raises(InputError, match="one group has nothing to part from"):
        silhouette(vectors, labels * 0)
    for none in (held | True, held & False):
        with pytest.raises(InputError, match="a probe needs vectors to fit to and others to judge by"):
            linear_probe(vectors, labels, none)


# --------------------------------------------------------------------------------------------------------------- t-SNE


def test_neighbours_stay_neighbours_and_noise_stays_mixed() -> None:
    for apart, low, high in ((12.0, 0.6, 1.0), (0.0, -0.2, 0.2)):
        vectors, labels, _ = _groups(apart, count=90)
        places = tsne(vectors, perplexity=10, steps=400)
        assert places.shape == (90, 2)
        assert low < silhouette(places, labels) < high


def test_the_same_vectors_give_the_same_picture() -> None:
    vectors, _, _ = _groups(3.0, count=30)
    assert torch.equal(tsne(vectors, perplexity=5, steps=30), tsne(vectors, perplexity=5, steps=30))


def test_the_gradient_is_that_of_the_divergence() -> None:
    from srbench.analysis.tsne import _affinities, _gradient

    vectors, _, _ = _groups(3.0, count=12)
    near = _affinities(vectors.double(), 3.0)
    places = torch.randn(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    kernel = (1 / (1 + (places[:, None] - places[None]).square().sum(-1))).masked_fill(torch.eye(12).bool(), 0)
    chances = (kernel / kernel.sum()).clamp(min=1e-300)
    divergence = (torch.xlogy(near, near) - near * chances.log()).sum()
    [expected] = torch.autograd.grad(divergence, places)
    torch.testing.assert_close(_gradient(places.detach(), near), expected)


def test_affinities_have_the_perplexity_and_are_symmetric() -> None:
    from srbench.analysis.tsne import _affinities

    near = _affinities(_groups(3.0, count=60)[0].double(), 15.0)
    torch.testing.assert_close(near.sum(), torch.ones((), dtype=torch.float64))
    assert torch.equal(near, near.T)
    assert (near.diagonal() == 0).all()
    even = _affinities(torch.eye(8).double(), 2.0)  # all as far apart: as even as can be
    torch.testing.assert_close(even, (1 - torch.eye(8)).double() / 56)


def test_principal_components_keep_their_signs() -> None:
    vectors, _, _ = _groups(3.0, count=30)
    assert torch.allclose(principal(vectors), principal(vectors + 5), atol=1e-9)
    assert principal(vectors[:, :1]).shape == (30, 2)


@pytest.mark.parametrize("settings", [{"perplexity": 1.0}, {"perplexity": 10.0}, {"perplexity": 3.0, "steps": 0}])
def test_what_does_not_fit_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match="t-SNE of 30 vectors with perplexity"):
        tsne(_groups(1.0, count=30)[0], **settings)  # type: ignore[arg-type]


def test_nan_is_refused() -> None:
    vectors = _groups(1.0, count=30)[0]
    vectors[3, 3] = float("nan")
    with pytest.raises(InputError, match="hold NaN or infinity"):
        tsne(vectors, perplexity=5)
