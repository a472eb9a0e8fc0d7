"""One step of each stage against plain torch; what a stage refuses; what it says of itself."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor, nn
from torch.utils.data import DataLoader

from srbench.build import build_model
from srbench.contracts import Batch
from srbench.datamodules.degradations.filtering import usm_sharpen
from srbench.errors import InputError
from srbench.modules import GANSR, PixelSR
from srbench.modules.gan import fixed
from srbench.modules.losses.gan import GANLoss
from srbench.modules.losses.perceptual import PerceptualLoss
from srbench.modules.nets.unet_discriminator import UNetDiscriminator
from srbench.modules.rrdb.net import RRDBNet

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
SHALLOW = {"conv1_2": 1.0}
GENERATOR_LOSSES = {"l_g_pix", "l_g_percep", "l_g_gan"}
DISCRIMINATOR_LOSSES = {"l_d_real", "l_d_fake"}


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.ERROR, logger="lightning.pytorch"):
        yield


def _net() -> RRDBNet:
    return RRDBNet(features=8, blocks=1, growth=4)


def _sgd(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.05)


def _batches(count: int = 3, side: int = 32) -> list[Any]:
    generator = torch.Generator().manual_seed(3)
    gts = torch.rand(count, 2, 3, side, side, generator=generator)
    return [Batch(lq=F.avg_pool2d(gt, 4), gt=gt, name=["a", "b"]) for gt in gts]


def _gansr(**kwargs: Any) -> GANSR:
    torch.manual_seed(0)
    perceptual = PerceptualLoss(SHALLOW)
    perceptual.load(None)
    given = {"optimizer": _sgd, "perceptual": perceptual, **kwargs}
    return GANSR(_net(), UNetDiscriminator(4), **given)


def _fit(module: Any, steps: int = 3, batches: list[Any] | None = None, **trainer: Any) -> Trainer:
    runner = Trainer(max_steps=steps, **{**QUIET, **trainer})
    runner.fit(module, DataLoader(batches or _batches(steps), batch_size=None))  # type: ignore[arg-type]
    return runner


def _moved(before: dict[str, Tensor], net: nn.Module) -> list[str]:
    return [name for name, parameter in net.named_parameters() if not torch.equal(before[name], parameter)]


# ------------------------------------------------------------------------------------------------------------ one step


@pytest.mark.parametrize("kind", ["vanilla", "lsgan", "hinge"])
def test_three_steps_are_those_of_a_plain_loop(kind: Any) -> None:
    """The loop in the order of BasicSR's SRGANModel: a turn of the generator, then one of the discriminator."""
    module = _gansr(gan=GANLoss(kind), gan_weight=0.3, perceptual_weight=0.5, pixel_weight=2.0)
    net, judge = copy.deepcopy(module.net), copy.deepcopy(module.discriminator)
    assert module.perceptual is not None
    gan, perceptual = module.gan, module.perceptual
    of_net, of_judge = _sgd(net.parameters()), _sgd(judge.parameters())
    for batch in _batches():
        of_net.zero_grad()
        sr = net(batch["lq"])
        loss = 2.0 * (sr - batch["gt"]).abs().mean() + 0.5 * perceptual(sr, batch["gt"])
        (loss + 0.3 * gan.for_generator(judge(sr))).backward()
        of_net.step()
        of_judge.zero_grad()
        gan.for_discriminator(judge(batch["gt"]), real=True).backward()
        gan.for_discriminator(judge(sr.detach()), real=False).backward()
        of_judge.step()
    trainer = _fit(module)
    assert trainer.global_step == 3
    for ours, theirs in ((module.net, net), (module.discriminator, judge)):
        for name, value in theirs.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], value, atol=1e-6, rtol=1e-5)


def test_a_step_changes_both_networks_and_logs_basicsrs_names() -> None:
    module = _gansr()
    before = [dict(copy.deepcopy(net.state_dict())) for net in (module.net, module.discriminator)]
    seen: dict[str, Any] = {}
    module.log_dict = lambda values, **_: seen.update(values)
    _fit(module, 1)
    for held, net in zip(before, (module.net, module.discriminator), strict=True):
        assert len(_moved(held, net)) == len(list(net.parameters()))
    names = GENERATOR_LOSSES | DISCRIMINATOR_LOSSES | {"out_d_real", "out_d_fake"}
    assert set(seen) == {f"losses/{name}" for name in names}
    assert all(not value.requires_grad for value in seen.values())


