"""The controller s (Eqs. 7 and 8): fact 6 of the sheet, its draws, its gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from srbench.errors import InputError
from srbench.modules.hraware.controller import Controller

pytest.importorskip("lpips")


def _rand(seed: int = 0) -> Tensor:
    return torch.rand(3, 3, 40, 44, generator=torch.Generator().manual_seed(seed))


def _controller(mode: Any = "one_minus_hqi", **more: Any) -> Controller:
    controller = Controller(mode, **more)
    controller.load(None)
    return controller


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("mode", "value"), [("one_minus_hqi", 0.0), ("hqi", 1.0)])
def test_an_image_like_its_lq_gives_0_in_pretraining_and_1_in_finetuning(mode: str, value: float) -> None:
    s = _controller(mode)(_rand(), _rand())
    assert s.shape == (3, 512)
    assert bool((s == value).all())


def test_hqi_is_one_minus_lpips_clamped() -> None:
    controller = _controller()
    distance = controller.distance(_rand(), _rand(1))
    torch.testing.assert_close(controller.hqi(_rand(), _rand(1)), 1 - distance)
    controller.distance.forward = lambda a, b: torch.tensor([-0.1, 0.4, 1.7])  # type: ignore[method-assign]
    assert controller.hqi(_rand(), _rand(1)).tolist() == pytest.approx([1.0, 0.6, 0.0])


@pytest.mark.parametrize("mode", ["one_minus_hqi", "hqi"])
def test_n_is_standard_normal_anew_for_every_sample_and_from_the_generator_alone(mode: str) -> None:
    controller = _controller(mode, embedding=4000)
    state = torch.get_rng_state()
    plain, s = controller(_rand(), _rand(1)), controller(_rand(), _rand(1), _seeded(0))
    assert torch.equal(torch.get_rng_state(), state)
    n = s - plain
    assert bool((n.mean(1).abs() < 0.1).all())
    assert bool(((n.std(1) - 1).abs() < 0.1).all())
    assert not torch.allclose(n[0], n[1])
    assert torch.equal(s, controller(_rand(), _rand(1), _seeded(0)))
    assert not torch.allclose(s, controller(_rand(), _rand(1), _seeded(1)))


def test_n_in_evaluation_is_an_option() -> None:
    still, drawn = _controller().eval(), _controller(n_eval="sample").eval()
    assert torch.equal(still(_rand(), _rand(1), _seeded(0)), still(_rand(), _rand(1)))
    assert not torch.allclose(drawn(_rand(), _rand(1), _seeded(0)), still(_rand(), _rand(1)))


@pytest.mark.parametrize("detach", [True, False])
def test_no_gradient_reaches_the_image_unless_asked_for(detach: bool) -> None:
    image = _rand(1).requires_grad_()
    s = _controller("hqi", detach=detach)(_rand(), image, _seeded(0))
    assert s.requires_grad == (not detach)
    if not detach:
        s.sum().backward()
        assert image.grad is not None
        assert bool(image.grad.any())


def test_without_gradients_it_stays_without() -> None:
    with torch.no_grad():
        assert not _controller(detach=False)(_rand(), _rand(1).requires_grad_()).requires_grad


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(InputError, match=r"s_mode.*'lpips' is unknown; use one_minus_hqi or hqi"):
        Controller("lpips")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"n_eval.*use 0 or sample"):
        Controller(n_eval=1)  # type: ignore[arg-type]
