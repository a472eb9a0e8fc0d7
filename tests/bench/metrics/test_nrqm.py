"""NRQM and PI: IQA-PyTorch's own classes on the same random forests, and the official values."""

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
from srbench.images import Pixels, crop_border, to_tensor
from srbench.metrics import ImageScores, find, nrqm

pytest.importorskip("pyiqa")

Build = Callable[[str], ImageScores]
Texture = Callable[..., Pixels]
Plant = Callable[[str, Any], Path]

FEATURES = (18, 45, 75)
NODES, TREES = 15, 4


def _forest(rng: np.random.Generator, features: int) -> dict[str, Any]:
    """Full binary trees: node k has the children 2k and 2k+1, leaves have 0."""
    left, right = np.zeros((NODES, TREES), dtype=np.int32), np.zeros((NODES, TREES), dtype=np.int32)
    for k in range(1, NODES // 2 + 1):
        left[k - 1], right[k - 1] = 2 * k, 2 * k + 1
    shape = (NODES, TREES)
    return {
        "left": left,
        "right": right,
        "unused": np.zeros(shape),
        "unused_too": np.zeros(shape),
        "threshold": rng.random(shape),
        "prediction": rng.uniform(0, 10, shape),
        "attribute": rng.integers(1, features + 1, shape).astype(np.int32),
    }


@pytest.fixture
def model(plant: Plant, tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    forests = np.empty((1, 3), dtype=object)
    forests[0] = [_forest(rng, features) for features in FEATURES]
    path = tmp_path / "NRQM_model.mat"
    scipy.io.savemat(path, {"model": {"linear": np.array([[0.1], [0.3], [0.3], [0.3]]), "rf": forests}})
    return plant("nrqm", path)


@pytest.fixture
def parameters(plant: Plant, tmp_path: Path) -> Path:
    spread = np.random.default_rng(0).normal(size=(36, 36))
    path = tmp_path / "niqe.mat"
    scipy.io.savemat(path, {"mu_prisparam": np.ones((1, 36)), "cov_prisparam": spread @ spread.T})
    return plant("niqe", path)


def test_nrqm_equals_iqa_pytorch(model: Path, build: Build, texture: Texture) -> None:
    import pyiqa

    theirs = pyiqa.create_metric("nrqm", device=torch.device("cpu"), pretrained_model_path=str(model))
    image = texture(1)
    assert build("nrqm")([image], None) == pytest.approx([float(theirs(to_tensor(image)[None]))], abs=1e-6)


def test_pi_equals_iqa_pytorch(
    model: Path, parameters: Path, build: Build, texture: Texture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyiqa
    from pyiqa.archs import niqe_arch, nrqm_arch

    monkeypatch.setattr(nrqm_arch, "load_file_from_url", lambda _: str(model))
    monkeypatch.setattr(niqe_arch, "load_file_from_url", lambda _: str(parameters))
    theirs = pyiqa.create_metric("pi", device=torch.device("cpu"))
    image = texture(1, 112, 120)
    assert build("pi")([image], None) == pytest.approx([float(theirs(to_tensor(image)[None]))], abs=1e-5)


def test_shapes_of_distributions_are_those_of_iqa_pytorch() -> None:
    from pyiqa.archs.nrqm_arch import gamma_gen_gauss

    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(40, 49, generator=generator, dtype=torch.float64)
    tailed = torch.randn(40, 49, generator=generator, dtype=torch.float64).pow(9)
    constant = torch.full((2, 49), 0.5, dtype=torch.float64)
    spike = torch.zeros(1, 49, dtype=torch.float64).index_fill_(1, torch.tensor([7]), 1e9)
    odd = torch.tensor([[math.nan] * 49, [math.inf] * 49], dtype=torch.float64)
    samples = torch.cat([uniform, tailed, constant, spike, odd])
    found = nrqm.gaussian_shape(samples)
    assert torch.equal(found, gamma_gen_gauss(samples))
    assert found.max() == pytest.approx(10)
    assert found.min() == pytest.approx(0.03)
    assert torch.equal(nrqm.gaussian_shape(samples.reshape(5, 17, 49)), found.reshape(5, 17))


@pytest.mark.parametrize("size", [(11, 11), (40, 57), (64, 64)])
def test_filtering_is_that_of_iqa_pytorch(size: tuple[int, int]) -> None:
    from pyiqa.matlab_utils import filter2, fspecial

    generator = torch.Generator().manual_seed(0)
    planes = torch.rand(2, 1, *size, generator=generator, dtype=torch.float64) * 255**2
    noise = torch.rand(1, 1, 11, 11, generator=generator, dtype=torch.float64)
    window = fspecial(11, 1.5).double() + 1e-3 * noise  # symmetric no more
    torch.testing.assert_close(nrqm.filter_valid(planes, window, "valid"), filter2(planes, window, "valid"))
    with pytest.raises(ValueError, match="no smaller than the window"):
        nrqm.filter_valid(planes[..., :10], window, "valid")


def test_the_library_is_left_as_it_was(model: Path, build: Build, texture: Texture) -> None:
    from pyiqa.archs import nrqm_arch, ssim_arch

    before = nrqm_arch.gamma_gen_gauss, ssim_arch.filter2
    build("nrqm")([texture(1)], None)
    assert (nrqm_arch.gamma_gen_gauss, ssim_arch.filter2) == before


def test_pi_crops_four_pixels_itself(model: Path, parameters: Path, build: Build, texture: Texture) -> None:
    image = texture(1, 112, 112)
    framed = image.copy()
    framed[:4], framed[-4:], framed[:, :4], framed[:, -4:] = 255, 0, 255, 0
    scores = build("pi")
    assert scores([framed], None) == scores([image], None)
    assert scores([crop_border(image, 4)], None) != scores([image], None)


def test_batch(model: Path, build: Build, texture: Texture, check_batch: Callable[..., None]) -> None:
    check_batch(build("nrqm"), [texture(1, 84, 90), np.sort(texture(2, 84, 90), axis=1) // 4])


def test_flat_images_are_nan(model: Path, parameters: Path, build: Build, flat: Callable[..., Pixels]) -> None:
    for name in ("nrqm", "pi"):
        assert all(math.isnan(value) for value in build(name)([flat(0), flat(127)], None)), name


def test_smallest_images(model: Path, parameters: Path, build: Build, texture: Texture) -> None:
    assert math.isfinite(build("nrqm")([texture(1, 84, 84)], None)[0])
    with pytest.raises(InputError, match=r"90x83 pixels are too few for nrqm, which needs sides of at least 84"):
        build("nrqm")([texture(1, 83, 90)], None)
    assert math.isfinite(build("pi")([texture(1, 104, 104)], None)[0])
    with pytest.raises(InputError, match=r"110x103 pixels are too few for pi, which needs sides of at least 104"):
        build("pi")([texture(1, 103, 110)], None)


@pytest.mark.parametrize("content", [b"text", None])
def test_another_file_is_refused(content: bytes | None, plant: Plant, tmp_path: Path) -> None:
    path = tmp_path / "wrong.mat"
    if content is None:
        scipy.io.savemat(path, {"model": np.zeros((2, 2))})
    else:
        path.write_bytes(content)
    plant("nrqm", path)
    with pytest.raises(InputError, match="this is no model of NRQM"):
        nrqm.network()


def test_without_the_files(plant: Plant, build: Build, parameters: Path) -> None:
    for name in ("nrqm", "pi"):
        with pytest.raises(MetricUnavailable, match=r"unavailable: NRQM_model\.mat"):
            build(name)


def test_what_the_records_say() -> None:
    assert (find("nrqm").higher_is_better, find("nrqm").weights) == (True, ("nrqm",))
    assert (find("pi").higher_is_better, find("pi").weights) == (False, ("nrqm", "niqe"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "theirs", "tolerance"),
    [
        # What IQA-PyTorch prints for itself in its calibration_summary.csv, and how far that is from the authors'
        ("nrqm", [1.3932, 8.9419, 8.9721, 6.8309, 6.3031], 0.01),
        ("pi", [11.9287, 3.0730, 2.6357, 2.7979, 6.9546], 0.19),
    ],
)
def test_official_values(
    name: str,
    theirs: list[float],
    tolerance: float,
    official: Build,
    pairs: list[tuple[Pixels, Pixels]],
    official_values: Callable[[str], list[float]],
) -> None:
    values = official(name)([sr for sr, _ in pairs], None)
    assert values == pytest.approx(theirs, abs=5e-3)
    assert values == pytest.approx(official_values(name), abs=tolerance)
