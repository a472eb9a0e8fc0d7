"""BRISQUE: IQA-PyTorch's own entry on the same support vectors, both file formats, the official values."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from srbench.errors import InputError, MetricUnavailable
from srbench.images import Pixels, to_tensor
from srbench.metrics import ImageScores, find
from srbench.metrics.brisque import support_vectors

pytest.importorskip("pyiqa")

Build = Callable[[str], ImageScores]
Texture = Callable[..., Pixels]
Plant = Callable[[str, Any], Path]

LIBSVM = """svm_type epsilon_svr
kernel_type rbf
gamma 0.05
nr_class 2
total_sv 3
rho -153.591
probA 5.71401
SV
-1024 1:-0.5 2:0.25 36:1
1024 1:0.75 3:-1
12.5 36:-0.125
"""


@pytest.fixture
def model() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(40, generator=generator) * 100, torch.rand(40, 36, generator=generator) * 2 - 1


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_equals_iqa_pytorch(
    model: tuple[torch.Tensor, torch.Tensor], shape: tuple[int, ...], plant: Plant, build: Build, texture: Texture
) -> None:
    """To the last digit, in both shapes of coefficients, which float32 sums in different orders."""
    import pyiqa

    path = plant("brisque", (model[0].reshape(shape), model[1]))
    theirs = pyiqa.create_metric("brisque", device=torch.device("cpu"), pretrained_model_path=str(path))
    images = [texture(1), texture(2)]
    expected = [float(theirs(to_tensor(image)[None])) for image in images]
    assert build("brisque")(images, None) == expected


def test_batch(
    model: tuple[torch.Tensor, torch.Tensor], plant: Plant, build: Build, texture: Texture, check_batch: Any
) -> None:
    plant("brisque", model)
    check_batch(build("brisque"), [texture(1), texture(2), texture(3)])


def test_flat_images_are_nan_and_spoil_no_neighbour(
    model: tuple[torch.Tensor, torch.Tensor], plant: Plant, build: Build, texture: Texture, flat: Callable[..., Pixels]
) -> None:
    plant("brisque", model)
    blue = flat(0)
    blue[..., 2] = 200
    values = build("brisque")([flat(0), texture(1, 128, 128), flat(255), blue], None)
    assert [math.isnan(value) for value in values] == [True, False, True, True]


def test_smallest_image(model: tuple[torch.Tensor, torch.Tensor], plant: Plant, build: Build, texture: Texture) -> None:
    plant("brisque", model)
    scores = build("brisque")
    assert math.isfinite(scores([texture(1, 14, 14)], None)[0])
    with pytest.raises(InputError, match=r"20x13 pixels are too few for brisque, which needs sides of at least 14"):
        scores([texture(1, 13, 20)], None)


def test_libsvm_text_is_read(tmp_path: Path) -> None:
    path = tmp_path / "allmodel"
    path.write_text(LIBSVM)
    coefficients, vectors = support_vectors(path)
    assert coefficients.tolist() == [-1024, 1024, 12.5]
    assert vectors.shape == (3, 36)
    assert vectors[0, [0, 1, 35]].tolist() == [-0.5, 0.25, 1]
    assert vectors[1, [0, 2]].tolist() == [0.75, -1]
    assert vectors.count_nonzero() == 6


def test_both_formats_give_the_same_scores(plant: Plant, build: Build, texture: Texture, tmp_path: Path) -> None:
    path = tmp_path / "allmodel"
    path.write_text(LIBSVM)
    plant("brisque", path)
    from_text = build("brisque")([texture(1)], None)
    plant("brisque", support_vectors(path))
    assert build("brisque")([texture(1)], None) == from_text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("gamma 0.05", "gamma 0.5"),
        ("rho -153.591", "rho 1"),
        ("rbf", "linear"),
        ("36:1", "37:1"),
        ("2:0.25", "2"),
        ("rho", "ro"),
    ],
)
def test_another_model_is_refused(old: str, new: str, tmp_path: Path) -> None:
    path = tmp_path / "allmodel"
    path.write_text(LIBSVM.replace(old, new, 1))
    with pytest.raises(InputError, match="this is no model of BRISQUE"):
        support_vectors(path)


@pytest.mark.parametrize("held", [{"a": torch.zeros(1)}, (torch.zeros(3), torch.zeros(3, 18)), [1, 2]])
def test_another_checkpoint_is_refused(held: Any, plant: Plant, build: Build) -> None:
    plant("brisque", held)
    with pytest.raises(InputError, match="this is no model of BRISQUE"):
        build("brisque")


def test_a_pickle_with_code_is_refused(plant: Plant, build: Build) -> None:
    plant("brisque", (Path("/"), torch.zeros(1)))
    with pytest.raises(InputError, match="nothing in it was executed"):
        build("brisque")


def test_without_the_file(plant: Plant, build: Build) -> None:
    with pytest.raises(MetricUnavailable, match="unavailable: allmodel"):
        build("brisque")


def test_what_the_records_say() -> None:
    metric = find("brisque")
    assert (metric.kind, metric.higher_is_better, metric.weights) == ("no_reference", False, ("brisque",))


def test_official_values(
    official: Build, pairs: list[tuple[Pixels, Pixels]], official_values: Callable[[str], list[float]]
) -> None:
    values = official("brisque")([sr for sr, _ in pairs], None)
    # What IQA-PyTorch prints for itself in its calibration_summary.csv
    assert values == pytest.approx([94.6443, -0.1068, 1.0732, 5.1447, 66.8415], abs=0.01)
    # Its distance to the authors' program: 0.25 points, and 5.5 on the last, which is noise
    assert values[:4] == pytest.approx(official_values("brisque")[:4], abs=0.25)
    assert values[4] == pytest.approx(official_values("brisque")[4], abs=5.5)
