"""The Degradation-Aware Adapter: sizes, shapes and switches. Fact 2 of the sheet at full size, on the meta device."""

from __future__ import annotations

import pytest
import torch

from srbench.modules.deedsr.adapter import DegradationAwareAdapter
from srbench.modules.deedsr.sizes import SIZES

SMALL = SIZES["tiny"].adapter


def _count(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("height", "width", "tokens"), [(64, 64, 64), (96, 64, 96), (128, 128, 256)])
def test_it_has_the_released_size_and_shapes(height: int, width: int, tokens: int) -> None:
    with torch.device("meta"):
        adapter = DegradationAwareAdapter()
        local, context = adapter(torch.zeros(2, 4, height, width), torch.zeros(2), torch.zeros(2, 1024))
    assert _count(adapter) == 75_903_744
    assert [tuple(f.shape) for f in local] == [(2, 256, height >> i, width >> i) for i in range(4)]
    assert context is not None
    assert context.shape == (2, tokens, 512)


def test_da_blocks_hold_33_8_million_of_it() -> None:
    with torch.device("meta"):
        plain = DegradationAwareAdapter(aware=False)
        local, context = plain(torch.zeros(1, 4, 64, 64), torch.zeros(1), None)
    assert _count(plain) == 75_903_744 - 2 * 3_482_880 - 2 * 13_404_672
    assert len(local) == 4
    assert context is not None


@pytest.mark.parametrize("what", ["latent", "time", "degradation"])
def test_it_sees_latent_time_and_degradation(what: str) -> None:
    torch.manual_seed(0)
    adapter = DegradationAwareAdapter(SMALL)
    latent, time, degradation = torch.randn(1, 4, 8, 16), torch.tensor([900]), torch.randn(1, 1024)
    with torch.no_grad():
        before = adapter(latent, time, degradation)
        if what == "latent":
            latent = latent + 1
        elif what == "time":
            time = time - 800
        else:
            degradation = -degradation
        after = adapter(latent, time, degradation)
    assert before.context is not None
    assert after.context is not None
    for old, new in zip((*before.local, before.context), (*after.local, after.context), strict=True):
        assert old.shape == new.shape
        assert (old - new).abs().max() > 1e-5


def test_tokens_are_the_cells_of_the_coarsest_raster_in_rows() -> None:
    torch.manual_seed(0)
    adapter = DegradationAwareAdapter(SMALL)
    taps = []
    assert adapter.middle is not None
    adapter.middle[2].register_forward_hook(lambda *held: taps.append(held[-1]))
    with torch.no_grad():
        context = adapter(torch.randn(1, 4, 16, 24), torch.tensor([1]), torch.randn(1, 1024)).context
    assert context is not None
    assert torch.equal(context[0, 4], taps[0][0, :, 1, 1])  # 2 rows of 3


@pytest.mark.parametrize("switch", ["local", "context"])
def test_a_branch_that_is_off_has_no_weights_and_the_other_uses_all(switch: str) -> None:
    torch.manual_seed(0)
    adapter = DegradationAwareAdapter(SMALL, **{switch: False})
    local, context = adapter(torch.randn(2, 4, 16, 16), torch.tensor([5, 900]), torch.randn(2, 1024))
    assert (local == ()) == (switch == "local")
    assert (context is None) == (switch == "context")
    used = sum(f.square().sum() for f in (*local, *([] if context is None else [context])))
    assert isinstance(used, torch.Tensor)
    used.backward()
    unused = {name for name, p in adapter.named_parameters() if p.grad is None}
    # Without heads nothing looks at a tap; what leads to the next level is used all the same.
    assert unused == set()
