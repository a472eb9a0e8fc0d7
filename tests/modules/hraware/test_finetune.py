"""Stage 2 of HR-aware: what moves, what s and FAR do, which stage 1 fits, and whole runs of the command."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from srbench.cli import main
from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.modules import SRResNet
from srbench.modules.hraware import HRAwareFinetune, HRAwarePretrain
from srbench.modules.nets.lr_reconstruction import enlarged
from srbench.records import find_records
from srbench.weights import read_checkpoint

pytest.importorskip("timm")
pytest.importorskip("lpips")
pytestmark = pytest.mark.filterwarnings("ignore:.*a random network stands in")

SMALL: dict[str, Any] = {"preset": "small", "allow_random_backbones": True}


@pytest.fixture(autouse=True)
def _no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SRBENCH_WEIGHTS", "TORCH_HOME", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "nowhere"))


def _finetune(**more: Any) -> HRAwareFinetune:
    torch.manual_seed(0)
    module = HRAwareFinetune(SRResNet(features=8, blocks=1), **SMALL, **{"far_encoder": "vgg19", **more})
    module.prepare()
    module.fill()
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    return module


def _batch() -> Batch:
    return Batch(lq=torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(1)), name=["a", "b"])


def _states(module: HRAwareFinetune) -> dict[str, dict[str, Tensor]]:
    frozen = {name: part for name, part in module.parts().items() if name != "net"}
    assert module.controller is not None
    assert module.controller.distance.lpips is not None
    assert module.loss.perceptual is not None
    assert module.loss.perceptual.lpips is not None
    frozen["alex"], frozen["vgg"] = module.controller.distance.lpips.net, module.loss.perceptual.lpips.net
    return {name: copy.deepcopy(part.state_dict()) for name, part in frozen.items()}


def test_a_step_moves_the_adapted_network_and_nothing_else() -> None:
    module = _finetune(far_encoder="clip")  # RN50 has batch norms, whose counts must not move either
    before = _states(module)
    net = module.parts()["net"]
    start = copy.deepcopy(net.state_dict())
    optimizer = module.optimizer_factory(p for p in module.parameters() if p.requires_grad)
    batch = _batch()
    losses = module.objective(batch, module.upscale(batch["lq"]))
    assert set(losses) == {"l_l1", "l_lpips", "l_far"}
    torch.stack(list(losses.values())).sum().backward()
    optimizer.step()
    after = _states(module)
    assert {"e_deg", "e_img", "r", "r_entry", "far", "far_encoder", "alex", "vgg"} == set(after)
    for name, state in before.items():
        assert all(torch.equal(state[key], after[name][key]) for key in state), name
    assert all(not torch.equal(start[key], value) for key, value in net.state_dict().items())
    assert set(module.state_dict()) == {f"net.{key}" for key in start}


def test_far_alone_reaches_the_network() -> None:
    module = _finetune()
    with torch.no_grad():
        for parameter in module.far.net.parameters():  # T begins at 0, where e_im is not looked at
            parameter.normal_(0, 0.1)
    batch = _batch()
    losses = module.objective(batch, module.upscale(batch["lq"]))
    losses["l_far"].backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in module.parts()["net"].parameters())
    assert float(losses["l_far"].detach()) == pytest.approx(0.1 * float((losses["l_l1"] + losses["l_lpips"]).detach()))
    assert module.far_weight is not None


def test_lambda_is_kept_with_the_weights_unless_the_config_says_another() -> None:
    module = _finetune(far_weight=0.25)
    held: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(held)
    assert held["far_weight"] == 0.25
    other, own = _finetune(), _finetune(far_weight=2.0)
    other.on_load_checkpoint(held)
    own.on_load_checkpoint(held)
    assert (other.far_weight, own.far_weight) == (0.25, 2.0)


@pytest.mark.parametrize(("mode", "wanted"), [("hqi", 1.0), ("one_minus_hqi", 0.0)])
def test_without_noise_s_of_the_enlarged_lq_is_one_in_this_stage(mode: str, wanted: float) -> None:
    controller = _finetune(s_mode_ft=mode).controller
    assert controller is not None
    up = enlarged(_batch()["lq"], torch.zeros(2, 3, 96, 96))
    s = controller(up, up)
    assert s.shape == (2, 64)
    assert torch.allclose(s, torch.full_like(s, wanted))


@pytest.mark.parametrize("detach", [True, False])
def test_s_reaches_the_network_only_if_it_may(detach: bool) -> None:
    module = _finetune(s_detach=detach)
    assert module.controller is not None
    lq = _batch()["lq"]
    s = module.controller(enlarged(lq, torch.zeros(2, 3, 96, 96)), module.upscale(lq))
    assert s.requires_grad is not detach


def test_n_is_drawn_anew_for_every_step_and_the_same_after_a_resume() -> None:
    module = _finetune()
    batch = _batch()
    assert module.step_generator(batch).initial_seed() == module.step_generator(batch).initial_seed()
    other = Batch(lq=batch["lq"], name=["a", "c"])
    assert module.step_generator(batch).initial_seed() != module.step_generator(other).initial_seed()


@pytest.mark.parametrize(("off", "losses"), [("use_far", {"l_l1", "l_lpips"}), ("use_s", {"l_l1", "l_lpips", "l_far"})])
def test_ablations_leave_their_part_out(off: str, losses: set[str]) -> None:
    module = _finetune(**{off: False})
    batch = _batch()
    assert set(module.objective(batch, module.upscale(batch["lq"]))) == losses
    assert (module.controller is None) == (off == "use_s")
    assert ("far" in module.parts()) == (off != "use_far")


def test_both_spaces_and_ws_weight_make_a_loss() -> None:
    for space in ("lr", "hr"):
        module = _finetune(recon_space=space, hf_weight=True, use_far=False, use_s=False)
        batch = _batch()
        losses = module.objective(batch, module.upscale(batch["lq"]))
        assert all(bool(torch.isfinite(loss)) for loss in losses.values())


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(InputError, match="the weight of FAR is negative"):
        _finetune(far_weight=-1.0)


# ----------------------------------------------------------------------------------------------------- whole commands

Run = Callable[..., str]
NET = '{"class_path": "srbench.modules.SRResNet", "init_args": {"features": 8, "blocks": 1}}'
QUIET = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--benchmark.threads=1"]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``srbench ARGUMENTS`` in a folder with lq, gt, weights to adapt and a stage 1; gives what it printed."""
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[:112, :128]
    for number in range(2):
        gt = np.stack([np.sin(x / 5 + number), np.cos(y / 6), np.sin((x - y) / 7)], -1) * 90 + 128
        for kind, step in (("gt", 1), ("lq", 4)):
            Path(kind).mkdir(exist_ok=True)
            Image.fromarray(gt[::step, ::step].astype(np.uint8)).save(f"{kind}/{number}.png")
    torch.manual_seed(0)
    torch.save({"params": SRResNet(features=8, blocks=1).net.state_dict()}, "base.pth")
    _stage_one("stage1.ckpt")

    def command(*arguments: str, status: int = 0) -> str:
        capsys.readouterr()
        returned = main([*arguments, *QUIET])
        out, err = capsys.readouterr()
        assert returned == status, err + out
        return out + err

    return command


