"""Stage 1: what a step trains and draws, every switch, lambda, validation, and what its checkpoint gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.modules.hraware.network import load_pretrained, network
from srbench.modules.hraware.pretrain import HRAwarePretrain
from srbench.modules.nets.lr_reconstruction import enlarged

pytest.importorskip("timm")
pytest.importorskip("lpips")
pytestmark = pytest.mark.filterwarnings("ignore:.*a random network stands in")

SMALL: dict[str, Any] = {"preset": "small", "allow_random_backbones": True}
QUICK: dict[str, Any] = {**SMALL, "lpips_weight": 0.0, "use_s": False, "far_encoder": "edsr"}
"""Without the two LPIPS and CLIP."""


@pytest.fixture(autouse=True)
def _no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SRBENCH_WEIGHTS", "TORCH_HOME", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))


class Ready(NamedTuple):
    module: HRAwarePretrain
    logged: dict[str, float]


def _ready(**given: Any) -> Ready:
    """A module with its backbones, and what it logged last."""
    torch.manual_seed(0)
    module, logged = HRAwarePretrain(**given), dict[str, float]()

    def log_dict(values: dict[str, Tensor], **more: Any) -> None:
        logged.update({name: float(value.detach()) for name, value in values.items()})

    module.log_dict = log_dict  # type: ignore[method-assign,assignment]
    module.log = lambda name, value, **more: log_dict({name: value})  # type: ignore[method-assign]
    module.load_backbones()
    return Ready(module, logged)


def _batch(seed: int = 0, lq: int = 24, gt: int = 96) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(2, 3, gt, gt, generator=generator)
    return {
        "lq": torch.nn.functional.adaptive_avg_pool2d(image, lq),
        "gt": image,
        "name": [f"{seed}-{i}" for i in range(2)],
    }


# ------------------------------------------------------------------------------------------------------------- parts


def test_nothing_frozen_is_in_parameters_or_checkpoint() -> None:
    module = _ready(**SMALL).module
    assert {name.split(".")[0] for name in module.state_dict()} == {"net", "far", "far_constant"}
    assert {name.split(".")[0] for name, _ in module.named_parameters()} == {"net", "far", "far_constant"}


# -------------------------------------------------------------------------------------------------------------- steps

SWITCHES: list[dict[str, Any]] = [
    {},
    {"recon_space": "hr"},
    {"use_s": False},
    {"use_far": False, "hf_weight": True},
    {"far_encoder": "vgg19", "entry": "strided", "demodulate": False},
    {"far_encoder": "edsr", "n_eval": "sample", "s_detach": False, "far_weight": 0.3},
    {"clip_layer": "layer3", "lpips_weight": 0.0},
]


@pytest.mark.parametrize("given", SWITCHES, ids=str)
def test_a_step_of_every_switch_reaches_every_weight(given: dict[str, Any]) -> None:
    module, logged = _ready(**SMALL, **given)
    optimizer: Any = module.configure_optimizers()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    for step in range(2):  # R's noise has strength 0 and the maps are 0 at first
        optimizer.zero_grad()
        loss = module.training_step(_batch(step), step)
        loss.backward()
        optimizer.step()
    parts = [logged[f"losses/{name}"] for name in ("l_l1", "l_lpips", "l_far") if f"losses/{name}" in logged]
    assert len(parts) == 3 - (not module.loss.lpips_weight) - (module.far is None)
    assert loss.item() == pytest.approx(sum(parts), rel=1e-5)
    same = {name for name, value in module.state_dict().items() if torch.equal(value, before[name])}
    assert not same
    module.eval()
    assert all(bool(torch.isfinite(value)) for value in module.measures(_batch(9)).values())


def test_the_loss_is_the_formula_of_eq_5() -> None:
    module, logged = _ready(**SMALL, far_weight=2.0)
    batch = _batch()
    loss = module.training_step(batch, 0)
    assert module.far is not None
    assert module.controller is not None
    generator = module.step_generator(batch)
    s = module.controller(enlarged(batch["lq"], batch["gt"]), batch["gt"], generator)
    assert s.shape == (2, 64)
    e_im = module.net.e_img(batch["gt"])  # type: ignore[misc]
    made = module.net.r(module.net.r_entry(e_im), s * module.net.e_deg(batch["lq"]), generator)  # type: ignore[misc]
    terms = module.loss(made, batch["lq"])
    phi = module.far(e_im, module.far_encoder.net(batch["gt"])).mean()
    torch.testing.assert_close(loss, terms.total + 2 * phi)
    assert logged["far/phi"] == pytest.approx(phi.item(), rel=1e-5)
    assert logged["far/constant"] == pytest.approx(phi.item(), rel=1e-4)  # both maps and constants begin at 0


def test_the_reconstruction_of_the_hr_space_is_of_the_enlarged_lq() -> None:
    module = _ready(**{**QUICK, "use_far": False}, recon_space="hr").module
    made, target = module.reconstruct(_batch(), None)
    assert torch.equal(target, enlarged(_batch()["lq"], _batch()["gt"]))
    assert made.shape == target.shape


def test_a_step_is_a_function_of_seed_step_and_images(monkeypatch: pytest.MonkeyPatch) -> None:
    module = _ready(**SMALL, use_far=False).module
    torch.nn.init.ones_(module.net.r.body[0].noise)  # type: ignore[arg-type]
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    losses: list[float] = []
    for _ in range(2):
        torch.manual_seed(len(losses))
        before = torch.get_rng_state()
        losses.append(module.training_step(_batch(), 0).item())
        assert torch.equal(torch.get_rng_state(), before)
    assert losses[0] == losses[1]
    monkeypatch.setenv("PL_GLOBAL_SEED", "2")
    assert module.training_step(_batch(), 0).item() != losses[0]


def test_draws_differ_between_steps_and_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    module = _ready(**QUICK, use_far=False).module
    drawn = [torch.randn(3, generator=module.step_generator(_batch(seed))) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    monkeypatch.setattr(HRAwarePretrain, "global_step", 5)
    later = torch.randn(3, generator=module.step_generator(_batch(0)))
    assert not torch.equal(drawn[0], later)


# ------------------------------------------------------------------------------------------------------------- lambda


def test_the_first_step_sets_lambda_to_the_share_and_later_ones_keep_it() -> None:
    module, logged = _ready(**QUICK, far_share=0.2)
    module.training_step(_batch(), 0)
    assert logged["losses/l_far"] == pytest.approx(0.2 * logged["losses/l_l1"], rel=1e-5)
    weight = module.far_weight
    assert weight is not None
    module.training_step(_batch(7), 1)
    assert module.far_weight == weight
    saved: dict[str, Any] = {"state_dict": {k: v.clone() for k, v in module.state_dict().items()}}
    module.on_save_checkpoint(saved)
    again = _ready(**QUICK).module
    again.on_load_checkpoint(saved)
    assert again.far_weight == weight
    given = _ready(**QUICK, far_weight=3.0).module
    given.on_load_checkpoint(saved)
    assert given.far_weight == 3.0


def test_lambda_waits_for_images_with_something_in_them() -> None:
    module, logged = _ready(**QUICK)
    nothing = _batch()
    for bias in module.far_encoder.net.parameters():
        torch.nn.init.zeros_(bias)
    loss = module.training_step(nothing, 0)
    assert module.far_weight is None
    assert logged["losses/l_far"] == 0
    assert bool(torch.isfinite(loss))


# --------------------------------------------------------------------------------------------------------- validation


def test_validation_compares_gt_with_the_enlarged_lq_and_with_the_constants() -> None:
    module = _ready(**SMALL).module
    module.training_step(_batch(), 0)
    module.eval()
    assert module.far is not None
    torch.nn.init.normal_(module.far.t_avg.weight)
    batch = _batch(3)
    found = module.measures(batch)
    assert set(found) == {"l_rec", "far_clean", "far_degraded", "far_constant"}
    up = enlarged(batch["lq"], batch["gt"])
    for name, image in (("far_clean", batch["gt"]), ("far_degraded", up)):
        phi = module.far(module.net.e_img(image), module.far_encoder.net(image)).mean()  # type: ignore[misc]
        torch.testing.assert_close(found[name], phi)
    assert all(torch.equal(value, found[name]) for name, value in module.measures(batch).items())


def test_a_sampled_n_in_validation_depends_on_the_image_alone() -> None:
    module = _ready(**SMALL, use_far=False, n_eval="sample").module.eval()
    still = _ready(**SMALL, use_far=False).module.eval()
    assert torch.equal(module.measures(_batch())["l_rec"], module.measures(_batch())["l_rec"])
    assert not torch.equal(module.measures(_batch())["l_rec"], still.measures(_batch())["l_rec"])


# ----------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("given", "batch", "said"),
    [
        ({}, _batch(lq=20, gt=80), "20x20 is too small for the degradation encoder.*22 pixels"),
        ({"recon_space": "hr", "far_encoder": "clip"}, _batch(lq=7, gt=28), "28x28 is too small for FAR's encoder"),
    ],
)
def test_too_small_patches_are_refused(given: dict[str, Any], batch: Batch, said: str) -> None:
    module = _ready(**{**QUICK, **given}).module
    with pytest.raises(InputError, match=said):
        module.training_step(batch, 0)


def test_it_makes_no_sr() -> None:
    with pytest.raises(InputError, match=r"makes no sr.*2_finetune.yaml"):
        _ready(**QUICK, use_far=False).module.upscale(torch.zeros(1, 3, 24, 24))


# ------------------------------------------------------------------------------------------------ for the second stage


def test_a_checkpoint_gives_the_networks_their_values(tmp_path: Path) -> None:
    module = _ready(**QUICK).module
    module.training_step(_batch(), 0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    saved: dict[str, Any] = {"state_dict": module.state_dict(), "pytorch-lightning_version": "2"}
    torch.save(saved, tmp_path / "last.ckpt")
    assert module.far is not None
    net, far = network("small"), type(module.far)(16, 64)
    load_pretrained(tmp_path / "last.ckpt", net, far)
    for own, other in ((net, module.net), (far, module.far)):
        state = other.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in own.state_dict().items())
    assert bool(far.units.all())
    again = HRAwarePretrain(**QUICK, weights=str(tmp_path / "last.ckpt"))
    again.prepare()
    assert torch.equal(again.net.r.conv_last.weight, module.net.r.conv_last.weight)
    with pytest.raises(InputError, match="another network"):
        load_pretrained(tmp_path / "last.ckpt", network("small", recon_space="hr"), None)
    alone = {k: v for k, v in saved["state_dict"].items() if k.startswith("net.")}
    torch.save({**saved, "state_dict": alone}, tmp_path / "plain.ckpt")
    load_pretrained(tmp_path / "plain.ckpt", net, None)
    with pytest.raises(InputError, match="trained without FAR"):
        load_pretrained(tmp_path / "plain.ckpt", net, far)
