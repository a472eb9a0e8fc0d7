"""What tells that an adaptation goes wrong: the distance to the given network, and a first stage that sees nothing."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from srbench.modules.adaptation_signs import Drift, warn_of_blindness
from srbench.modules.weight_average import WeightAverage


def test_the_psnr_between_both_networks() -> None:
    drift = Drift()
    black = torch.zeros(2, 3, 4, 4)
    assert drift.seen(black, black) == pytest.approx(100)
    assert drift.seen(black + 0.1, black) == pytest.approx(20, abs=1e-4)
    assert drift.last == pytest.approx(20, abs=1e-4)


def test_a_collapse_is_told_and_nothing_else_is() -> None:
    drift = Drift()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drift.warn()
        drift.seen(torch.full((1, 3, 2, 2), 0.09), torch.zeros(1, 3, 2, 2))
        drift.warn()
    drift.seen(torch.ones(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5))
    with pytest.warns(UserWarning, match=r"collapsed: .* is 6\.0 dB from the given network's \(adapt/psnr_to_base\)"):
        drift.warn()


@pytest.mark.parametrize("training", [True, False])
def test_the_given_network_is_there_for_a_moment(training: bool) -> None:
    """And leaves nothing behind, neither weights nor the counts of batch norms."""
    net = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))
    averaged = WeightAverage(net, 0.9)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1.0)
    net.train(training)
    moved = {name: value.clone() for name, value in net.state_dict().items()}
    with averaged.as_given():
        assert not net.training
        assert all(torch.equal(value, averaged.start[name]) for name, value in net.state_dict().items())
        net(torch.rand(1, 3, 4, 4))
    assert net.training is training
    assert all(torch.equal(value, moved[name]) for name, value in net.state_dict().items())


def test_a_first_stage_that_sees_nothing_is_told() -> None:
    target = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_blindness(target + 0.1, target)
    with pytest.warns(UserWarning, match="no better than lq's mean colour"):
        warn_of_blindness(torch.zeros_like(target), target)
