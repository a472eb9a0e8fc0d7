"""What the learned metrics share, and what holds for all of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from srbench.errors import InputError, MetricUnavailable
from srbench.images import Pixels
from srbench.metrics import ImageMetric, ImageScores, find, names
from srbench.metrics.backends import batch, building, check_side, exact, floats, optional, passes, ready, replaced

Build = Callable[[str], ImageScores]
LEARNED = [name for name in names() if isinstance(find(name), ImageMetric) and find(name).weights]


@pytest.mark.parametrize("name", LEARNED)
def test_every_learned_metric_fails_at_once_without_its_file(name: str, plant: Any, monkeypatch: Any) -> None:
    """No download and no retry: nothing opens a socket."""
    import socket

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a metric reached for the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    metric = find(name)
    assert isinstance(metric, ImageMetric)
    with pytest.raises(MetricUnavailable, match=r"^unavailable: \S+$"):
        metric.make("cpu")


@pytest.mark.parametrize("name", LEARNED)
def test_weights_are_in_the_catalogue(name: str) -> None:
    from srbench import weight_files

    assert all(weight in weight_files.names() for weight in find(name).weights)


def test_precision_of_the_run_does_not_reach_a_score(
    backbone: Any, build: Build, texture: Callable[..., Pixels]
) -> None:
    backbone("alexnet")
    scores, sr, gt = build("lpips_alex"), [texture(1)], [texture(2)]
    plain = scores(sr, gt)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert scores(sr, gt) == plain
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_state_in_which_networks_score() -> None:
    network = ready(torch.nn.Linear(2, 2).half().train(), "cpu")
    assert not network.training
    assert network.weight.dtype == torch.float32
    assert not network.weight.requires_grad
    with exact("cpu"):
        assert torch.is_inference_mode_enabled()
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
        assert not torch.backends.cudnn.allow_tf32
    assert not torch.is_inference_mode_enabled()
    assert not torch.backends.cudnn.deterministic


def test_batch_is_float32_in_0_to_1(texture: Callable[..., Pixels]) -> None:
    images = [texture(1), texture(2)]
    tensor = batch(images, "cpu")
    assert (tensor.shape, tensor.dtype) == ((2, 3, 96, 131), torch.float32)
    assert np.array_equal((tensor[1] * 255).round().byte().permute(1, 2, 0).numpy(), images[1])


def test_large_images_go_through_in_several_passes(
    backbone: Any, build: Build, texture: Callable[..., Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    sr, gt = ([texture(seed, 40, 50) for seed in seeds] for seeds in (range(5), range(5, 10)))
    assert [len(part) for (part,) in passes(sr)] == [5]
    backbone("alexnet")
    scores = build("lpips_alex")
    together = scores(sr, gt)
    monkeypatch.setattr("srbench.metrics.backends.PASS_PIXELS", 2 * 40 * 50)
    split = list(passes(sr, gt))
    assert [(len(a), len(b)) for a, b in split] == [(2, 2), (2, 2), (1, 1)]
    assert scores(sr, gt) == pytest.approx(together, rel=1e-6)
    monkeypatch.setattr("srbench.metrics.backends.PASS_PIXELS", 1)
    assert [len(part) for (part,) in passes(sr)] == [1] * 5


@pytest.mark.parametrize("shape", [(1,), (1, 1), (1, 1, 1, 1), ()])
def test_one_number_in_whatever_shape(shape: tuple[int, ...]) -> None:
    assert floats(torch.full(shape, 0.5)) == [0.5]


def test_names_come_back_even_after_an_error() -> None:
    module = SimpleNamespace(a=1, b=2)

    def fail() -> None:
        with replaced(module, a=3):
            assert (module.a, module.b) == (3, 2)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (module.a, module.b) == (1, 2)


def test_building_gives_the_random_numbers_back() -> None:
    before = torch.get_rng_state()
    with building():
        torch.rand(5)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_missing_package_is_named_with_its_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(MetricUnavailable, match=r'^unavailable: package pyiqa \(pip install "srbench\[iqa\]"\)$'):
        optional("pyiqa")
    with pytest.raises(MetricUnavailable, match="package no_such_package"):
        optional("no_such_package.part")


def test_small_sides_are_refused_in_one_line() -> None:
    check_side([np.zeros((8, 9, 3), dtype=np.uint8)], 8, "x")
    with pytest.raises(InputError, match=r"^9x8 pixels are too few for x, which needs sides of at least 9; use larger"):
        check_side([np.zeros((8, 9, 3), dtype=np.uint8)], 9, "x")
