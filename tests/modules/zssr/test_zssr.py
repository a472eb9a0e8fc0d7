"""The method: what it makes of good and of bad images, alone and in a run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from srbench.cli import main
from srbench.contracts import Batch
from srbench.datamodules.degradations import imresize
from srbench.datamodules.degradations.kernels import gaussian_kernel
from srbench.errors import InputError
from srbench.modules import ZSSR
from srbench.modules.zssr import learning
from srbench.modules.zssr.geometry import shrinker
from srbench.modules.zssr.net import ZSSRNet
from srbench.modules.zssr.rate import RateRule
from srbench.records import find_records, read_rows


def _small(**given: Any) -> ZSSR:
    return ZSSR(**{"scale": 2, "features": 4, "depth": 3, "iterations": 6, "crop": 16, **given})


def _waves(height: int, width: int, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(a * x + b * y) for a, b in rng.uniform(-0.9, 0.9, (3, 2))])
    return torch.from_numpy(waves * 0.4 + 0.5).float()[None]


def _edges(side: int) -> Tensor:
    """Two crossing edges, black on white, smooth to a pixel."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    edges = [np.clip(side * (a * x + b * y) + 0.5, 0, 1) for a, b in ((0.8, 0.6), (-0.5, 0.9))]
    return torch.from_numpy(np.stack([edges[0], edges[1], edges[0] * edges[1]])).float()[None]


def _step(module: ZSSR, lq: Tensor, *names: str) -> dict[str, Any]:
    with torch.inference_mode():
        return dict(module.test_step(Batch(lq=lq.clone(), name=list(names)), 0))


# ------------------------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_learns_the_image(scale: int) -> None:
    """Of edges, which look alike at every scale, it recovers more than back-projection alone."""
    gt = _edges(32 * scale)
    lq = imresize(gt, 1 / scale)
    errors = []
    for iterations in (0, 300):
        module = _small(scale=scale, iterations=iterations, features=24, crop=24, back_projections=2)
        sr = _step(module, lq, "a")["sr"]
        assert sr.shape == gt.shape
        errors.append(float((sr - gt).square().mean()))
    assert errors[1] < 0.95 * errors[0]


def test_neither_order_nor_batch_nor_threads_of_draws_matter() -> None:
    lq = torch.cat([_waves(12, 14, seed) for seed in (1, 2)])
    both = _step(_small(), lq, "a", "b")["sr"]
    torch.manual_seed(99)
    turned = _step(_small(), lq.flip(0), "b", "a")["sr"]
    alone = _step(_small(), lq[1:], "b")["sr"]
    assert torch.equal(both, turned.flip(0))
    assert torch.equal(both[1:], alone)
    other = _step(_small(), lq[1:], "c")["sr"]
    assert not torch.equal(other, alone)


def test_gradual_scales_feed_on_what_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[float, list[int]]] = []
    whole = learning.learn

    def noted(net: Any, correct: Any, task: learning.Task, *rest: Any) -> learning.Learned:
        seen.append((task.scale, [source.shape[-1] for source in task.sources]))
        return whole(net, correct, task, *rest)

    monkeypatch.setattr("srbench.modules.zssr.zssr.learn", noted)
    assert _step(_small(gradual=3, scale=4), _waves(10, 12), "a")["sr"].shape == (1, 3, 40, 48)
    assert seen == [(2.0, [12]), (3.0, [12, 24]), (4, [12, 24, 36])]
    assert _small(gradual=6).scales == pytest.approx([7 / 6, 4 / 3, 1.5, 5 / 3, 11 / 6, 2])
    seen.clear()
    assert _step(_small(gradual=6), _waves(9, 11), "a")["sr"].shape == (1, 3, 18, 22)
    assert seen[-1] == (2, [11, 13, 15, 17, 19, 21])


def test_learning_ends_with_the_learning_rate() -> None:
    task = learning.Task([torch.full((1, 3, 16, 16), 0.5)], 2, shrinker(2), 16, _small().setting(known=True).how, 0.0)
    net = _small().net
    assert isinstance(net, ZSSRNet)
    generator = torch.Generator().manual_seed(0)
    rule = RateRule(start=1e-9)  # below its end: one step, and over
    assert learning.learn(net, net.correct, task, rule, range(50), generator) == (1, None)
    assert learning.learn(net, net.correct, task, RateRule(), range(5), generator) == (5, None)


def test_tiles_change_nothing_but_memory() -> None:
    lq = _waves(40, 37)
    whole = _step(_small(iterations=3), lq, "a")["sr"]
    cut = _step(_small(iterations=3, tile=9), lq, "a")["sr"]
    assert (whole - cut).abs().max() < 1e-4


# ------------------------------------------------------------------------------------------------------------- kernels


