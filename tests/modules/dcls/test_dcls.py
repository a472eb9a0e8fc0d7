"""DCLS: its sizes, the released layout, deblurring and kernels against plain definitions, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from srbench.contracts import Batch
from srbench.datamodules.degradations import GaussianBlur, RealESRGAN, imresize
from srbench.datamodules.degradations.filtering import filter2d
from srbench.datamodules.degradations.kernels import gaussian_kernel
from srbench.errors import InputError
from srbench.modules import DCLS
from srbench.modules.dcls.dcls import blur_of
from srbench.modules.dcls.least_squares import deblur, kernel_between, reformulated, spectrum
from srbench.modules.dcls.net import DCLSNet

SMALL: dict[str, Any] = {"features": 16, "blocks": 1, "groups": 1, "latent": 4}


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("side", "params"), [(21, 13_626_187), (31, 19_054_027)])
def test_published_sizes(side: int, params: int) -> None:
    with torch.device("meta"):
        net = DCLS(side=side).net
    assert sum(p.numel() for p in net.parameters()) == params


@pytest.mark.parametrize("side", [11, 21, 31])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_shapes_and_an_image_does_not_depend_on_its_batch(scale: int, side: int) -> None:
    torch.manual_seed(scale * side)
    net = DCLSNet(scale, side, **SMALL).eval()
    lq = random(2, 3, 11, 9)
    with torch.no_grad():
        sr, kernel = net.both(lq)
        single = torch.cat([net(image[None]) for image in lq])
    assert (sr.shape, kernel.shape) == ((2, 3, 11 * scale, 9 * scale), (2, 1, side, side))
    torch.testing.assert_close(kernel.sum((1, 2, 3)), torch.ones(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(single, sr, atol=1e-4, rtol=1e-3)
    assert 0 <= sr.min() <= sr.max() <= 1


def test_the_released_layout_loads_strictly(tmp_path: Path) -> None:
    net = DCLSNet(4, 21, **SMALL)
    generator = torch.Generator().manual_seed(0)
    state = {n: torch.randn(t.shape, generator=generator) / 9 for n, t in net.state_dict().items()}
    named = {n[:1].upper() + n[1:]: t for n, t in state.items()}
    assert {"Estimator.head.0.weight", "Estimator.body.0.2.conv1.weight", "Estimator.dec.3.bias"} <= set(named)
    assert {"Restorer.head2.grad_filter.6.weight", "Restorer.body.0.body.0.CA_body1.2.conv_du.0.bias"} <= set(named)
    torch.save(named, tmp_path / "DCLSx4.pth")
    module = DCLS(**SMALL)
    module.load_upstream(tmp_path / "DCLSx4.pth")
    assert all(torch.equal(t, state[n]) for n, t in module.net.state_dict().items())
    named["Restorer.more"] = torch.zeros(1)
    torch.save(named, tmp_path / "DCLSx4.pth")
    with pytest.raises(InputError, match=r"unknown \(first restorer\.more\)"):
        DCLS(**SMALL).load_upstream(tmp_path / "DCLSx4.pth")


def test_a_spectrum_is_the_circular_convolutions() -> None:
    image, kernel = random(1, 1, 9, 8), random(1, 1, 3, 3, seed=1)
    made = torch.fft.irfft2(torch.fft.rfft2(image) * spectrum(kernel, (9, 8)), s=(9, 8))
    wanted = torch.zeros_like(image)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            wanted += kernel[0, 0, dy + 1, dx + 1] * image.roll((dy, dx), (-2, -1))
    torch.testing.assert_close(made, wanted, atol=1e-5, rtol=1e-5)


def test_deblurring_undoes_a_blur_and_the_smoother_holds_it_down() -> None:
    image = random(1, 2, 24, 20)
    kernel = torch.from_numpy(gaussian_kernel(5, 0.6, isotropic=True)).float()[None, None]
    blurred = torch.fft.irfft2(torch.fft.rfft2(image) * spectrum(kernel, (24, 20)), s=(24, 20))
    none, some = torch.zeros(1, 2, 3, 3), torch.full((1, 2, 3, 3), -0.5)
    torch.testing.assert_close(deblur(blurred, kernel, none), image, atol=1e-4, rtol=1e-3)
    assert deblur(blurred, kernel, some).square().mean() < image.square().mean()


def test_the_kernel_between_two_images() -> None:
    sharp = random(2, 3, 32, 36)
    kernel = torch.from_numpy(gaussian_kernel(9, 1.2, 0.7, 0.5)).float()
    blurred = torch.fft.irfft2(torch.fft.rfft2(sharp) * spectrum(kernel, (32, 36)), s=(32, 36))
    found = kernel_between(blurred, sharp, 9)
    torch.testing.assert_close(found, kernel.expand(2, 3, 9, 9), atol=1e-4, rtol=0)
    cleaned = reformulated(blurred, sharp, 9)
    assert cleaned.shape == (2, 1, 9, 9)
    torch.testing.assert_close(cleaned.sum((1, 2, 3)), torch.ones(2))
    threshold = 0.75 * kernel.flatten().sort().values[-41]
    wanted = (kernel - threshold).clamp_min(0)
    torch.testing.assert_close(cleaned[0, 0], wanted / wanted.sum(), atol=1e-4, rtol=0)


def test_the_estimators_kernel_is_the_product_of_its_filters() -> None:
    torch.manual_seed(0)
    estimator = DCLSNet(4, 21, **SMALL).estimator
    latent = random(1, 4, seed=3)
    values = [layer(latent) for layer in estimator.dec]
    made = estimator._composed(values, 1)[0, 0]
    sides, size = estimator.filters, 64
    product: Tensor | None = None
    for i, (held, side) in enumerate(zip(values, sides, strict=True)):
        inner, outer = (3 if i == 0 else 16), (3 if i == len(sides) - 1 else 16)
        filters = torch.fft.fft2(held.view(outer, inner, side, side), s=(size, size))
        product = filters if product is None else torch.einsum("oihw,ijhw->ojhw", filters, product)
    assert product is not None
    wanted = torch.fft.ifft2(product.sum(1)).real.mean(0)[:21, :21]  # one bright pixel in each of the three channels
    wanted = wanted / wanted.sum()
    torch.testing.assert_close(made, wanted, atol=float(wanted.abs().max()) * 1e-3, rtol=1e-3)


def test_the_kernels_to_learn_come_of_gt_and_its_recipe() -> None:
    degradation = GaussianBlur(sigma=(2.0, 2.0))
    gt = random(3, 128, 128)
    recipe = degradation.draw(np.random.default_rng(0), 128, 128)
    lq, _ = degradation(gt, recipe)
    batch = Batch(lq=lq[None], gt=gt[None], name=["a"], degradation=[recipe.as_dict()])
    made = DCLS(**SMALL).kernels(batch)
    taps = torch.from_numpy(gaussian_kernel(21, 2.0, isotropic=True)).float()
    small = imresize(filter2d(gt, taps), 0.25)[None], imresize(gt, 0.25)[None]
    torch.testing.assert_close(made, reformulated(*small, 21))
    assert made[0, 0].argmax() == 10 * 21 + 10


def test_what_it_cannot_learn_from_is_refused() -> None:
    module = DCLS(**SMALL)
    gt, lq = torch.rand(1, 3, 128, 128), torch.rand(1, 3, 32, 32)
    with pytest.raises(InputError, match="carry_degradation"):
        module.kernels(Batch(lq=lq, gt=gt, name=["a"]))
    with pytest.raises(InputError, match=r"patch_size: a patch of 8 lq pixels cannot show a kernel of 21; use 84"):
        module.kernels(Batch(lq=lq[..., :8, :8], gt=gt[..., :32, :32], name=["a"]))
    with pytest.raises(InputError, match="blurred once and shrunk bicubically"):
        blur_of(RealESRGAN().draw(np.random.default_rng(0), 128, 128).as_dict())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tile": 32}, "DCLS is not tiled: it reads one kernel from the whole image"),
        ({"side": 15}, "no kernel of 15"),
        ({"scale": 8}, "no x8"),
        ({"features": 8}, "8 features"),
    ],
)
def test_impossible_settings_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        DCLS(**given)
