"""Layouts, the second degradation, importance, the order of images, and one step against its formula."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from srbench.datamodules.degradations.filtering import filter2d
from srbench.errors import InputError
from srbench.images import read_image, to_tensor
from srbench.module import SRModule
from srbench.modules import RRDB
from srbench.modules.fixed import FixedSR
from srbench.modules.nets.swinir import SwinIRNet
from srbench.modules.pixel import PixelSR
from srbench.modules.srtta.adaptation import Adaptation
from srbench.modules.srtta.layout import Layout, body_parameters, features, layout_of
from srbench.modules.srtta.order import Order
from srbench.modules.srtta.preservation import charbonnier, clean_images, consistency, importance, masks
from srbench.modules.srtta.second_degradation import SecondDegradation, drawn_patches
from srbench.modules.srtta.settings import Learning

from .small_edsr import SmallEDSR

# ------------------------------------------------------------------------------------------------------------- layouts


def rrdb() -> SRModule:
    return RRDB(features=6, blocks=1, growth=4)


class Swin(PixelSR):
    def __init__(self, **changed: Any) -> None:
        given: dict[str, Any] = {"depths": [2], "dim": 12, "heads": 2, **changed}
        super().__init__(SwinIRNet(**given).eval())


class Numbered(FixedSR):
    """RRDB as spandrel numbers it."""

    def __init__(self) -> None:
        from spandrel.architectures.ESRGAN import ESRGAN

        super().__init__(scale=4)
        self.net = ESRGAN(num_filters=6, num_blocks=1)

    def upscale(self, lq: Tensor) -> Tensor:
        return self._net(lq).clamp(0, 1)


NETS = {
    "edsr": (lambda: SmallEDSR(4), ("body.0.conv1.weight", "conv_after_body.bias"), "conv_first.weight", 6),
    "rrdb": (rrdb, ("body.0.rdb1.conv1.weight", "conv_body.bias"), "conv_up1.weight", 6),
    "spandrel": (Numbered, ("model.1.sub.0.RDB1.conv1.0.weight", "model.1.sub.1.bias"), "model.0.weight", 6),
    "swinir": (Swin, ("layers.0.conv.weight", "norm.bias", "conv_after_body.bias"), "conv_up1.weight", 64),
    "swinir_always": (lambda: Swin(pad="flip_always"), ("norm.bias",), "conv_before_upsample.0.bias", 64),
    "swinir_bicubic": (lambda: Swin(upsampler="pixelshuffle"), ("norm.bias",), "conv_last.bias", 64),
}


@pytest.mark.parametrize("name", NETS)
def test_body_and_features_of_known_networks(name: str) -> None:
    build, inside, outside, channels = NETS[name]
    torch.manual_seed(0)
    method = build()
    net = method.parts()["net"]
    layout = layout_of(net)
    body = body_parameters(net, layout)
    assert set(inside) <= set(body)
    assert outside not in body
    lq = torch.rand(2, 3, 8, 8)
    seen: list[Tensor] = []
    tail = net.get_submodule(layout.tail)
    hook = tail.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    method.upscale(lq)
    hook.remove()
    found = features(method, net, layout.tail, lq)
    assert found.shape == (2, channels, 32, 32)
    assert torch.equal(found, seen[0][..., :32, :32])
    assert not tail._forward_pre_hooks
    assert all(g is not None and g.abs().sum() > 0 for g in torch.autograd.grad(found.square().sum(), [*body.values()]))


def test_a_tail_that_is_not_run_is_refused() -> None:
    method = SmallEDSR()
    net = method.parts()["net"]
    net.unused = nn.Conv2d(3, 3, 1)
    layout = layout_of(net, ["body"], "unused")
    with pytest.raises(InputError, match="makes sr without unused"):
        features(method, net, layout.tail, torch.rand(1, 3, 8, 8))


# --------------------------------------------------------------------------------------------------- second degradation


def test_patches_are_pieces_of_the_image_turned() -> None:
    lq = torch.arange(3 * 12 * 15, dtype=torch.float32).view(1, 3, 12, 15)
    found = drawn_patches(lq, 9, 200, np.random.default_rng(0))
    assert found.shape == (200, 3, 9, 9)
    pieces = lq[0].unfold(1, 9, 1).unfold(2, 9, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
    turned = torch.cat([pieces.flip(axes) if axes else pieces for axes in ([], [-1], [-2], [-1, -2])])
    turned = torch.cat([turned, turned.transpose(-1, -2)])
    where = (found[:, None] == turned[None]).flatten(2).all(2).nonzero()
    assert len(where) == 200  # each is exactly one of them
    kinds, counts = np.unique(where[:, 1].numpy() // len(pieces), return_counts=True)
    assert len(kinds) == 8
    assert counts.min() > 8
    assert len(np.unique(where[:, 1].numpy() % len(pieces))) == len(pieces)


def test_a_small_image_is_a_patch_of_its_shorter_side() -> None:
    assert drawn_patches(torch.rand(1, 3, 12, 15), 64, 2, np.random.default_rng(0)).shape == (2, 3, 12, 12)


def test_nothing_found_changes_nothing() -> None:
    patch = torch.randint(256, (3, 16, 16)) / 255
    assert torch.equal(SecondDegradation().degraded(patch, (), np.random.default_rng(0)), patch)


@pytest.mark.parametrize("types", [("blur",), ("noise",), ("jpeg",), ("blur", "noise", "jpeg")])
def test_each_type_degrades_in_8_bits(types: tuple[str, ...]) -> None:
    patch = torch.randint(256, (3, 24, 24), generator=torch.Generator().manual_seed(0)) / 255
    one, again = (SecondDegradation().degraded(patch, types, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(one, again)
    assert not torch.equal(one, patch)
    assert (one * 255 - (one * 255).round()).abs().max() < 1e-4
    assert one.min() >= 0
    assert one.max() <= 1


def test_noise_is_of_the_drawn_strength_and_grey_in_two_fifths() -> None:
    patch = torch.full((3, 64, 64), 0.5)
    made = [SecondDegradation().degraded(patch, ("noise",), np.random.default_rng(i)) - patch for i in range(300)]
    levels = torch.stack([m.std() for m in made]) * 255
    assert 0.8 < levels.min() < 4
    assert 26 < levels.max() < 31
    grey = sum(bool((m[0] == m[1]).all()) for m in made) / 300
    assert grey == pytest.approx(0.4, abs=0.09)


def test_blur_is_a_gaussian_of_the_ranges() -> None:
    second = SecondDegradation()
    point = torch.zeros(3, 31, 31)
    point[:, 15, 15] = 1.0
    for i in range(50):
        made = second.degraded(point, ("blur",), np.random.default_rng(i))
        reach = int((made[0] > 0).nonzero().sub(15).abs().max())
        assert reach <= 10
    assert second.blur.sinc == 0
    assert (second.blur.mix.iso, second.blur.mix.aniso, second.blur.mix.plateau_iso) == (0.5, 0.5, 0.0)
    assert filter2d(point, np.ones((1, 1))).allclose(point, atol=1e-6)


# --------------------------------------------------------------------------------------------------------- importance


def test_importance_is_the_mean_of_squared_gradients(clean: str) -> None:
    method = SmallEDSR()
    net = method.parts()["net"]
    body = body_parameters(net, layout_of(net))
    files = clean_images(clean)
    each = []
    for file in files:
        loss = consistency(method.upscale, to_tensor(read_image(file).pixels)[None])
        each.append(torch.autograd.grad(loss, list(body.values())))
    whole, last = (importance(method.upscale, body, files, how) for how in ("all", "last"))
    for i, name in enumerate(body):
        assert torch.allclose(whole[name], (each[0][i] ** 2 + each[1][i] ** 2) / 2)
        assert torch.allclose(last[name], each[1][i] ** 2)
        assert not torch.equal(whole[name], last[name])


def test_what_turning_does_not_change_is_consistent() -> None:
    lq = torch.rand(1, 3, 10, 14)
    plain = consistency(lambda x: x.repeat_interleave(2, -1).repeat_interleave(2, -2), lq)
    assert plain.item() == pytest.approx(1e-3**0.5, rel=1e-4)  # the loss of no difference
    shifted = consistency(lambda x: x.roll(1, -1), lq)
    assert shifted > 1


def test_masks_take_the_largest() -> None:
    values = {"a": torch.tensor([[3.0, 1.0], [2.0, 0.0]]), "b": torch.tensor([1.0, 5.0, 2.0])}
    found = masks(values, 0.5)
    assert found["a"].tolist() == [[True, False], [True, False]]
    assert found["b"].tolist() == [False, True, False]
    assert not masks(values, 0.0)["a"].any()
    assert masks(values, 1.0)["b"].all()


def test_charbonnier_adds_its_number_under_the_root() -> None:
    assert charbonnier(torch.tensor([3.0, 0.0]), torch.tensor([0.0, 0.0]), 16.0).item() == pytest.approx(4.5)


# ------------------------------------------------------------------------------------------------------------ one step


def test_a_step_is_the_formula() -> None:
    torch.manual_seed(1)
    source, reference = SmallEDSR(), SmallEDSR()
    source.requires_grad_(False)
    layout = layout_of(source.parts()["net"])
    given = Learning(teacher_weight=0.5)
    adaptation = Adaptation(source, layout, lambda p: torch.optim.SGD(p, lr=0.01), given)
    with torch.no_grad():
        for p in adaptation.body.values():  # a student that has learned already
            p.add_(0.01)
    net, start = copy.deepcopy(adaptation.net), copy.deepcopy(adaptation.net)
    x, y = torch.rand(2, 2, 3, 12, 12)

    def deep(one: nn.Module, lq: Tensor) -> Tensor:
        shallow = one.conv_first((lq - one.rgb_mean) * 255)  # type: ignore[operator]
        return one.upsample(shallow + one.conv_after_body(one.body(shallow)))  # type: ignore[operator]

    wanted, teacher = deep(start, x).detach(), deep(reference.parts()["net"], x).detach()
    found = deep(net, y)
    loss = ((found - wanted) ** 2 + 1e-3).sqrt().mean() + 0.5 * ((found - teacher) ** 2 + 1e-3).sqrt().mean()
    assert adaptation.loss(x, y).item() == pytest.approx(loss.item(), rel=1e-6)
    gradients = torch.autograd.grad(loss, list(body_parameters(net, layout).values()))
    assert adaptation.step(x, y)
    before = body_parameters(start, layout)
    for (name, now), gradient in zip(adaptation.body.items(), gradients, strict=True):
        assert torch.allclose(now, before[name] - 0.01 * gradient, atol=1e-6), name
    adaptation.reset()
    assert all(torch.equal(p, dict(source.parts()["net"].named_parameters())[n]) for n, p in adaptation.body.items())


# -------------------------------------------------------------------------------------------------------------- order


def test_learning_begins_anew_where_it_should() -> None:
    seen = [(0, True), (0, False), (1, True), (1, False)]
    expected = {"image": [False] * 4, "domain": [True, False, True, False], "lifelong": [False] * 4}
    for reset, wanted in expected.items():
        order = Order(reset)  # type: ignore[arg-type]
        order.start(1)
        assert [order.begins(*one) for one in seen] == wanted


@pytest.mark.parametrize("reset", ["domain", "lifelong"])
def test_what_was_learned_before_must_be_there(reset: Any) -> None:
    order = Order(reset)
    with pytest.raises(InputError, match=r"2 processes would each.*--trainer.devices 1"):
        order.start(2)
    order.start(1)
    with pytest.raises(InputError, match=r"scored already.*--benchmark.force true"):
        order.begins(0, False)
    order.start(1)
    if reset == "lifelong":
        with pytest.raises(InputError, match="scored already"):
            order.begins(1, True)
    else:
        assert order.begins(1, True)
    Order("image").start(8)
    assert not Order("image").begins(3, False)


def test_a_layout_may_be_given() -> None:
    net = SmallEDSR().parts()["net"]
    assert layout_of(net, ["body.1"], "conv_last") == Layout(("body.1",), "conv_last")
    assert {n.split(".")[1] for n in body_parameters(net, layout_of(net, ["body.1"], "conv_last"))} == {"1"}
