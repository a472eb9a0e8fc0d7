"""The degradation-aware block: its size, and what the degradation does to features."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from srbench.modules.deedsr.da_block import DABlock, DegradationConv


@pytest.mark.parametrize(("channels", "params"), [(256, 3_482_880), (512, 13_404_672)])
def test_it_has_the_released_size(channels: int, params: int) -> None:
    with torch.device("meta"):
        block = DABlock(channels)
    assert sum(p.numel() for p in block.parameters()) == params == 49.125 * channels**2 + 1029 * channels


def test_each_sample_is_filtered_by_its_own_kernels() -> None:
    torch.manual_seed(0)
    conv = DegradationConv(4, reduction=2)
    features, degradation = torch.randn(3, 4, 6, 5), torch.randn(3, 4)
    with torch.no_grad():
        got = conv(features, degradation)
        for i in range(3):
            kernels = conv.kernel(degradation[i]).view(4, 3, 3)
            rows = [F.conv2d(features[i, c][None, None], kernels[c][None, None], padding=1)[0, 0] for c in range(4)]
            mixed = conv.conv(F.silu(torch.stack(rows))[None])[0]
            gate = 2 * conv.gate(degradation[i].view(1, 4, 1, 1)).view(4, 1, 1)
            torch.testing.assert_close(got[i], mixed + gate * features[i])


def test_the_block_adds_a_branch_that_knows_the_degradation() -> None:
    torch.manual_seed(0)
    block = DABlock(8, degradation=16, reduction=4)
    features, degradation = torch.randn(1, 8, 5, 7).expand(2, -1, -1, -1), torch.randn(2, 16)
    with torch.no_grad():
        first, second = block(features, degradation)
        assert first.shape == (8, 5, 7)
        assert (first - second).abs().max() > 1e-4
        torch.nn.init.zeros_(block.conv_out.weight)
        assert block.conv_out.bias is not None
        torch.nn.init.zeros_(block.conv_out.bias)
        assert torch.equal(block(features, degradation), features)
