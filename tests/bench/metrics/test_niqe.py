"""NIQE: IQA-PyTorch's own entry on the same parameters, the official values, blocks and textureless images."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch

from srbench.errors import InputError, MetricUnavailable
from srbench.images import Pixels, to_tensor
from srbench.metrics import ImageScores, find

pytest.importorskip("pyiqa")

Build = Callable[[str], ImageScores]
Texture = Callable[..., Pixels]
Plant = Callable[[str, Any], Path]


@pytest.fixture
def parameters(plant: Plant, tmp_path: Path) -> Path:
    """A mean and a covariance that fit no real photographs, in the authors' file format."""
    rng = np.random.default_rng(0)
    spread = rng.normal(size=(36, 36))
    path = tmp_path / "modelparameters.mat"
    scipy.io.savemat(path, {"mu_prisparam": rng.random((1, 36)), "cov_prisparam": spread @ spread.T / 36})
    return plant("niqe", path)


def test_equals_iqa_pytorch(parameters: Path, build: Build, texture: Texture) -> None:
    import pyiqa

    theirs = pyiqa.create_metric("niqe", device=torch.device("cpu"), pretrained_model_path=str(parameters))
    images = [texture(1, 200, 310), texture(2, 200, 310)]
    expected = [float(theirs(to_tensor(image)[None])) for image in images]
    assert build("niqe")(images, None) == pytest.approx(expected, rel=1e-12)


def test_batch(parameters: Path, build: Build, texture: Texture, check_batch: Callable[..., None]) -> None:
    check_batch(build("niqe"), [texture(seed, 200, 200) for seed in (1, 2, 3)])


def test_flat_images_are_nan_and_spoil_no_neighbour(
    parameters: Path, build: Build, texture: Texture, flat: Callable[..., Pixels]
) -> None:
    scores = build("niqe")
    values = scores([flat(0), texture(1, 128, 128), flat(127), flat(255)], None)
    assert [math.isnan(value) for value in values] == [True, False, True, True]
    assert values[1] == scores([texture(1, 128, 128)], None)[0]


def test_images_that_are_partly_flat_have_a_value(parameters: Path, build: Build, texture: Texture) -> None:
    image = texture(1, 192, 192)
    image[:96] = 0
    assert math.isfinite(build("niqe")([image], None)[0])


def test_smaller_than_a_block(parameters: Path, build: Build, texture: Texture) -> None:
    scores = build("niqe")
    assert math.isfinite(scores([texture(1, 96, 96)], None)[0])
    with pytest.raises(InputError, match=r"200x95 pixels are too few for niqe, which needs sides of at least 96"):
        scores([texture(1, 95, 200)], None)


def test_what_lies_beyond_the_last_whole_block_does_not_count(parameters: Path, build: Build, texture: Texture) -> None:
    image = texture(1, 200, 200)
    assert build("niqe")([image], None) == build("niqe")([np.ascontiguousarray(image[:192, :192])], None)


@pytest.mark.parametrize("content", [b"text", None])
def test_another_file_is_refused(content: bytes | None, plant: Plant, build: Build, tmp_path: Path) -> None:
    path = tmp_path / "wrong.mat"
    if content is None:
        scipy.io.savemat(path, {"mu_prisparam": np.zeros((1, 18)), "cov_prisparam": np.zeros((36, 36))})
    else:
        path.write_bytes(content)
    plant("niqe", path)
    with pytest.raises(InputError, match="no parameters of NIQE"):
        build("niqe")


def test_without_the_file(plant: Plant, build: Build) -> None:
    with pytest.raises(MetricUnavailable, match=r"unavailable: niqe_modelparameters\.mat"):
        build("niqe")


def test_what_the_records_say() -> None:
    metric = find("niqe")
    assert (metric.kind, metric.higher_is_better, metric.weights) == ("no_reference", False, ("niqe",))


def test_official_values(
    official: Build, pairs: list[tuple[Pixels, Pixels]], official_values: Callable[[str], list[float]]
) -> None:
    values = official("niqe")([sr for sr, _ in pairs], None)
    # What IQA-PyTorch prints for itself in its calibration_summary.csv
    assert values == pytest.approx([15.6538, 3.6549, 3.2342, 3.1922, 9.0722], abs=3e-3)
    # Its distance to the authors' program: under 0.7 %, and 5.1 % on the last, which is noise
    assert values[:4] == pytest.approx(official_values("niqe")[:4], rel=7e-3)
    assert values[4] == pytest.approx(official_values("niqe")[4], rel=0.052)
