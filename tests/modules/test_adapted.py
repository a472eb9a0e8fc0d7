"""Adapting a network to unlabelled lq: what moves, what is kept, what is refused, through the command line."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from spandrel.architectures.ESRGAN import ESRGAN
from torch import nn

from srbench.build import build_model
from srbench.cli import main
from srbench.errors import InputError
from srbench.modules import SRResNet
from srbench.modules.given_method import GivenMethod
from srbench.records import find_records, read_record
from srbench.weights import read_checkpoint

METHOD = '''
import torch
from srbench.module import SRModule
from srbench.modules.adapted import AdaptedSR

class Darker(AdaptedSR):
    """Lowers sr's brightness; ``spoil`` makes the loss of that step NaN, ``soar`` very large."""
    suffix = "-darker"
    def __init__(self, model: SRModule, *, spoil: int | None = None, soar: int | None = None, **kwargs):
        super().__init__(model, **kwargs)
        self.spoil, self.soar = spoil, soar
    def objective(self, batch, sr):
        loss = sr.square().mean()
        if self.trainer.global_step == self.spoil:
            loss = loss * float("nan")
        return {"l_dark": loss * (1e6 if self.trainer.global_step == self.soar else 1.0)}

class Spoiler(torch.optim.SGD):
    """Leaves NaN behind."""
    def step(self, closure=None):
        loss = super().step(closure)
        with torch.no_grad():
            self.param_groups[0]["params"][0].fill_(float("nan"))
        return loss

class Closed(SRModule):
    """Restores without gradients."""
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.net = torch.nn.Conv2d(3, 48, 1)
    @torch.no_grad()
    def upscale(self, lq):
        return torch.nn.functional.pixel_shuffle(self.net(lq), 4).clamp(0, 1)
