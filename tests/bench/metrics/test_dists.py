"""DISTS: against IQA-PyTorch on the same random backbone, and its official values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from srbench.errors import InputError, MetricUnavailable
from srbench.images import Pixels, to_tensor
from srbench.metrics import ImageScores, dists, find

Build = Callable[[str], ImageScores]
Backbone = Callable[..., dict[str, Any]]
Texture = Callable[..., Pixels]


def test_equals_iqa_pytorch(
    backbone: Backbone, build: Build, texture: Texture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision
    from pyiqa.archs.dists_arch import DISTS

    state = backbone("vgg16")
    bare = torchvision.models.vgg16(weights=None)
    bare.features.load_state_dict({k.removeprefix("features."): v for k, v in state.items() if "features" in k})
    monkeypatch.setattr(torchvision.models, "vgg16", lambda **_: bare)
    theirs = DISTS(pretrained=False).eval()
    ours = dists.network()
    theirs.load_state_dict({k: v for k, v in ours.state_dict().items() if k in ("alpha", "beta")}, strict=False)
    sr, gt = texture(1), texture(3)
    with torch.inference_mode():
        expected = float(theirs(to_tensor(sr)[None], to_tensor(gt)[None]))
    assert build("dists")([sr], [gt]) == pytest.approx([expected], abs=1e-6)
    assert expected > 0.01


def test_the_network_is_built_once(
    backbone: Backbone, build: Build, texture: Texture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchmetrics.functional.image import dists as theirs

    backbone("vgg16")
    scores = build("dists")
    monkeypatch.setattr(theirs, "DISTSNetwork", None)
    first = scores([texture(1)], [texture(2)])
    assert scores([texture(1)], [texture(2)]) == first


def test_batch(backbone: Backbone, build: Build, texture: Texture, check_batch: Callable[..., None]) -> None:
    backbone("vgg16")
    check_batch(build("dists"), [texture(1), texture(2), texture(3)], [texture(4), texture(5), texture(6)])


def test_equal_flat_and_tiny_images(
    backbone: Backbone, build: Build, texture: Texture, flat: Callable[..., Pixels]
) -> None:
    backbone("vgg16")
    scores = build("dists")
    assert scores([texture(1)], [texture(1)])[0] == pytest.approx(0, abs=1e-5)
    assert scores([flat(0)], [flat(0)])[0] == pytest.approx(0, abs=1e-5)
    assert scores([flat(0)], [flat(255)])[0] > 0.1
    assert np.isfinite(
        scores([texture(1, 1, 1)], [texture(2, 1, 1)])
    ).all()  # its pooling leaves no size without a pixel


def test_neither_resizes_nor_crops(backbone: Backbone, build: Build, texture: Texture) -> None:
    backbone("vgg16")
    scores, sr, gt = build("dists"), texture(1, 300, 300), texture(2, 300, 300)
    changed = sr.copy()
    changed[0, 0] ^= 255
    assert scores([sr], [gt]) != scores([changed], [gt])


def test_the_libraries_are_left_as_they_were(backbone: Backbone) -> None:
    from torchmetrics.functional.image import dists as theirs

    backbone("vgg16")
    before, drawn = theirs.vgg16, torch.get_rng_state()
    dists.network()
    assert theirs.vgg16 is before
    assert torch.equal(torch.get_rng_state(), drawn)


def test_another_network_in_the_file_is_refused(backbone: Backbone, plant: Callable[[str, Any], Path]) -> None:
    plant("vgg16", backbone("alexnet"))
    with pytest.raises(InputError, match="checkpoint of another network"):
        dists.network()


def test_without_the_file(plant: Callable[[str, Any], Path], build: Build) -> None:
    with pytest.raises(MetricUnavailable, match=r"unavailable: vgg16-397923af\.pth"):
        build("dists")


def test_what_the_records_say() -> None:
    metric = find("dists")
    assert (metric.kind, metric.higher_is_better, metric.weights) == ("full_reference", False, ("vgg16",))


@pytest.mark.slow
def test_official_values(
    official: Build, pairs: list[tuple[Pixels, Pixels]], official_values: Callable[[str], list[float]]
) -> None:
    scores = official("dists")
    values = [scores([sr], [gt])[0] for sr, gt in pairs]
    assert values == pytest.approx(official_values("dists"), abs=1e-4)  # printed with four digits
