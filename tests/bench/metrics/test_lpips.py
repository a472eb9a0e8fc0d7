"""LPIPS: against torchmetrics and IQA-PyTorch on the same random backbones, and its official values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from srbench.errors import InputError, MetricUnavailable
from srbench.images import Pixels, to_tensor
from srbench.metrics import ImageScores, find, lpips

BACKBONES = {"alex": "alexnet", "vgg": "vgg16"}

Build = Callable[[str], ImageScores]
Backbone = Callable[..., dict[str, Any]]
Texture = Callable[..., Pixels]
Plant = Callable[[str, Any], Path]


def stack(images: Sequence[Pixels]) -> torch.Tensor:
    return torch.stack([to_tensor(image) for image in images])


def fill(network: torch.nn.Module, state: dict[str, Any]) -> None:
    """Puts torchvision's layers into the slices of another implementation, by their numbers."""
    slices = {name: state[f"features.{name.split('.', 1)[1]}"] for name in network.state_dict()}
    network.load_state_dict(slices)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_equals_torchmetrics(net: Literal["alex", "vgg"], backbone: Backbone, build: Build, texture: Texture) -> None:
    from torchmetrics.functional.image.lpips import _LPIPS

    state = backbone(BACKBONES[net])
    theirs = _LPIPS(net=net, pnet_rand=True, pretrained=True)
    fill(theirs.net, state)
    sr, gt = [texture(1), texture(2)], [texture(3), texture(4)]
    with torch.inference_mode():
        expected = theirs(stack(sr), stack(gt), normalize=True).flatten().tolist()
    assert build(f"lpips_{net}")(sr, gt) == pytest.approx(expected, abs=1e-6)
    assert min(expected) > 0.01


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_equals_iqa_pytorch(
    net: str, backbone: Backbone, build: Build, texture: Texture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision
    from pyiqa.archs.lpips_arch import LPIPS

    state = backbone(BACKBONES[net])
    bare = getattr(torchvision.models, BACKBONES[net])(weights=None)
    monkeypatch.setattr(torchvision.models, BACKBONES[net], lambda **_: bare)  # it downloads, whatever it is told
    theirs = LPIPS(net=net, pnet_rand=True, pretrained=False)
    fill(theirs.net, state)
    ours = lpips.network(net)
    theirs.load_state_dict({k: v for k, v in ours.state_dict().items() if k.startswith("lin")}, strict=False)
    sr, gt = [texture(1)], [texture(3)]
    with torch.inference_mode():
        expected = theirs(stack(sr), stack(gt)).flatten().tolist()
    assert build(f"lpips_{net}")(sr, gt) == pytest.approx(expected, abs=1e-6)


def test_dacesr_scorer_step_by_step(backbone: Backbone, build: Build, texture: Texture) -> None:
    """Its arithmetic written out: BGR in 0..1 float32, BasicSR's luma, 2 Y/255 - 0.5, one channel into the network."""
    backbone("alexnet")
    images = []
    for seed in (1, 3):
        bgr = texture(seed)[..., ::-1].astype(np.float32) / 255
        luma = ((np.dot(bgr, [24.966, 128.553, 65.481]) + 16) / 255)[..., None] * 255
        images.append(torch.tensor(luma * 2 / 255 - 0.5).permute(2, 0, 1)[None].float())
    assert 1 < max(float(image.max()) for image in images) < 1.5
    with torch.inference_mode():
        expected = float(lpips.network("alex")(*images))
    value = build("lpips_dacesr_yml")([texture(1)], [texture(3)])[0]
    assert value == pytest.approx(expected, abs=1e-6)
    assert abs(value - build("lpips_alex")([texture(1)], [texture(3)])[0]) > 1e-3


@pytest.mark.parametrize("name", ["lpips_alex", "lpips_vgg", "lpips_dacesr_yml"])
def test_batch(name: str, backbone: Backbone, build: Build, texture: Texture, check_batch: Callable[..., None]) -> None:
    backbone(*find(name).weights)
    check_batch(build(name), [texture(1), texture(2), texture(3)], [texture(4), texture(5), texture(6)])


@pytest.mark.parametrize("name", ["lpips_alex", "lpips_vgg", "lpips_dacesr_yml"])
def test_equal_and_flat_images(
    name: str, backbone: Backbone, build: Build, texture: Texture, flat: Callable[..., Pixels]
) -> None:
    backbone(*find(name).weights)
    scores = build(name)
    assert scores([texture(1)], [texture(1)]) == [0]
    assert scores([flat(0)], [flat(0)]) == [0]
    assert scores([flat(0)], [flat(255)])[0] > 0


@pytest.mark.parametrize(("name", "side"), [("lpips_alex", 31), ("lpips_vgg", 16), ("lpips_dacesr_yml", 31)])
def test_smallest_image(name: str, side: int, backbone: Backbone, build: Build, texture: Texture) -> None:
    backbone(*find(name).weights)
    scores = build(name)
    assert np.isfinite(scores([texture(1, side, side)], [texture(2, side, side)])).all()
    with pytest.raises(InputError, match=rf"40x{side - 1} pixels are too few for {name}"):
        scores([texture(1, side - 1, 40)], [texture(2, side - 1, 40)])


def test_the_random_numbers_of_the_run_are_not_touched(backbone: Backbone) -> None:
    backbone("alexnet")
    before = torch.get_rng_state()
    lpips.network("alex")
    assert torch.equal(torch.get_rng_state(), before)


def test_another_network_in_the_file_is_refused(backbone: Backbone, plant: Plant, build: Build) -> None:
    plant("alexnet", backbone("vgg16"))
    with pytest.raises(InputError, match=r"checkpoint of another network than alexnet"):
        build("lpips_alex")


def test_a_layer_too_many_is_refused(backbone: Backbone, plant: Plant, build: Build) -> None:
    plant("alexnet", {**backbone("alexnet"), "features.12.weight": torch.zeros(1)})
    with pytest.raises(InputError, match=r"1 unknown \(first features\.12\.weight\)"):
        build("lpips_alex")


def test_a_pickle_with_code_is_refused(plant: Plant, build: Build, tmp_path: Path) -> None:
    plant("alexnet", {"features.0.weight": Path("/")})
    with pytest.raises(InputError, match="holds more than tensors"):
        build("lpips_alex")


def test_without_the_file(plant: Plant, build: Build) -> None:
    with pytest.raises(MetricUnavailable, match=r"unavailable: alexnet-owt-7be5be79\.pth"):
        build("lpips_alex")


def test_without_the_package(backbone: Backbone, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone("alexnet")
    monkeypatch.setitem(__import__("sys").modules, "lpips", None)
    with pytest.raises(MetricUnavailable, match=r'unavailable: package lpips \(pip install "srbench\[iqa\]"\)'):
        build("lpips_alex")


def test_needs_a_reference(backbone: Backbone, build: Build, texture: Texture) -> None:
    backbone("alexnet")
    with pytest.raises(TypeError, match="full-reference"):
        build("lpips_alex")([texture(1)], None)


def test_what_the_records_say() -> None:
    for name in ("lpips_alex", "lpips_vgg", "lpips_dacesr_yml"):
        metric = find(name)
        assert (metric.kind, metric.higher_is_better) == ("full_reference", False)
        assert metric.library.startswith("lpips 0.1")


def test_official_values(
    official: Build, pairs: list[tuple[Pixels, Pixels]], official_values: Callable[[str], list[float]]
) -> None:
    scores = official("lpips_alex")
    values = [scores([sr], [gt])[0] for sr, gt in pairs]
    assert values == pytest.approx(official_values("lpips"), abs=1e-4)  # printed with four digits