def test_a_known_kernel_is_undone_better_than_bicubic_is_assumed(tmp_path: Path) -> None:
    kernel = gaussian_kernel(9, 1.8, 0.8, 0.7)
    np.save(tmp_path / "k.npy", kernel)
    gt = _waves(48, 48)
    lq = shrinker(2, torch.from_numpy(kernel))(gt)
    settings = {"iterations": 60, "augment": False, "ensemble": False, "back_projections": 2, "features": 8}
    known, assumed = (
        float((_step(_small(**settings, kernel=path), lq, "a")["sr"] - gt).square().mean())
        for path in (str(tmp_path / "k.npy"), None)
    )
    assert known < 0.9 * assumed


def test_a_delta_kernel_shifts_nothing() -> None:
    """Sr of a centred blob stays centred: half a pixel of shift would show as 0.5."""
    y, x = np.mgrid[:20, :20]
    blob = torch.from_numpy(np.exp(-((y - 9.5) ** 2 + (x - 9.5) ** 2) / 18)).float().expand(1, 3, 20, 20)
    for scale in (2, 4):
        module = _small(scale=scale, iterations=0, back_projections=4)
        sr = module.learn_known(blob, "a", torch.Generator().manual_seed(0), {scale: torch.ones(1, 1)})
        weight = sr[0].mean(0).double()
        at = torch.arange(20 * scale).double()
        middle = [float((weight.sum(1 - axis) * at).sum() / weight.sum()) for axis in (0, 1)]
        assert middle == pytest.approx([(20 * scale - 1) / 2] * 2, abs=0.02)


def test_kernels_of_every_step_are_learned_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def noted(net: Any, correct: Any, task: learning.Task, *rest: Any) -> learning.Learned:
        seen.append(task.scale)
        return learning.Learned(0, None)

    monkeypatch.setattr("srbench.modules.zssr.zssr.learn", noted)
    kernels = {4: torch.ones(5, 5), 2: torch.ones(3, 3)}
    sr = _small(scale=4).learn_known(_waves(12, 12), "a", torch.Generator(), kernels)
    assert sr.shape == (1, 3, 48, 48)
    assert seen == [2, 4]


@pytest.mark.parametrize("scales", [(), (2,), (2, 8), (1, 4)])
def test_kernels_that_do_not_lead_there_are_refused(scales: tuple[int, ...]) -> None:
    kernels = {scale: torch.ones(3, 3) for scale in scales}
    with pytest.raises(InputError, match="do not lead to x4"):
        _small(scale=4).learn_known(_waves(12, 12), "a", torch.Generator(), kernels)


def test_kernels_are_hashed_and_their_place_is_not(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", np.ones((3, 3)))
    module = _small(kernel=str(tmp_path / "k.npy"))
    module.prepare()
    assert len(module.files["kernels"]) == 64
    assert "kernel" in module.unhashed


def test_the_three_settings() -> None:
    ideal, known, real = (
        _small(**given).setting(known=given.get("kernel") is not None)
        for given in ({}, {"kernel": "k.npy"}, {"real": True})
    )
    assert (ideal.noise, ideal.ensemble, ideal.back_projections, ideal.how.zoom) == (0.0, True, 10, (0.5, 1.0))
    assert (ideal.how.plain, ideal.how.turned, ideal.how.shear) == (0.05, 0.45, 0.1)
    assert (known.ensemble, known.back_projections, known.how.plain) == (False, 2, 1.0)
    assert (real.noise, real.ensemble, real.back_projections, real.how.zoom) == (0.0125, True, 0, (0.75, 1.0))
    both = _small(real=True).setting(known=True)
    assert (both.noise, both.back_projections, both.how.plain) == (0.0125, 0, 1.0)
    given = _small(augment=True, noise=0.5, ensemble=True, back_projections=7).setting(known=True)
    assert (given.how.plain, given.noise, given.ensemble, given.back_projections) == (0.05, 0.5, True, 7)


# ----------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_constant_image_stays_constant(level: float) -> None:
    for given in ({}, {"real": True}, {"gradual": 2}):
        restored = _step(_small(iterations=60, **given), torch.full((1, 3, 12, 10), level), "flat")
        assert (restored["sr"] - level).abs().max() < 0.05
        assert "notes" not in restored


def test_an_image_smaller_than_the_crop_is_learned_whole() -> None:
    assert _step(_small(crop=128), _waves(5, 9), "a")["sr"].shape == (1, 3, 10, 18)
    assert _step(_small(crop=8), _waves(9, 4), "a")["sr"].shape == (1, 3, 18, 8)


def test_an_image_without_sons_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match=r"tiny: an image of 9x7 pixels is too small to learn x4 from; use .* of 8"):
        _step(_small(scale=4), _waves(7, 9), "tiny")
    assert _step(_small(scale=4), _waves(8, 8), "small")["sr"].shape == (1, 3, 32, 32)


