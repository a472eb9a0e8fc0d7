"""The condition: who depends on whom, what is stretched over what, and what is never allocated."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from srbench.errors import InputError
from srbench.modules.dacesr.condition import (
    Mode,
    check_mode,
    spatial_map,
    stretched,
    token_condition,
    whole_places,
    window_places,
)
from srbench.modules.nets.rssb import Modulation, RSSBNet


def _embedding(batch: int) -> Tensor:
    return torch.randn(batch, 145, 512, generator=torch.Generator().manual_seed(1))


def _net(modulation: Modulation = "both", **more: bool) -> RSSBNet:
    torch.manual_seed(0)
    net = RSSBNet(4, 12, (1, 1), "pixelshuffle", modulation=modulation, **more).eval()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return net


def _run(net: RSSBNet, lq: Tensor, embedding: Tensor, mode: Mode) -> Tensor:
    with torch.no_grad():
        return net(lq, token_condition(embedding, whole_places(lq), 12, mode))


def released(embedding: Tensor, tokens: int, dim: int) -> Tensor:
    """The released resizing from its description: every token of every sample to (N,d), and then the first B."""
    batch, count, features = embedding.shape
    wide = F.interpolate(embedding.view(batch, count, features, 1), (tokens, dim), mode="bilinear", align_corners=False)
    return wide.reshape(batch * count, tokens, dim)[:batch]


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 8, 8), (3, 9, 7), (2, 40, 32), (5, 3, 4)])
def test_official_is_the_released_condition(batch: int, height: int, width: int) -> None:
    embedding = _embedding(batch)
    ours = token_condition(embedding, whole_places(torch.zeros(batch, 3, height, width)), 12, "official")
    assert ours.shape == (batch, height * width, 1)
    assert torch.allclose(ours.expand(-1, -1, 12), released(embedding, height * width, 12), atol=1e-6)


def test_official_takes_tokens_of_later_samples_in_batches_above_145() -> None:
    embedding = torch.randn(147, 145, 6)
    ours = token_condition(embedding, whole_places(torch.zeros(147, 3, 2, 2)), 3, "official")
    assert torch.allclose(ours[145], stretched(embedding[1, :1], 4)[0])


@pytest.mark.parametrize(("sample", "token", "touched"), [(1, slice(None), []), (0, 0, [0]), (0, 1, [1]), (0, 2, [])])
def test_official_reads_token_b_of_sample_0(sample: int, token: int | slice, touched: list[int]) -> None:
    net, lq, embedding = _net(), torch.rand(2, 3, 6, 5), _embedding(2)
    changed = embedding.clone()
    changed[sample, token] += 1
    moved = (_run(net, lq, changed, "official") - _run(net, lq, embedding, "official")).abs().amax((1, 2, 3))
    assert [b for b in range(2) if moved[b] > 0] == touched


def test_per_sample_reads_each_samples_own_token_0() -> None:
    net, lq, embedding = _net(), torch.rand(2, 3, 6, 5), _embedding(2)
    for sample, token, touched in ((1, 0, [1]), (0, 0, [0]), (0, 1, [])):
        changed = embedding.clone()
        changed[sample, token] += 1
        moved = (_run(net, lq, changed, "per_sample") - _run(net, lq, embedding, "per_sample")).abs().amax((1, 2, 3))
        assert [b for b in range(2) if moved[b] > 0] == touched


def test_they_agree_at_batch_1() -> None:
    net, lq, embedding = _net(), torch.rand(1, 3, 6, 5), _embedding(1)
    assert torch.equal(_run(net, lq, embedding, "official"), _run(net, lq, embedding, "per_sample"))


@pytest.mark.parametrize("mode", ["per_sample", "spatial", "official"])
def test_a_condition_of_zeros_is_no_condition(mode: Mode) -> None:
    net, lq = _net(), torch.rand(2, 3, 6, 5)
    with torch.no_grad():
        assert torch.equal(_run(net, lq, torch.zeros(2, 145, 512), mode), net(lq))


def test_modulations() -> None:
    lq, condition = torch.rand(1, 3, 4, 4), torch.randn(1, 16, 1)
    with torch.no_grad():
        for how in ("both", "shift", "scale"):
            net = _net(how)
            x = net.patch_embed(net.conv_first(lq - net.rgb_mean).flatten(2).transpose(1, 2))
            for layer in net.layers:
                x = layer(x, 4, 4)
                x = {"both": x * condition + condition + x, "shift": x + condition, "scale": x * condition}[how]
            wanted = net.norm_f(x).transpose(1, 2).reshape(1, 12, 4, 4)
            shallow = net.conv_first(lq - net.rgb_mean)
            assert torch.allclose(net.deep(shallow, condition), wanted, atol=1e-5), how
    with pytest.raises(InputError, match="unknown modulation 'shft'; did you mean 'shift'"):
        RSSBNet(modulation="shft")  # type: ignore[arg-type]


def test_conditions_add_nothing_to_the_published_state() -> None:
    with torch.device("meta"):
        net = RSSBNet(4, 192, (2,) * 8, "pixelshuffle", modulation="both", checkpointing=True)
    assert len(net.state_dict()) == 208
    assert sum(p.numel() for p in net.parameters()) == 7_432_131
    assert not [name for name, _ in net.named_buffers() if name in net.state_dict()]


class _Largest(TorchDispatchMode):
    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        for held in out if isinstance(out, tuple | list) else (out,):
            if isinstance(held, Tensor):
                self.numel = max(self.numel, held.numel())
        return out


@pytest.mark.parametrize("mode", ["per_sample", "official", "spatial"])
def test_nothing_of_the_released_size_is_allocated(mode: Mode) -> None:
    lq, embedding = torch.rand(2, 3, 32, 32), _embedding(2)
    with _Largest() as largest:
        _run(_net(), lq, embedding, mode)
    # The network's widest tensor: 64 channels at 4 times the side; the released condition would be 2*145*1024*12.
    assert largest.numel <= max(2 * 256 * 64 * 64, 2 * 145 * 512) < 2 * 145 * 1024 * 12


def test_logits_are_stretched_sample_by_sample() -> None:
    logits = torch.randn(2, 4585)
    for mode in ("per_sample", "official"):
        condition = token_condition(logits, whole_places(torch.zeros(2, 3, 6, 5)), 12, mode)
        assert torch.equal(condition, stretched(logits, 30))
    assert condition.shape == (2, 30, 1)
    with pytest.raises(InputError, match="logits say nothing of places"):
        check_mode("spatial", "logits")
    with pytest.raises(InputError, match="did you mean 'official'"):
        check_mode("oficial", "logits")


def test_stretching_interpolates_between_centres() -> None:
    assert stretched(torch.tensor([[0.0, 4.0]]), 4)[0, :, 0].tolist() == [0.0, 1.0, 3.0, 4.0]


def test_a_spatial_map_is_the_raster_interpolated_to_the_image() -> None:
    raster = torch.randn(2, 144, 512)
    lq = torch.zeros(2, 3, 30, 17)
    pooled = raster.unflatten(2, (8, 64)).mean(-1).transpose(1, 2).reshape(2, 8, 12, 12)
    wanted = F.interpolate(pooled, (30, 17), mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)
    assert torch.allclose(spatial_map(raster, whole_places(lq), 8), wanted, atol=1e-5)


def test_a_window_lies_where_it_was_cut_out() -> None:
    whole = whole_places(torch.zeros(2, 3, 10, 14))
    places = window_places(torch.tensor([2, 0]), torch.tensor([5, 8]), (4, 6), (10, 14))
    assert torch.allclose(places[0], whole[0, :, 2:6, 5:11])
    assert torch.allclose(places[1], whole[1, :, 0:4, 8:14])


def test_recomputed_groups_give_the_same_gradients() -> None:
    plain, frugal = _net().train(), _net(checkpointing=True).train()
    lq, condition = torch.rand(2, 3, 5, 6), torch.randn(2, 30, 1)
    gradients = []
    for net in (plain, frugal):
        torch.manual_seed(3)  # stochastic depth draws the same
        net(lq, condition).square().mean().backward()
        gradients.append([p.grad for p in net.parameters()])
    assert all(a is not None and b is not None and torch.allclose(a, b) for a, b in zip(*gradients, strict=True))