'''
BASE = {"class_path": "srbench.modules.SRResNet", "init_args": {"scale": 4, "features": 8, "blocks": 1}}
QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--benchmark.threads", "1"]


def _image(path: Path, side: tuple[int, int], phase: float) -> None:
    y, x = np.mgrid[: side[0], : side[1]]
    waves = np.stack([np.sin(x / 5 + y / 9 + phase), np.cos(y / 6 + phase), np.sin((x - y) / 7)], -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((waves * 90 + 128).astype(np.uint8)).save(path)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four lq and gt, a method, and weights of a network to adapt."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "darkening.py").write_text(METHOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    for number in range(4):
        _image(tmp_path / "set" / "lq" / f"{number}.png", (16, 20), number)
        _image(tmp_path / "set" / "gt" / f"{number}.png", (64, 80), number)
    torch.manual_seed(0)
    torch.save({"params": SRResNet(features=8, blocks=1).net.state_dict()}, tmp_path / "base.pth")
    return tmp_path


Run = Callable[..., str]


@pytest.fixture
def run(place: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``srbench ARGUMENTS``; gives what it printed."""

    def command(*arguments: str, status: int = 0) -> str:
        capsys.readouterr()
        returned = main([*arguments, *QUIET])
        out, err = capsys.readouterr()
        assert returned == status, err + out
        return out + err

    return command


def _model(**more: Any) -> list[str]:
    given = [f"--model.init_args.{key}={value}" for key, value in more.items()]
    base = [f"--model.init_args.model.{key}={value}" for key, value in BASE["init_args"].items()]  # type: ignore[attr-defined]
    return [
        "--model=darkening.Darker",
        f"--model.init_args.model={BASE['class_path']}",
        *(token.replace(".model.", ".model.init_args.") for token in base),
        *given,
    ]


PAIRS = [
    "--data=Unlabelled",
    "--data.init_args.of=srbench.datamodules.ImagePairs",
    "--data.init_args.of.init_args.test_gt=set/gt",
    "--data.init_args.of.init_args.test_lq=set/lq",
    "--data.init_args.of.init_args.test_name=Set",
    *("--data.init_args.batch_size=2", "--data.init_args.patch_size=32", "--data.init_args.samples_per_epoch=8"),
]
RATE = ["--model.init_args.optimizer=torch.optim.Adam", "--model.init_args.optimizer.init_args.lr=1e-3"]


def _fit(run: Run, steps: int, *more: str, weights: str | None = "base.pth", out: str = "run", status: int = 0) -> str:
    given = [] if weights is None else [f"--model.init_args.weights={weights}"]
    return run(
        *("fit", *_model(), *given, *RATE, *PAIRS, *more),
        *(f"--trainer.max_steps={steps}", f"--trainer.default_root_dir={out}", "--trainer.log_every_n_steps=1"),
        status=status,
    )


def _pixels(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.rglob("*.png"))}


def _checkpoint(out: str = "run") -> dict[str, Any]:
    held = read_checkpoint(Path(out) / "checkpoints" / "last.ckpt")
    assert isinstance(held, dict)
    return held


def _net(held: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {k.removeprefix("net."): v for k, v in held["state_dict"].items()}


def _base() -> dict[str, torch.Tensor]:
    held: dict[str, torch.Tensor] = read_checkpoint("base.pth")["params"]
    return held


def _equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_no_steps_give_the_given_networks_images_byte_for_byte(run: Run, place: Path) -> None:
    _fit(run, 0)
    base = ["--model=SRResNet", "--model.features=8", "--model.blocks=1", "--model.weights=base.pth"]
    run("predict", *base, *PAIRS, "--benchmark.out=by_base")
    run("predict", *_model(weights="base.pth"), *PAIRS, "--benchmark.out=unfitted")
    run("predict", "--ckpt_path=run/checkpoints/last.ckpt", *PAIRS, "--benchmark.out=fitted")
    by_base = _pixels(place / "by_base")
    assert len(by_base) == 4
    assert _pixels(place / "unfitted") == by_base
    assert _pixels(place / "fitted") == by_base
    held = _checkpoint()
    assert _equal(_net(held), _base())
    assert _equal(held["adaptation"]["average"], _base())


def test_steps_move_the_network_alone_and_the_average_follows_it(run: Run) -> None:
    _fit(run, 3, "--model.init_args.ema_decay=0.9")
    held = _checkpoint()
    assert set(held["state_dict"]) == {f"net.{name}" for name in _base()}
    current, average, start = (held["adaptation"][key] for key in ("current", "average", "start"))
    assert _equal(start, _base())
    assert _equal(_net(held), average)
    for name, given in start.items():
        assert not torch.equal(current[name], given)
        assert (average[name] - given).norm() < (current[name] - given).norm()
    [log] = Path("run").glob("logs/*/metrics.csv")
    losses = [float(row["losses/l_dark"]) for row in csv.DictReader(log.open()) if row["losses/l_dark"]]
    assert len(losses) == 3
    assert losses[-1] < losses[0]


def test_a_collapse_that_the_loss_and_the_average_hide_is_logged_and_told(run: Run) -> None:
    fast = ["--model.init_args.optimizer.init_args.lr=0.05"]
    with pytest.warns(UserWarning, match="the adapted network collapsed: without its average its sr is"):
        _fit(run, 12, *fast)
    [log] = Path("run").glob("logs/*/metrics.csv")
    rows = list(csv.DictReader(log.open()))
    seen = [float(row["adapt/psnr_to_base"]) for row in rows if row["adapt/psnr_to_base"]]
    losses = [float(row["losses/l_dark"]) for row in rows if row["losses/l_dark"]]
    assert len(seen) == 12
    assert seen[0] == pytest.approx(100)
    assert seen[-1] < 20
    assert losses[-1] < losses[0]
    _fit(run, 12, *fast, "--trainer.log_every_n_steps=50", out="unseen")
    assert _equal(_checkpoint()["adaptation"]["current"], _checkpoint("unseen")["adaptation"]["current"])


def test_an_adapted_checkpoint_is_tested_and_is_weights_of_the_method_itself(run: Run, place: Path) -> None:
    _fit(run, 3, "--model.init_args.ema_decay=0.5")
    (place / "base.pth").unlink()  # the checkpoint is enough
    run(
        "test", "--ckpt_path=run/checkpoints/last.ckpt", *PAIRS, "--benchmark.out=adapted", "--benchmark.save_images=-1"
    )
    [(_, record)] = find_records([Path("adapted")])
    assert record.method == "SRResNet-darker"
    assert record.n == 4
    assert record.marks == ()
    own = ["--model=SRResNet", "--model.features=8", "--model.blocks=1"]
    run("predict", *own, "--model.weights=run/checkpoints/last.ckpt", *PAIRS, "--benchmark.out=own")
    adapted = _pixels(next((place / "adapted").rglob("images")))
    assert adapted == _pixels(place / "own")
    assert len(adapted) == 4


def test_a_resumed_adaptation_ends_where_an_unbroken_one_does(run: Run) -> None:
    _fit(run, 5, out="whole")
    _fit(run, 2, out="parts")
    _fit(run, 5, "--ckpt_path=last", out="parts", weights=None)
    whole, parts = _checkpoint("whole"), _checkpoint("parts")
    for key in ("current", "average", "start"):
        assert _equal(whole["adaptation"][key], parts["adaptation"][key]), key
    assert parts["global_step"] == 5


@pytest.mark.parametrize("how", ["spoil=3", "soar=11"])
def test_a_diverging_adaptation_restores_the_given_weights_and_says_so(run: Run, how: str) -> None:
    printed = _fit(run, 20, f"--model.init_args.{how}")
    step = int(how.split("=")[1]) + 1
    note = f"the adaptation diverged at step {step}: the given weights are used"
    held = _checkpoint()
    assert _equal(_net(held), _base())
    assert held["global_step"] == step
    run("test", "--ckpt_path=run/checkpoints/last.ckpt", *PAIRS, "--benchmark.out=records")
    [(path, _)] = find_records([Path("records")])
    assert read_record(path).notes == tuple(f"{number}: {note}" for number in range(4))
    assert note in printed


def test_weights_that_are_spoilt_by_a_step_are_restored_too(run: Run) -> None:
    _fit(run, 5, "--model.init_args.optimizer=darkening.Spoiler", "--model.init_args.optimizer.init_args.lr=1e-3")
    held = _checkpoint()
    assert _equal(_net(held), _base())
    assert held["adaptation"]["note"].startswith("the adaptation diverged at step 1:")


ORACLE = [
    *("--model.init_args.early_stop=oracle", "--model.init_args.monitor=psnr_y219"),
    *("--model.init_args.monitor_mode=max", "--data.init_args.split=2", "--trainer.val_check_interval=1"),
]


@pytest.mark.parametrize("sanity", [-1, 1])
def test_an_oracle_keeps_its_best_and_is_marked(run: Run, sanity: int) -> None:
    _fit(run, 4, *ORACLE, "--model.init_args.ema_decay=0.0", f"--trainer.num_sanity_val_steps={sanity}")
    held = _checkpoint()
    best = held["adaptation"]["best"]
    [log] = Path("run").glob("logs/*/metrics.csv")
    rows = [row for row in csv.DictReader(log.open()) if row["metrics/Set-split2/psnr_y219"]]
    seen = {int(row["step"]) + 1: float(row["metrics/Set-split2/psnr_y219"]) for row in rows}
    assert sorted(seen) == ([0, 1, 2, 3, 4] if sanity < 0 else [1, 2, 3, 4])
    assert best["value"] == pytest.approx(max(seen.values()))
    assert seen[best["step"]] == pytest.approx(best["value"])
    assert _equal(_net(held), best["state"])
    run("test", "--ckpt_path=run/checkpoints/last.ckpt", *PAIRS, "--data.init_args.split=2", "--benchmark.out=records")
    records = [record for _, record in find_records([Path("records")])]
    assert {record.test_set: record.n for record in records} == {"Set": 4, "Set-without2": 2}
    assert all(record.marks == ("oracle",) for record in records)


def test_a_checkpoint_chosen_by_a_metric_is_an_oracle_by_another_name(run: Run) -> None:
    chosen = ["--checkpoint.monitor=metrics/Set-split2/psnr_y219", *ORACLE[-2:]]
    _fit(run, 2, *chosen)
    assert _checkpoint()["marks"] == ["oracle"]


def test_watching_gt_chooses_nothing_and_is_not_marked(run: Run) -> None:
    _fit(run, 2, *ORACLE[-2:])
    held = _checkpoint()
    assert held["marks"] == []
    assert held["adaptation"]["best"] == {}


def test_an_oracle_without_images_or_without_its_metric_is_refused(run: Run) -> None:
    assert "set --data.init_args.split 10" in _fit(run, 2, ORACLE[0], ORACLE[1], status=2)
    assert "looks at lpips_alex, which was not computed" in _fit(run, 2, ORACLE[0], *ORACLE[3:], status=2)


def test_a_gt_is_refused_unless_an_oracle_may_see_it(run: Run) -> None:
    shown = ["--data=ImagePairs", "--data.train_gt=set/gt", "--data.train_lq=set/lq"]
    sizes = ["--data.batch_size=2", "--data.patch_size=32", "--trainer.max_steps=1", "--trainer.default_root_dir=run"]
    refused = run("fit", *_model(weights="base.pth"), *shown, *sizes, status=2)
    assert "must not see gt" in refused
    assert "data/unlabelled.yaml" in refused


def test_another_scale_is_refused(run: Run) -> None:
    refused = run("fit", *_model(weights="base.pth", scale=2), *PAIRS, status=2)
    assert "the network to adapt is x4, this adaptation x2" in refused


def test_without_weights_there_is_nothing_to_adapt(run: Run) -> None:
    assert "there are no weights of SRResNet to adapt" in _fit(run, 1, weights=None, status=2)
    _fit(run, 1, "--model.init_args.allow_random_backbones=true", weights=None)
    assert _checkpoint()["marks"] == ["random_backbones"]


def test_a_method_that_lets_no_gradient_through_is_refused(run: Run) -> None:
    closed = ["--model=darkening.Darker", "--model.model=darkening.Closed", "--model.allow_random_backbones=true"]
    refused = run("fit", *closed, *PAIRS, "--trainer.max_steps=1", "--trainer.default_root_dir=run", status=2)
    assert "Closed lets no gradient reach its network" in refused


@pytest.mark.parametrize("setting", ["ema_decay=1.0", "limit=1.0"])
def test_impossible_settings_are_refused(run: Run, setting: str) -> None:
    assert "1.0 is impossible" in _fit(run, 1, f"--model.init_args.{setting}", status=2)


def test_half_precision_is_too_coarse(run: Run, place: Path) -> None:
    with pytest.raises(InputError, match=r"conv_first\.weight is torch\.float16, too coarse"):
        GivenMethod(SRResNet(features=8, blocks=1).half(), 4).need_float32()


def test_batch_norms_and_depth_stay_as_in_a_test_unless_told_otherwise(place: Path) -> None:
    for mode in (False, True):
        config = {"class_path": "darkening.Darker", "init_args": {"model": BASE, "train_mode": mode}}
        module = build_model({"model": config}).train()
        net = module.parts()["net"]
        assert isinstance(net, nn.Module)
        assert net.training is mode
        assert module.training


def test_the_place_of_a_file_is_no_part_of_the_configuration(place: Path) -> None:
    nested = {**BASE, "init_args": {**BASE["init_args"], "weights": "base.pth"}}  # type: ignore[dict-item]
    module = build_model({"model": {"class_path": "darkening.Darker", "init_args": {"model": nested}}})
    assert module.weights == "base.pth"
    module.prepare()
    assert _equal(dict(module.parts()["net"].state_dict()), _base())


def test_a_network_that_spandrel_builds_is_adapted_and_comes_back_from_its_checkpoint_alone(run: Run) -> None:
    torch.manual_seed(0)
    net = ESRGAN(num_filters=4, num_blocks=1, scale=4)
    torch.save({"params_ema": net.state_dict()}, "gan.pth")
    given = ["--model=darkening.Darker", "--model.init_args.model=srbench.modules.SpandrelSR"]
    named = ["--model.init_args.model.init_args.scale=4", "--model.init_args.model.init_args.name=Tiny"]
    steps = ["--trainer.max_steps=2", "--trainer.default_root_dir=run"]
    decay = "--model.init_args.ema_decay=0.0"
    run("fit", *given, *named, "--model.init_args.weights=gan.pth", decay, *RATE, *PAIRS, *steps)
    Path("gan.pth").unlink()
    state = _net(_checkpoint())
    assert state.keys() == net.state_dict().keys()
    assert all(not torch.equal(state[name], value) for name, value in net.state_dict().items() if "conv_last" in name)
    run("test", "--ckpt_path=run/checkpoints/last.ckpt", *PAIRS, "--benchmark.out=records")
    [(_, record)] = find_records([Path("records")])
    assert (record.method, record.n) == ("Tiny-darker", 4)
