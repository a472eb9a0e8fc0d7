"""Training of the L1 methods: factories from YAML, one true step, schedules."""

import pytest
import torch

from srbench.build import build_model
from srbench.catalog import load_stack
from srbench.modules import DVMSR, EDSR, RRDB, SRResNet

TINY = [
    (SRResNet, {"features": 8, "blocks": 1}),
    (RRDB, {"features": 8, "blocks": 1, "growth": 4}),
    (EDSR, {}),
    (DVMSR, {}),
]


def _batch():
    generator = torch.Generator().manual_seed(0)
    gt = torch.rand(2, 3, 32, 32, generator=generator)
    return {"lq": torch.nn.functional.avg_pool2d(gt, 4), "gt": gt, "name": ["a", "b"]}


@pytest.mark.parametrize(("method", "arguments"), TINY, ids=lambda x: getattr(x, "__name__", ""))
def test_a_step_lowers_the_loss_and_reaches_every_parameter(method, arguments):
    torch.manual_seed(0)
    module = method(**arguments, optimizer=lambda p: torch.optim.Adam(p, lr=1e-3))
    optimizer = module.configure_optimizers()
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


def test_the_loss_is_the_mean_absolute_error_before_clamping():
    module = SRResNet(features=8, blocks=1)
    with torch.no_grad():
        module.net.conv_last.bias.fill_(3.0)  # far outside [0,1]
    batch = _batch()
    loss = module.training_step(batch, 0)
    assert loss.item() == pytest.approx((module.net(batch["lq"]) - batch["gt"]).abs().mean().item())
    assert loss.item() > 2
    assert module.upscale(batch["lq"]).max().item() == 1.0


def test_frozen_parameters_stay_out_of_the_optimizer():
    module = SRResNet(features=8, blocks=1)
    module.net.conv_first.requires_grad_(False)
    held = {id(p) for group in module.configure_optimizers().param_groups for p in group["params"]}
    assert id(module.net.conv_first.weight) not in held
    assert id(module.net.conv_last.weight) in held


def test_without_an_optimizer_in_the_config_adam_is_taken():
    group = build_model({"model": {"class_path": "srbench.modules.SRResNet"}}).configure_optimizers().param_groups[0]
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
def test_published_schedules_step_with_the_iterations(name, rates):
    stack = load_stack([f"methods/{name}/fit.yaml"])
    with torch.device("meta"):
        module = build_model(stack)
    configured = module.configure_optimizers()
    assert configured["lr_scheduler"]["interval"] == "step"
    scheduler = configured["lr_scheduler"]["scheduler"]
    assert configured["optimizer"].param_groups[0]["betas"] == (0.9, 0.99)
    for step, rate in rates.items():
        assert _rate_at(scheduler, step) == pytest.approx(rate, rel=1e-3, abs=1e-11), step
    assert stack["data"]["init_args"]["batch_size"] == 16
    assert stack["trainer"]["max_steps"] in (300_000, 500_000, 1_000_000)


def _rate_at(scheduler, step):
    """The rate after ``step`` steps without taking them one by one: both kinds have a closed form."""
    if isinstance(scheduler, torch.optim.lr_scheduler.CosineAnnealingWarmRestarts):
        scheduler.T_cur = step % scheduler.T_0
        return scheduler.get_lr()[0]
    return scheduler.base_lrs[0] * scheduler.gamma ** sum(step >= m for m in scheduler.milestones.elements())
