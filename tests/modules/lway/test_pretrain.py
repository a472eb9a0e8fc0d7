"""LWay's first step: its parts, its loss, and that lq degraded without shrinking is taken as it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from srbench.contracts import Batch
from srbench.describe_command import describe
from srbench.errors import InputError
from srbench.modules.lway.pretrain import LWayPretrain
from srbench.modules.nets.lr_reconstruction import enlarged

SMALL: dict[str, Any] = {"preset": "small", "lpips_weight": 0.0}


def _batch(lq: int = 12, gt: int = 48) -> Batch:
    image = torch.rand(2, 3, gt, gt, generator=torch.Generator().manual_seed(0))
    return {"lq": torch.nn.functional.adaptive_avg_pool2d(image, lq), "gt": image, "name": ["a", "b"]}


def _module(**given: Any) -> LWayPretrain:
    torch.manual_seed(0)
    module = LWayPretrain(**{**SMALL, **given})
    module.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    return module


def test_describe_lists_its_two_parts() -> None:
    parts = describe(["methods/lway/1_pretrain.yaml"], [], (64, 64))["parts"]
    assert {name: part["params"] for name, part in parts.items()} == {"e_deg": 4_724_864, "r": 762_375}


def test_gt_enters_r_as_rgb_and_the_target_is_the_enlarged_lq() -> None:
    module, batch = _module(), _batch()
    target = enlarged(batch["lq"], batch["gt"])
    made = module.net.r(batch["gt"], module.net.e_deg(target), module.step_generator(batch))
    torch.testing.assert_close(module.training_step(batch, 0), (made - target).abs().mean())


def test_lq_of_gts_size_is_taken_as_it_is() -> None:
    batch = _batch(48)
    assert torch.equal(_module().reconstruct(batch, None)[1], batch["lq"])


def test_the_lr_space_is_an_option() -> None:
    module, batch = _module(recon_space="lr", entry="strided"), _batch(24, 96)
    assert set(module.parts()) == {"e_deg", "r", "r_entry"}
    made, target = module.reconstruct(batch, None)
    assert torch.equal(target, batch["lq"])
    assert made.shape == target.shape


def test_a_few_steps_lower_the_loss_and_reach_every_weight() -> None:
    module, batch = _module(), _batch()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    losses = []
    for step in range(12):
        optimizer.zero_grad()
        loss = module.training_step(batch, step)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert not [name for name, value in module.state_dict().items() if torch.equal(value, before[name])]


def test_it_makes_no_sr_and_needs_22_pixels() -> None:
    with pytest.raises(InputError, match=r"makes no sr.*lway/2_finetune.yaml"):
        _module().upscale(torch.zeros(1, 3, 24, 24))
    with pytest.raises(InputError, match="20x20 is too small"):
        _module().training_step(_batch(5, 20), 0)
