"""L_rec against its formula, LWay's W, and LPIPS against the authors' package on one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from srbench.errors import InputError
from srbench.modules.losses.lpips_distance import LPIPSDistance
from srbench.modules.losses.reconstruction import ReconstructionLoss, wavelet_weight

lpips: Any = pytest.importorskip("lpips")


def _pair(side: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    a, b = torch.rand(2, 2, 3, side, side + 4, generator=generator)
    return a.requires_grad_(), b


# ---------------------------------------------------------------------------------------------------------------- LPIPS


@pytest.mark.parametrize(("net", "spatial"), [("alex", False), ("alex", True), ("vgg", False)])
@pytest.mark.filterwarnings("ignore:The parameter 'pretrained':UserWarning", "ignore:Arguments other than a weight")
def test_it_is_the_packages_on_torchvisions_layout(tmp_path: Path, net: Any, spatial: bool) -> None:
    torch.manual_seed(3)
    theirs = lpips.LPIPS(net=net, pnet_rand=True, spatial=spatial, verbose=False)
    state = {f"features.{name.split('.', 1)[1]}": t.clone() for name, t in theirs.net.state_dict().items()}
    torch.save({**state, "classifier.1.weight": torch.zeros(2)}, tmp_path / "file.pth")
    ours = LPIPSDistance(net, spatial=spatial)
    ours.load(tmp_path / "file.pth")
    a, b = _pair()
    wanted = theirs(a * 2 - 1, b * 2 - 1)
    torch.testing.assert_close(ours(a, b), wanted if spatial else wanted.flatten())
    ours.load(None)
    assert not torch.allclose(ours(a, b), wanted if spatial else wanted.flatten())


def test_lpips_is_frozen_in_no_checkpoint_and_lets_gradients_through() -> None:
    distance = LPIPSDistance()
    distance.load(None)
    assert not list(distance.parameters())
    assert not distance.state_dict()
    distance.train()
    assert distance.lpips is not None
    assert not distance.lpips.net.training
    a, b = _pair()
    distance(a, b).sum().backward()
    assert a.grad is not None
    assert bool(a.grad.any())
    assert float(distance(b, b).abs().max()) == 0


def test_a_random_lpips_is_the_same_everywhere_and_leaves_the_generators_alone() -> None:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        distance = LPIPSDistance()
        distance.load(None)
        assert torch.equal(torch.get_rng_state(), before)
        found.append(distance(*_pair()))
    assert torch.equal(*found)
    assert bool((found[0] > 0).all())


def test_another_networks_file_is_refused(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(InputError, match="another network"):
        LPIPSDistance().load(tmp_path / "x.pth")
    with pytest.raises(InputError, match="no net 'squeeze'"):
        LPIPSDistance("squeeze")  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------------- L_rec


def test_l_rec_is_the_weighted_sum() -> None:
    loss = ReconstructionLoss(l1_weight=2.0, lpips_weight=0.5)
    loss.load(None)
    a, b = _pair()
    terms = loss(a, b)
    assert loss.perceptual is not None
    torch.testing.assert_close(terms.l1, 2 * (a - b).abs().mean())
    torch.testing.assert_close(terms.lpips, 0.5 * loss.perceptual(a, b).mean())
    torch.testing.assert_close(terms.total, terms.l1 + terms.lpips)
    assert loss.backbone == "vgg16"


def test_without_lpips_nothing_is_needed() -> None:
    loss = ReconstructionLoss(lpips_weight=0.0)
    assert loss.backbone is None
    loss.load(None)
    a, b = _pair()
    assert torch.equal(loss(a, b).total, (a - b).abs().mean())


def test_w_multiplies_both_terms_pixel_by_pixel() -> None:
    loss = ReconstructionLoss(hf_weight=True)
    loss.load(None)
    a, b = _pair(41)
    terms, weight = loss(a, b), wavelet_weight(b)
    assert loss.perceptual is not None
    torch.testing.assert_close(terms.l1, (weight * (a - b).abs()).mean())
    torch.testing.assert_close(terms.lpips, (weight * loss.perceptual(a, b)).mean())
    plain = ReconstructionLoss()
    plain.load(None)
    assert terms.total < plain(a, b).total
    terms.total.backward()
    assert a.grad is not None
    assert bool(a.grad.any())


@pytest.mark.parametrize(("l1", "perceptual"), [(-1.0, 1.0), (1.0, -0.1), (0.0, 0.0)])
def test_weights_that_teach_nothing_are_refused(l1: float, perceptual: float) -> None:
    with pytest.raises(InputError, match="leave nothing to learn"):
        ReconstructionLoss(l1_weight=l1, lpips_weight=perceptual)


# -------------------------------------------------------------------------------------------------------------------- W


def test_w_is_the_norm_of_the_haar_bands() -> None:
    _, image = _pair()
    half = 0.5**0.5
    low, high = torch.tensor([half, half]), torch.tensor([half, -half])
    bands = [torch.outer(p, q) for p, q in ((low, high), (high, low), (high, high))]
    filters = torch.stack(bands)[:, None]
    found = functional.conv2d(image.flatten(0, 1)[:, None], filters, stride=2).view(2, 9, 20, 22)
    detail = found.norm(dim=1, keepdim=True)
    for made, own in zip(wavelet_weight(image), detail, strict=True):
        stretched = (own - own.min()) / (own.max() - own.min())
        torch.testing.assert_close(made, stretched.repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_w_is_high_where_detail_is() -> None:
    image = torch.full((1, 3, 16, 16), 0.5)
    image[..., 4:8, 4:8] = (torch.arange(4)[:, None] + torch.arange(4)).remainder(2).float()
    weight = wavelet_weight(image)
    assert weight.shape == (1, 1, 16, 16)
    assert bool((weight[..., 4:8, 4:8] == 1).all())
    assert float(weight.sum()) == 16


@pytest.mark.parametrize("size", [(15, 16), (16, 15), (17, 23)])
def test_w_of_odd_sides(size: tuple[int, int]) -> None:
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    weight = wavelet_weight(image)
    assert weight.shape == (2, 1, *size)
    even = wavelet_weight(image[..., : size[0] // 2 * 2, : size[1] // 2 * 2])
    assert even.shape[-2:] == (size[0] // 2 * 2, size[1] // 2 * 2)
    assert bool(((weight >= 0) & (weight <= 1)).all())


def test_a_constant_image_is_weighted_evenly() -> None:
    image = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    both = torch.cat([torch.full((1, 3, 8, 8), 0.3), image])
    weight = wavelet_weight(both)
    assert bool((weight[0] == 1).all())
    assert float(weight[1].min()) == 0
    assert bool(torch.isfinite(weight).all())
