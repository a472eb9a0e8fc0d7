"""What methods share that learn from every image they restore."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srbench.contracts import Batch
from srbench.modules.per_image import PerImageSR


class Fits(PerImageSR):
    """Learns an image's mean from noisy targets."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"scale": 2, **kwargs})
        self.seen: list[str] = []

    def learn(self, lq: Tensor, name: str, generator: torch.Generator) -> Tensor:
        self.seen.append(name)
        level = nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([level], lr=0.1)
        for _ in self.shown(range(20), name):
            loss = (level - lq.mean() - 0.1 * torch.randn(1, generator=generator)).square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return level.detach().clamp(0, 1).expand(1, 3, lq.shape[-2] * 2, lq.shape[-1] * 2)


def test_it_learns_inside_inference_mode_whatever_the_order_and_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    lq = torch.rand(2, 3, 4, 4)
    with torch.inference_mode():
        both = Fits().test_step(Batch(lq=lq.clone(), name=["a", "b"]), 0)["sr"]
        turned = Fits().test_step(Batch(lq=lq.flip(0), name=["b", "a"]), 0)["sr"]
        alone = Fits().test_step(Batch(lq=lq[1:].clone(), name=["b"]), 0)["sr"]
    assert torch.equal(both, turned.flip(0))
    assert torch.equal(both[1:], alone)
    assert (both[0].mean() - lq[0].mean()).abs() < 0.1
    assert not torch.equal(both[0], both[1])


def test_another_seed_draws_other_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch(lq=torch.full((1, 3, 4, 4), 0.5), name=["a"])
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    one = Fits().test_step(batch, 0)["sr"]
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    assert not torch.equal(one, Fits().test_step(batch, 0)["sr"])


def test_nothing_is_learned_twice_to_warm_up() -> None:
    module = Fits()
    module.test_step(Batch(lq=torch.rand(1, 3, 4, 4), name=["a"]), 0)
    assert module.seen == ["a"]


def test_upscale_is_a_restoration_of_every_image(tmp_path: Path) -> None:
    assert Fits().upscale(torch.rand(2, 3, 4, 5)).shape == (2, 3, 8, 10)