def test_the_discriminator_may_learn_first_and_more_often() -> None:
    module = _gansr(net_d_iters=2, net_d_init_iters=2)
    turns = []
    original = module.training_step

    def step(batch: Batch, batch_idx: int) -> Any:
        before = copy.deepcopy(module.net.state_dict())
        out = original(batch, batch_idx)
        turns.append((set(out) - {"loss"} - DISCRIMINATOR_LOSSES, bool(_moved(before, module.net))))
        return out

    module.training_step = step
    trainer = _fit(module, 6)
    learned = [(GENERATOR_LOSSES, True) if i in (4, 6) else (set(), False) for i in range(1, 7)]
    assert turns == learned
    assert trainer.global_step == 6


NETWORKS = {
    "srbench.modules.srresnet.net.SRResNetNet": {"features": 8, "blocks": 1},
    "srbench.modules.edsr.net.EDSRNet": {"features": 8, "blocks": 1},
    "srbench.modules.rrdb.net.RRDBNet": {"features": 8, "blocks": 1, "growth": 4},
    "srbench.modules.nets.swinir.SwinIRNet": {"depths": [2], "dim": 12, "heads": 2, "drop_path": 0.0},
    "srbench.modules.nets.rssb.RSSBNet": {"dim": 12, "depths": [1], "drop_path": 0.0},
}


@pytest.mark.parametrize("name", NETWORKS, ids=lambda name: name.rpartition(".")[2])
@pytest.mark.parametrize("stage", ["PixelSR", "GANSR"])
def test_any_network_by_its_class_path_learns_in_both_stages(name: str, stage: str) -> None:
    judge = {"class_path": "srbench.modules.nets.patch_discriminator.PatchDiscriminator", "init_args": {"features": 4}}
    gan = {"discriminator": judge, "perceptual_weight": 0.0} if stage == "GANSR" else {}
    arguments = {"net": {"class_path": name, "init_args": NETWORKS[name]}, **gan}
    module: Any = build_model({"model": {"class_path": f"srbench.modules.{stage}", "init_args": arguments}})
    before = copy.deepcopy(module.net.state_dict())
    _fit(module, 1)
    still = {parameter for parameter, _ in module.net.named_parameters()} - set(_moved(before, module.net))
    assert not still
    assert module.method == name.rpartition(".")[2] + ("-GAN" if gan else "")


def test_the_losses_of_a_gan_step_leave_the_other_network_alone() -> None:
    module = _gansr()
    batch = _batches(1)[0]
    sr = module.generate(batch)
    with fixed(module.discriminator):
        losses = module.generator_losses(sr, {"pix": batch["gt"], "percep": batch["gt"], "gan": batch["gt"]})
        torch.stack(list(losses.values())).sum().backward()
    assert all(p.grad is None and p.requires_grad for p in module.discriminator.parameters())
    assert all(p.grad is not None for p in module.net.parameters())
    module.net.zero_grad()
    judged, _ = module.discriminator_losses(sr.detach(), batch["gt"])
    torch.stack(list(judged.values())).sum().backward()
    assert all(p.grad is None for p in module.net.parameters())


def test_the_generators_turn_costs_no_gradients_of_the_discriminator() -> None:
    seen = []

    class Watching(GANSR):
        def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
            seen.append([any(p.grad is not None for p in net.parameters()) for net in (self.net, self.discriminator)])

    _fit(Watching(_net(), UNetDiscriminator(4), perceptual_weight=0.0), 1)
    assert seen == [[True, False], [True, True]]


def test_sharpened_targets_go_to_the_losses_that_ask() -> None:
    module = _gansr(sharpen=["pix", "percep"])
    gt = torch.rand(2, 3, 64, 64).round() * 0.5 + 0.25
    targets = module._targets(gt)
    assert torch.equal(targets["gan"], gt)
    assert torch.equal(targets["pix"][1], usm_sharpen(gt[1]))
    assert not torch.equal(targets["pix"], gt)


