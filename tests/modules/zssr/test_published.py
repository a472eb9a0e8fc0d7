"""A shortened run on a published image."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from srbench.datamodules.degradations import imresize
from srbench.images import Pixels, luma_y219, read_image, to_uint8
from srbench.modules.zssr.fathers import Augmentation
from srbench.modules.zssr.geometry import shrinker
from srbench.modules.zssr.learning import Task, learn
from srbench.modules.zssr.net import ZSSRNet
from srbench.modules.zssr.rate import RateRule
from srbench.modules.zssr.restoring import restored


def _psnr(sr: Tensor, gt: Pixels) -> float:
    error = (luma_y219(to_uint8(sr[0])) - luma_y219(gt))[2:-2, 2:-2]
    return float(10 * np.log10(255**2 / np.mean(error**2)))


@pytest.mark.slow
def test_400_iterations_on_butterfly(shared: Path) -> None:
    """Bicubic has 27.437 dB; the whole lq as father, turned and mirrored, lr 1e-3, from iteration 300 on 1e-4."""
    gt = read_image(shared / "data/Set5/HR/butterfly.png").pixels
    lq = imresize(torch.from_numpy(gt.transpose(2, 0, 1).copy()), 0.5)[None].float() / 255
    shrink, generator = shrinker(2), torch.Generator().manual_seed(0)
    net = ZSSRNet()
    for weight in net.parameters():
        weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    net.draw(generator)
    task = Task([lq], 2, shrink, 128, Augmentation(plain=0.0, turned=1.0), 0.0)
    for start, iterations in ((1e-3, 300), (1e-4, 100)):
        rule = RateRule(start=start, least=10**6)  # no drops but this one
        assert learn(net, net.correct, task, rule, range(iterations), generator) == (iterations, None)
    with torch.no_grad():
        plain = restored(lq, net.correct, 2, shrink, ensemble=False, back_projections=0)
        whole = restored(lq, net.correct, 2, shrink)
    found = _psnr(plain, gt), _psnr(whole, gt)
    assert found[0] >= 31.5
    assert found[1] >= 32.3