def _stage_one(path: str, **options: Any) -> None:
    """A checkpoint as stage 1's fit leaves it, marked like one that learned from random backbones."""
    chosen = {"preset": "small", "far_encoder": "vgg19", "use_s": True, "demodulate": True, **options}
    stage = HRAwarePretrain(**chosen)
    head = {"pytorch-lightning_version": "2.6.6", "marks": ["random_backbones"]}
    known = {"_class_path": "srbench.modules.HRAwarePretrain", "scale": 4, **chosen}
    torch.save({**head, "state_dict": stage.state_dict(), "hyper_parameters": known}, path)


def _arguments(*more: str, pretrained: str = "stage1.ckpt") -> list[str]:
    return [
        *("fit", "--config=methods/hraware/2_finetune.yaml", "--config=data/unlabelled.yaml"),
        *(f"--model.init_args.model={NET}", "--model.init_args.weights=base.pth", "--data.init_args.root=lq"),
        *("--model.init_args.preset=small", "--model.init_args.far_encoder=vgg19"),
        *("--model.init_args.allow_random_backbones=true", f"--model.init_args.pretrained={pretrained}"),
        *("--data.init_args.batch_size=2", "--data.init_args.patch_size=96", "--data.init_args.samples_per_epoch=4"),
        *("--trainer.max_steps=2", "--trainer.default_root_dir=run", "--trainer.log_every_n_steps=1"),
        *more,
    ]


def test_a_run_is_adapted_tested_and_marked_like_its_stage_one(run: Run) -> None:
    run(*_arguments())
    held = read_checkpoint("run/checkpoints/last.ckpt")
    assert held["global_step"] == 2
    assert held["marks"] == ["random_backbones"]
    assert all(name.startswith("net.") for name in held["state_dict"])
    assert held["far_weight"] > 0
    Path("stage1.ckpt").unlink()
    Path("base.pth").unlink()
    pairs = ["--config=data/image_pairs.yaml", "--data.init_args.test_gt=gt", "--data.init_args.test_lq=lq"]
    run("test", "--ckpt_path=run/checkpoints/last.ckpt", *pairs, "--benchmark.out=records")
    [(_, record)] = find_records([Path("records")])
    assert (record.method, record.n, record.marks) == ("SRResNet-HRaware", 2, ("random_backbones",))


def test_a_resumed_run_ends_where_an_unbroken_one_does(run: Run) -> None:
    run(*_arguments("--trainer.max_steps=3", "--trainer.default_root_dir=whole"))
    run(*_arguments("--trainer.max_steps=1"))
    run(*_arguments("--trainer.max_steps=3", "--ckpt_path=last"))
    whole, parts = (read_checkpoint(f"{folder}/checkpoints/last.ckpt") for folder in ("whole", "run"))
    assert whole["far_weight"] == parts["far_weight"]
    for name, value in whole["adaptation"]["current"].items():
        assert torch.equal(value, parts["adaptation"]["current"][name]), name


def test_a_stage_one_of_other_options_is_refused(run: Run) -> None:
    _stage_one("other.ckpt", demodulate=False)
    refused = run(*_arguments(pretrained="other.ckpt"), status=2)
    assert "it was trained with demodulate False, and here demodulate is True" in refused
    _stage_one("other.ckpt", use_far=False)
    assert "it was trained without FAR" in run(*_arguments(pretrained="other.ckpt"), status=2)


def test_without_stage_one_the_command_that_makes_it_is_named(run: Run) -> None:
    refused = run(*_arguments(pretrained="not/here.ckpt"), status=2)
    assert "not/here.ckpt" in refused
    assert "srbench fit --config methods/hraware/1_pretrain.yaml" in refused
