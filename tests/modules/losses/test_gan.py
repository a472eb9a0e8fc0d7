"""Adversarial losses against their definitions."""

import math

import pytest
import torch
from torch import Tensor, nn

from srbench.errors import InputError
from srbench.modules.losses.gan import GANLoss


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(2, 1, 5, 7, generator=torch.Generator().manual_seed(0))


def test_vanilla_is_binary_cross_entropy(logits: Tensor) -> None:
    loss, reference = GANLoss(), nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones_like(logits), torch.zeros_like(logits)
    assert torch.equal(loss.for_generator(logits), reference(logits, ones))
    assert torch.equal(loss.for_discriminator(logits, real=True), reference(logits, ones))
    assert torch.equal(loss.for_discriminator(logits, real=False), reference(logits, zeros))
    assert loss.for_generator(torch.zeros(3)).item() == pytest.approx(math.log(2))


def test_lsgan_is_the_squared_distance_to_the_label(logits: Tensor) -> None:
    loss = GANLoss("lsgan")
    assert loss.for_generator(logits).item() == pytest.approx(((logits - 1) ** 2).mean().item())
    assert loss.for_discriminator(logits, real=True).item() == pytest.approx(((logits - 1) ** 2).mean().item())
    assert loss.for_discriminator(logits, real=False).item() == pytest.approx((logits**2).mean().item())


def test_labels_may_be_smoothed(logits: Tensor) -> None:
    loss = GANLoss("lsgan", real_label=0.9, fake_label=0.1)
    assert loss.for_discriminator(logits, real=True).item() == pytest.approx(((logits - 0.9) ** 2).mean().item())
    assert loss.for_discriminator(logits, real=False).item() == pytest.approx(((logits - 0.1) ** 2).mean().item())


def test_hinge_costs_nothing_beyond_the_margin() -> None:
    loss = GANLoss("hinge")
    assert loss.for_discriminator(torch.tensor([2.0, 1.0]), real=True).item() == 0.0
    assert loss.for_discriminator(torch.tensor([2.0, -3.0]), real=False).item() == pytest.approx(1.5)
    assert loss.for_discriminator(torch.tensor([0.5]), real=True).item() == pytest.approx(0.5)
    assert loss.for_generator(torch.tensor([2.0, -3.0])).item() == pytest.approx(0.5)


def test_another_kind_is_refused() -> None:
    with pytest.raises(InputError, match=r"'wgan' is no GAN loss; use vanilla, lsgan or hinge"):
        GANLoss("wgan")  # type: ignore[arg-type]
