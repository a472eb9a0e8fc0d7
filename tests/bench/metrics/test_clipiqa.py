"""CLIP-IQA: IQA-PyTorch's own loading of a small CLIP with random weights, and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from srbench.errors import InputError, MetricUnavailable
from srbench.images import Pixels, to_tensor
from srbench.metrics import ImageScores, clipiqa, find

pytest.importorskip("pyiqa")

Build = Callable[[str], ImageScores]
Texture = Callable[..., Pixels]
Plant = Callable[[str, Any], Path]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TorchScript archive like OpenAI's RN50.pt, a hundred times smaller; the networks read their sizes from it."""
    from pyiqa.archs.clip_model import CLIP

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        small = CLIP(64, 64, (1, 1, 1, 1), 16, None, 77, 49408, 64, 1, 2).eval()
        for parameter in small.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)  # a fresh one has zeros that hide parts of it
    for name, value in (("input_resolution", 64), ("context_length", 77), ("vocab_size", 49408)):
        delattr(small, name) if name in vars(small) else None
        small.register_buffer(name, torch.tensor(value))
    example = (torch.rand(1, 3, 64, 64), torch.zeros(2, 77, dtype=torch.long))
    path = tmp_path_factory.mktemp("clip") / "RN50.pt"
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(small, example, check_trace=False), str(path))
    return path


def test_equals_iqa_pytorch_and_its_own_loader(archive: Path, plant: Plant, build: Build, texture: Texture) -> None:
    from pyiqa.archs.clipiqa_arch import CLIPIQA

    plant("clip_rn50", archive)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = CLIPIQA(backbone=str(archive)).eval()
    images = [texture(1), texture(2, 96, 131)]
    with torch.inference_mode():
        expected = [float(theirs(to_tensor(image)[None])) for image in images]
    assert build("clipiqa")(images, None) == pytest.approx(expected, abs=1e-6)
    assert 0 < expected[0] < 1
    assert expected[0] != expected[1]


def test_batch(archive: Path, plant: Plant, build: Build, texture: Texture, check_batch: Callable[..., None]) -> None:
    plant("clip_rn50", archive)
    check_batch(build("clipiqa"), [texture(1), texture(2), texture(3)])


def test_flat_images_have_values(archive: Path, plant: Plant, build: Build, flat: Callable[..., Pixels]) -> None:
    plant("clip_rn50", archive)
    assert all(0 <= value <= 1 for value in build("clipiqa")([flat(0), flat(127), flat(255)], None))


def test_smallest_image(archive: Path, plant: Plant, build: Build, texture: Texture) -> None:
    plant("clip_rn50", archive)
    scores = build("clipiqa")
    assert 0 <= scores([texture(1, 32, 32)], None)[0] <= 1
    with pytest.raises(InputError, match=r"40x31 pixels are too few for clipiqa, which needs sides of at least 32"):
        scores([texture(1, 31, 40)], None)


def test_the_library_keeps_its_loader(archive: Path, plant: Plant) -> None:
    from pyiqa.archs import clipiqa_arch

    plant("clip_rn50", archive)
    before, drawn = clipiqa_arch.load, torch.get_rng_state()
    clipiqa.network()
    assert clipiqa_arch.load is before
    assert torch.equal(torch.get_rng_state(), drawn)


def test_an_archive_of_something_else_is_refused(plant: Plant, build: Build, tmp_path: Path) -> None:
    path = tmp_path / "other.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))
    plant("clip_rn50", path)
    with pytest.raises(InputError, match=r"other\.pt: this is no CLIP"):
        build("clipiqa")


def test_without_the_file_it_says_so_at_once(plant: Plant, build: Build) -> None:
    with pytest.raises(MetricUnavailable, match=r"unavailable: RN50\.pt"):
        build("clipiqa")


def test_without_pkg_resources_the_mend_is_named(
    archive: Path, plant: Plant, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant("clip_rn50", archive)
    for name in [
        n for n in list(__import__("sys").modules) if n == "clip" or n.startswith(("clip.", "pyiqa.archs.clip"))
    ]:
        monkeypatch.delitem(__import__("sys").modules, name)
    monkeypatch.setitem(__import__("sys").modules, "pkg_resources", None)
    with pytest.raises(MetricUnavailable, match=r'package pkg_resources \(pip install "setuptools<82"\)'):
        build("clipiqa")


def test_what_the_records_say() -> None:
    metric = find("clipiqa")
    assert (metric.kind, metric.higher_is_better, metric.weights) == ("no_reference", True, ("clip_rn50",))
    assert metric.library.startswith("pyiqa 0.1.16")


def test_the_published_archive_equals_iqa_pytorch_s_own_loader(official: Build, texture: Texture) -> None:
    from pyiqa.archs.clipiqa_arch import CLIPIQA

    from srbench.weight_files import need

    ours = official("clipiqa")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = CLIPIQA(backbone=str(need("clip_rn50"))).eval()
    with torch.inference_mode():
        expected = float(theirs(to_tensor(texture(1))[None]))
    assert ours([texture(1)], None) == pytest.approx([expected], abs=1e-6)