def test_losses_of_weight_zero_are_left_out() -> None:
    module = GANSR(_net(), UNetDiscriminator(4), perceptual_weight=0.0, pixel_weight=0.0)
    assert set(module.parts()) == {"net", "discriminator"}
    batch = _batches(1)[0]
    assert set(module.generator_losses(batch["gt"], {"gan": batch["gt"]})) == {"l_g_gan"}


def test_gradients_of_each_network_are_clipped() -> None:
    norms = []

    class Watching(GANSR):
        def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
            super().on_before_optimizer_step(optimizer)
            grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            norms.append(torch.stack([g.norm() for g in grads]).norm().item())

    _fit(Watching(_net(), UNetDiscriminator(4), perceptual_weight=0.0, gradient_clip_val=1e-3), 2)
    assert norms == pytest.approx([1e-3] * 4, rel=1e-2)


def test_mixed_precision_trains() -> None:
    module = _gansr()
    before = copy.deepcopy(module.net.state_dict())
    _fit(module, 2, precision="bf16-mixed")
    assert _moved(before, module.net)
    assert all(p.dtype == torch.float32 and bool(torch.isfinite(p).all()) for p in module.parameters())


def _half(scale: float) -> MixedPrecision:
    """Lightning's 16-mixed with a scaler of gradients, as on a GPU; on a CPU its precision flag means bfloat16."""
    return MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu", init_scale=scale))


def test_scaled_half_precision_learns_what_full_precision_learns() -> None:
    """Two optimisers under one scaler: gradients are unscaled before they are clipped and applied."""
    moves, norms = [], []

    class Watching(GANSR):
        def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
            super().on_before_optimizer_step(optimizer)
            grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            norms.append(torch.stack([g.norm() for g in grads]).norm().item())

    for more in ({}, {"plugins": [_half(2.0**12)]}):
        torch.manual_seed(0)
        module = Watching(_net(), UNetDiscriminator(4), perceptual_weight=0.0, optimizer=_sgd, gradient_clip_val=0.05)
        before = nn.utils.parameters_to_vector(module.parameters()).detach()
        assert _fit(module, 4, **more).global_step == 4
        moves.append(nn.utils.parameters_to_vector(module.parameters()).detach() - before)
    assert norms == pytest.approx([0.05] * 16, rel=1e-2)
    assert moves[0].norm() > 0.005
    assert (moves[1] - moves[0]).norm() < 0.05 * moves[0].norm()


def test_an_overflow_of_half_precision_costs_its_steps_and_nothing_else() -> None:
    module = _gansr()
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    precision = _half(2.0**40)
    trainer = _fit(module, 2, plugins=[precision])
    assert trainer.global_step == 2
    assert not _moved(before, module)
    assert precision.scaler is not None
    assert precision.scaler.get_scale() == 2.0**36  # halved by each of two networks in each of two steps


def test_each_optimiser_and_schedule_may_be_its_own() -> None:
    def halve(optimizer: torch.optim.Optimizer) -> Any:
        return torch.optim.lr_scheduler.MultiStepLR(optimizer, [2], gamma=0.5)

    module = _gansr(discriminator_optimizer=lambda p: torch.optim.SGD(p, lr=0.2), scheduler=halve)
    trainer = _fit(module, 3)
    assert [o.param_groups[0]["lr"] for o in trainer.optimizers] == [0.025, 0.1]
    net, judge = ({id(p) for g in o.param_groups for p in g["params"]} for o in trainer.optimizers)
    assert net == {id(p) for p in module.net.parameters()}
    assert judge == {id(p) for p in module.discriminator.parameters()}


# ----------------------------------------------------------------------------------------------------- what it says


def test_rows_are_named_after_the_network_or_as_asked() -> None:
    assert PixelSR(_net()).method == "RRDBNet"
    assert PixelSR(_net(), name="RealESRNet").method == "RealESRNet"
    assert (_gansr().method, _gansr(name="Mine").method) == ("RRDBNet-GAN", "Mine")
    assert (PixelSR(_net()).stage, _gansr().stage) == ("pixel", "gan")
    with pytest.raises(InputError):
        PixelSR(_net(), name="a/b")


