"""Training of the L1 methods: factories from YAML, one true step, schedules."""

from collections.abc import Callable
from typing import Any, cast

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, LRScheduler, MultiStepLR

from srbench.build import build_model
from srbench.catalog import load_stack
from srbench.contracts import Batch
from srbench.module import SRModule
from srbench.modules import DVMSR, EDSR, RRDB, SRResNet
from srbench.modules.pixel import PixelSR

TINY = [
    (SRResNet, {"features": 8, "blocks": 1}),
    (RRDB, {"features": 8, "blocks": 1, "growth": 4}),
    (EDSR, {}),
    (DVMSR, {}),
]


def _batch() -> Batch:
    generator = torch.Generator().manual_seed(0)
    gt = torch.rand(2, 3, 32, 32, generator=generator)
    return {"lq": torch.nn.functional.avg_pool2d(gt, 4), "gt": gt, "name": ["a", "b"]}


def _optimizer(module: SRModule) -> torch.optim.Optimizer:
    """What a method without a scheduler gives to Lightning."""
    configured = module.configure_optimizers()
    assert isinstance(configured, torch.optim.Optimizer)
    return configured


@pytest.mark.parametrize(("method", "arguments"), TINY, ids=lambda x: getattr(x, "__name__", ""))
def test_a_step_lowers_the_loss_and_reaches_every_parameter(
    method: Callable[..., PixelSR], arguments: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    module = method(**arguments, optimizer=lambda p: torch.optim.Adam(p, lr=1e-3))
    optimizer = _optimizer(module)
    losses = []
    for step in range(6):
        optimizer.zero_grad()
        loss = module.training_step(_batch(), step)
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            assert all(p.grad is not None and bool(p.grad.any()) for p in module.parameters() if p.numel() > 1)
        optimizer.step()
    assert losses[-1] < losses[0]


def test_the_loss_is_the_mean_absolute_error_before_clamping() -> None:
    module = SRResNet(features=8, blocks=1)
    with torch.no_grad():
        module.net.conv_last.bias.fill_(3.0)  # far outside [0,1]
    batch = _batch()
    loss = module.training_step(batch, 0)
    assert loss.item() == pytest.approx((module.net(batch["lq"]) - batch["gt"]).abs().mean().item())
    assert loss.item() > 2
    assert module.upscale(batch["lq"]).max().item() == 1.0


def test_frozen_parameters_stay_out_of_the_optimizer() -> None:
    module = SRResNet(features=8, blocks=1)
    module.net.conv_first.requires_grad_(False)
    held = {id(p) for group in _optimizer(module).param_groups for p in group["params"]}
    assert id(module.net.conv_first.weight) not in held
    assert id(module.net.conv_last.weight) in held


def test_without_an_optimizer_in_the_config_adam_is_taken() -> None:
    group = _optimizer(build_model({"model": {"class_path": "srbench.modules.SRResNet"}})).param_groups[0]
    assert (group["lr"], group["betas"]) == (2e-4, (0.9, 0.99))


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("srresnet", {0: 2e-4, 125_000: 1.0005e-4, 250_000: 2e-4, 375_000: 1.0005e-4}),
        ("rrdb", {0: 2e-4, 125_000: 1.0005e-4, 999_999: 1e-7}),
        ("edsr", {0: 1e-4, 199_999: 1e-4, 200_000: 5e-5}),
        ("dvmsr", {0: 2e-4, 249_999: 2e-4, 250_000: 1e-4, 475_000: 1.25e-5}),
    ],
)
def test_published_schedules_step_with_the_iterations(name: str, rates: dict[int, float]) -> None:
    stack = load_stack([f"methods/{name}/fit.yaml"])
    with torch.device("meta"):
        module = build_model(stack)
    configured = cast(dict[str, Any], module.configure_optimizers())
    assert configured["lr_scheduler"]["interval"] == "step"
    scheduler = configured["lr_scheduler"]["scheduler"]
    assert configured["optimizer"].param_groups[0]["betas"] == (0.9, 0.99)
    for step, rate in rates.items():
        assert _rate_at(scheduler, step) == pytest.approx(rate, rel=1e-3, abs=1e-11), step
    assert stack["data"]["init_args"]["batch_size"] == 16
    assert stack["trainer"]["max_steps"] in (300_000, 500_000, 1_000_000)


def _rate_at(scheduler: LRScheduler, step: int) -> float:
    """The rate after ``step`` steps without taking them one by one: both kinds have a closed form."""
    if isinstance(scheduler, CosineAnnealingWarmRestarts):
        scheduler.T_cur = step % scheduler.T_0
        return float(scheduler.get_lr()[0])
    assert isinstance(scheduler, MultiStepLR)
    return float(scheduler.base_lrs[0]) * scheduler.gamma ** sum(step >= m for m in scheduler.milestones.elements())
