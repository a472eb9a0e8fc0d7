from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from srbench.datamodules.degradations.imresize import imresize
from srbench.errors import InputError
from srbench.images import luma_y219
from srbench.modules import Bicubic


def test_it_is_imresize_of_the_8_bit_image() -> None:
    pixels = torch.randint(0, 256, (2, 3, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    for border in ("symmetric", "replicate"):
        sr = Bicubic(border=border).upscale(pixels.float() / 255)
        assert torch.equal((sr * 255).round().to(torch.uint8), imresize(pixels, 4, border=border))
        assert (sr * 255 - (sr * 255).round()).abs().max() < 1e-4


def test_in_floating_point_it_does_not_round() -> None:
    lq = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    sr = Bicubic(eight_bit=False, scale=3).upscale(lq)
    assert torch.equal(sr, imresize(lq, 3).clamp(0, 1))
    assert (sr * 255 - (sr * 255).round()).abs().max() > 0.1


def test_borders_differ_at_the_border_only() -> None:
    lq = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    difference = (Bicubic().upscale(lq) - Bicubic(border="replicate").upscale(lq)).abs().amax((0, 1))
    assert difference.max() > 0
    assert not difference[8:-8, 8:-8].any()


def test_it_has_no_parameters_and_cannot_be_trained() -> None:
    module = Bicubic()
    assert not list(module.parameters())
    assert set(module.parts()) == {"net"}
    for call in (module.configure_optimizers, lambda: module.training_step(None, 0)):
        with pytest.raises(InputError, match="Bicubic has nothing to train; use srbench test"):
            call()


@pytest.mark.parametrize("eight_bit", [True, False])
def test_published_psnr_on_set5(shared: Path, eight_bit: bool) -> None:
    """28.43 dB on luma with 4 pixels cropped; 28.438 uncropped; 26.695 in RGB."""
    module = Bicubic(eight_bit=eight_bit)
    scores = []
    for file in sorted((shared / "data/Set5/HR").glob("*.png")):
        lq = np.asarray(Image.open(shared / f"data/Set5/LRbicx4/{file.stem}x4.png").convert("RGB"))
        sr = module.upscale(torch.from_numpy(lq.copy()).permute(2, 0, 1)[None].float() / 255)[0]
        sr = (sr * 255).round().permute(1, 2, 0).numpy().astype(np.float64)
        gt = np.asarray(Image.open(file).convert("RGB"), dtype=np.float64)[: sr.shape[0], : sr.shape[1]]
        luma = luma_y219(sr) - luma_y219(gt)
        errors = (luma[4:-4, 4:-4], luma, (sr - gt)[4:-4, 4:-4])
        scores.append([10 * np.log10(255**2 / np.mean(e**2)) for e in errors])
    assert np.mean(scores, axis=0) == pytest.approx([28.430, 28.438, 26.695], abs=0.004)