def test_the_frozen_network_is_a_part_and_in_no_state() -> None:
    module = _gansr()
    assert set(module.parts()) == {"net", "discriminator", "vgg"}
    assert {name.split(".")[0] for name in module.state_dict()} == {"net", "discriminator"}
    module.train()
    assert not module.parts()["vgg"].training


def test_upscaling_is_clamped() -> None:
    module = _gansr()
    with torch.no_grad():
        module.net.conv_last.bias.fill_(3.0)
    assert module.upscale(torch.rand(1, 3, 8, 8)).max().item() == 1.0


def test_checkpoints_of_earlier_stages_and_published_files_load(tmp_path: Path) -> None:
    other = _gansr()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(0.5)
    state = other.state_dict()
    torch.save({"state_dict": state, "pytorch-lightning_version": "2.6"}, tmp_path / "gan.ckpt")
    pixel = {k: v for k, v in state.items() if k.startswith("net.")}
    torch.save({"state_dict": pixel, "pytorch-lightning_version": "2.6"}, tmp_path / "pixel.ckpt")
    torch.save({"params": other.discriminator.state_dict()}, tmp_path / "net_d.pth")
    for weights, judge in (("gan.ckpt", "gan.ckpt"), ("pixel.ckpt", "net_d.pth")):
        module = _gansr(weights=str(tmp_path / weights), discriminator_weights=str(tmp_path / judge))
        module._trainer = Trainer(**QUIET)
        module.setup("fit")
        for name, value in module.state_dict().items():
            assert torch.equal(value, state[name]), name


# ---------------------------------------------------------------------------------------------------------- bad input


def test_losses_that_are_not_finite_are_returned_by_name() -> None:
    module = _gansr()
    with torch.no_grad():
        module.discriminator.conv9.bias.fill_(float("nan"))
    outputs: list[Any] = []
    module.on_train_batch_end = lambda out, *_: outputs.append(out)
    _fit(module, 1)
    assert outputs[0]["l_d_real"].isnan()
    assert outputs[0]["loss"].isnan()
    assert outputs[0]["l_g_pix"].isfinite()


@pytest.mark.parametrize("make", [lambda: PixelSR(RRDBNet(scale=2, features=8, blocks=1, growth=4)), _gansr])
def test_a_network_of_another_scale_is_refused(make: Any) -> None:
    batches = [
        {**batch, "lq": F.avg_pool2d(batch["gt"], 2 if isinstance(make(), GANSR) else 4)} for batch in _batches()
    ]
    with pytest.raises(InputError, match=r"of lq 2x3x.* the network makes 2x3x.*set its scale"):
        _fit(make(), 1, batches)


@pytest.mark.parametrize(
    ("trainer", "said"),
    [({"gradient_clip_val": 0.5}, "model.init_args.gradient_clip_val"), ({"accumulate_grad_batches": 2}, "batch_size")],
)
def test_what_the_trainer_cannot_do_is_said(trainer: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        _fit(_gansr(), 1, **trainer)


@pytest.mark.parametrize("wrong", [{"net_d_iters": 0}, {"net_d_init_iters": -1}])
def test_impossible_turns(wrong: dict[str, int]) -> None:
    with pytest.raises(InputError, match="impossible"):
        _gansr(**wrong)


def test_without_vgg_a_real_run_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRBENCH_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"vgg19-dcbb9e9d\.pth.*srbench weights fetch vgg19"):
        _fit(_gansr(perceptual=None), 1)
    module = _gansr(perceptual=PerceptualLoss(SHALLOW), allow_random_backbones=True)
    with pytest.warns(UserWarning, match="everything made so is marked"):
        _fit(module, 1)
    assert module.marks == ("random_backbones",)
    # Nothing is trained: neither VGG19 nor the stage before is needed.
    tested = GANSR(_net(), UNetDiscriminator(4), previous="methods/realesrgan/1_pixel.yaml")
    tested.setup("test")
    assert tested.marks == ()