def test_diverged_learning_goes_back_to_the_best_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = learning._step

    def spoils(net: Any, *rest: Any) -> float:
        loss = steps(net, *rest)
        next(net.parameters()).data.fill_(float("nan"))
        return loss

    monkeypatch.setattr(learning, "_step", spoils)
    for iterations in (1, 6):
        spoilt = _step(_small(iterations=iterations), _waves(12, 12), "a")
        assert spoilt["notes"] == [(f"learning x2 diverged at iteration {min(iterations, 2)}, weights of 0 used",)]
        assert torch.equal(spoilt["sr"], _step(_small(iterations=0), _waves(12, 12), "a")["sr"])

    done = 0

    def breaks(net: Any, *rest: Any) -> float:
        nonlocal done
        done += 1
        loss = steps(net, *rest)
        return float("nan") if done == 60 else loss

    monkeypatch.setattr(learning, "_step", breaks)
    late = _step(_small(iterations=100), _waves(12, 12), "a")
    assert late["notes"] == [("learning x2 diverged at iteration 60, weights of 50 used",)]
    monkeypatch.setattr(learning, "_step", steps)
    assert torch.equal(late["sr"], _step(_small(iterations=50), _waves(12, 12), "a")["sr"])


def _not_a_number(self: torch.nn.Module, image: Tensor) -> Tensor:
    return image + next(self.parameters()).sum() * float("nan")


def test_where_no_weights_give_an_image_bicubic_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("srbench.modules.zssr.net.ZSSRNet.correct", _not_a_number)
    lq = _waves(12, 12)
    restored = _step(_small(), lq, "a")
    assert torch.equal(restored["sr"], imresize(lq, 2).clamp(0, 1))
    assert restored["notes"][0][-1] == "no finite image came out at x2, bicubic interpolation was used"


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"scale": 1}, "scale 1 is impossible; use 2 or more"),
        ({"crop": 4}, "crop 4"),
        ({"iterations": -1}, "iterations -1"),
        ({"gradual": 0}, "gradual 0"),
        ({"noise": -0.1}, r"noise -0\.1"),
        ({"back_projections": -1}, "back_projections -1"),
        ({"depth": 1}, "depth 1"),
        ({"weights": "x.pth"}, "there are no weights to start from"),
        ({"kernel": "k.npy", "gradual": 3}, "a kernel is known for x2 alone"),
    ],
)
def test_impossible_arguments_are_refused(given: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError, match=what):
        _small(**given)


def test_it_cannot_be_fitted() -> None:
    with pytest.raises(InputError, match="ZSSR has nothing to train; use srbench test"):
        _small().configure_optimizers()


# ---------------------------------------------------------------------------------------------------------------- runs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three small images, in a fresh working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gt").mkdir()
    for i in range(3):
        pixels = (_waves(40, 36, i)[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "gt" / f"{i}.png")
    return tmp_path


def _test(out: str, *more: str) -> int:
    small = ("--model.init_args.features", "4", "--model.init_args.depth", "3", "--model.init_args.iterations", "6")
    data = ("--config", "data/image_pairs.yaml", "--data.init_args.test_gt", "gt", "--seed_everything", "0")
    quiet = ("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--benchmark.out", out)
    return main(["test", "--config", "methods/zssr/test.yaml", *small, *data, *quiet, *more])


def _values(out: str) -> list[tuple[str, dict[str, float | None]]]:
    [(path, _)] = find_records([Path(out)])
    return [(row.name, dict(row.values)) for row in read_rows(path)]


@pytest.mark.usefixtures("folder")
def test_a_killed_run_goes_on_with_the_image_it_had_not_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _test("whole") == 0
    learned: list[str] = []
    whole = ZSSR.learn

    def dies(self: ZSSR, lq: Tensor, name: str, generator: torch.Generator) -> Tensor:
        learned.append(name)
        if len(learned) == 2:
            raise RuntimeError("killed")
        return whole(self, lq, name, generator)

    monkeypatch.setattr(ZSSR, "learn", dies)
    with pytest.raises(RuntimeError, match="killed"):
        _test("cut")
    assert not find_records([Path("cut")])
    assert _test("cut") == 0
    assert learned == ["0", "1", "1", "2"]
    assert _values("cut") == _values("whole")


@pytest.mark.usefixtures("folder")
def test_kernels_are_found_by_the_images_names(capsys: pytest.CaptureFixture[str]) -> None:
    Path("kernels").mkdir()
    for i in range(2):
        np.save(f"kernels/{i}_kernel_x4.npy", gaussian_kernel(9, 1.0 + i, isotropic=True))
    known = ("--config", "methods/zssr/kernel.yaml", "--model.init_args.kernel", "kernels")
    assert _test("known", *known) == 2
    assert "kernels: no kernel of image 2; add 2.mat" in capsys.readouterr().err
    np.save("kernels/2.npy", gaussian_kernel(9, 3.0, isotropic=True))
    assert _test("known", *known) == 0
    assert [name for name, _ in _values("known")] == ["0", "1", "2"]
