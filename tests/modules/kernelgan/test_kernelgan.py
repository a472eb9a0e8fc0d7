"""KernelGAN as a method: kernels reach the upscaler, remarks the record; its config, and the analysis."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from srbench.cli import main
from srbench.contracts import Batch
from srbench.errors import InputError
from srbench.images import read_image
from srbench.module import SRModule
from srbench.modules import ZSSR, Bicubic, KernelGAN
from srbench.modules.kernelgan.kernels import bicubic_kernel, twice
from srbench.modules.kernelgan.settings import Search

TINY = Search(iterations=4, crop=32, channels=4, judge_channels=4, judge_blocks=1)
FLAGS = [
    *("--model.init_args.search.iterations", "4", "--model.init_args.search.crop", "32"),
    *("--model.init_args.search.channels", "4", "--model.init_args.search.judge_channels", "4"),
]


class Fake(SRModule):
    """Repeats pixels and keeps what it was given."""

    def __init__(self, scale: int = 4) -> None:
        super().__init__(scale=scale)
        self.net = nn.Identity()
        self.seen: dict[str, Mapping[int, Tensor]] = {}

    def upscale(self, lq: Tensor) -> Tensor:
        return lq.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)

    def learn_known(self, lq: Tensor, name: str, generator: torch.Generator, kernels: Mapping[int, Tensor]) -> Tensor:
        assert not lq.is_inference()
        self.seen[name] = kernels
        self.remark(name, f"learned {sorted(kernels)}")
        return self.upscale(lq) * torch.rand((), generator=generator)


@pytest.fixture
def photo() -> Tensor:
    return torch.rand(1, 3, 36, 40, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("scale", [2, 4])
def test_kernels_reach_the_upscaler(photo: Tensor, scale: int) -> None:
    upscaler = Fake(scale)
    module = KernelGAN(scale=scale, upscaler=upscaler, search=TINY)
    with torch.inference_mode():
        restored = module.test_step(Batch(lq=photo, name=["a"]), 0)
    assert restored["sr"].shape == (1, 3, 36 * scale, 40 * scale)
    kernels = {s: k.double().numpy() for s, k in upscaler.seen["a"].items()}
    assert {s: k.shape for s, k in kernels.items()} == ({2: (13, 13)} if scale == 2 else {2: (13, 13), 4: (25, 25)})
    assert all(k.sum() == pytest.approx(1, abs=1e-6) for k in kernels.values())
    if scale == 4:
        assert np.allclose(kernels[4], twice(kernels[2]), atol=1e-6)
    found = module.estimate(photo, "a", module.generator("a"))
    assert np.allclose(kernels[2], found.kernel, atol=1e-7)
    assert restored["notes"] == [(f"learned {sorted(kernels)}",)]


def test_draws_belong_to_the_image(photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    both = torch.cat([photo, photo.flip(-1)])
    one = KernelGAN(upscaler=Fake(), search=TINY).restore(Batch(lq=both, name=["a", "b"]))
    turned = KernelGAN(upscaler=Fake(), search=TINY).restore(Batch(lq=both.flip(0), name=["b", "a"]))
    assert torch.equal(one, turned.flip(0))
    monkeypatch.setenv("PL_GLOBAL_SEED", "1")
    assert not torch.equal(one, KernelGAN(upscaler=Fake(), search=TINY).restore(Batch(lq=both, name=["a", "b"])))


@pytest.mark.parametrize(
    ("lq", "says"), [(torch.rand(1, 3, 12, 10), "10x12 is below"), (torch.full((1, 3, 40, 40), 0.3), "constant")]
)
def test_the_bicubic_kernel_stands_in_and_the_record_says_so(lq: Tensor, says: str) -> None:
    upscaler = Fake()
    restored = KernelGAN(upscaler=upscaler, search=TINY).test_step(Batch(lq=lq, name=["a"]), 0)
    [[note, _]] = restored["notes"]
    assert says in note
    assert "bicubic" in note
    for scale, kernel in upscaler.seen["a"].items():
        assert np.allclose(kernel.numpy(), bicubic_kernel(len(kernel), scale), atol=1e-7)


def test_zssr_takes_its_kernels(photo: Tensor) -> None:
    zssr = ZSSR(scale=4, iterations=2, crop=24, features=4, depth=2)
    sr = KernelGAN(upscaler=zssr, search=TINY).upscale(photo)
    assert sr.shape == (1, 3, 144, 160)
    assert torch.isfinite(sr).all()


def test_without_an_upscaler_it_only_estimates(photo: Tensor) -> None:
    module = KernelGAN(search=TINY)
    assert module.estimate(photo, "a", module.generator("a")).fault is None
    with pytest.raises(InputError, match="srbench analyze kernel"):
        module.upscale(photo)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="no kernel for x3"):
        KernelGAN(scale=3)
    with pytest.raises(InputError, match="Bicubic takes no kernels"):
        KernelGAN(upscaler=Bicubic(scale=4))
    with pytest.raises(InputError, match="its upscaler is for x2, KernelGAN for x4"):
        KernelGAN(upscaler=Fake(2))


def test_marks_of_the_upscaler_are_its_own() -> None:
    upscaler = Fake()
    upscaler.stamp("random_backbones")
    module = KernelGAN(upscaler=upscaler, search=TINY)
    module.prepare()
    assert module.marks == ("random_backbones",)


def test_describe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "--config", "methods/kernelgan/test.yaml", "--json"]) == 0
    parts = json.loads(capsys.readouterr().out)["parts"]
    assert {name: part["params"] for name, part in parts.items()} == {
        "net": 224_640,
        "generator": 150_656,
        "discriminator": 30_977,
    }


def test_the_analysis(tmp_path: Path, photo: Tensor, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = (photo[0].permute(1, 2, 0) * 255).byte().numpy()
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    np.save(tmp_path / "truth.npy", bicubic_kernel(15, 2))
    given = ["--images", str(tmp_path / "noise.png"), "--truth", str(tmp_path / "truth.npy"), "--out", str(tmp_path)]
    model = ["--config", "methods/kernelgan/test.yaml", "--model.init_args.search.judge_blocks", "1", *FLAGS]
    assert main(["analyze", "kernel", *given, *model]) == 0
    assert "correlation" in capsys.readouterr().out
    with (tmp_path / "kernels.csv").open() as file:
        two, four = csv.DictReader(file)
    assert (two["size"], two["scale"], four["size"], four["scale"]) == ("13", "2", "25", "4")
    assert float(two["row"]) == pytest.approx(6.5, abs=0.6)
    assert -1 <= float(two["correlation"]) <= 1
    apart = np.hypot(float(two["row_before"]) - 6.5, float(two["column_before"]) - 6.5)
    assert float(two["distance"]) == pytest.approx(apart)
    kernel = np.loadtxt(tmp_path / "kernel_noise_x2.csv", delimiter=",")
    assert kernel.sum() == pytest.approx(1, abs=1e-12)
    picture = read_image(tmp_path / "kernel_noise_x4.png").pixels
    assert picture.shape == (300, 300, 3)
    assert picture.max() == 255


def test_the_analysis_of_another_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    assert main(["analyze", "kernel", "--images", str(tmp_path), "--config", "methods/bicubic/test.yaml"]) == 2
    assert "Bicubic estimates no kernel" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"), [("1,2\n3,4\n", "square and odd"), ("a,b\n", "cannot be read"), ("0\n", "no positive number")]
)
def test_a_truth_that_is_no_kernel_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    (tmp_path / "truth.csv").write_text(text)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a.png")
    given = ["--images", str(tmp_path / "a.png"), "--truth", str(tmp_path / "truth.csv")]
    assert main(["analyze", "kernel", *given, "--config", "methods/kernelgan/test.yaml"]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert len(error.splitlines()) == 1
